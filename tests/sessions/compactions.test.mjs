// Many compactions through sessions under random faults of their models: nothing stays behind, and nobody is asked for a
// session that is closed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { before, describe, test } from "node:test";

import { load } from "../node/support.mjs";

const { Session, memory } = await load("session.node.js");

const full = !["", "0", undefined].includes(process.env.EPITOME_FULL);
const compactions = full ? 1_000 : 100;
const seed = Number(process.env.EPITOME_SEED ?? 7);

/**
 * How much more there may be after the last 70 % of the compactions than before them, bytes. A session that is not let go
 * of is 20 kB and more, and there are more sessions than compactions.
 */
const growth = { heap: 1_500_000, memory: 3_000_000 };

describe(`${compactions} compactions through sessions whose models fail at random`, () => {
  /** What `support/compactions-crowd.mjs` finds. */
  let found;
  before(
    async () => {
      const script = join(import.meta.dirname, "support/compactions-crowd.mjs");
      const input = JSON.stringify({ compactions, seed });
      const child = spawn(process.execPath, ["--expose-gc", script, input], { stdio: ["ignore", "pipe", "inherit"] });
      const [said, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
      assert.equal(code, 0);
      found = JSON.parse(said);
    },
    { timeout: 900_000 },
  );

  test("every result is valid and fits, and every failure has its reason", () => {
    assert.deepEqual(found.problems.slice(0, 5), [], `${found.problems.length} problems`);
    const { ok = 0, aborted = 0, unasked = 0, ...failed } = found.outcomes;
    const said = JSON.stringify(found.outcomes);
    assert.ok(found.compacted >= compactions && ok > compactions / 10 && aborted > 0, said);
    assert.ok(Object.keys(failed).filter((code) => code.startsWith("provider_")).length > 3, said);
    assert.ok(failed["closed meanwhile"] > 0 && found.asked > found.compacted, said);
  });

  test("nobody is asked anything for a session that is closed", () => {
    assert.ok(found.opened > compactions / 10);
    assert.deepEqual(found.late, { store: 0, model: 0 });
  });

  test("no session, task, store, provider, timer or listener is left", () => {
    for (const { sessions, tasks, stores, providers, timers, waiting } of [found.before, found.after]) {
      const left = { sessions, tasks, stores, providers, timers, waiting };
      // The two stores that all of them kept their conversations in.
      assert.deepEqual(left, { sessions: 0, tasks: 0, stores: 2, providers: 0, timers: 0, waiting: 0 });
    }
    assert.equal(found.listeners, 0);
    assert.deepEqual(found.left, [], "what was deleted is gone");
  });

  test("memory does not grow", () => {
    for (const [what, bytes] of Object.entries(growth)) {
      const [early, late] = [found.before[what], found.after[what]];
      assert.ok(late - early < bytes, `${what}: ${late} after ${early} bytes`);
    }
  });

  test("nobody complains", () => {
    assert.deepEqual(found.heard, []);
  });
});

describe("a session that is closed", () => {
  const message = (at) => ({
    role: at % 2 === 0 ? "user" : "assistant",
    content: `Message ${at}. ${"It is said. ".repeat(9)}`,
  });
  const messages = Array.from({ length: 60 }, (_, at) => message(at));
  const budget = { window: 1_000, reserve: 0 };

  test("in the same moment as it is called says so, and asks nobody", async () => {
    const asked = [];
    const kept = memory();
    const store = asking(kept, (name) => void asked.push(name));
    const session = await Session.open({ id: "one", store, budget });
    asked.length = 0;
    const calls = [session.append(messages), session.prepare(), session.compactions(), session.export()];
    const over = session.close();
    for (const call of calls) await assert.rejects(call, { code: "closed" });
    await over;
    assert.deepEqual(asked, []);
    assert.deepEqual(await kept.list(), []);
  });

  for (const nth of [1, 2, 3]) {
    test(`while load ${nth} of a step is under way asks no model afterwards`, async () => {
      let asked = 0;
      let calls = Number.NEGATIVE_INFINITY;
      const reached = deferred();
      const held = deferred();
      const store = asking(memory(), () => {
        calls += 1;
        if (calls !== nth) return undefined;
        reached.resolve();
        return held.promise;
      });
      const provider = () => {
        asked += 1;
        return "1. User Intent: to do what was said.";
      };
      const session = await Session.open({ id: "one", store, budget, provider });
      await session.append(messages);
      calls = 0;
      const preparing = session.prepare();
      preparing.catch(() => {});
      await reached.promise;
      const [before, over] = [asked, session.close()];
      held.resolve();
      await over;
      // What is being written just then is, and the call may end well.
      await preparing.catch(({ code }) => assert.equal(code, "closed"));
      assert.equal(asked, before);
    });
  }

  /** The same store, which is told of each call, and waits for what is said. */
  function asking(store, told) {
    const names = ["load", "list", "commit", "delete", "close"];
    return Object.fromEntries(
      names.map((name) => [
        name,
        async (...rest) => {
          await told(name);
          return store[name](...rest);
        },
      ]),
    );
  }

  function deferred() {
    let resolve;
    const promise = new Promise((settle) => {
      resolve = settle;
    });
    return { promise, resolve };
  }
});
