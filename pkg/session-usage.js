// What a provider says a request has cost, in whichever words.

import { describe, invalidOption } from "./errors.js";

/**
 * The tokens that the model read, cached ones included; `undefined` when the provider does not say.
 *
 * @param {unknown} usage
 * @returns {number | undefined}
 */
export function inputTokensOf(usage) {
  if (typeof usage !== "object" || usage === null) {
    throw invalidOption("usage", `must be an object, but is ${describe(usage)}`);
  }
  const given = /** @type {Record<string, any>} */ (usage);
  const known = READERS.find(([name]) => name in given);
  if (known === undefined) {
    const names = READERS.map(([name]) => `\`${name}\``).join(", ");
    throw invalidOption("usage", `says nothing of input tokens; known are ${names}`);
  }
  const tokens = known[1](given);
  if (tokens === undefined || tokens === null) return undefined;
  if (typeof tokens !== "number" || !(tokens >= 0 && tokens <= Number.MAX_SAFE_INTEGER)) {
    throw invalidOption(`usage.${known[0]}`, `must be a number of tokens, but is ${describe(tokens)}`);
  }
  return Math.ceil(tokens);
}

/** @param {...unknown} counts */
const sum = (...counts) => counts.reduce((/** @type {number} */ all, count) => all + (Number(count) || 0), 0);

/**
 * By the field that tells services apart. Where a service counts cached tokens apart, they are added.
 *
 * @type {[string, (usage: Record<string, any>) => any][]}
 */
const READERS = [
  // OpenAI Chat Completions and those that follow it.
  ["prompt_tokens", ({ prompt_tokens }) => prompt_tokens],
  // Anthropic, whose cached tokens come on top; OpenAI Responses, which has none of those fields.
  [
    "input_tokens",
    ({ input_tokens, cache_read_input_tokens, cache_creation_input_tokens }) =>
      typeof input_tokens === "number"
        ? sum(input_tokens, cache_read_input_tokens, cache_creation_input_tokens)
        : input_tokens,
  ],
  // AI SDK, where it may be an object with a total; Bedrock, whose cached tokens come on top.
  [
    "inputTokens",
    ({ inputTokens, cacheReadInputTokens, cacheWriteInputTokens }) => {
      if (typeof inputTokens === "object" && inputTokens !== null) return inputTokens.total;
      if (typeof inputTokens !== "number") return inputTokens;
      return sum(inputTokens, cacheReadInputTokens, cacheWriteInputTokens);
    },
  ],
  // Gemini.
  ["promptTokenCount", ({ promptTokenCount }) => promptTokenCount],
  // AI SDK 4.
  ["promptTokens", ({ promptTokens }) => promptTokens],
];
