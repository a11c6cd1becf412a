// A session in a Durable Object, in workerd: it outlives the object that has it open.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

import { Miniflare } from "miniflare";

import { talk } from "../node/session-support.mjs";
import { user } from "../node/support.mjs";
import { packageModules } from "./modules.mjs";

const worker = new Miniflare({
  compatibilityDate: "2025-09-01",
  modules: [
    { type: "ESModule", path: "worker.js", contents: readFileSync(join(import.meta.dirname, "session-worker.js")) },
    ...packageModules(),
  ],
  durableObjects: { CHATS: { className: "Chat", useSQLite: true } },
});
after(() => worker.dispose());

async function ask(chat, call, rest) {
  const response = await worker.dispatchFetch(`http://localhost/${chat}`, {
    method: "POST",
    body: JSON.stringify({ call, ...rest }),
  });
  const { value, error } = await response.json();
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return value;
}

test("a conversation outlives the object that has it open", async () => {
  const messages = [...talk(20), user("And now?")];
  await ask("a", "append", { messages });
  const { report, compaction, messages: shown } = await ask("a", "prepare");
  assert.ok(report.before > 1_600 && report.after <= 1_600);
  assert.equal(compaction, 0);
  assert.match(JSON.stringify(shown), /to ask questions/);
  await assert.rejects(ask("a", "restart"));
  assert.deepEqual(await ask("a", "view"), shown);
  const history = await ask("a", "history");
  assert.deepEqual(
    history.map(({ message }) => message),
    messages,
  );
  assert.deepEqual(await ask("a", "append", { messages: [user("More")] }), [41]);
  await assert.rejects(ask("a", "restart"));
  assert.deepEqual(await ask("a", "undo"), [0]);
  assert.deepEqual(await ask("a", "view"), [...messages, user("More")]);
});

test("requests of an object share one session, and each message is there once", async () => {
  const messages = talk(15);
  const ids = await Promise.all(messages.map((message) => ask("b", "append", { messages: message })));
  assert.deepEqual(
    ids.flat().sort((a, b) => a - b),
    messages.map((_, at) => at),
  );
  const history = await ask("b", "history");
  assert.deepEqual(
    new Set(history.map(({ message }) => message.content)),
    new Set(messages.map(({ content }) => content)),
  );
});

test("a summary is written behind a request", async () => {
  await ask("c", "append", { messages: [...talk(20), user("And now?")] });
  const now = await ask("c", "prepare", { wait: "never" });
  assert.equal(now.compaction, undefined);
  assert.ok(now.report.after <= 1_600);
  const next = await ask("c", "prepare");
  assert.match(JSON.stringify(next.messages), /to ask questions/);
});

test("closing gives up a request to a model; deleting leaves nothing in the object", async () => {
  await ask("d", "append", { messages: [...talk(20), user("And now?")] });
  assert.equal(await ask("d", "hang"), "closed");
  assert.equal((await ask("d", "view")).length, 41);
  assert.deepEqual(
    (await ask("d", "remove")).filter((row) => !("version" in row)),
    [],
  );
  assert.deepEqual(await ask("d", "view"), []);
});
