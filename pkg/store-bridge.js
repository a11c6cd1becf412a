// What stands between the core and the stores: every call of a store of the host goes through here, so that it ends,
// never throws, and answers in the form that the port prescribes (`src/store/callback.rs`).

import { describe } from "./errors.js";
import { isCount, KINDS, storeError, storeErrorOf } from "./store-errors.js";
import { indexedDbOptionsOf } from "./store-indexed-db.js";
import { beginNewLog } from "./store-indexed-db-log.js";

/** @import { EpitomeError } from "./errors.js" */
/** @import { IndexedDbOptions, ListedConversation, Store, StoreCallOptions, StoreRange, StoreRecord } from "./stores.js" */
/** @import { SessionInstance } from "./task.js" */

/** Longest that a store may take for an answer, ms. */
const PATIENCE = 30_000;

/** Numbers of the stores that an instance knows. After a trap there are other exports, and nothing is known there. */
/** @type {WeakMap<object, WeakMap<object, number>>} */
const known = new WeakMap();

/**
 * The number of a store on an instance. It stays the same as long as the store is held and the instance does not trap;
 * afterwards, ask again.
 *
 * @param {SessionInstance} instance
 * @param {object} store of the host, or one of `indexedDb()`
 * @param {{ patienceMs?: number }} [options]
 * @returns {number}
 */
export function storeOn(instance, store, { patienceMs = PATIENCE } = {}) {
  const exports = instance.ready();
  let numbers = known.get(exports);
  if (numbers === undefined) {
    numbers = new WeakMap();
    known.set(exports, numbers);
  }
  const before = numbers.get(store);
  if (before !== undefined) return before;
  const number = registered(instance, store, patienceMs);
  numbers.set(store, number);
  forgetting(instance, exports, store, number);
  return number;
}

/**
 * Whether there is anything of a store on an instance.
 *
 * @param {SessionInstance} instance
 * @param {object} store
 */
export function isOn(instance, store) {
  return known.get(instance.ready())?.has(store) === true;
}

/**
 * @param {SessionInstance} instance
 * @param {object} store
 * @param {number} patienceMs
 */
function registered(instance, store, patienceMs) {
  const options = indexedDbOptionsOf(store);
  if (options !== undefined) return databaseOn(instance, options);
  const bridge = new Bridge(instance, /** @type {Store} */ (store), patienceMs);
  return instance.call((glue) => glue.store_of_host(bridge));
}

/**
 * @param {SessionInstance} instance
 * @param {IndexedDbOptions} options
 */
function databaseOn(instance, { name, durability, persist, codec }) {
  if (globalThis.indexedDB === undefined) {
    throw storeError(
      "unavailable",
      "there is no IndexedDB here; in Node.js use `epitome/stores/node-fs`, in Workers `epitome/stores/durable-object`",
    );
  }
  const chosen = {
    name,
    relaxed: durability === "relaxed",
    persist: persist === true,
    encode: codec && ((/** @type {string} */ text) => codec.encode(text)),
    decode: codec && ((/** @type {string | Uint8Array} */ stored) => codec.decode(stored)),
    guarded: (/** @type {Promise<unknown>} */ promise) => guarded(instance, promise),
  };
  beginNewLog();
  return instance.call((glue) => glue.store_indexed_db(chosen));
}

/**
 * A promise that settles as this one does, and never once the instance is gone.
 *
 * @param {SessionInstance} instance
 * @param {Promise<unknown>} promise
 */
function guarded(instance, promise) {
  return new Promise((resolve, reject) => {
    let isLost = false;
    const waiting = { lost: () => (isLost = true) };
    const settle = (/** @type {() => void} */ how) => {
      instance.waiting.delete(waiting);
      if (!isLost) how();
    };
    instance.waiting.add(waiting);
    promise.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
  });
}

/**
 * Lets the module forget a store when the host has.
 *
 * @param {SessionInstance} instance
 * @param {object} exports of the instance that knows it
 * @param {object} store
 * @param {number} number
 */
function forgetting(instance, exports, store, number) {
  if (typeof FinalizationRegistry !== "function") return;
  registry ??= new FinalizationRegistry(({ instance, exports, number }) => {
    try {
      // Another instance has other stores by that number.
      if (instance.ready() === exports.deref()) instance.call((glue) => glue.store_forget(number));
    } catch {
      // Whatever is wrong shows in the next call; nobody can be told here.
    }
  });
  registry.register(store, { instance, exports: new WeakRef(exports), number });
}

/** @type {FinalizationRegistry<{ instance: SessionInstance, exports: WeakRef<object>, number: number }> | undefined} */
let registry;

/** A store of the host, as the core knows it. It does not keep the store: whoever uses it does. */
class Bridge {
  /**
   * @param {SessionInstance} instance
   * @param {Store} store
   * @param {number} patienceMs
   */
  constructor(instance, store, patienceMs) {
    this.instance = instance;
    this.patienceMs = patienceMs;
    /** @private @type {{ deref(): Store | undefined }} */
    this.store = typeof WeakRef === "function" ? new WeakRef(store) : { deref: () => store };
  }

  begin() {
    return new Call(this.instance, this.store.deref(), this.patienceMs);
  }
}

/** @typedef {{ code: string, message: string, revision: number }} Refusal see `src/store/callback.rs` */

/** One call of a store, which makes one request. */
class Call {
  /**
   * @param {SessionInstance} instance
   * @param {Store | undefined} store
   * @param {number} patienceMs
   */
  constructor(instance, store, patienceMs) {
    this.instance = instance;
    this.store = store;
    this.patienceMs = patienceMs;
    /** @private */
    this.controller = new AbortController();
    /** @private Settles the promise that the core awaits. @type {((error: EpitomeError) => void) | undefined} */
    this.refuse = undefined;
    /** @private @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @private */
    this.isOver = false;
  }

  /**
   * @param {string} conversation
   * @param {number[]} flat
   */
  load(conversation, flat) {
    const ranges = rangesOf(flat);
    return this.ask("load", async (store, options) => {
      const { revision, records } = loaded(await store.load(conversation, ranges, options), ranges);
      return [revision, ...records.flatMap(({ kind, number, text }) => [KINDS.indexOf(kind), number, text])];
    });
  }

  /**
   * @param {string | undefined} after
   * @param {number} limit
   */
  list(after, limit) {
    return this.ask("list", async (store, options) => {
      const page = after === undefined ? { limit } : { after, limit };
      return listed(await store.list(page, options), limit).flatMap(({ conversation, revision, about }) => {
        return [conversation, revision, about.createdMs, about.updatedMs, about.entries];
      });
    });
  }

  /**
   * @param {string} conversation
   * @param {number} expected
   * @param {(number | string)[]} flatPuts
   * @param {number[]} flatDeletes
   * @param {[number, number, number]} times
   */
  commit(conversation, expected, flatPuts, flatDeletes, [createdMs, updatedMs, entries]) {
    return this.ask("commit", async (store, options) => {
      const [puts, deletes] = [recordsOf(flatPuts), rangesOf(flatDeletes)];
      const about = { createdMs, updatedMs, entries };
      return committed(await store.commit({ conversation, expected, puts, deletes, about }, options), expected);
    });
  }

  /** @param {string} conversation */
  delete(conversation) {
    return this.ask("delete", async (store, options) => {
      await store.delete(conversation, options);
    });
  }

  close() {
    return this.ask("close", async (store) => {
      await store.close();
    });
  }

  /** Nobody waits any more. */
  end() {
    this.stop(storeError("closed", "nobody waits any more"));
  }

  /** The instance is gone, and nothing may call into it again. */
  lost() {
    this.refuse = undefined;
    this.end();
  }

  /**
   * A promise that settles when `request` does, or when the call is over; it rejects with a `Refusal` only.
   *
   * @private
   * @param {"load" | "list" | "commit" | "delete" | "close"} name
   * @param {(store: Store, options: { signal: AbortSignal }) => Promise<unknown>} request
   */
  ask(name, request) {
    const writes = name === "commit" || name === "delete";
    return new Promise((resolve, reject) => {
      this.refuse = (error) => reject(refusalOf(error));
      this.instance.waiting.add(this);
      this.timer = setTimeout(() => this.stop(tooLate(name, writes, this.patienceMs)), this.patienceMs);
      this.carriedOut(request).then(
        (answer) => {
          // A late answer is nobody's any more, and the instance that it was for may be gone.
          if (this.isOver) return;
          this.over();
          resolve(answer);
        },
        (error) => this.stop(isOurs(error) ? error : storeErrorOf(error, { call: name, writes })),
      );
    });
  }

  /**
   * @private
   * @param {(store: Store, options: { signal: AbortSignal }) => Promise<unknown>} request
   */
  async carriedOut(request) {
    if (this.store === undefined) throw ours(storeError("closed", "the host has let go of the store"));
    return request(this.store, { signal: this.controller.signal });
  }

  /**
   * @private
   * @param {EpitomeError} error
   */
  stop(error) {
    if (this.isOver) return;
    this.over();
    this.refuse?.(error);
    try {
      this.controller.abort(error);
    } catch {
      // In workerd it belongs to another request, which ends it.
    }
  }

  /** @private */
  over() {
    this.isOver = true;
    clearTimeout(this.timer);
    this.instance.waiting.delete(this);
  }
}

/**
 * @param {string} name
 * @param {boolean} writes
 * @param {number} ms
 */
function tooLate(name, writes, ms) {
  return storeError(writes ? "lost" : "failed", `${name}: no answer within ${ms} ms`);
}

/**
 * @param {EpitomeError} error
 * @returns {Refusal}
 */
function refusalOf({ code, message, details }) {
  return { code, message, revision: /** @type {{ revision?: number }} */ (details).revision ?? -1 };
}

/** Errors that were made here, and need no other words. @type {WeakSet<object>} */
const made = new WeakSet();

/**
 * @template {object} T
 * @param {T} error
 */
function ours(error) {
  made.add(error);
  return error;
}

/**
 * @param {unknown} error
 * @returns {error is EpitomeError}
 */
function isOurs(error) {
  return typeof error === "object" && error !== null && made.has(error);
}

/**
 * @param {readonly number[]} flat
 * @returns {StoreRange[]}
 */
function rangesOf(flat) {
  return threes(flat).map(([kind, from, to]) => ({ kind: kindOf(kind), from, to }));
}

/**
 * @param {readonly (number | string)[]} flat
 * @returns {StoreRecord[]}
 */
function recordsOf(flat) {
  return threes(flat).map(([kind, number, text]) => ({ kind: kindOf(kind), number, text }));
}

/**
 * @param {readonly any[]} flat
 * @returns {[any, any, any][]}
 */
function threes(flat) {
  return Array.from({ length: flat.length / 3 }, (_, at) => [flat[at * 3], flat[at * 3 + 1], flat[at * 3 + 2]]);
}

/** @param {number} kind */
const kindOf = (kind) => /** @type {typeof KINDS[number]} */ (KINDS[kind]);

// What a store answered, held to the port. Messages name what is wrong, and nothing of what is kept.

/** @param {string} message */
const wrong = (message) => ours(storeError("failed", message));
/** @param {string} message */
const corrupted = (message) => ours(storeError("corrupted", message));

/**
 * @param {any} answer
 * @param {readonly StoreRange[]} ranges
 * @returns {{ revision: number, records: StoreRecord[] }}
 */
function loaded(answer, ranges) {
  const { revision, records } = Object(answer);
  if (!isCount(revision)) throw wrong(`load: \`revision\` must be a whole number, but is ${describe(revision)}`);
  if (!Array.isArray(records)) throw wrong(`load: \`records\` must be an array, but is ${describe(records)}`);
  if (revision === 0 && records.length > 0) {
    throw corrupted("load: a conversation that does not exist (revision 0) has records");
  }
  const place = new Place(ranges);
  return { revision, records: records.map((record, at) => checkedRecord(record, at, place)) };
}

/**
 * @param {any} given
 * @param {number} at
 * @param {Place} place
 * @returns {StoreRecord}
 */
function checkedRecord(given, at, place) {
  const { kind, number, text } = Object(given);
  if (!KINDS.includes(kind)) throw corrupted(`load: records[${at}].kind is not one of ${KINDS.join(", ")}`);
  if (!isCount(number))
    throw corrupted(`load: records[${at}].number must be a whole number, but is ${describe(number)}`);
  const name = `the record ${kind} ${number}`;
  if (!isText(text)) {
    const what = typeof text === "string" ? "is not well-formed Unicode" : `must be a text, but is ${describe(text)}`;
    throw corrupted(`load: the text of ${name} ${what}`);
  }
  if (!place.takes(kind, number)) throw corrupted(`load: ${name} was not asked for, or is not in its place`);
  return { kind, number, text };
}

/** How far the records that were asked for have come. */
class Place {
  /** @param {readonly StoreRange[]} ranges */
  constructor(ranges) {
    this.ranges = ranges;
    this.range = 0;
    this.last = -1;
  }

  /**
   * Whether this record can come next: above the last one in the same range, or in a later one.
   *
   * @param {string} kind
   * @param {number} number
   */
  takes(kind, number) {
    for (; this.range < this.ranges.length; this.range += 1, this.last = -1) {
      const range = /** @type {StoreRange} */ (this.ranges[this.range]);
      if (kind === range.kind && number >= range.from && number < range.to && number > this.last) {
        this.last = number;
        return true;
      }
    }
    return false;
  }
}

/**
 * @param {any} answer
 * @param {number} limit
 * @returns {ListedConversation[]}
 */
function listed(answer, limit) {
  if (!Array.isArray(answer)) throw wrong(`list: must answer with an array, but gave ${describe(answer)}`);
  if (answer.length > limit)
    throw wrong(`list: gave ${answer.length} conversations where at most ${limit} were asked for`);
  return answer.map((given, at) => {
    const { conversation, revision, about } = Object(given);
    const { createdMs, updatedMs, entries } = Object(about);
    if (!isText(conversation))
      throw wrong(`list: [${at}].conversation must be a text, but is ${describe(conversation)}`);
    if (!isCount(revision)) throw wrong(`list: [${at}].revision must be a whole number, but is ${describe(revision)}`);
    if (!Number.isFinite(createdMs)) throw wrong(`list: [${at}].about.createdMs must be a number`);
    if (!Number.isFinite(updatedMs)) throw wrong(`list: [${at}].about.updatedMs must be a number`);
    if (!isCount(entries)) throw wrong(`list: [${at}].about.entries must be a whole number`);
    return { conversation, revision, about: { createdMs, updatedMs, entries } };
  });
}

/**
 * @param {any} answer
 * @param {number} expected
 */
function committed(answer, expected) {
  const { revision, conflict } = Object(answer);
  if (isCount(conflict) && revision === undefined && conflict !== expected) {
    throw ours(storeError("conflict", "the conversation has been written to meanwhile", { revision: conflict }));
  }
  if (conflict === undefined && revision === expected + 1) return revision;
  throw wrong(`commit: must answer with { revision: ${expected + 1} } or { conflict: the revision that it has }`);
}

/**
 * Whether it is a text that is the same on the other side: without half a surrogate pair.
 *
 * @param {unknown} text
 * @returns {text is string}
 */
function isText(text) {
  return typeof text === "string" && !/\p{Surrogate}/u.test(text);
}
