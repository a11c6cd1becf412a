// What a host asks of a store that is in Rust, carried out there.

import { isOn, storeOn } from "./store-bridge.js";
import { operateThrough } from "./store-indexed-db.js";
import { run } from "./task.js";

/** @import { Operations } from "./store-indexed-db.js" */
/** @import { ListedConversation } from "./stores.js" */
/** @import { SessionInstance, Task } from "./task.js" */

/** No call of a store takes longer, ms: blocked databases and patience with hosts included. */
const PATIENCE = 60_000;

/**
 * Has the stores in Rust work on this instance.
 *
 * @param {SessionInstance} instance
 * @param {() => Promise<void>} init
 */
export function operateOn(instance, init) {
  operateThrough(operationsOn(instance, init));
}

/**
 * @param {SessionInstance} instance
 * @param {() => Promise<void>} init
 * @returns {Operations}
 */
function operationsOn(instance, init) {
  /**
   * @param {object} store
   * @param {AbortSignal | undefined} signal
   * @param {(glue: SessionInstance["glue"], number: number, host: Task) => number} begin
   */
  const ask = async (store, signal, begin) => {
    await init();
    return run(instance, [], { patienceMs: PATIENCE }, signal, (host) => {
      const number = storeOn(instance, store);
      return instance.call((glue) => begin(glue, number, host));
    });
  };
  return {
    list: async (store, { after, limit }, signal) =>
      listedOf(await ask(store, signal, (glue, number, host) => glue.store_list(number, after, limit, host))),
    remove: (store, conversation, signal) =>
      ask(store, signal, (glue, number, host) => glue.store_delete(number, conversation, host)),
    persisted: (store, signal) => ask(store, signal, (glue, number, host) => glue.store_persisted(number, host)),
    close: async (store) => {
      if (instance.isReady && isOn(instance, store))
        await ask(store, undefined, (glue, number, host) => glue.store_close(number, host));
    },
  };
}

/**
 * @param {readonly any[]} flat five items for each conversation
 * @returns {ListedConversation[]}
 */
function listedOf(flat) {
  return Array.from({ length: flat.length / 5 }, (_, at) => {
    const [conversation, revision, createdMs, updatedMs, entries] = flat.slice(at * 5, at * 5 + 5);
    return { conversation, revision, about: { createdMs, updatedMs, entries } };
  });
}
