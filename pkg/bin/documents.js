// Reading: bytes to text, text to conversations.

import { createReadStream } from "node:fs";

import { EpitomeError } from "../errors.js";
import { limits } from "../wire.js";
import { itemSpans, memberSpans, skipSpace } from "./spans.js";

/** @import { Span } from "./spans.js" */

/** JSON spends bytes on escapes and structure, so a text may be larger than what the core accepts of it. */
const longest = () => limits.bytes * 1.5;

/** One conversation, with the text that it was read from. */
export class Conversation {
  /**
   * @param {Record<string, unknown>} fields `messages`, and what else stood beside them
   * @param {(index: number) => string} rawMessage
   */
  constructor(fields, rawMessage) {
    this.fields = fields;
    this.rawMessage = rawMessage;
  }

  /** As they were given; whether they are messages at all is for the core to say. */
  get messages() {
    return this.fields.messages;
  }

  /** @returns {readonly unknown[]} */
  get list() {
    return Array.isArray(this.messages) ? this.messages : [];
  }
}

/**
 * @param {string} file a path, or `-`
 * @returns {AsyncIterable<Buffer>}
 */
export function openFile(file) {
  return file === "-" ? process.stdin : createReadStream(file);
}

/**
 * @param {string} file
 * @returns {Promise<string>}
 */
export async function readText(file) {
  /** @type {Buffer[]} */
  const chunks = [];
  let size = 0;
  for await (const chunk of openFile(file)) {
    size += chunk.length;
    if (size > longest()) throw tooLarge(size);
    chunks.push(chunk);
  }
  return decoded(chunks);
}

/**
 * The lines of a stream, one at a time. Empty lines are left out; a line that cannot be read comes as its error.
 *
 * @param {AsyncIterable<Buffer>} stream
 * @returns {AsyncGenerator<string | EpitomeError>}
 */
export async function* readLines(stream) {
  /** @type {Buffer[]} */
  let parts = [];
  let size = 0;
  const line = () => {
    const failed = size > longest() ? tooLarge(size) : undefined;
    const read = parts;
    parts = [];
    size = 0;
    if (failed) return failed;
    try {
      return decoded(read);
    } catch (error) {
      if (error instanceof EpitomeError) return error;
      throw error;
    }
  };
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end));
      size += end - start;
      start = end + 1;
      const text = line();
      if (typeof text !== "string" || text.trim() !== "") yield text;
    }
    size += chunk.length - start;
    // What is too large already need not be kept.
    if (size <= longest()) parts.push(chunk.subarray(start));
    else parts = [];
  }
  const text = line();
  if (typeof text !== "string" || text.trim() !== "") yield text;
}

/**
 * The conversations of a file: one JSON text, or JSON Lines of messages or of conversations.
 *
 * @param {string} text
 * @returns {Conversation[]}
 */
export function conversationsOf(text) {
  /** @type {unknown} */
  let value;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return conversationsOfLines(text, cause);
  }
  return [conversationOf(text, value)];
}

/**
 * @param {string} text one JSON text
 * @returns {Conversation}
 */
export function conversationOfLine(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new EpitomeError("invalid_input", `not JSON: ${reason(cause)}`, { cause });
  }
  return conversationOf(text, value);
}

/**
 * @param {string} text
 * @param {unknown} value what it says
 */
function conversationOf(text, value) {
  const start = skipSpace(text, 0);
  if (Array.isArray(value)) return new Conversation({ messages: value }, rawOf(text, itemSpans(text, start)));
  if (typeof value === "object" && value !== null) {
    const fields = /** @type {Record<string, unknown>} */ (value);
    if (Array.isArray(fields.messages)) {
      const list = memberSpans(text, start).findLast((member) => member.key === "messages");
      return new Conversation(fields, rawOf(text, itemSpans(text, list?.start ?? start)));
    }
    if (fields.messages === undefined && "role" in fields) {
      return new Conversation({ messages: [value] }, () => text.trim());
    }
  }
  throw new EpitomeError("invalid_input", "neither an array of messages nor an object with an array `messages`");
}

/**
 * @param {string} text
 * @param {unknown} cause why it is not one JSON text
 */
function conversationsOfLines(text, cause) {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new EpitomeError("invalid_input", "not JSON: it is empty");
  /** @type {unknown[]} */
  const values = [];
  for (const [at, line] of lines.entries()) {
    try {
      values.push(JSON.parse(line));
    } catch (lineCause) {
      // Where not even the first line is JSON, the whole was not meant as lines.
      const message = at === 0 ? `not JSON: ${reason(cause)}` : `line ${at + 1} is not JSON: ${reason(lineCause)}`;
      throw new EpitomeError("invalid_input", message, { cause: at === 0 ? cause : lineCause });
    }
  }
  if (values.every((value) => typeof value === "object" && value !== null && "role" in value)) {
    return [new Conversation({ messages: values }, (index) => /** @type {string} */ (lines[index]).trim())];
  }
  return lines.map((line, at) => {
    try {
      return conversationOf(line, values[at]);
    } catch (error) {
      if (!(error instanceof EpitomeError)) throw error;
      throw new EpitomeError(error.code, `line ${at + 1}: ${error.message}`, { details: error.details });
    }
  });
}

/**
 * @param {string} text
 * @param {readonly Span[]} spans
 */
function rawOf(text, spans) {
  return (/** @type {number} */ index) => {
    const span = /** @type {Span} */ (spans[index]);
    return text.slice(span.start, span.end);
  };
}

/** @param {Buffer[]} chunks */
function decoded(chunks) {
  const bytes = chunks.length === 1 ? /** @type {Buffer} */ (chunks[0]) : Buffer.concat(chunks);
  try {
    // Strict: a byte that was replaced on the way in would not be the same on the way out.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    if (cause instanceof TypeError) throw new EpitomeError("invalid_input", "not UTF-8 text", { cause });
    throw tooLarge(bytes.length);
  }
}

/** @param {number} bytes */
function tooLarge(bytes) {
  const limit = Math.floor(longest());
  return new EpitomeError("too_large", `larger than ${limit} bytes`, { details: { bytes, limit } });
}

/** @param {unknown} error */
function reason(error) {
  return error instanceof Error ? error.message : String(error);
}
