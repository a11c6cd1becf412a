// OpenAI, and every service that speaks like it.

import { endpoint } from "../endpoint.js";
import { invalidOption } from "../errors.js";

/** @import { Provider } from "../provider.js" */

/**
 * @param {import("./openai.d.ts").OpenAiOptions} options
 * @returns {Provider}
 */
export function openai(options) {
  const { api = "chat", ...rest } = /** @type {any} */ (options ?? {});
  if (api !== "chat" && api !== "responses") throw invalidOption("api", 'must be "chat" or "responses"');
  return endpoint(
    {
      name: "openai",
      wire: api === "chat" ? "openai-chat" : "openai-responses",
      baseUrl: "https://api.openai.com/v1",
      credentials: (key) => ({ authorization: `Bearer ${key}` }),
    },
    rest,
  );
}
