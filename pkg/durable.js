// Messages as they are kept: JSON texts. What JSON cannot express is refused, since nobody would get it back.

import { EpitomeError } from "./errors.js";
import { limits } from "./wire.js";

/**
 * The JSON text of each message, as it is now: what the host does to it later changes nothing that is kept.
 *
 * @param {unknown} messages
 * @returns {string[]}
 */
export function durable(messages) {
  if (!Array.isArray(messages)) throw refusal(undefined, undefined, "must be an array of messages");
  return Array.from(messages, (message, index) => textOf(message, index));
}

/**
 * @param {unknown} message
 * @param {number} index
 */
function textOf(message, index) {
  if (typeof message !== "object" || message === null || Array.isArray(message)) {
    throw refusal(index, undefined, `must be an object, but is ${kindOf(message)}`);
  }
  return new Copier(index).text(message);
}

/** Writes one message. Each property is looked at once, so that a getter runs once. */
class Copier {
  /** @param {number} index */
  constructor(index) {
    this.index = index;
    /** @private Keys down to the value at hand. @type {(string | number)[]} */
    this.path = [];
    /** @private Containers around it. @type {unknown[]} */
    this.around = [];
  }

  /** @param {object} message */
  text(message) {
    try {
      return this.container(message);
    } catch (cause) {
      // Our own, or one of the host's: from a getter or a proxy.
      if (cause instanceof EpitomeError) throw cause;
      throw this.refused("could not be read (see `cause`)", { cause });
    }
  }

  /**
   * @private
   * @param {unknown} value
   * @returns {string | undefined} `undefined` for what JSON leaves out
   */
  value(value) {
    switch (typeof value) {
      case "string":
        return JSON.stringify(value);
      case "boolean":
        return value ? "true" : "false";
      case "number":
        if (!Number.isFinite(value)) throw this.refused(`is ${value}, which JSON cannot express`);
        // As JSON does it, -0 is 0.
        return JSON.stringify(value);
      case "undefined":
        return undefined;
      case "object":
        return value === null ? "null" : this.container(value);
      default:
        throw this.refused(`is ${kindOf(value)}, which cannot be kept`);
    }
  }

  /**
   * @private Depth is bounded by `limits.depth`.
   * @param {object} container
   * @returns {string}
   */
  container(container) {
    if (this.around.includes(container)) throw this.refused("refers back to itself, so it has no end");
    if (this.around.length >= limits.depth) throw this.tooDeep();
    this.around.push(container);
    const text = Array.isArray(container) ? this.array(container) : this.object(container);
    this.around.pop();
    return text;
  }

  /**
   * @private
   * @param {readonly unknown[]} array
   */
  array(array) {
    const texts = [];
    for (let at = 0; at < array.length; at += 1) {
      this.path.push(at);
      texts.push(this.value(array[at]) ?? "null");
      this.path.pop();
    }
    return `[${texts.join(",")}]`;
  }

  /**
   * @private
   * @param {object} object
   */
  object(object) {
    const prototype = Object.getPrototypeOf(object);
    if (!isPlain(prototype))
      throw this.refused(`is ${instanceName(object)}, which cannot be kept: only plain JSON can`);
    const texts = [];
    for (const key of Object.keys(object)) {
      this.path.push(key);
      const value = /** @type {Record<string, unknown>} */ (object)[key];
      if (key === "toJSON" && typeof value === "function")
        throw this.refused("is a function: only plain JSON can be kept");
      const text = this.value(value);
      if (text !== undefined) texts.push(`${JSON.stringify(key)}:${text}`);
      this.path.pop();
    }
    return `{${texts.join(",")}}`;
  }

  /**
   * @private
   * @param {string} reason
   * @param {{ cause?: unknown }} [cause]
   */
  refused(reason, cause) {
    return refusal(this.index, this.path.length === 0 ? undefined : fieldOf(this.path), reason, cause);
  }

  /** @private */
  tooDeep() {
    const field = fieldOf(this.path.slice(0, 8));
    return new EpitomeError(
      "too_deep",
      `message ${this.index}: \`${field}\` is nested deeper than ${limits.depth} levels`,
      { details: { index: this.index, field } },
    );
  }
}

/**
 * @param {number | undefined} index
 * @param {string | undefined} field
 * @param {string} reason
 * @param {{ cause?: unknown }} [cause]
 */
function refusal(index, field, reason, cause) {
  const where =
    index === undefined ? "messages" : field === undefined ? `message ${index}` : `message ${index}: \`${field}\``;
  const details = { ...(index === undefined ? {} : { index }), ...(field === undefined ? {} : { field }) };
  return new EpitomeError("invalid_input", `${where} ${reason}`, { details, ...cause });
}

/** @param {readonly (string | number)[]} path */
function fieldOf(path) {
  return path.map((step, at) => (typeof step === "number" ? `[${step}]` : at === 0 ? step : `.${step}`)).join("");
}

/** @param {unknown} prototype */
function isPlain(prototype) {
  // Objects of another realm have a prototype of their own, whose own prototype is null.
  return (
    prototype === null ||
    prototype === Object.prototype ||
    (Object.getPrototypeOf(prototype) === null && Object.hasOwn(/** @type {object} */ (prototype), "isPrototypeOf"))
  );
}

/** @param {object} object */
function instanceName(object) {
  if (ArrayBuffer.isView(object) || /Buffer\]$/.test(Object.prototype.toString.call(object))) return "binary data";
  const name = object.constructor?.name;
  return typeof name === "string" && name !== "" ? `an instance of \`${name}\`` : "a class instance";
}

/** @param {unknown} value */
function kindOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "undefined") return "undefined";
  return typeof value === "bigint" ? "a BigInt" : `a ${typeof value}`;
}
