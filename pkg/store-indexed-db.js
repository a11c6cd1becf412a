// The browser's own database. What it does is in Rust (`src/store/indexed_db`); here is what the host holds.

import { describe, invalidOption } from "./errors.js";
import { callable, checked, text } from "./options.js";
import { checkName, checkSignal, closed, pageOf } from "./store-errors.js";

/** @import { IndexedDbOptions, ListedConversation, ListPage, StoreCallOptions } from "./stores.js" */

/**
 * What only the module `session` can do.
 *
 * @typedef {object} Operations
 * @property {(store: object, page: { after?: string | undefined, limit: number }, signal: AbortSignal | undefined) => Promise<ListedConversation[]>} list
 * @property {(store: object, conversation: string, signal: AbortSignal | undefined) => Promise<void>} remove
 * @property {(store: object, signal: AbortSignal | undefined) => Promise<boolean>} persisted
 * @property {(store: object) => Promise<void>} close
 */

/** @type {Operations | undefined} */
let operations;
/** @type {(() => Promise<void>) | undefined} */
let load;

/**
 * Says who carries out what is asked of a store.
 *
 * @param {Operations} given
 */
export function operateThrough(given) {
  operations = given;
}

/**
 * Says how to get there, for the entries without that module.
 *
 * @param {() => Promise<{ init: () => Promise<void> }>} session
 */
export function operateOnceLoaded(session) {
  load ??= async () => (await session()).init();
}

async function operating() {
  if (operations === undefined) await load?.();
  return /** @type {Operations} */ (operations);
}

/** @type {WeakMap<object, IndexedDbOptions>} */
const optionsOf = new WeakMap();

/**
 * The options of a store that `indexedDb` made; `undefined` for any other.
 *
 * @param {object} store
 */
export function indexedDbOptionsOf(store) {
  const options = optionsOf.get(store);
  if (options !== undefined && /** @type {IndexedDbStore} */ (store).isClosed) throw closed();
  return options;
}

/** @param {IndexedDbOptions} [options] */
export function indexedDb(options = {}) {
  const { name, durability, persist, codec } = checked("options", options, ["name", "durability", "persist", "codec"]);
  text("name", name);
  if (durability !== undefined && durability !== "strict" && durability !== "relaxed") {
    throw invalidOption("durability", 'must be "strict" or "relaxed"');
  }
  if (persist !== undefined && typeof persist !== "boolean") {
    throw invalidOption("persist", `must be true or false, but is ${describe(persist)}`);
  }
  if (codec !== undefined) {
    const { encode, decode } = checked("codec", codec, ["encode", "decode"]);
    for (const [name, given] of Object.entries({ "codec.encode": encode, "codec.decode": decode })) {
      if (callable(name, given) === undefined) throw invalidOption(name, "is missing");
    }
  }
  const store = new IndexedDbStore();
  optionsOf.set(store, { name, durability, persist, codec });
  return store;
}

class IndexedDbStore {
  isClosed = false;

  constructor() {
    Object.seal(this);
  }

  /**
   * @param {ListPage & StoreCallOptions} [page]
   * @param {StoreCallOptions} [options]
   */
  async list(page, options) {
    const { after, limit, signal } = pageOf(page, options);
    return (await this.open(signal)).list(this, { after, limit }, signal);
  }

  /**
   * @param {string} conversation
   * @param {StoreCallOptions} [options]
   */
  async delete(conversation, { signal } = {}) {
    checkName("conversation", conversation);
    await (await this.open(signal)).remove(this, conversation, signal);
  }

  /** @param {StoreCallOptions} [options] */
  async persisted({ signal } = {}) {
    return (await this.open(signal)).persisted(this, signal);
  }

  async close() {
    if (this.isClosed) return;
    this.isClosed = true;
    // Without them nothing has been opened.
    await operations?.close(this);
  }

  /**
   * @private
   * @param {AbortSignal | undefined} signal
   */
  async open(signal) {
    checkSignal(signal);
    if (this.isClosed) throw closed();
    return operating();
  }
}
