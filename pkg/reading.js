// A response whose body is read piece by piece, whoever's `fetch` it comes from.

import { describe } from "./errors.js";
import { failed } from "./rejection.js";

const encoder = new TextEncoder();

export class Reading {
  /** @param {any} response */
  constructor(response) {
    const status = response?.status;
    if (typeof status !== "number") {
      throw failed("malformed", `\`fetch\` gave ${describe(response)} instead of a response`);
    }
    if (response.type === "opaque") throw failed("opaque", "the browser hides the answer (`no-cors`)");
    this.status = status;
    /** @private */
    this.response = response;
    /** @private @type {AsyncGenerator<Uint8Array, void> | undefined} */
    this.pieces = undefined;
    /** @private @type {any} */
    this.reader = undefined;
    /** @private */
    this.isOver = false;
  }

  /**
   * One of its headers; the empty string without.
   *
   * @param {string} name
   */
  header(name) {
    try {
      const { headers } = this.response;
      return String((typeof headers?.get === "function" ? headers.get(name) : headers?.[name]) ?? "");
    } catch {
      return "";
    }
  }

  /**
   * The next bytes; `undefined` at the end.
   *
   * @returns {Promise<Uint8Array | undefined>}
   */
  async next() {
    if (this.isOver) return undefined;
    const { body } = this.response;
    this.reader ??= body?.getReader?.() ?? body?.[Symbol.asyncIterator]?.();
    if (this.reader === undefined) {
      this.isOver = true;
      // Without a stream, all at once.
      return body === null ? undefined : bytesOf(await this.response.text());
    }
    const { done, value } = await (this.reader.read ?? this.reader.next).call(this.reader);
    if (!done) return bytesOf(value);
    this.isOver = true;
    return undefined;
  }

  /** Nobody reads on. */
  cancel() {
    if (this.isOver || this.reader === undefined) return;
    this.isOver = true;
    try {
      Promise.resolve((this.reader.cancel ?? this.reader.return)?.call(this.reader)).catch(() => {});
    } catch {
      // Whoever cannot be cancelled is simply left alone.
    }
  }
}

/** @param {unknown} piece */
function bytesOf(piece) {
  if (typeof piece === "string") return encoder.encode(piece);
  if (piece instanceof Uint8Array) return piece;
  throw failed("malformed", `the body of the answer holds ${describe(piece)} instead of bytes`);
}
