// After a trap of the module sessions open anew from their stores. Needs the build with the feature `trap`.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { collect, deferred, talk, watched } from "./session-support.mjs";
import { instance, loadBeside, skip } from "./stores-support.mjs";
import { user } from "./support.mjs";

const { EpitomeError, memory, Session } = await loadBeside("session.node.js");

const sessions = [];
after(() => Promise.all(sessions.map((session) => session.close())));
const open = async (options) => {
  const session = await Session.open({ id: "chat", budget: { window: 2_000 }, ...options });
  sessions.push(session);
  return session;
};

/** What the panic hook prints is expected here. */
function trap() {
  const { error } = console;
  console.error = () => {};
  try {
    assert.throws(() => instance.call((glue) => glue.trap()), { code: "internal" });
  } finally {
    console.error = error;
  }
}

test("a session goes on after a trap, also one of memory()", { skip }, async () => {
  const session = await open({ store: memory() });
  const messages = [...talk(20), user("And now?")];
  await session.append(messages);
  const { messages: shown } = await session.prepare();
  trap();
  assert.throws(
    () => session.view(),
    (error) => error instanceof EpitomeError && error.code === "internal",
  );
  assert.deepEqual(await session.append(user("Still there?")), [41]);
  assert.deepEqual(session.view(), [...shown, user("Still there?")]);
  for (let i = 0; i < 5; i += 1) {
    trap();
    const results = await Promise.all([session.compactions(), collect(session.history({ limit: 2 }))]);
    assert.deepEqual([results[0].length, results[1].map(({ id }) => id)], [1, [40, 41]]);
  }
  assert.equal(
    instance.call((glue) => glue.session_count()),
    1,
  );
});

test("a trap ends the calls under way, and what they wrote is there", { skip }, async () => {
  const gate = deferred();
  const store = watched(memory());
  let asked = 0;
  const provider = () => {
    asked += 1;
    return new Promise(() => {});
  };
  const session = await open({ store, provider });
  await session.append([...talk(20), user("And now?")]);
  const preparing = session.prepare();
  while (asked === 0) await new Promise((resolve) => setImmediate(resolve));
  store.after = (name) => (name === "commit" ? gate.promise : undefined);
  const appending = session.append(user("More"));
  while (store.underWay === 0) await new Promise((resolve) => setImmediate(resolve));
  trap();
  await assert.rejects(preparing, { code: "internal" });
  await assert.rejects(appending, { code: "internal" });
  gate.resolve();
  store.after = undefined;
  assert.deepEqual(await session.append(user("Again")), [42]);
  assert.equal(session.view().length, 43);
  assert.equal(instance.waiting.size, 0);
});

test("a session that is closed after a trap stays closed", { skip }, async () => {
  const session = await open({ store: memory() });
  await session.append(user("x"));
  trap();
  await session.close();
  await assert.rejects(session.append(user("y")), { code: "closed" });
});
