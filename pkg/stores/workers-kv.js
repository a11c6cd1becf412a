// Conversations in Workers KV, for what is read often and written rarely. KV compares nothing before it writes and shows a
// write elsewhere only after a while, so this store keeps fewer promises than the others; `workers-kv.d.ts` says which.
//
// A conversation is one value, so nobody ever reads half of a batch. What a list tells of it is in the metadata.

import { describe, invalidOption } from "../errors.js";
import { checked } from "../options.js";
import { checkName, checkSignal, closed, pageOf, storeError, storeErrorOf } from "../store-errors.js";

/** @import { About, ListedConversation, ListPage, StoreBatch, StoreCallOptions, StoreRange, StoreRecord } from "../stores.js" */
/** @import { KvNamespace } from "./workers-kv.js" */

/**
 * A conversation as it is stored.
 *
 * @typedef {object} Value
 * @property {number} version
 * @property {string} name
 * @property {number} revision 0: it does not exist
 * @property {About} about
 * @property {StoreRecord[]} records in the order of their keys
 */

/** Of the form of values; a greater one was written by a newer version of Epitome. */
const VERSION = 1;
/** What KV takes: bytes of a key, bytes of a value. */
const LONGEST_KEY = 512;
const LARGEST_VALUE = 25 * 1024 * 1024;
/** For how long KV may show what was there before, ms, and some more. */
const STALE = 90_000;
/** KV takes one write per second and key. */
const PAUSE = 1_100;
const ATTEMPTS = 4;

/**
 * @param {KvNamespace} namespace
 * @param {{ prefix?: string | undefined }} [options]
 */
export function workersKv(namespace, options = {}) {
  for (const name of /** @type {const} */ (["get", "put", "delete", "list"])) {
    if (typeof namespace?.[name] !== "function") {
      throw invalidOption("namespace", `must be a KV namespace (\`env.NAME\`), but is ${describe(namespace)}`);
    }
  }
  const { prefix = "epitome/" } = checked("options", options, ["prefix"]);
  checkName("prefix", prefix);
  return new WorkersKvStore(namespace, prefix);
}

class WorkersKvStore {
  /**
   * @param {KvNamespace} namespace
   * @param {string} prefix
   */
  constructor(namespace, prefix) {
    /** @private */
    this.namespace = namespace;
    /** @private */
    this.prefix = prefix;
    /** @private What was written through here lately, which KV may not show yet. @type {Map<string, { at: number, value: Value }>} */
    this.own = new Map();
    /** @private The last write of each conversation. @type {Map<string, Promise<unknown>>} */
    this.writing = new Map();
    /** @private */
    this.isClosed = false;
  }

  /**
   * @param {string} conversation
   * @param {readonly StoreRange[]} ranges
   * @param {StoreCallOptions} [options]
   */
  async load(conversation, ranges, options) {
    this.check(options);
    const { revision, records } = await this.read(conversation);
    const within = (/** @type {StoreRange} */ { kind, from, to }) =>
      records.filter((record) => record.kind === kind && record.number >= from && record.number < to);
    return { revision, records: ranges.flatMap(within) };
  }

  /**
   * @param {ListPage & StoreCallOptions} [page]
   * @param {StoreCallOptions} [options]
   */
  async list(page, options) {
    const { after, limit, signal } = pageOf(page, options);
    const beyond = after === undefined ? undefined : await this.keyOf(after);
    /** @type {ListedConversation[]} */
    const listed = [];
    /** @type {string | undefined} */
    let cursor;
    do {
      this.check({ signal });
      const found = await this.kv("list", (kv) => kv.list({ prefix: this.prefix, ...(cursor && { cursor }) }));
      for (const { name: key, metadata } of found.keys) {
        if (listed.length === limit) return listed;
        if (beyond !== undefined && !isAbove(key, beyond)) continue;
        const line = await this.line(key, metadata);
        if (line !== undefined) listed.push(line);
      }
      cursor = found.list_complete ? undefined : found.cursor;
    } while (cursor !== undefined);
    return listed;
  }

  /**
   * @param {StoreBatch} batch
   * @param {StoreCallOptions} [options]
   */
  async commit(batch, options) {
    this.check(options);
    const { conversation, expected, about } = batch;
    return this.inTurn(conversation, async () => {
      this.check(options);
      const before = await this.read(conversation);
      if (before.revision !== expected) return { conflict: before.revision };
      const revision = expected + 1;
      const records = recordsAfter(before.records, batch);
      const value = { version: VERSION, name: conversation, revision, about, records };
      await this.write(value, options?.signal ?? undefined);
      this.remember(value);
      return { revision };
    });
  }

  /**
   * @param {string} conversation
   * @param {StoreCallOptions} [options]
   */
  async delete(conversation, options) {
    checkName("conversation", conversation);
    this.check(options);
    await this.inTurn(conversation, async () => {
      const key = await this.keyOf(conversation);
      await this.kv("delete", (kv) => kv.delete(key));
      this.remember(nothing(conversation));
    });
  }

  async close() {
    this.isClosed = true;
    this.own.clear();
  }

  /**
   * @private
   * @param {StoreCallOptions} [options]
   */
  check({ signal } = {}) {
    checkSignal(signal);
    if (this.isClosed) throw closed();
  }

  /**
   * The writes of one conversation go one after the other, as far as this store makes them.
   *
   * @private
   * @template T
   * @param {string} conversation
   * @param {() => Promise<T>} write
   * @returns {Promise<T>}
   */
  inTurn(conversation, write) {
    const before = this.writing.get(conversation) ?? Promise.resolve();
    const turn = before.then(write, write);
    this.writing.set(conversation, turn);
    const done = () => {
      if (this.writing.get(conversation) === turn) this.writing.delete(conversation);
    };
    turn.then(done, done);
    return turn;
  }

  /**
   * @private
   * @param {string} conversation
   */
  async read(conversation) {
    const key = await this.keyOf(conversation);
    const text = await this.kv("get", (kv) => kv.get(key, "text"));
    const read = text === null ? nothing(conversation) : parsed(text);
    if (read.name !== conversation) throw storeError("corrupted", "load: the value is that of another conversation");
    const own = this.recent(conversation);
    // What was deleted here has revision 0, and what is still to be seen of it is old.
    return own !== undefined && (own.revision === 0 || own.revision > read.revision) ? own : read;
  }

  /**
   * @private
   * @param {Value} value
   * @param {AbortSignal | undefined} signal
   */
  async write(value, signal) {
    const key = await this.keyOf(value.name);
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    if (bytes.length > LARGEST_VALUE) {
      const size = `${bytes.length} bytes, and Workers KV holds ${LARGEST_VALUE} per conversation`;
      throw storeError("quota", `commit: the conversation would have ${size}`);
    }
    const { revision, about } = value;
    const metadata = { revision, about: [about.createdMs, about.updatedMs, about.entries] };
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.namespace.put(key, bytes, { metadata });
      } catch (error) {
        const isTooFast = /\b429\b|too many requests/i.test(String(/** @type {any} */ (error)?.message));
        if (!isTooFast) throw storeErrorOf(error, { call: "commit", writes: true });
        if (attempt === ATTEMPTS) {
          throw storeError("blocked", "commit: Workers KV takes one write per second and key", { cause: error });
        }
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      this.check({ signal });
    }
  }

  /**
   * @private
   * @template T
   * @param {"get" | "list" | "delete"} call
   * @param {(kv: KvNamespace) => Promise<T>} ask
   */
  async kv(call, ask) {
    try {
      return await ask(this.namespace);
    } catch (error) {
      throw storeErrorOf(error, { call, writes: call === "delete" });
    }
  }

  /**
   * What is told of the conversation under a key; of one that was written here lately, how it is by now.
   *
   * @private
   * @param {string} key
   * @param {any} metadata
   */
  async line(key, metadata) {
    const isNamed = key.startsWith(`${this.prefix}=`);
    const name = isNamed ? key.slice(this.prefix.length + 1) : await this.nameOf(key);
    if (name === undefined) return undefined;
    const own = this.recent(name);
    if (own?.revision === 0) return undefined;
    const [createdMs, updatedMs, entries] = metadata?.about ?? [];
    if (own !== undefined && !(metadata?.revision >= own.revision)) {
      return { conversation: name, revision: own.revision, about: { ...own.about } };
    }
    return { conversation: name, revision: metadata?.revision, about: { createdMs, updatedMs, entries } };
  }

  /**
   * @private
   * @param {string} key
   */
  async nameOf(key) {
    const text = await this.kv("get", (kv) => kv.get(key, "text"));
    return text === null ? undefined : parsed(text).name;
  }

  /**
   * The name itself, so that a list can tell it; of a name that is too long, a digest.
   *
   * @private
   * @param {string} name
   */
  async keyOf(name) {
    const key = `${this.prefix}=${name}`;
    const encoder = new TextEncoder();
    if (encoder.encode(key).length <= LONGEST_KEY) return key;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(name)));
    return `${this.prefix}~${[...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  }

  /**
   * @private
   * @param {Value} value
   */
  remember(value) {
    const now = Date.now();
    for (const [name, { at }] of this.own) if (now - at > STALE) this.own.delete(name);
    this.own.delete(value.name);
    this.own.set(value.name, { at: now, value });
  }

  /**
   * @private
   * @param {string} conversation
   */
  recent(conversation) {
    const own = this.own.get(conversation);
    return own !== undefined && Date.now() - own.at <= STALE ? own.value : undefined;
  }
}

/**
 * @param {string} name
 * @returns {Value}
 */
function nothing(name) {
  return { version: VERSION, name, revision: 0, about: { createdMs: 0, updatedMs: 0, entries: 0 }, records: [] };
}

/**
 * @param {string} text
 * @returns {Value}
 */
function parsed(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw storeError("corrupted", "load: the value is not JSON");
  }
  if (value?.version > VERSION) {
    throw storeError("newer", `load: the value has version ${value.version}; this Epitome reads up to ${VERSION}`);
  }
  if (value?.version !== VERSION || !Array.isArray(value.records)) {
    throw storeError("corrupted", "load: the value is not that of a conversation");
  }
  return value;
}

/**
 * @param {readonly StoreRecord[]} before
 * @param {StoreBatch} batch
 */
function recordsAfter(before, { puts, deletes }) {
  const isDeleted = (/** @type {StoreRecord} */ { kind, number }) =>
    deletes.some((range) => range.kind === kind && number >= range.from && number < range.to);
  const records = new Map();
  for (const record of before) if (!isDeleted(record)) records.set(`${record.kind} ${record.number}`, record);
  for (const record of puts) records.set(`${record.kind} ${record.number}`, record);
  return [...records.values()].sort((a, b) => a.number - b.number);
}

/**
 * Whether a key comes after another one in the order of KV, that of their bytes in UTF-8.
 *
 * @param {string} key
 * @param {string} other
 */
function isAbove(key, other) {
  const [a, b] = [[...key], [...other]];
  for (let at = 0; at < a.length && at < b.length; at += 1) {
    const difference = /** @type {number} */ (a[at]?.codePointAt(0)) - /** @type {number} */ (b[at]?.codePointAt(0));
    if (difference !== 0) return difference > 0;
  }
  return a.length > b.length;
}
