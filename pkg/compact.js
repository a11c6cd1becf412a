// `compact`: as `fit`, with summaries by models.

import { fitOptions, result } from "./answers.js";
import { completed, requestOf } from "./calls.js";
import { describe, invalidOption } from "./errors.js";
import { callable } from "./options.js";
import { createProvider, innerOf, Provider } from "./provider.js";
import { shownTo } from "./shown.js";
import { run } from "./task.js";

/** @import { CompactOptions, FitResult } from "./index.d.ts" */
/** @import { Inner } from "./provider.js" */
/** @import { SessionInstance } from "./task.js" */

/** What `compact` takes beside the options of `fit`. */
const MORE = [
  "provider",
  "instructions",
  "onProviderError",
  "onProgress",
  "signal",
  "timeoutMs",
  "redact",
  "cachedPrefix",
];
const ROLES = ["summary", "toolPair", "goal"];

/** Providers made of bare functions, so that what their requests share lasts as long as they do. */
/** @type {WeakMap<Function, Provider>} */
const ofFunctions = new WeakMap();

/**
 * The `compact` of an entry.
 *
 * @param {SessionInstance} instance
 */
export function compactOn(instance) {
  const ask = compactionOn(instance);
  /**
   * @template {object} M
   * @param {readonly M[]} messages
   * @param {CompactOptions<M>} options
   * @returns {Promise<FitResult<M>>}
   */
  return async function compact(messages, options) {
    const { outcome, writer, checked } = await ask(messages, options);
    return result(outcome, writer, checked);
  };
}

/**
 * The same without carrying it out, as the command line needs it.
 *
 * @param {SessionInstance} instance
 */
export function compactionOn(instance) {
  const forget = forgetter(instance);
  return async (/** @type {unknown} */ messages, /** @type {CompactOptions<any>} */ options) => {
    instance.ready();
    const { more, options: checked } = split(fitOptions(options));
    const { providers, lists } = providersOf(more.provider);
    for (const provider of providers) forget?.(provider);
    const inner = providers.map(innerOf);
    const { onProgress, redact, cachedPrefix } = more;
    const hooks = {
      onProgress,
      redact,
      // No wait is longer than one request may take.
      patienceMs: Number(checked.policy?.llmTimeoutMs ?? 120_000),
      ...(cachedPrefix && { shown: shownTo(/** @type {readonly object[]} */ (messages), checked) }),
    };
    const { writer, write, counter } = requestOf(messages, checked, {
      ...lists,
      providers: inner.map(({ record }) => record),
      instructions: more.instructions,
      throws: more.onProviderError === "throw",
      timeoutMs: more.timeoutMs,
      redacts: redact !== undefined,
      cachedPrefix,
    });
    const task = run(instance, inner, hooks, more.signal, (host) =>
      writer.send(write, (length) => instance.call((glue) => glue.compact(length, counter.host, host))),
    );
    return { outcome: await task.then(completed, counter.explain), writer, checked };
  };
}

/** @param {any} options */
function split(options) {
  /** @type {Record<string, any>} */
  const more = {};
  /** @type {any} */
  const rest = {};
  for (const [name, value] of Object.entries(options)) (MORE.includes(name) ? more : rest)[name] = value;
  const { instructions, onProviderError, onProgress, redact, signal, timeoutMs, cachedPrefix } = more;
  if (instructions !== undefined && typeof instructions !== "string") {
    throw invalidOption("instructions", `must be a text, but is ${describe(instructions)}`);
  }
  if (onProviderError !== undefined && onProviderError !== "offline" && onProviderError !== "throw") {
    throw invalidOption("onProviderError", 'must be "offline" or "throw"');
  }
  callable("onProgress", onProgress);
  callable("redact", redact);
  if (signal !== undefined && typeof signal?.addEventListener !== "function") {
    throw invalidOption("signal", `must be an AbortSignal, but is ${describe(signal)}`);
  }
  if (cachedPrefix !== undefined && typeof cachedPrefix !== "boolean") {
    throw invalidOption("cachedPrefix", `must be true or false, but is ${describe(cachedPrefix)}`);
  }
  if (timeoutMs !== undefined && !(typeof timeoutMs === "number" && timeoutMs > 0)) {
    throw invalidOption("timeoutMs", "must be a number of milliseconds, above 0");
  }
  return { options: rest, more };
}

/**
 * The providers of a call, each once, and for each purpose which of them are asked, in order.
 *
 * @param {unknown} given
 */
function providersOf(given) {
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
function forgetter(instance) {
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
