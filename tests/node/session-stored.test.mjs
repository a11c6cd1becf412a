// What the first version with sessions has stored is read by this one: as a file, in a folder, and in IndexedDB.

import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { indexedDb, memory, Session } from "../../pkg/session.node.js";
import { nodeFs } from "../../pkg/stores/node-fs.js";

const stored = new URL("../data/stored/first/", import.meta.url);
const text = (name) => readFileSync(new URL(name, stored), "utf8");
const view = JSON.parse(text("view.json"));
const id = "kept since the first version";
const settings = {
  id,
  budget: { window: 1600, reserve: 0 },
  policy: { recallDeclared: true },
  overflow: { threshold: 4000, keep: 600 },
};

const folder = mkdtempSync(join(tmpdir(), "epitome-stored-"));
after(() => rmSync(folder, { recursive: true, force: true }));

async function listed(session) {
  const entries = [];
  for await (const entry of session.history()) entries.push(entry);
  return entries;
}

/** Everything that was kept is there, and it goes on. */
async function holds(session, extra = []) {
  assert.deepEqual(session.view(), [...view, ...extra]);
  const entries = await listed(session);
  assert.ok(entries.some(({ pinned }) => pinned));
  const whole = await session.recall("r3_899");
  assert.ok(JSON.stringify(whole).includes("r3_899"), "the whole of a result that is shown shortened");
  await session.append({ role: "user", content: "And now?" });
  const { report } = await session.prepare();
  assert.ok(report.after <= 1600);
  const inForce = (await session.compactions()).filter((made) => made.inForce);
  assert.ok(inForce.length > 0);
  for (const _ of inForce) await session.undo();
  const all = await listed(session);
  assert.deepEqual(
    session.view().length,
    all.length,
    "without compactions the view is everything that was said on the branch",
  );
  assert.equal(all.length, entries.length + 1);
}

test("a file that the first version exported", async () => {
  const session = await Session.import(text("session.jsonl"), { ...settings, store: memory() });
  await holds(session);
  await session.close();
});

test("a folder that the first version kept", async () => {
  for (const name of readdirSync(stored).filter((name) => name.endsWith(".log"))) {
    cpSync(new URL(name, stored), join(folder, name));
  }
  const store = nodeFs(folder);
  const session = await Session.open({ ...settings, store });
  await holds(session);
  await session.close();
  await store.close();
});

test("a database that the first version kept", async () => {
  await restore(JSON.parse(text("indexed-db.json")));
  const store = indexedDb();
  const session = await Session.open({ ...settings, store });
  await holds(session, [{ role: "user", content: "one more" }]);
  await session.close();
  await store.close();
});

/** Makes a database as it was, byte for byte, without asking the adapter. */
function restore({ name, version, stores }) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, version);
    request.onupgradeneeded = () => {
      for (const [store, { keyPath, autoIncrement, indexes, keys, values }] of Object.entries(stores)) {
        assert.deepEqual(indexes, [], "nothing of a conversation is in an index");
        const made = request.result.createObjectStore(store, { keyPath, autoIncrement });
        keys.forEach((key, at) => {
          made.put(values[at], keyPath === null ? key : undefined);
        });
      }
    };
    request.onsuccess = () => {
      request.result.close();
      resolve(undefined);
    };
    request.onerror = () => reject(request.error);
  });
}
