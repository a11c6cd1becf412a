import type { EndpointOptions, Provider } from "./index.js";

export type { Provider } from "./index.js";

/** Options of {@link openai}. */
export interface OpenAiOptions extends EndpointOptions {
  /** Chat Completions (default), which every compatible service speaks, or Responses. */
  readonly api?: "chat" | "responses" | undefined;
}

/**
 * OpenAI, and every service that speaks like it: give its `baseUrl`. Default: `https://api.openai.com/v1`.
 *
 * @example
 * ```ts
 * const provider = openai({ model: "gpt-5-mini", apiKey: process.env.OPENAI_API_KEY, window: 128_000 });
 * const local = openai({ model: "qwen3", baseUrl: "http://127.0.0.1:8080/v1" });
 * ```
 */
export function openai(options: OpenAiOptions): Provider;
