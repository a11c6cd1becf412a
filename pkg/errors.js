// The one error class, and the texts of errors that arise in the shell.

/** @import { ErrorCode, ErrorDetails } from "./index.d.ts" */

/**
 * The only error class that Epitome throws.
 *
 * @template {ErrorCode} [C=ErrorCode]
 */
export class EpitomeError extends Error {
  /**
   * @param {C} code
   * @param {string} message
   * @param {{ details?: ErrorDetails[C], cause?: unknown }} [options]
   */
  constructor(code, message, options = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    /** @readonly */
    this.code = code;
    /** @readonly */
    this.details = /** @type {ErrorDetails[C]} */ (options.details ?? {});
    // What the platform calls it, so that hosts that already look for that name find it.
    if (code === "aborted") Object.defineProperty(this, "name", { value: "AbortError", configurable: true });
  }
}
// On the prototype, so that the name is no field of every single error.
Object.defineProperty(EpitomeError.prototype, "name", { value: "EpitomeError", configurable: true, writable: true });

/**
 * @param {string} option
 * @param {string} reason
 * @param {{ cause?: unknown }} [cause]
 */
export function invalidOption(option, reason, cause) {
  return new EpitomeError("invalid_option", `option \`${option}\`: ${reason}`, { details: { option }, ...cause });
}

/**
 * What a value is, in words for an error message.
 *
 * @param {unknown} value
 */
export function describe(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  switch (typeof value) {
    case "undefined":
      return "undefined";
    case "object":
      return "an object";
    case "number":
      return `the number ${value}`;
    case "string":
      return "a string";
    default:
      return `a ${typeof value}`;
  }
}
