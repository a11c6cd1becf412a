// A provider: how to ask a model, with what patience, and what its requests share. Keys stay inside: neither a log nor
// `JSON.stringify` shows what a provider was made of.

import { describe, invalidOption } from "./errors.js";
import { checked, number, text } from "./options.js";

/** @import { ProviderFunction, ProviderLimits } from "./providers/index.d.ts" */

/**
 * What the bridge needs to know.
 *
 * @typedef {object} Inner
 * @property {number} number
 * @property {string} name
 * @property {Record<string, unknown>} record what the core gets
 * @property {ProviderFunction} [complete]
 * @property {typeof fetch} [fetch]
 * @property {(signal: AbortSignal) => Promise<string[]>} [headers] names and values in turn
 * @property {Set<{ dispose(): void }>} scopes requests under way
 * @property {boolean} isDisposed
 */

/** @type {WeakMap<Provider, Inner>} */
const inside = new WeakMap();
let last = 0;

export class Provider {
  /**
   * @param {string} name
   * @param {Pick<Inner, "complete" | "fetch" | "headers"> & { endpoint?: Record<string, unknown>, stallMs?: number }} how
   * @param {ProviderLimits} limits
   */
  constructor(name, how, limits) {
    const { endpoint, stallMs = 30_000, ...functions } = how;
    last += 1;
    const number = last;
    const record = { number, name, stallMs, fetches: how.fetch !== undefined, endpoint, ...recordOf(limits) };
    inside.set(this, { number, name, record, scopes: new Set(), isDisposed: false, ...functions });
    Object.freeze(this);
  }

  get name() {
    return innerOf(this).name;
  }

  dispose() {
    const inner = innerOf(this);
    inner.isDisposed = true;
    for (const scope of inner.scopes) scope.dispose();
  }
}
// For `using`, where the runtime has it.
const { dispose } = /** @type {{ dispose?: symbol }} */ (Symbol);
if (dispose !== undefined) Object.defineProperty(Provider.prototype, dispose, { value: Provider.prototype.dispose });

/**
 * @param {Provider} provider
 * @returns {Inner}
 */
export function innerOf(provider) {
  return /** @type {Inner} */ (inside.get(provider));
}

/**
 * A provider that asks a function of the host.
 *
 * @param {ProviderFunction} complete
 * @param {ProviderLimits & { name?: string }} [options]
 */
export function createProvider(complete, options) {
  if (typeof complete !== "function") {
    throw invalidOption("provider", `must be a function, but is ${describe(complete)}`);
  }
  const { name, ...limits } = checked("options", options ?? {}, ["name", ...LIMITS]);
  return new Provider(text("name", name) ?? (complete.name || "function"), { complete }, limits);
}

/** Their names, for those that take them among others. */
export const LIMITS = ["window", "attempts", "timeoutMs", "concurrency", "breaker"];

/** @param {ProviderLimits} limits */
function recordOf({ window, attempts, timeoutMs, concurrency, breaker }) {
  const pause = breaker === false ? { failures: 0 } : checked("breaker", breaker ?? {}, ["failures", "pauseMs"]);
  return {
    window: number("window", window, 1) ?? 16_000,
    attempts: number("attempts", attempts, 1) ?? 3,
    timeoutMs: number("timeoutMs", timeoutMs, 1),
    concurrency: number("concurrency", concurrency, 1) ?? 8,
    breakerFailures: number("breaker.failures", pause.failures, 0) ?? 5,
    breakerPauseMs: number("breaker.pauseMs", pause.pauseMs, 0) ?? 30_000,
  };
}
