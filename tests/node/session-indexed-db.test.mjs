// Sessions over IndexedDB, here a stand-in for that of browsers, and over files.

import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { collect, once, Session, small, talk, withCode } from "./session-support.mjs";
import { epitome, load, user } from "./support.mjs";

const { nodeFs } = await load("stores/node-fs.js");
const folder = mkdtempSync(join(tmpdir(), "epitome-sessions-"));
const stores = [];
after(async () => {
  await Promise.all(stores.map((store) => store.close()));
  rmSync(folder, { recursive: true });
});
const kept = (store) => {
  stores.push(store);
  return store;
};
const places = {
  "indexedDb()": (name) => kept(epitome.indexedDb({ name })),
  "nodeFs()": (name) => kept(nodeFs(join(folder, name))),
};

for (const [what, place] of Object.entries(places)) {
  test(`${what} keeps a conversation from one opening to the next`, async () => {
    const messages = [...talk(20), user("And now? \ud83d")];
    const first = await Session.open({ id: "chat/../1", budget: small, store: place("one") });
    await first.append(messages);
    const { messages: shown, compaction } = await first.prepare();
    assert.equal(compaction, 0);
    await first.pin(2);
    await first.close();
    const store = place("one");
    const again = await Session.open({ id: "chat/../1", budget: small, store });
    assert.deepEqual(again.view(), shown);
    assert.deepEqual(
      (await collect(again.history())).map(({ message }) => message),
      messages,
    );
    assert.deepEqual(
      (await store.list()).map(({ conversation, about }) => [conversation, about.entries]),
      [["chat/../1", 41]],
    );
    assert.deepEqual(await again.undo(), [0]);
    assert.deepEqual(again.view(), messages);
    await again.delete();
    assert.deepEqual(await store.list(), []);
  });

  test(`two sessions over ${what} write to one conversation`, async () => {
    const [a, b] = await Promise.all(
      [0, 1].map(() => Session.open({ id: "shared", budget: { window: 100_000 }, store: place("two") })),
    );
    const ids = await Promise.all(talk(10).map((message, at) => (at % 2 ? a : b).append(message)));
    assert.deepEqual(
      ids.flat().sort((x, y) => x - y),
      [...Array(20).keys()],
    );
    // Whoever is not told finds out with the next turn.
    await Promise.all([a.prepare(), b.prepare()]);
    const histories = await Promise.all([a, b].map((session) => collect(session.history())));
    assert.deepEqual(
      histories[0].map(({ message }) => message),
      histories[1].map(({ message }) => message),
    );
    await Promise.all([a.close(), b.close()]);
  });
}

test("tabs over one database hear of each other", async () => {
  const [a, b] = await Promise.all(
    [0, 1].map(() => Session.open({ id: "tabs", budget: small, store: places["indexedDb()"]("tabs") })),
  );
  // Channels of sessions keep no process alive.
  const timer = setInterval(() => {}, 1_000);
  try {
    const changed = once(b, "changed");
    await a.append(user("Hi"));
    assert.deepEqual(await changed, { revision: 1, local: false });
    assert.deepEqual(b.view(), [user("Hi")]);
  } finally {
    clearInterval(timer);
    await Promise.all([a.close(), b.close()]);
  }
});

test("a store that was closed says so, and so does the session", async () => {
  const store = places["indexedDb()"]("closed");
  const session = await Session.open({ id: "x", budget: small, store });
  await session.append(user("Hi"));
  await store.close();
  await assert.rejects(session.append(user("More")), withCode("store_closed"));
  assert.deepEqual(session.view(), [user("Hi")]);
  await session.close();
});
