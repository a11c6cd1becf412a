// What goes wrong with stores, in the words of their port (`src/store/mod.rs`), and what their functions have in common.

import { describe, EpitomeError, invalidOption } from "./errors.js";

/** @import { ListPage, StoreCallOptions } from "./stores.js" */

/** Kinds of records; the place of each is its number in the port. */
export const KINDS = /** @type {const} */ (["head", "state", "entry", "overflow", "compaction"]);

/** @typedef {"conflict" | "quota" | "blocked" | "lost" | "unavailable" | "evicted" | "corrupted" | "newer" | "failed" | "closed"} StoreClass */

/** @type {readonly StoreClass[]} */
const CLASSES = [
  "conflict",
  "quota",
  "blocked",
  "lost",
  "unavailable",
  "evicted",
  "corrupted",
  "newer",
  "failed",
  "closed",
];

/** What platforms call an error of that class: names of `DOMException`, codes of Node.js. @type {Record<string, StoreClass>} */
const KNOWN = {
  QuotaExceededError: "quota",
  ENOSPC: "quota",
  EDQUOT: "quota",
  EFBIG: "quota",
  SecurityError: "unavailable",
  EACCES: "unavailable",
  EPERM: "unavailable",
  EROFS: "unavailable",
  ENOENT: "unavailable",
  ENOTDIR: "unavailable",
};

/**
 * @param {StoreClass} kind
 * @param {string} message
 * @param {{ cause?: unknown, revision?: number | undefined }} [more]
 */
export function storeError(kind, message, { revision, ...cause } = {}) {
  const details = revision === undefined ? {} : { revision };
  return new EpitomeError(`store_${kind}`, message, { details, ...cause });
}

export const closed = () => storeError("closed", "the store has been closed");

/**
 * Whatever a function of a store threw. What cannot be told apart failed; of a write nobody knows then whether it was
 * carried out.
 *
 * @param {any} error
 * @param {{ call: string, writes: boolean }} of
 */
export function storeErrorOf(error, { call, writes }) {
  try {
    const known = classOf(error);
    const message = `${call}: ${messageOf(error)}`;
    const revision = error?.details?.revision ?? error?.revision;
    return storeError(known ?? (writes ? "lost" : "failed"), message, {
      cause: error,
      revision: isCount(revision) ? revision : undefined,
    });
  } catch (cause) {
    return storeError(writes ? "lost" : "failed", `${call}: what was thrown cannot be read`, { cause });
  }
}

/** @param {any} error */
function classOf(error) {
  const { code, name } = Object(error);
  const own = CLASSES.find((kind) => code === `store_${kind}`);
  if (own !== undefined) return own;
  for (const known of [code, name]) if (typeof known === "string" && Object.hasOwn(KNOWN, known)) return KNOWN[known];
  return undefined;
}

/** @param {any} error */
function messageOf(error) {
  if (typeof error === "string" && error !== "") return error;
  const message = error?.message;
  return typeof message === "string" && message !== "" ? message : `threw ${describe(error)}, not an error`;
}

/**
 * Whether it is a whole number that JavaScript holds exactly, 0 or more.
 *
 * @param {unknown} value
 * @returns {value is number}
 */
export function isCount(value) {
  return Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0;
}

/** @param {AbortSignal | undefined} signal */
export function checkSignal(signal) {
  if (signal?.aborted) throw new EpitomeError("aborted", "aborted", { cause: signal.reason });
}

/**
 * Which conversations to list, with what was left out.
 *
 * @param {ListPage & StoreCallOptions} [page]
 * @param {StoreCallOptions} [options]
 */
export function pageOf({ after, limit = 100, signal } = {}, options = {}) {
  if (after !== undefined) checkName("after", after);
  if (!isCount(limit)) {
    throw invalidOption("limit", `must be a whole number, but is ${describe(limit)}`);
  }
  return { after, limit, signal: signal ?? options.signal };
}

/**
 * @param {string} option
 * @param {unknown} name of a conversation
 */
export function checkName(option, name) {
  if (typeof name !== "string") throw invalidOption(option, `must be a text, but is ${describe(name)}`);
}
