// Conversations in the SQLite storage of a Cloudflare Durable Object.
//
// Every statement of one call runs in one turn of the event loop, so no other call of the object ever sees half of it.

import { describe, invalidOption } from "../errors.js";
import { checkName, checkSignal, closed, KINDS, pageOf, storeError, storeErrorOf } from "../store-errors.js";

/** @import { ListPage, StoreBatch, StoreCallOptions, StoreKind, StoreRange, StoreRecord } from "../stores.js" */
/** @import { DurableObjectStorage } from "./durable-object.js" */

/** Of the tables; a greater one was written by a newer version of Epitome. */
const VERSION = 1;

const SCHEMA = [
  "CREATE TABLE IF NOT EXISTS epitome_version (version INTEGER NOT NULL)",
  `CREATE TABLE IF NOT EXISTS epitome_conversations (
     id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
     created_ms REAL NOT NULL, updated_ms REAL NOT NULL, entries INTEGER NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS epitome_records (
     conversation INTEGER NOT NULL, kind INTEGER NOT NULL, number INTEGER NOT NULL, part INTEGER NOT NULL,
     text TEXT NOT NULL, PRIMARY KEY (conversation, kind, number, part))`,
];

/** Characters per row: with three bytes each they stay below the 2 MB that a row may have. */
const PART = 600_000;

/** @param {DurableObjectStorage} storage */
export function durableObject(storage) {
  if (typeof storage?.transactionSync !== "function") {
    throw invalidOption(
      "storage",
      `must be the storage of a Durable Object (\`ctx.storage\`), but is ${describe(storage)}`,
    );
  }
  return new DurableObjectStore(storage);
}

class DurableObjectStore {
  /** @param {DurableObjectStorage} storage */
  constructor(storage) {
    /** @private */
    this.storage = storage;
    /** @private */
    this.isSetUp = false;
    /** @private */
    this.isClosed = false;
  }

  /**
   * @param {string} conversation
   * @param {readonly StoreRange[]} ranges
   * @param {StoreCallOptions} [options]
   */
  async load(conversation, ranges, options) {
    return this.inOneTurn("load", options, () => {
      const row = this.row(conversation);
      if (row === undefined) return { revision: 0, records: [] };
      return { revision: row.revision, records: ranges.flatMap((range) => this.records(row.id, range)) };
    });
  }

  /**
   * @param {ListPage & StoreCallOptions} [page]
   * @param {StoreCallOptions} [options]
   */
  async list(page, options) {
    const { after, limit, signal } = pageOf(page, options);
    return this.inOneTurn("list", { signal }, () => {
      const columns = "SELECT name, revision, created_ms, updated_ms, entries FROM epitome_conversations";
      const rows =
        after === undefined
          ? this.rows(`${columns} ORDER BY name LIMIT ?`, limit)
          : this.rows(`${columns} WHERE name > ? ORDER BY name LIMIT ?`, after, limit);
      return rows.map(({ name, revision, created_ms, updated_ms, entries }) => ({
        conversation: name,
        revision,
        about: { createdMs: created_ms, updatedMs: updated_ms, entries },
      }));
    });
  }

  /**
   * @param {StoreBatch} batch
   * @param {StoreCallOptions} [options]
   */
  async commit(batch, options) {
    const outcome = this.inOneTurn("commit", options, () => {
      const row = this.row(batch.conversation);
      const revision = row?.revision ?? 0;
      if (revision !== batch.expected) return { conflict: revision };
      const id = row?.id ?? this.created(batch.conversation);
      for (const range of batch.deletes) this.clear(id, range);
      for (const record of batch.puts) this.put(id, record);
      const { createdMs, updatedMs, entries } = batch.about;
      this.rows(
        "UPDATE epitome_conversations SET revision = ?, created_ms = ?, updated_ms = ?, entries = ? WHERE id = ?",
        revision + 1,
        createdMs,
        updatedMs,
        entries,
        id,
      );
      return { revision: revision + 1 };
    });
    if ("revision" in outcome) await this.durable("commit");
    return outcome;
  }

  /**
   * @param {string} conversation
   * @param {StoreCallOptions} [options]
   */
  async delete(conversation, options) {
    checkName("conversation", conversation);
    this.inOneTurn("delete", options, () => {
      const row = this.row(conversation);
      if (row === undefined) return;
      this.rows("DELETE FROM epitome_records WHERE conversation = ?", row.id);
      this.rows("DELETE FROM epitome_conversations WHERE id = ?", row.id);
    });
    await this.durable("delete");
  }

  async close() {
    this.isClosed = true;
  }

  /**
   * Runs statements as one transaction.
   *
   * @private
   * @template T
   * @param {string} call
   * @param {StoreCallOptions | undefined} options
   * @param {() => T} work
   * @returns {T}
   */
  inOneTurn(call, { signal } = {}, work) {
    checkSignal(signal);
    if (this.isClosed) throw closed();
    try {
      return this.storage.transactionSync(() => {
        this.setUp();
        return work();
      });
    } catch (error) {
      // A transaction that threw was rolled back.
      throw classified(error, call);
    }
  }

  /**
   * Waits until what was written is on the disk. (A Durable Object lets no answer out before that; but a write should be
   * durable when its promise resolves, whoever waits for it.)
   *
   * @private
   * @param {string} call
   */
  async durable(call) {
    try {
      await this.storage.sync();
    } catch (error) {
      throw storeErrorOf(error, { call, writes: true });
    }
  }

  /** @private */
  setUp() {
    if (this.isSetUp) return;
    if (this.storage.sql === undefined) throw withoutSqlite();
    for (const statement of SCHEMA) this.rows(statement);
    const [written] = this.rows("SELECT version FROM epitome_version");
    if (written === undefined) this.rows("INSERT INTO epitome_version (version) VALUES (?)", VERSION);
    else if (written.version > VERSION) {
      throw storeError("newer", `the tables have version ${written.version}; this Epitome reads up to ${VERSION}`);
    }
    this.isSetUp = true;
  }

  /**
   * @private
   * @param {string} conversation
   * @returns {{ id: number, revision: number } | undefined}
   */
  row(conversation) {
    return this.rows("SELECT id, revision FROM epitome_conversations WHERE name = ?", conversation)[0];
  }

  /**
   * @private
   * @param {string} conversation
   * @returns {number} its id
   */
  created(conversation) {
    const insert =
      "INSERT INTO epitome_conversations (name, revision, created_ms, updated_ms, entries) VALUES (?, 0, 0, 0, 0) RETURNING id";
    return this.rows(insert, conversation)[0].id;
  }

  /**
   * @private
   * @param {number} id
   * @param {StoreRange} range
   * @returns {StoreRecord[]}
   */
  records(id, { kind, from, to }) {
    const select =
      "SELECT number, part, text FROM epitome_records WHERE conversation = ? AND kind = ? AND number >= ? AND number < ? ORDER BY number, part";
    /** @type {{ kind: StoreKind, number: number, text: string }[]} */
    const records = [];
    for (const { number, part, text } of this.rows(select, id, KINDS.indexOf(kind), from, to)) {
      const last = records.at(-1);
      if (part > 0 && last !== undefined) last.text += text;
      else records.push({ kind, number, text });
    }
    return records;
  }

  /**
   * @private
   * @param {number} id
   * @param {StoreRange} range
   */
  clear(id, { kind, from, to }) {
    const where = "conversation = ? AND kind = ? AND number >= ? AND number < ?";
    this.rows(`DELETE FROM epitome_records WHERE ${where}`, id, KINDS.indexOf(kind), from, to);
  }

  /**
   * @private
   * @param {number} id
   * @param {StoreRecord} record
   */
  put(id, { kind, number, text }) {
    const insert =
      "INSERT OR REPLACE INTO epitome_records (conversation, kind, number, part, text) VALUES (?, ?, ?, ?, ?)";
    const parts = partsOf(text);
    for (const [part, piece] of parts.entries()) this.rows(insert, id, KINDS.indexOf(kind), number, part, piece);
    // Those of a longer text that was there before.
    const rest = "DELETE FROM epitome_records WHERE conversation = ? AND kind = ? AND number = ? AND part >= ?";
    this.rows(rest, id, KINDS.indexOf(kind), number, parts.length);
  }

  /**
   * @private
   * @param {string} statement
   * @param {...(string | number)} values
   * @returns {any[]}
   */
  rows(statement, ...values) {
    return [...this.storage.sql.exec(statement, ...values)];
  }
}

/**
 * A text in pieces that a row can hold, none of which ends within a character.
 *
 * @param {string} text
 */
function partsOf(text) {
  const parts = [];
  let from = 0;
  do {
    let to = Math.min(from + PART, text.length);
    const isCut = to < text.length && /[\uD800-\uDBFF]/.test(text.charAt(to - 1));
    if (isCut) to -= 1;
    parts.push(text.slice(from, to));
    from = to;
  } while (from < text.length);
  return parts;
}

/**
 * @param {any} error
 * @param {string} call
 */
function classified(error, call) {
  const message = String(error?.message);
  if (/SQLITE_FULL|SQLITE_TOOBIG|exceeded allowed storage/i.test(message)) {
    return storeError("quota", `${call}: ${message}`, { cause: error });
  }
  if (/SQLITE_(?:CORRUPT|NOTADB)/.test(message))
    return storeError("corrupted", `${call}: ${message}`, { cause: error });
  if (/SQL is not enabled/.test(message)) return withoutSqlite(error);
  return storeErrorOf(error, { call, writes: false });
}

/** @param {unknown} [cause] */
function withoutSqlite(cause) {
  const message =
    "this Durable Object has no SQLite storage; declare its class in `new_sqlite_classes` of a migration in the Worker's configuration";
  return storeError("unavailable", message, cause === undefined ? {} : { cause });
}
