// Anthropic's Messages API.

import { endpoint } from "../endpoint.js";

/** @import { Provider } from "../provider.js" */

/**
 * @param {import("./anthropic.d.ts").AnthropicOptions} options
 * @returns {Provider}
 */
export function anthropic(options) {
  return endpoint(
    {
      name: "anthropic",
      wire: "anthropic",
      baseUrl: "https://api.anthropic.com",
      credentials: (key) => ({ "x-api-key": key }),
    },
    options,
  );
}
