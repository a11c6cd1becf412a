// `compact`: as `fit`, with summaries by models.

import { fitOptions, result } from "./answers.js";
import { checkHooks, forgetter, providersOf } from "./asking.js";
import { completed, requestOf } from "./calls.js";
import { describe, invalidOption } from "./errors.js";
import { innerOf } from "./provider.js";
import { shownTo } from "./shown.js";
import { run } from "./task.js";

/** @import { CompactOptions, FitResult } from "./index.d.ts" */
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
  checkHooks({ onProgress, redact, timeoutMs });
  if (signal !== undefined && typeof signal?.addEventListener !== "function") {
    throw invalidOption("signal", `must be an AbortSignal, but is ${describe(signal)}`);
  }
  if (cachedPrefix !== undefined && typeof cachedPrefix !== "boolean") {
    throw invalidOption("cachedPrefix", `must be true or false, but is ${describe(cachedPrefix)}`);
  }
  return { options: rest, more };
}
