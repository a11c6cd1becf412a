// Who is asked for summaries: what `compact` and sessions have in common.

import { describe, invalidOption } from "./errors.js";
import { callable } from "./options.js";
import { createProvider, innerOf, Provider } from "./provider.js";

/** @import { SessionInstance } from "./task.js" */

const ROLES = ["summary", "toolPair", "goal"];

/** Providers made of bare functions, so that what their requests share lasts as long as they do. */
/** @type {WeakMap<Function, Provider>} */
const ofFunctions = new WeakMap();

/**
 * Checks what the host has to say about requests.
 *
 * @param {{ onProgress?: unknown, redact?: unknown, timeoutMs?: unknown }} given
 */
export function checkHooks({ onProgress, redact, timeoutMs }) {
  callable("onProgress", onProgress);
  callable("redact", redact);
  if (timeoutMs !== undefined && !(typeof timeoutMs === "number" && timeoutMs > 0)) {
    throw invalidOption("timeoutMs", "must be a number of milliseconds, above 0");
  }
}

/**
 * The providers of a call, each once, and for each purpose which of them are asked, in order.
 *
 * @param {unknown} given
 */
export function providersOf(given) {
  /** @type {Provider[]} */
  const providers = [];
  /** @param {unknown} list */
  const indices = (list) =>
    listOf(list).map((provider) => {
      const known = providers.indexOf(provider);
      return known === -1 ? providers.push(provider) - 1 : known;
    });
  /** @type {Record<string, number[] | undefined>} */
  const lists = {};
  if (isByPurpose(given)) {
    for (const role of ROLES) {
      const list = given[role];
      if (list !== undefined && list !== null) lists[role] = indices(list);
    }
  } else {
    lists.summary = indices(given);
  }
  // Without anybody to ask there is no provider.
  if (lists.summary?.length === 0) lists.summary = undefined;
  return { providers, lists };
}

/**
 * @param {any} given
 * @returns {given is Record<string, unknown>}
 */
function isByPurpose(given) {
  if (typeof given !== "object" || given === null || Array.isArray(given) || given instanceof Provider) return false;
  const names = Object.keys(given);
  return names.length > 0 && names.every((name) => ROLES.includes(name));
}

/**
 * @param {unknown} given
 * @returns {Provider[]}
 */
function listOf(given) {
  if (!Array.isArray(given)) return given === undefined || given === "offline" ? [] : [providerOf(given)];
  const end = given.indexOf("offline");
  if (end !== -1 && end !== given.length - 1) {
    throw invalidOption("provider", '"offline" must come last: it never fails, so nothing after it would be asked');
  }
  return given.slice(0, end === -1 ? undefined : end).map(providerOf);
}

/** @param {any} given */
function providerOf(given) {
  if (given instanceof Provider) return given;
  if (typeof given === "function") {
    let provider = ofFunctions.get(given);
    if (provider === undefined) {
      provider = createProvider(given);
      ofFunctions.set(given, provider);
    }
    return provider;
  }
  throw invalidOption("provider", `must be a provider or a function, but is ${describe(given)}${hint(given)}`);
}

/**
 * What to do with something that is known, but not a provider.
 *
 * @param {any} given
 */
function hint(given) {
  if (typeof given?.doGenerate === "function") return "; wrap a model of the AI SDK: `aiSdk(model)`";
  if (typeof given?.chat?.completions?.create === "function")
    return "; wrap a client like that of `openai`, or an engine of WebLLM: `webLlm(it)`";
  if (typeof given?.prompt === "function") return "; wrap a model of the browser: `chromePrompt()`";
  return "";
}

/**
 * Lets the module forget what a provider's requests shared when the provider is gone.
 *
 * @param {SessionInstance} instance
 */
export function forgetter(instance) {
  if (typeof FinalizationRegistry !== "function") return undefined;
  /** @type {WeakSet<Provider>} */
  const watched = new WeakSet();
  const registry = new FinalizationRegistry((/** @type {number} */ number) => {
    try {
      instance.call((glue) => glue.forget_provider(number));
    } catch {
      // Whatever is wrong shows in the next call; nobody can be told here.
    }
  });
  return (/** @type {Provider} */ provider) => {
    if (watched.has(provider)) return;
    watched.add(provider);
    registry.register(provider, innerOf(provider).number);
  };
}
