import type { EndpointOptions, Provider } from "./index.js";

export type { Provider } from "./index.js";

/** Options of {@link ollama}. */
export interface OllamaOptions extends EndpointOptions {}

/**
 * Ollama, on this machine or another. Default address: `http://127.0.0.1:11434`. Its window is set with every request, so
 * that nothing is cut off in silence.
 *
 * @example
 * ```ts
 * const provider = ollama({ model: "qwen3:8b", window: 16_000 });
 * ```
 */
export function ollama(options: OllamaOptions): Provider;
