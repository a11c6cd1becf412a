// What a session is opened with.

import { checkHooks, providersOf } from "./asking.js";
import { Counter } from "./calls.js";
import { describe, EpitomeError, invalidOption } from "./errors.js";
import { callable, checked, number } from "./options.js";
import { indexedDbOptionsOf } from "./store-indexed-db.js";
import { memory } from "./store-memory.js";

/** @import { Provider } from "./provider.js" */

const NAMES = [
  "id",
  "budget",
  "store",
  "provider",
  "tokens",
  "policy",
  "format",
  "model",
  "goal",
  "system",
  "tools",
  "instructions",
  "overflow",
  "retention",
  "redact",
  "onProgress",
  "timeoutMs",
  "signal",
];
/** What the core reads as it does for `fit`. */
const OF_FIT = ["budget", "policy", "format", "model", "goal"];
const STORE = ["load", "list", "commit", "delete", "close"];

/**
 * @typedef {object} Settings
 * @property {string} id
 * @property {object} store
 * @property {string | undefined} shared what the store is called among tabs and workers, if they share it
 * @property {{ providers: Provider[], lists: Record<string, number[] | undefined> }} models
 * @property {Record<string, unknown>} fit
 * @property {Record<string, unknown>} more
 * @property {unknown} system
 * @property {unknown} tools
 * @property {unknown} tokens
 * @property {{ onProgress?: any, redact?: any }} hooks
 * @property {number | undefined} timeoutMs
 */

/**
 * @param {unknown} options
 * @returns {{ settings: Settings, signal: AbortSignal | undefined }}
 */
export function openOptions(options) {
  const given = checked("options", options, NAMES);
  const { id, store = memory(), provider, tokens, system, tools, onProgress, redact, timeoutMs, signal } = given;
  checkId(id);
  checkStore(store);
  checkSignal(signal);
  checkHooks({ onProgress, redact, timeoutMs });
  // Throws for what is no counter.
  new Counter(tokens);
  const { instructions } = given;
  if (instructions !== undefined && typeof instructions !== "string") {
    throw invalidOption("instructions", `must be a text, but is ${describe(instructions)}`);
  }
  const fit = Object.fromEntries(OF_FIT.filter((name) => name in given).map((name) => [name, given[name]]));
  const [overflow, retention] = [overflowOf(given.overflow), retentionOf(given.retention)];
  const settings = {
    id,
    store,
    shared: sharedNameOf(store),
    models: providersOf(provider),
    fit,
    more: { id, instructions, overflow, retention },
    system,
    tools,
    tokens,
    hooks: { onProgress, redact },
    timeoutMs,
  };
  return { settings, signal };
}

/** @param {unknown} id */
function checkId(id) {
  if (typeof id !== "string") throw invalidOption("id", `must be a text, but is ${describe(id)}`);
  // Texts with half a surrogate pair would become one and the same.
  if (/\p{Surrogate}/u.test(id)) throw invalidOption("id", "is not well-formed Unicode");
}

/** @param {any} store */
function checkStore(store) {
  if (typeof store !== "object" || store === null) {
    throw invalidOption("store", `must be a store, but is ${describe(store)}`);
  }
  if (indexedDbOptionsOf(store) !== undefined) return;
  for (const name of STORE) {
    if (typeof store[name] !== "function") throw invalidOption("store", `has no function \`${name}\``);
  }
}

/** @param {any} signal */
export function checkSignal(signal) {
  if (signal !== undefined && typeof signal?.addEventListener !== "function") {
    throw invalidOption("signal", `must be an AbortSignal, but is ${describe(signal)}`);
  }
}

/** @param {any} store */
function sharedNameOf(store) {
  const ours = indexedDbOptionsOf(store);
  if (ours !== undefined) return ours.name ?? "epitome";
  const { shared } = store;
  if (shared === undefined || shared === null) return undefined;
  if (typeof shared !== "string" || shared === "") throw invalidOption("store.shared", "must be a name");
  return shared;
}

/** @param {unknown} overflow */
function overflowOf(overflow) {
  if (overflow === false) return undefined;
  const { threshold, keep } = checked("overflow", overflow ?? {}, ["threshold", "keep"]);
  return {
    threshold: number("overflow.threshold", threshold, 1) ?? 50_000,
    keep: number("overflow.keep", keep, 1) ?? Math.min(8_000, Math.max(200, Math.floor((threshold ?? 50_000) / 2))),
  };
}

/** @param {unknown} retention */
function retentionOf(retention) {
  if (retention === undefined) return undefined;
  const { maxAgeMs, maxBytes } = checked("retention", retention, ["maxAgeMs", "maxBytes"]);
  return {
    maxAgeMs: number("retention.maxAgeMs", maxAgeMs, 0),
    maxBytes: number("retention.maxBytes", maxBytes, 0),
  };
}

/**
 * The options of a call.
 *
 * @param {unknown} options
 * @param {readonly string[]} [names] that it takes beside `signal`
 * @returns {Record<string, any>}
 */
export function callOptions(options, names = []) {
  if (options === undefined || options === null) return {};
  const given = checked("options", options, [...names, "signal"]);
  checkSignal(given.signal);
  return given;
}

/**
 * @param {string} option
 * @param {unknown} value
 * @returns {number}
 */
export function wholeNumber(option, value) {
  if (Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0) return /** @type {number} */ (value);
  throw invalidOption(option, `must be a whole number, 0 or more, but is ${describe(value)}`);
}

/**
 * @param {unknown} fn
 * @returns {Function}
 */
export function listenerOf(fn) {
  const listener = callable("listener", fn);
  if (listener === undefined) throw invalidOption("listener", "must be a function, but is undefined");
  return listener;
}

export const closedError = () => new EpitomeError("closed", "the session has been closed");
