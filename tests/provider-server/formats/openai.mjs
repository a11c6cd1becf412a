// What both APIs of OpenAI share: keys, errors, words.

import { bearer, isObject, testKey, Violation } from "../checks.mjs";
import { reasons } from "./common.mjs";

/** Type, code and words by status; other statuses are `server_error` from 500 on, else `invalid_request_error`. */
const table = {
  401: ["invalid_request_error", "invalid_api_key", "Incorrect API key provided."],
  402: ["insufficient_balance", "insufficient_balance", "Insufficient Balance"],
  403: ["request_forbidden", "unsupported_country_region_territory", "Country, region, or territory not supported"],
  404: ["invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."],
  408: ["timeout", "request_timeout", "Request timed out."],
  413: ["invalid_request_error", null, "Maximum content size limit (26214400) exceeded (27000000 bytes read)"],
  425: ["requests", "too_early", "Too early."],
  429: [
    "requests",
    "rate_limit_exceeded",
    "Rate limit reached for test in organization org-test on requests per min (RPM): Limit 3, Used 3, Requested 1.",
  ],
  500: ["server_error", null, "The server had an error while processing your request. Sorry about that!"],
  503: ["server_error", null, "The engine is currently overloaded, please try again later"],
};

/** @returns {object} the body that comes with a status */
export function error({ status, message, param = null, code }) {
  const [type, usual, words] = table[status] ?? [status >= 500 ? "server_error" : "invalid_request_error", null];
  return { error: { message: message ?? words ?? reasons[status], type, param, code: code ?? usual } };
}

/** Refuses a request without the right key. */
export function authorise({ headers }) {
  const key = bearer(headers);
  if (key === testKey) return;
  const message =
    key === undefined
      ? "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth."
      : `Incorrect API key provided: ${masked(key)}. You can find your API key in your account settings.`;
  throw new Violation(message, { status: 401, code: key === undefined ? null : "invalid_api_key" });
}

const masked = (key) => (key.length < 8 ? "*".repeat(key.length) : `${key.slice(0, 4)}****${key.slice(-4)}`);

/** The text of a `content`: a string or parts of the types named. Refuses what is neither, and what is empty. */
export function contentText(content, types, param) {
  if (typeof content === "string") {
    if (content === "") throw new Violation(`Invalid '${param}': empty string.`, { param, code: "empty_string" });
    return content;
  }
  if (!Array.isArray(content) || content.length === 0) {
    throw new Violation(`Invalid type for '${param}': expected a string or a non-empty array of parts.`, {
      param,
      code: "invalid_type",
    });
  }
  return content.map((part, at) => partText(part, types, `${param}[${at}]`)).join("\n");
}

function partText(part, types, param) {
  if (!isObject(part) || !types.includes(part.type)) {
    throw new Violation(`Invalid value: '${part?.type}'. Supported values are: ${types.join(", ")}.`, {
      param: `${param}.type`,
      code: "invalid_value",
    });
  }
  if (typeof part.text !== "string") {
    throw new Violation(`Missing required parameter: '${param}.text'.`, { param, code: "missing_required_parameter" });
  }
  return part.text;
}

/** Requires a field of this type; one that is not required may also be left out or be null. */
export function field(body, name, isRight, expected, required = false) {
  const value = body[name];
  if (value === undefined && required) {
    throw new Violation(`Missing required parameter: '${name}'.`, { param: name, code: "missing_required_parameter" });
  }
  if (required ? !isRight(value) : value !== undefined && value !== null && !isRight(value)) {
    throw new Violation(`Invalid type for '${name}': expected ${expected}.`, { param: name, code: "invalid_type" });
  }
}

/** What both APIs check alike. */
export function common(body) {
  field(body, "model", (value) => typeof value === "string" && value !== "", "a model name", true);
  field(body, "stream", (value) => typeof value === "boolean", "a boolean");
  field(body, "temperature", (value) => typeof value === "number" && value >= 0 && value <= 2, "a number from 0 to 2");
  if (body.stream_options != null && body.stream !== true) {
    throw new Violation("The 'stream_options' parameter is only allowed when 'stream' is enabled.", {
      param: "stream_options",
    });
  }
}
