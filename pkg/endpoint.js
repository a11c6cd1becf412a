// Providers behind an address: what their options have in common.

import { describe, invalidOption } from "./errors.js";
import { callable, checked, number, text } from "./options.js";
import { LIMITS, Provider } from "./provider.js";

const OPTIONS = ["model", "baseUrl", "apiKey", "headers", "query", "body", "fetch", "stream", "stallMs", "name"];

/**
 * @typedef {object} Service
 * @property {string} name
 * @property {string} wire a name of `src/provider/wire`
 * @property {string | undefined} [baseUrl] where it is unless the host says otherwise
 * @property {(key: string) => Record<string, string>} credentials
 */

/**
 * @param {Service} service
 * @param {any} options
 */
export function endpoint(service, options) {
  const given = checked("options", options, [...OPTIONS, ...LIMITS]);
  const {
    model,
    baseUrl = service.baseUrl,
    apiKey,
    headers,
    query,
    body,
    fetch,
    stream,
    stallMs,
    name,
    ...limits
  } = given;
  if (model === undefined) throw invalidOption("model", "is missing: which model to ask");
  if (baseUrl === undefined) throw invalidOption("baseUrl", "is missing: where the service is");
  if (stream !== undefined && typeof stream !== "boolean") {
    throw invalidOption("stream", `must be true or false, but is ${describe(stream)}`);
  }
  return new Provider(
    text("name", name) ?? `${service.name} ${text("model", model)}`,
    {
      fetch: /** @type {typeof globalThis.fetch | undefined} */ (callable("fetch", fetch)),
      headers: headersOf(service, apiKey, headers),
      stallMs: /** @type {number | undefined} */ (number("stallMs", stallMs, 1)),
      endpoint: {
        wire: service.wire,
        baseUrl: addressOf(baseUrl),
        model,
        query: Object.entries(strings("query", query ?? {})),
        body: body === undefined ? undefined : bodyOf(body),
        stream: stream === true,
      },
    },
    limits,
  );
}

/** @param {unknown} baseUrl */
function addressOf(baseUrl) {
  const address = baseUrl instanceof URL ? baseUrl.href : text("baseUrl", baseUrl);
  // Relative to the page, where there is one: a proxy of the same origin.
  const page = globalThis.location?.href;
  let url;
  try {
    url = new URL(/** @type {string} */ (address), page);
  } catch {
    throw invalidOption("baseUrl", `is not an address: ${JSON.stringify(address)}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw invalidOption("baseUrl", "must not hold a user name or password; use `headers`");
  }
  return url.href;
}

/** @param {unknown} body */
function bodyOf(body) {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw invalidOption("body", `must be an object, but is ${describe(body)}`);
  }
  try {
    return JSON.stringify(body);
  } catch (cause) {
    throw invalidOption("body", "cannot be written as JSON (see `cause`)", { cause });
  }
}

/**
 * @param {string} option
 * @param {unknown} value
 * @returns {Record<string, string>}
 */
function strings(option, value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidOption(option, `must be an object of texts, but is ${describe(value)}`);
  }
  for (const [name, item] of Object.entries(value)) {
    if (typeof item !== "string") throw invalidOption(`${option}.${name}`, `must be a text, but is ${describe(item)}`);
  }
  return /** @type {Record<string, string>} */ (value);
}

/**
 * Asked anew for every request, so that a key may be short-lived.
 *
 * @param {Service} service
 * @param {unknown} apiKey
 * @param {unknown} headers
 */
function headersOf(service, apiKey, headers) {
  if (apiKey !== undefined && typeof apiKey !== "function") text("apiKey", apiKey);
  if (headers !== undefined && typeof headers !== "function") strings("headers", headers);
  return async (/** @type {AbortSignal} */ signal) => {
    const [key, more] = await Promise.all(
      [apiKey, headers].map((given) => (typeof given === "function" ? given({ signal }) : given)),
    );
    if (key !== undefined && key !== null && typeof key !== "string") {
      throw invalidOption("apiKey", `must be a text or a function that returns one, but gave ${describe(key)}`);
    }
    const credentials = typeof key === "string" && key !== "" ? service.credentials(key) : {};
    return Object.entries({ ...credentials, ...strings("headers", more ?? {}) }).flat();
  };
}
