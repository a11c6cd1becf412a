// Writes host values into wasm memory: the flat wire of `src/wasm/wire.rs`.
//
// This is the hot path. It runs over every message of every call, so it allocates little, looks at each property once
// (a getter runs once) and asks nothing of a value that its type does not already say.

import { EpitomeError, invalidOption } from "./errors.js";
import { reserve } from "./instance.js";

const NULL = 0;
const FALSE = 1;
const TRUE = 2;
const NUMBER = 3;
const STRING = 4;
const ARRAY = 5;
const OBJECT = 6;
const HOST = 7;
const TOO_DEEP = 8;

const BINARY = 0;
const URL_OBJECT = 1;
const DATE = 2;
const BIGINT = 3;
const FUNCTION = 4;
const INSTANCE = 5;

/**
 * What one call accepts. Not part of the API; tests lower it.
 *
 * `bytes`: size of the encoded input, which is its text but for a few bytes per field. `depth`: levels within a message,
 * itself included.
 */
export const limits = { bytes: 256 * 1024 * 1024, depth: 128 };

/** Strings up to this length are written character by character: cheaper than a call of the encoder. */
const SHORT = 24;
/** How much room a first write asks for. */
const FIRST_ROOM = 64 * 1024;
/** From this size on the buffer grows by a quarter at a time: while it moves, wasm memory has to hold it twice. */
const LARGE = 8 * 1024 * 1024;
/** From this level on, each container is compared with those around it, so that a cycle is found in its first round. */
const CYCLES_FROM = 8;

const encoder = new TextEncoder();
const { getPrototypeOf, prototype: objectPrototype } = Object;

/**
 * The writer whose buffer is in wasm memory now. A getter may call Epitome while a writer is at work; the inner call's
 * writer then saves that buffer and puts it back.
 *
 * @type {Writer | undefined}
 */
let active;

/** One input: written, handed over, and asked afterwards what it saw. */
export class Writer {
  constructor() {
    /** The messages as they were read. @type {unknown[]} */
    this.source = [];
    /** Where each message's entries in `reads` begin. @type {number[]} */
    this.starts = [];
    /** Every container found below a message, as triples (holder, key, value). @type {unknown[]} */
    this.reads = [];
    /** Indices of messages that hold what JSON would lose, ascending. @type {number[]} */
    this.notJson = [];
    /** How many messages are plain objects. */
    this.plain = 0;

    /** @private @type {Map<string, number>} */
    this.keys = new Map();
    /** @private */
    this.bytes = new Uint8Array(0);
    /** @private */
    this.view = new DataView(this.bytes.buffer);
    /** @private */
    this.position = 0;
    /** @private Keys from the message inwards; what lies beyond `at` is old. @type {(string | number)[]} */
    this.path = [];
    /** @private Containers around the current one. @type {unknown[]} */
    this.around = [];
    /** @private */
    this.at = 0;
    /** @private The message being written. @type {number | undefined} */
    this.index = undefined;
    /** @private The option being written. @type {string | undefined} */
    this.option = undefined;
    /** @private The error this writer threw. @type {EpitomeError | undefined} */
    this.failure = undefined;
    /** @private @type {Uint8Array | undefined} */
    this.saved = undefined;
    /** @private */
    this.writing = false;
    /** @private @type {Writer | undefined} */
    this.outer = undefined;
  }

  /**
   * Writes an input and hands it to `call` as its length.
   *
   * @template T
   * @param {(writer: Writer) => void} write
   * @param {(length: number) => T} call
   * @returns {T}
   */
  send(write, call) {
    this.outer = active;
    this.outer?.save();
    active = this;
    try {
      this.writing = true;
      try {
        write(this);
      } catch (error) {
        throw this.explained(error);
      } finally {
        this.writing = false;
      }
      return call(this.position);
    } finally {
      active = this.outer;
      this.outer?.restore();
    }
  }

  /**
   * The list that holds everything else.
   *
   * @param {number} count
   */
  roots(count) {
    this.header(ARRAY, count);
  }

  /**
   * The messages. What is no list is written too: the core says what is wrong with it.
   *
   * @param {unknown} messages
   */
  messages(messages) {
    if (!Array.isArray(messages)) {
      this.value(messages, 2);
      return;
    }
    const count = lengthOf(messages);
    this.header(ARRAY, count);
    this.around[0] = messages;
    for (let index = 0; index < count; index += 1) {
      this.index = index;
      this.at = 0;
      const message = messages[index];
      this.source.push(message);
      this.starts.push(this.reads.length);
      this.message(message);
    }
    this.index = undefined;
  }

  /**
   * One message: an object of any class.
   *
   * @param {unknown} message
   */
  message(message) {
    if (typeof message !== "object" || message === null || Array.isArray(message)) {
      this.value(message, 2);
      return;
    }
    if (isPlain(getPrototypeOf(message))) this.plain += 1;
    else this.loses();
    this.object(message, 1);
  }

  /**
   * An option of the call, or anything else that belongs to no message.
   *
   * @param {string} name
   * @param {unknown} value
   */
  other(name, value) {
    this.option = name;
    this.at = 0;
    this.around[0] = undefined;
    this.value(value, 1);
    this.option = undefined;
  }

  /**
   * @private
   * @param {unknown} value
   * @param {number} level
   */
  value(value, level) {
    switch (typeof value) {
      case "string":
        this.string(value);
        break;
      case "object":
        if (value === null) this.byte(NULL);
        else if (Array.isArray(value)) this.array(value, level);
        else if (isPlain(getPrototypeOf(value))) this.object(value, level);
        else this.hostObject(value);
        break;
      case "number":
        this.room(9);
        this.bytes[this.position] = NUMBER;
        this.view.setFloat64(this.position + 1, value, true);
        this.position += 9;
        // JSON has no NaN and no infinities.
        if (value - value !== 0) this.loses();
        break;
      case "boolean":
        this.byte(value ? TRUE : FALSE);
        break;
      case "undefined":
        this.byte(NULL);
        break;
      case "bigint":
        this.host(BIGINT, 0);
        break;
      default:
        this.host(FUNCTION, 0);
    }
  }

  /**
   * @private
   * @param {object} object
   * @param {number} level
   */
  object(object, level) {
    if (this.tooDeep(object, level)) return;
    const keys = Object.keys(object);
    const start = this.header(OBJECT, 0);
    let count = 0;
    for (let i = 0; i < keys.length; i += 1) {
      const key = /** @type {string} */ (keys[i]);
      this.path[level] = key;
      this.at = level;
      const value = /** @type {Record<string, unknown>} */ (object)[key];
      // As in JSON, a field that is undefined is not there.
      if (value === undefined) continue;
      if (typeof value === "object" && value !== null) this.reads.push(object, key, value);
      this.key(key);
      this.value(value, level + 1);
      count += 1;
    }
    this.view.setUint32(start, count, true);
  }

  /**
   * @private
   * @param {readonly unknown[]} array
   * @param {number} level
   */
  array(array, level) {
    if (this.tooDeep(array, level)) return;
    const count = lengthOf(array);
    this.header(ARRAY, count);
    for (let i = 0; i < count; i += 1) {
      this.path[level] = i;
      this.at = level;
      const value = array[i];
      if (typeof value === "object" && value !== null) this.reads.push(array, i, value);
      this.value(value, level + 1);
    }
  }

  /**
   * Notes a container; true if the walk ends before it.
   *
   * @private
   * @param {object} container
   * @param {number} level
   */
  tooDeep(container, level) {
    if (level > CYCLES_FROM) {
      if (this.around.lastIndexOf(container, level - 1) !== -1) this.failOnCycle(level);
      if (level > limits.depth) {
        this.byte(TOO_DEEP);
        return true;
      }
    }
    this.around[level] = container;
    return false;
  }

  /**
   * @private
   * @param {object} value
   */
  hostObject(value) {
    if (ArrayBuffer.isView(value)) {
      this.host(BINARY, value.byteLength);
      return;
    }
    switch (objectPrototype.toString.call(value)) {
      case "[object ArrayBuffer]":
      case "[object SharedArrayBuffer]":
        this.host(BINARY, sizeOf(/** @type {ArrayBuffer} */ (value).byteLength));
        break;
      case "[object Blob]":
      case "[object File]":
        this.host(BINARY, sizeOf(/** @type {Blob} */ (value).size));
        break;
      case "[object URL]":
        this.host(URL_OBJECT, 0);
        break;
      case "[object Date]":
        this.host(DATE, 0);
        break;
      default:
        this.host(INSTANCE, 0);
    }
  }

  /**
   * @private
   * @param {number} kind
   * @param {number} size
   */
  host(kind, size) {
    this.room(6);
    this.bytes[this.position] = HOST;
    this.bytes[this.position + 1] = kind;
    this.view.setUint32(this.position + 2, Math.min(size, 0xffffffff), true);
    this.position += 6;
    this.loses();
  }

  /** @private Notes that JSON would lose a part of the current message. */
  loses() {
    const { index, notJson } = this;
    if (index !== undefined && notJson[notJson.length - 1] !== index) notJson.push(index);
  }

  /**
   * @private
   * @param {string} key
   */
  key(key) {
    const id = this.keys.get(key);
    this.room(4);
    this.view.setUint32(this.position, id ?? this.keys.size, true);
    this.position += 4;
    if (id !== undefined) return;
    this.keys.set(key, this.keys.size);
    this.sized(key);
  }

  /**
   * @private
   * @param {string} text
   */
  string(text) {
    this.byte(STRING);
    this.sized(text);
  }

  /**
   * Length and bytes of a text.
   *
   * @private
   * @param {string} text
   */
  sized(text) {
    const { length } = text;
    // No text has fewer bytes than UTF-16 units, so this alone refuses what is too large before anything is written.
    this.room(4 + length, 4 + length + FIRST_ROOM);
    const start = this.position + 4;
    if (length > SHORT || !this.ascii(text, start)) this.encode(text, start);
    this.view.setUint32(start - 4, this.position - start, true);
  }

  /**
   * Writes a short text if it is ASCII.
   *
   * @private
   * @param {string} text
   * @param {number} start
   */
  ascii(text, start) {
    const { bytes } = this;
    const { length } = text;
    for (let i = 0; i < length; i += 1) {
      const unit = text.charCodeAt(i);
      if (unit > 127) return false;
      bytes[start + i] = unit;
    }
    this.position = start + length;
    return true;
  }

  /**
   * Encodes a text into the room there is, then makes more room for what is left: asking for the worst case of three
   * bytes per unit at once would make wasm memory three times as large as it has to be, for ever.
   *
   * @private
   * @param {string} text
   * @param {number} start
   */
  encode(text, start) {
    this.position = start;
    let rest = text;
    for (;;) {
      const { read, written } = encoder.encodeInto(rest, this.bytes.subarray(this.position));
      this.position += written;
      if (read === rest.length) return;
      rest = rest.slice(read);
      this.room(rest.length, Math.min(rest.length * 3, rest.length + FIRST_ROOM));
    }
  }

  /**
   * @private
   * @param {number} tag
   */
  byte(tag) {
    this.room(1);
    this.bytes[this.position] = tag;
    this.position += 1;
  }

  /**
   * Tag and count of a container; returns where the count is.
   *
   * @private
   * @param {number} tag
   * @param {number} count
   */
  header(tag, count) {
    this.room(5);
    const start = this.position + 1;
    this.bytes[start - 1] = tag;
    this.view.setUint32(start, count, true);
    this.position = start + 4;
    return start;
  }

  /**
   * Makes room for `least` bytes, better for `wanted`.
   *
   * @private
   * @param {number} least
   * @param {number} [wanted]
   */
  room(least, wanted = least) {
    if (this.position + least > this.bytes.length) this.grow(least, wanted);
  }

  /**
   * @private
   * @param {number} least
   * @param {number} wanted
   */
  grow(least, wanted) {
    const needed = this.position + least;
    if (needed > limits.bytes) this.failOnSize(needed);
    const { length } = this.bytes;
    const ahead = Math.max(this.position + wanted, length * (length < LARGE ? 2 : 1.25), FIRST_ROOM);
    this.attach(Math.min(Math.ceil(ahead), Math.max(limits.bytes, FIRST_ROOM)));
  }

  /**
   * Gets a buffer of that size, with what was written before.
   *
   * @private
   * @param {number} size
   */
  attach(size) {
    let room;
    try {
      room = reserve(size);
    } catch (error) {
      this.refuse(/** @type {EpitomeError} */ (error));
    }
    this.bytes = new Uint8Array(room.buffer, room.address, size);
    this.view = new DataView(room.buffer, room.address, size);
  }

  /**
   * Ends the writing with an error of our own, which is handed on as it is.
   *
   * @param {EpitomeError} error
   * @returns {never}
   */
  refuse(error) {
    this.failure = error;
    throw error;
  }

  /** @private An inner call is about to use the buffer. */
  save() {
    if (this.writing) this.saved = this.bytes.slice(0, this.position);
  }

  /** @private The inner call is done with it. */
  restore() {
    if (this.saved === undefined) return;
    this.attach(Math.max(this.bytes.length, FIRST_ROOM));
    this.bytes.set(this.saved);
    this.saved = undefined;
  }

  /**
   * What was thrown during the walk: our own error, or one of the host's, from a getter or a proxy.
   *
   * @private
   * @param {unknown} error
   */
  explained(error) {
    if (error === this.failure && error !== undefined) return error;
    return this.refusal("could not be read", { cause: error });
  }

  /**
   * A container holds itself. Names the shortest way round, which a walk that looks late may have gone twice.
   *
   * @private
   * @param {number} level of the container, which is already in `around`
   * @returns {never}
   */
  failOnCycle(level) {
    const { around } = this;
    let again = 1;
    while (again < level && around.lastIndexOf(around[again], again - 1) === -1) again += 1;
    const first = again < level ? around.indexOf(around[again]) : around.indexOf(around[level]);
    this.at = again - 1;
    const start = this.index === undefined ? "its own beginning" : "the message itself";
    const back = first === 0 ? "the list of messages" : first === 1 ? start : `\`${this.field(first - 1)}\``;
    this.refuse(this.refusal(`refers back to ${back}, so it has no end`));
  }

  /**
   * @private
   * @param {number} bytes
   * @returns {never}
   */
  failOnSize(bytes) {
    const { index } = this;
    const where = index === undefined ? "" : `: message ${index} goes beyond that`;
    const details = { ...(index === undefined ? undefined : { index }), bytes, limit: limits.bytes };
    const text = `the input holds more than ${limits.bytes} bytes of text${where}`;
    this.refuse(new EpitomeError("too_large", text, { details }));
  }

  /**
   * @private
   * @param {string} reason
   * @param {{ cause?: unknown }} [cause]
   */
  refusal(reason, cause) {
    const field = this.field(this.at);
    const { index, option } = this;
    if (option !== undefined) return invalidOption(option, field === "" ? reason : `\`${field}\` ${reason}`, cause);
    const where = index === undefined ? "the input" : `message ${index}`;
    const details = { ...(index === undefined ? undefined : { index }), ...(field === "" ? undefined : { field }) };
    const text = `${where}${field === "" ? "" : `: \`${field}\``} ${reason}`;
    return new EpitomeError("invalid_input", text, { details, ...cause });
  }

  /**
   * The path down to a level, such as `tool_calls[1].id`.
   *
   * @private
   * @param {number} level
   */
  field(level) {
    return fieldName(this.path.slice(1, level + 1));
  }
}

/**
 * A path as it would be written in code.
 *
 * @param {readonly (string | number)[]} path
 */
export function fieldName(path) {
  let name = "";
  for (const step of path) {
    if (typeof step === "number") name += `[${step}]`;
    else if (!/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(step)) name += `[${JSON.stringify(step)}]`;
    else name += name === "" ? step : `.${step}`;
  }
  return name;
}

/**
 * Whether objects with this prototype are plain: no class, or the `Object` of another realm (an iframe, `node:vm`).
 *
 * @param {object | null} prototype
 */
function isPlain(prototype) {
  if (prototype === objectPrototype || prototype === null) return true;
  return getPrototypeOf(prototype) === null && objectPrototype.hasOwnProperty.call(prototype, "isPrototypeOf");
}

/**
 * A proxy may claim any length.
 *
 * @param {readonly unknown[]} array
 */
function lengthOf(array) {
  return Math.min(sizeOf(array.length), 0xffffffff);
}

/** @param {unknown} size */
function sizeOf(size) {
  return typeof size === "number" && size > 0 ? Math.floor(size) : 0;
}
