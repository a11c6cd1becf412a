// What opening, appending and looking back take of the store does not depend on how long the conversation is. Counted,
// not timed: `benches/sessions` has the times.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import { load } from "../node/support.mjs";
import { countingStore } from "./support/compactions-store.mjs";

const { Session, memory } = await load("session.node.js");

const sizes = [1_000, 20_000];
const BATCH = 500;

const message = (at) => ({
  role: at % 2 === 0 ? "user" : "assistant",
  content: `Message ${String(at).padStart(6, "0")} says what all of them say, and it says it in as many words.`,
});

/** Always the same, so that views differ in nothing but their numbers. */
const provider = () => "1. User Intent: all of the messages say what all of them say, in as many words.";

/** A view of about 200 messages. */
const options = { id: "long", budget: { window: 11_000, reserve: 0 }, provider, format: "openai-chat" };

/** What opening a conversation of this size costs, and what is done with it then. */
async function costs(size) {
  const { store, counts } = countingStore(memory());
  const filling = await Session.open({ ...options, store });
  for (let at = 0; at < size; at += BATCH) {
    await filling.append(Array.from({ length: BATCH }, (_, more) => message(at + more)));
    await filling.prepare();
  }
  const compactions = (await filling.compactions()).length;
  await filling.close();

  const spent = {};
  const cost = async (name, work) => {
    const before = { ...counts };
    const value = await work();
    spent[name] = Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, count - before[name]]));
    return value;
  };
  const session = await cost("open", () => Session.open({ ...options, store }));
  const view = await cost("view", () => session.view());
  await cost("first append", () => session.append(message(0)));
  await cost("append", () => session.append(message(1)));
  await cost("prepare", () => session.prepare());
  await cost("last entries", async () => {
    for await (const entry of session.history({ limit: 20 })) assert.ok(entry.id >= size - 18);
  });
  await cost("first entries", async () => {
    for await (const entry of session.history({ before: 20 })) assert.ok(entry.id < 20);
  });
  await cost("entry", () => session.recall(7));
  await cost("compaction", () => session.compactNow());
  await cost("undo", () => session.undo());
  await session.close();
  return {
    size,
    compactions,
    shown: view.length,
    entries: view.filter(({ content }) => /^Message/.test(content)).length,
    spent,
  };
}

describe(`conversations of ${sizes.join(" and ")} entries`, () => {
  let short;
  let long;
  before(
    async () => {
      [short, long] = [await costs(sizes[0]), await costs(sizes[1])];
    },
    { timeout: 600_000 },
  );

  const numbersOf = ({ readBytes, writtenBytes, ...numbers }) => numbers;

  test("the views are of the same size, and made by many compactions", () => {
    assert.equal(long.shown, short.shown);
    assert.ok(long.shown > 150 && long.shown < 250, `${long.shown} messages`);
    assert.ok(long.compactions >= 30 && short.compactions <= 4, `${short.compactions}, ${long.compactions}`);
  });

  test("opening reads what the view shows, and what it was made of, and nothing else", () => {
    for (const { entries, spent, size } of [short, long]) {
      // Head, state and compaction; then the view makes do with what is there.
      assert.equal(spent.open.read, 3 + entries, `${size} entries`);
      assert.deepEqual([spent.view.load, spent.view.commit], [0, 0]);
      assert.deepEqual([spent.open.commit, spent.open.written], [0, 0]);
    }
  });

  test("appending reads nothing, and writes the message and where the conversation stands", () => {
    for (const { spent } of [short, long]) {
      assert.deepEqual(numbersOf(spent.append), {
        ...{ load: 0, list: 0, commit: 1, delete: 0 },
        ...{ read: 0, written: 2, deleted: 0 },
      });
    }
  });

  for (const name of [
    "open",
    "first append",
    "append",
    "prepare",
    "last entries",
    "first entries",
    "entry",
    "compaction",
    "undo",
  ]) {
    test(`${name}: the same number of records, about as many bytes`, () => {
      const [few, many] = [short.spent[name], long.spent[name]];
      assert.deepEqual(numbersOf(many), numbersOf(few));
      // Numbers have a few digits more.
      for (const what of ["readBytes", "writtenBytes"]) {
        assert.ok(many[what] <= few[what] * 1.1 + 64, `${what}: ${many[what]} after ${few[what]}`);
      }
    });
  }
});
