// What options are held to, whoever takes them.

import { describe, invalidOption } from "./errors.js";

/**
 * The options, if there are no others than these; without those that are `undefined` or `null`.
 *
 * @param {string} what
 * @param {unknown} options
 * @param {readonly string[]} names
 * @returns {Record<string, any>}
 */
export function checked(what, options, names) {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw invalidOption(what, `must be an object, but is ${describe(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) throw invalidOption(name, `is unknown; there are ${names.join(", ")}`);
  }
  return withoutNulls(options);
}

/**
 * @param {string} option
 * @param {unknown} value
 */
export function text(option, value) {
  if (value === undefined || (typeof value === "string" && value !== "")) return value;
  throw invalidOption(option, `must be a text, but is ${value === "" ? "empty" : describe(value)}`);
}

/**
 * @param {string} option
 * @param {unknown} value
 * @param {number} least
 */
export function number(option, value, least) {
  if (value === undefined || (typeof value === "number" && value >= least && value <= Number.MAX_SAFE_INTEGER)) {
    return value;
  }
  throw invalidOption(option, `must be a number, ${least} or more, but is ${describe(value)}`);
}

/**
 * @param {string} option
 * @param {unknown} value
 */
export function callable(option, value) {
  if (value === undefined || typeof value === "function") return /** @type {Function | undefined} */ (value);
  throw invalidOption(option, `must be a function, but is ${describe(value)}`);
}

/**
 * The options that were given: `null` counts as not given, as it does in the core.
 *
 * @param {object} options
 * @returns {any}
 */
export function withoutNulls(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null && value !== undefined));
}
