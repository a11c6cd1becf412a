// The store in IndexedDB, under an IndexedDB that is made of JavaScript.

import "fake-indexeddb/auto";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { holdsContract, instance, loadBeside, onStore, skip } from "./stores-support.mjs";

const { indexedDb } = await loadBeside("session.node.js");

let databases = 0;
const names = new WeakMap();
const openedBy = (name, options = {}) => {
  const store = indexedDb({ name, ...options });
  names.set(store, name);
  return store;
};
const fresh = (options) => {
  databases += 1;
  return openedBy(`database ${databases}`, options);
};

holdsContract("indexedDb()", fresh, { reopen: (store) => openedBy(names.get(store)) });

const codec = {
  encode: async (text) => new TextEncoder().encode(`sealed ${text}`),
  decode: (bytes) => new TextDecoder().decode(bytes).slice("sealed ".length),
};
holdsContract("indexedDb() with a codec", () => fresh({ codec }), {
  reopen: (store) => openedBy(names.get(store), { codec }),
});

describe("indexedDb()", { skip }, () => {
  /** A store with one conversation, written by a case of the contract. */
  async function filled(options) {
    const store = fresh(options);
    const name = "everything is there after opening anew";
    assert.equal(await onStore("store_contract_before", store, name), undefined);
    return store;
  }

  test("is asked by the host itself: list, delete, close", async () => {
    const store = await filled();
    const listed = await store.list();
    assert.ok(listed.length > 0);
    const [{ conversation, revision, about }] = listed;
    assert.deepEqual(Object.keys(about), ["createdMs", "updatedMs", "entries"]);
    assert.ok(revision > 0);
    assert.deepEqual(await store.list({ after: listed.at(-1).conversation }), []);
    assert.deepEqual(await store.list({ limit: 1 }), [listed[0]]);
    await store.delete(conversation);
    assert.deepEqual(await store.list(), listed.slice(1));
    assert.equal(typeof (await store.persisted()), "boolean");
    await store.close();
    await store.close();
    for (const call of [() => store.list(), () => store.delete("a"), () => store.persisted()]) {
      await assert.rejects(call, { code: "store_closed" });
    }
  });

  test("gives up when the host does", async () => {
    const store = await filled();
    const reason = new Error("enough");
    const error = { code: "aborted", name: "AbortError", cause: reason };
    await assert.rejects(store.list({ signal: AbortSignal.abort(reason) }), error);
    const controller = new AbortController();
    const listing = store.list({ signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(listing, error);
    await store.close();
  });

  test("keeps what the codec makes of texts, and nothing else", async () => {
    const store = await filled({ codec });
    const database = await new Promise((resolve, reject) => {
      const request = indexedDB.open(names.get(store));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const kept = await new Promise((resolve) => {
      const request = database.transaction("records").objectStore("records").getAll();
      request.onsuccess = () => resolve(request.result);
    });
    database.close();
    assert.ok(kept.length > 0);
    for (const bytes of kept) assert.match(new TextDecoder().decode(bytes), /^sealed /);
    await store.close();
  });

  test("a trap of the module loses no conversation", async () => {
    const store = await filled();
    const listed = await store.list();
    const { error } = console;
    console.error = () => {};
    assert.throws(() => instance.call((glue) => glue.trap()), { code: "internal" });
    console.error = error;
    assert.deepEqual(await store.list(), listed);
    await store.close();
  });

  test("refuses options that there are not", () => {
    for (const [options, option] of [
      [{ name: "" }, "name"],
      [{ durability: "eventual" }, "durability"],
      [{ persist: "yes" }, "persist"],
      [{ codec: { encode: () => "" } }, "codec.decode"],
      [{ codec: 5 }, "codec"],
      [{ path: "x" }, "path"],
    ]) {
      assert.throws(() => indexedDb(options), { code: "invalid_option", details: { option } });
    }
  });
});
