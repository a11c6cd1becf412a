// What a host asks of a store that is in Rust, carried out there.

import { storeOn } from "./store-bridge.js";
import { operateThrough } from "./store-indexed-db.js";
import { run } from "./task.js";

/** @import { Operations } from "./store-indexed-db.js" */
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
    list: (store, { after, limit }, signal) =>
      ask(store, signal, (glue, number, host) => glue.store_list(number, after, limit, host)),
    remove: (store, conversation, signal) =>
      ask(store, signal, (glue, number, host) => glue.store_delete(number, conversation, host)),
    persisted: (store, signal) => ask(store, signal, (glue, number, host) => glue.store_persisted(number, host)),
    close: (store) => ask(store, undefined, (glue, number, host) => glue.store_close(number, host)),
  };
}
