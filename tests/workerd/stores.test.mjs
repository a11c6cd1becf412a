// The stores for Workers in workerd: in a Durable Object with SQLite, and in Workers KV.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";

import { Miniflare } from "miniflare";

import { contractFolder, skip } from "../node/stores-support.mjs";
import { packageModules } from "./modules.mjs";

const worker = skip
  ? undefined
  : new Miniflare({
      compatibilityDate: "2025-09-01",
      modules: [
        { type: "ESModule", path: "worker.js", contents: readFileSync(join(import.meta.dirname, "stores-worker.js")) },
        ...packageModules("epitome", contractFolder),
      ],
      durableObjects: { CONVERSATIONS: { className: "Conversations", useSQLite: true }, OLD: { className: "Old" } },
      kvNamespaces: ["KV"],
    });
after(() => worker?.dispose());

async function ask(path, body) {
  const response = await worker.dispatchFetch(`http://localhost/${path}`, {
    method: "POST",
    body: JSON.stringify(body ?? {}),
  });
  return response.json();
}

/** What a store of a worker answers; throws what it throws. */
async function answerOf(path, body) {
  const { value, error } = await ask(path, body);
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return value;
}

const [cases, persistent] = skip ? [[], []] : await ask("names");
const about = { createdMs: 1, updatedMs: 2.5, entries: 1 };
const batch = (conversation, expected, puts, deletes = []) => ({ conversation, expected, puts, deletes, about });
const everything = ["head", "state", "entry", "overflow", "compaction"].map((kind) => ({ kind, from: 0, to: 2 ** 53 }));

describe("durableObject() keeps the contract of stores", { skip }, () => {
  const object = (store, call, rest) => answerOf("object", { store, call, ...rest });

  for (const name of cases) {
    test(name, async () => {
      assert.equal(await object(name, "contract", { part: "store_contract", name }), null);
    });
  }
  for (const name of persistent) {
    test(name, async () => {
      assert.equal(await object(name, "contract", { part: "store_contract_before", name }), null);
      await assert.rejects(object(name, "restart"));
      assert.equal(await object(name, "contract", { part: "store_contract_after", name }), null);
    });
  }
});

describe("durableObject()", { skip }, () => {
  const object = (store, call, rest) => answerOf("object", { store, call, ...rest });
  const method = (store, method, ...args) => object(store, "ask", { method, args });

  test("a text that no row can hold comes back, in pieces that end between characters", async () => {
    const text = `"${"é🙂漢".repeat(700_000)}"`;
    const put = { kind: "overflow", number: 3, text };
    assert.deepEqual(await method("large", "commit", batch("a", 0, [put])), { revision: 1 });
    const parts = await object("large", "execute", { statement: "SELECT length(text) AS n FROM epitome_records" });
    assert.ok(parts.length > 1, "it is in several rows");
    const { records } = await method("large", "load", "a", everything);
    assert.ok(records.length === 1 && records[0].text === text);
    // A shorter one in its place leaves nothing of it.
    await method("large", "commit", batch("a", 1, [{ ...put, text: "1" }]));
    assert.deepEqual((await method("large", "load", "a", everything)).records, [{ ...put, text: "1" }]);
    assert.equal((await object("large", "dump")).epitome_records.length, 1);
  });

  test("deleting leaves nothing of a conversation in any table", async () => {
    const kept = { kind: "entry", number: 1, text: '"stays"' };
    await method("deleting", "commit", batch("stays", 0, [kept]));
    await method("deleting", "commit", batch("goes", 0, [{ ...kept, text: '"goes"' }]));
    await method("deleting", "delete", "goes");
    const dump = JSON.stringify(await object("deleting", "dump"));
    assert.doesNotMatch(dump, /goes/);
    assert.match(dump, /stays/);
  });

  test("a batch that fails on the way leaves nothing", async () => {
    await method("halfway", "commit", batch("a", 0, [{ kind: "entry", number: 1, text: "1" }]));
    const bad = [
      { kind: "entry", number: 2, text: "2" },
      { kind: "entry", number: 3, text: null },
    ];
    await assert.rejects(method("halfway", "commit", batch("a", 1, bad)));
    const { revision, records } = await method("halfway", "load", "a", everything);
    assert.deepEqual([revision, records.map(({ number }) => number)], [1, [1]]);
  });

  test("tables of a newer version are refused, and left alone", async () => {
    await method("newer", "list");
    await object("newer", "execute", { statement: "UPDATE epitome_version SET version = 2" });
    await assert.rejects(method("newer", "list"), { code: "store_newer" });
    await assert.rejects(method("newer", "commit", batch("a", 0, [])), { code: "store_newer" });
    assert.deepEqual((await object("newer", "dump")).epitome_conversations, []);
  });

  test("an object without SQLite says what to do", async () => {
    await assert.rejects(answerOf("old"), { code: "store_unavailable", message: /new_sqlite_classes/ });
  });
});

// One store object does all writes of a case, so even those cases hold that are about several writers.
describe("workersKv() keeps the contract of stores, as long as one object does all writes", { skip }, () => {
  for (const name of cases) {
    test(name, async () => {
      assert.equal(await answerOf("kv", { store: name, part: "store_contract", name }), null);
    });
  }
  for (const name of persistent) {
    test(name, async () => {
      assert.equal(await answerOf("kv", { store: name, part: "store_contract_before", name }), null);
      assert.equal(await answerOf("kv", { store: name, part: "store_contract_after", name }), null);
    });
  }
});

describe("workersKv()", { skip }, () => {
  test("deleting leaves no key", async () => {
    const method = (method, ...args) => answerOf("kv", { store: "keys", method, args });
    await method("commit", batch("goes", 0, [{ kind: "entry", number: 1, text: '"x"' }]));
    await method("commit", batch("g".repeat(600), 0, []));
    const namespace = await worker.getKVNamespace("KV");
    const keys = async () => (await namespace.list({ prefix: "keys/" })).keys.length;
    assert.equal(await keys(), 2);
    await method("delete", "goes");
    await method("delete", "g".repeat(600));
    assert.equal(await keys(), 0);
  });
});
