// Google's Gemini API.

import { endpoint } from "../endpoint.js";

/** @import { Provider } from "../provider.js" */

/**
 * @param {import("./gemini.d.ts").GeminiOptions} options
 * @returns {Provider}
 */
export function gemini(options) {
  return endpoint(
    {
      name: "gemini",
      wire: "gemini",
      baseUrl: "https://generativelanguage.googleapis.com/v1beta",
      credentials: (key) => ({ "x-goog-api-key": key }),
    },
    options,
  );
}
