// Ollama, on this machine or another.

import { endpoint } from "../endpoint.js";

/** @import { Provider } from "../provider.js" */

/**
 * @param {import("./ollama.d.ts").OllamaOptions} options
 * @returns {Provider}
 */
export function ollama(options) {
  return endpoint(
    {
      name: "ollama",
      wire: "ollama",
      baseUrl: "http://127.0.0.1:11434",
      credentials: (key) => ({ authorization: `Bearer ${key}` }),
    },
    options,
  );
}
