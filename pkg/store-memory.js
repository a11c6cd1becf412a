// A store that is gone with the page or process.

import { checkName, checkSignal, closed, pageOf } from "./store-errors.js";
import { byKind } from "./store-numbered.js";

/** @import { Numbered } from "./store-numbered.js" */
/** @import { About, ListPage, StoreBatch, StoreCallOptions, StoreKind, StoreRange } from "./stores.js" */

/** @returns {MemoryStore} */
export function memory() {
  return new MemoryStore();
}

class MemoryStore {
  /** @private @type {Map<string, Kept> | undefined} */
  conversations = new Map();

  /**
   * @param {string} conversation
   * @param {readonly StoreRange[]} ranges
   * @param {StoreCallOptions} [options]
   */
  async load(conversation, ranges, options) {
    const kept = this.open(options).get(conversation);
    if (kept === undefined) return { revision: 0, records: [] };
    const records = ranges.flatMap(({ kind, from, to }) => {
      return kept.kinds[kind].within(from, to).map(([number, text]) => ({ kind, number, text }));
    });
    return { revision: kept.revision, records };
  }

  /**
   * @param {ListPage & StoreCallOptions} [page]
   * @param {StoreCallOptions} [options]
   */
  async list(page, options) {
    const { after, limit, signal } = pageOf(page, options);
    const kept = this.open({ signal });
    const names = [...kept.keys()].filter((name) => after === undefined || name > after).sort();
    return names.slice(0, limit).map((conversation) => {
      const { revision, about } = /** @type {Kept} */ (kept.get(conversation));
      return { conversation, revision, about: { ...about } };
    });
  }

  /**
   * @param {StoreBatch} batch
   * @param {StoreCallOptions} [options]
   */
  async commit({ conversation, expected, puts, deletes, about }, options) {
    const conversations = this.open(options);
    const kept = conversations.get(conversation);
    const revision = kept?.revision ?? 0;
    if (revision !== expected) return { conflict: revision };
    const { kinds } = kept ?? new Kept();
    for (const { kind, from, to } of deletes) kinds[kind].delete(from, to);
    for (const { kind, number, text } of puts) kinds[kind].put(number, text);
    conversations.set(conversation, { revision: revision + 1, about: { ...about }, kinds });
    return { revision: revision + 1 };
  }

  /**
   * @param {string} conversation
   * @param {StoreCallOptions} [options]
   */
  async delete(conversation, options) {
    checkName("conversation", conversation);
    this.open(options).delete(conversation);
  }

  async close() {
    this.conversations = undefined;
  }

  /**
   * @private
   * @param {StoreCallOptions} [options]
   */
  open({ signal } = {}) {
    checkSignal(signal);
    if (this.conversations === undefined) throw closed();
    return this.conversations;
  }
}

/** A conversation. */
class Kept {
  revision = 0;
  /** @type {About} */
  about = { createdMs: 0, updatedMs: 0, entries: 0 };
  /** @type {Record<StoreKind, Numbered<string>>} */
  kinds = byKind();
}
