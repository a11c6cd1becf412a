import type { EndpointOptions, Provider } from "./index.js";

export type { Provider } from "./index.js";

/** Options of {@link anthropic}. */
export interface AnthropicOptions extends EndpointOptions {}

/**
 * Anthropic's Messages API. Default address: `https://api.anthropic.com`.
 *
 * @example
 * ```ts
 * const provider = anthropic({ model: "claude-haiku-4-5", apiKey: process.env.ANTHROPIC_API_KEY, window: 200_000 });
 * ```
 */
export function anthropic(options: AnthropicOptions): Provider;
