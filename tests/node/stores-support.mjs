// The contract of `src/store/contract.rs` for stores that JavaScript makes.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { describe, test } from "node:test";

import { load, root } from "./support.mjs";

export const contractFolder = resolve(root, process.env.EPITOME_CONTRACT_PACKAGE ?? "target/contract-pkg");

export const skip = existsSync(`${contractFolder}/wasm/session.js`)
  ? false
  : "there is no build with the contract: cargo xtask test --only node";

const { instance } = skip ? {} : await load("session-instance.node.js", contractFolder);
const { storeOn } = skip ? {} : await load("store-bridge.js", contractFolder);
const { run } = skip ? {} : await load("task.js", contractFolder);

/** A file of the build that has the contract: its classes are not those of the package. */
export const loadBeside = (file) => (skip ? {} : load(file, contractFolder));

export { instance, storeOn };

/** Calls an export that begins a task on a store; what it comes to. */
export function onStore(name, store, ...rest) {
  const begin = (host) => instance.call((glue) => glue[name](storeOn(instance, store), ...rest, host));
  return run(instance, [], { patienceMs: 60_000 }, undefined, begin);
}

/** The names of the cases, as the module says them. */
export const namesOf = (list) => (skip ? [] : instance.call((glue) => glue[list]()));

/**
 * Every case as a test of its own.
 *
 * @param {string} what
 * @param {() => Promise<object> | object} fresh a store with nothing in it
 * @param {{ reopen?: (store: object) => Promise<object> | object }} [options] opens the storage of a closed store anew
 */
export function holdsContract(what, fresh, { reopen } = {}) {
  describe(`${what} keeps the contract of stores`, { skip }, () => {
    for (const name of namesOf("store_contract_cases")) {
      test(name, async () => {
        const store = await fresh();
        assert.equal(await onStore("store_contract", store, name), undefined);
        await store.close();
      });
    }
    for (const name of reopen === undefined ? [] : namesOf("store_contract_persistent")) {
      test(name, async () => {
        const store = await fresh();
        assert.equal(await onStore("store_contract_before", store, name), undefined);
        await store.close();
        const again = await reopen(store);
        assert.equal(await onStore("store_contract_after", again, name), undefined);
        await again.close();
      });
    }
    test("leaves no task behind", () => {
      assert.equal(
        instance.call((glue) => glue.task_count()),
        0,
      );
      assert.equal(instance.waiting.size, 0);
    });
  });
}
