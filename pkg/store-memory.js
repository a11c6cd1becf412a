// A store that is gone with the page or process.

import { checkName, checkSignal, closed, KINDS, pageOf } from "./store-errors.js";

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
    const records = ranges.flatMap(({ kind, from, to }) => kept?.kinds[kind].within(kind, from, to) ?? []);
    return { revision: kept?.revision ?? 0, records };
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
  /** @type {Record<StoreKind, Numbered>} */
  kinds = /** @type {any} */ (Object.fromEntries(KINDS.map((kind) => [kind, new Numbered()])));
}

/** Texts by number, in order. */
class Numbered {
  /** @type {number[]} */
  numbers = [];
  /** @type {Map<number, string>} */
  texts = new Map();

  /**
   * @param {StoreKind} kind
   * @param {number} from
   * @param {number} to
   */
  within(kind, from, to) {
    const numbers = this.numbers.slice(this.place(from), this.place(to));
    return numbers.map((number) => ({ kind, number, text: /** @type {string} */ (this.texts.get(number)) }));
  }

  /**
   * @param {number} number
   * @param {string} text
   */
  put(number, text) {
    if (!this.texts.has(number)) this.numbers.splice(this.place(number), 0, number);
    this.texts.set(number, text);
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  delete(from, to) {
    const [first, end] = [this.place(from), this.place(to)];
    for (const number of this.numbers.splice(first, Math.max(0, end - first))) this.texts.delete(number);
  }

  /**
   * Where the first number is that is not below this one.
   *
   * @param {number} number
   */
  place(number) {
    let [low, high] = [0, this.numbers.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (/** @type {number} */ (this.numbers[middle]) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
