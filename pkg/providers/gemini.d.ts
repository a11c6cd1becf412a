import type { EndpointOptions, Provider } from "./index.js";

export type { Provider } from "./index.js";

/** Options of {@link gemini}. */
export interface GeminiOptions extends EndpointOptions {}

/**
 * Google's Gemini API. Default address: `https://generativelanguage.googleapis.com/v1beta`.
 *
 * @example
 * ```ts
 * const provider = gemini({ model: "gemini-2.5-flash", apiKey: process.env.GEMINI_API_KEY, window: 1_000_000 });
 * ```
 */
export function gemini(options: GeminiOptions): Provider;
