// Records by their numbers, in order.

import { KINDS } from "./store-errors.js";

/** @import { StoreKind } from "./stores.js" */

/**
 * @template T
 * @returns {Record<StoreKind, Numbered<T>>}
 */
export function byKind() {
  return /** @type {any} */ (Object.fromEntries(KINDS.map((kind) => [kind, new Numbered()])));
}

/** @template T */
export class Numbered {
  /** @private In order. @type {number[]} */
  numbers = [];
  /** @private @type {Map<number, T>} */
  values = new Map();

  /**
   * @param {number} from
   * @param {number} to
   * @returns {[number: number, value: T][]}
   */
  within(from, to) {
    const numbers = this.numbers.slice(this.place(from), this.place(to));
    return numbers.map((number) => [number, /** @type {T} */ (this.values.get(number))]);
  }

  /**
   * @param {number} number
   * @param {T} value
   * @returns {T | undefined} what was there before
   */
  put(number, value) {
    const before = this.values.get(number);
    if (before === undefined) this.numbers.splice(this.place(number), 0, number);
    this.values.set(number, value);
    return before;
  }

  /**
   * @param {number} from
   * @param {number} to
   * @returns {T[]} what was there
   */
  delete(from, to) {
    const first = this.place(from);
    const numbers = this.numbers.splice(first, Math.max(0, this.place(to) - first));
    return numbers.map((number) => {
      const value = /** @type {T} */ (this.values.get(number));
      this.values.delete(number);
      return value;
    });
  }

  /**
   * Where the first number is that is not below this one.
   *
   * @private
   * @param {number} number
   */
  place(number) {
    let [low, high] = [0, this.numbers.length];
    // Almost always at the end.
    if (high > 0 && /** @type {number} */ (this.numbers[high - 1]) < number) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (/** @type {number} */ (this.numbers[middle]) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
