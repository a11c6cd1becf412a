// What went wrong with a request, in words that the core can sort.

import { describe } from "./errors.js";

/**
 * @typedef {object} Rejection
 * @property {string} kind see `src/wasm/session/host.rs`
 * @property {string} message
 * @property {number} status of a service, where the host's error carries it; else 0
 * @property {string} retryAfter
 */

/** Those that we made ourselves. @type {WeakSet<object>} */
const ours = new WeakSet();

/**
 * @param {string} kind
 * @param {string} message
 * @returns {Rejection}
 */
export function failed(kind, message) {
  const rejection = { kind, message, status: 0, retryAfter: "" };
  ours.add(rejection);
  return rejection;
}

/**
 * @param {unknown} error
 * @returns {error is Rejection}
 */
export function isOurs(error) {
  return typeof error === "object" && error !== null && ours.has(error);
}

/**
 * Anything that a promise of the host was rejected with.
 *
 * @param {any} error
 * @param {"error" | "network" | "option"} kind what it is, unless it says so itself
 * @param {string} [url] where the request went
 * @returns {Rejection}
 */
export function rejectionOf(error, kind, url) {
  try {
    if (isOurs(error)) return error;
    // The AI SDK wraps what failed in the end.
    const last = error?.lastError ?? error;
    const message = messageOf(last);
    if (last?.name === "AbortError") return failed("aborted", message);
    if (last?.name === "TimeoutError") return failed("timeout", message);
    if (kind === "network") return unreachable(message, last?.cause, url);
    // A connection that failed within an SDK, whatever status had come before.
    const code = systemCode(last);
    if (kind === "error" && code !== undefined) return failed("network", `${message} (${code})`);
    return { ...failed(kind, message), status: statusOf(last), retryAfter: retryAfterOf(last) };
  } catch {
    return failed(kind, "what was thrown cannot be read");
  }
}

/** @param {any} error */
function messageOf(error) {
  if (typeof error === "string") return error;
  if (typeof error?.message === "string" && error.message !== "") return error.message;
  return `rejected with ${describe(error)}, not an error`;
}

/**
 * The code of the operating system, or of the HTTP client of Node.js, in a chain of causes.
 *
 * @param {any} error
 */
function systemCode(error) {
  for (let at = error, depth = 0; at !== undefined && at !== null && depth < 8; at = at.cause, depth += 1) {
    if (typeof at.code === "string" && /^(?:E[A-Z]{3,}|UND_ERR_[A-Z_]+)$/.test(at.code)) return at.code;
  }
  return undefined;
}

/** @param {any} error */
function statusOf(error) {
  const status = error?.status ?? error?.statusCode ?? error?.response?.status;
  return Number.isInteger(status) && status >= 100 && status <= 599 ? status : 0;
}

/** @param {any} error */
function retryAfterOf(error) {
  const headers = error?.headers ?? error?.responseHeaders ?? error?.response?.headers;
  const value = typeof headers?.get === "function" ? headers.get("retry-after") : headers?.["retry-after"];
  return value === undefined || value === null ? "" : String(value);
}

/**
 * A browser does not say why a request to another origin failed.
 *
 * @param {string} message
 * @param {any} cause
 * @param {string | undefined} url
 */
function unreachable(message, cause, url) {
  const because = typeof cause?.code === "string" ? ` (${cause.code})` : "";
  const page = globalThis.location?.origin;
  if (url === undefined) return failed("network", `the connection broke: ${message}${because}`);
  const origin = originOf(url, page);
  if (page === undefined || page === origin) {
    return failed("network", `no connection to ${origin}: ${message}${because}`);
  }
  return failed(
    "opaque",
    `${origin} cannot be reached, or does not allow requests from this page (CORS); the browser only says: ${message}`,
  );
}

/**
 * @param {string} url
 * @param {string | undefined} base
 */
function originOf(url, base) {
  try {
    return new URL(url, base).origin;
  } catch {
    return "the address";
  }
}
