import type { Signal } from "./providers/index.js";

/** What kind of failure of a store. */
export type StoreClass =
  /** The conversation has been written to meanwhile. */
  | "conflict"
  /** There is no room left; nothing was written. */
  | "quota"
  /** Another tab or process keeps the store from being opened; worth trying again. */
  | "blocked"
  /** The connection broke off. Whether a batch under way was written is not known. */
  | "lost"
  /** There is no such storage here: private browsing, an insecure origin, no permission, no such folder. */
  | "unavailable"
  /** The conversation was there, and is gone: the browser made room, or somebody deleted it. */
  | "evicted"
  /** What was read is not what was written. */
  | "corrupted"
  /** The store was written by a newer version of Epitome, which this one cannot read. */
  | "newer"
  /** Anything else; nothing was written. */
  | "failed"
  /** The store has been closed. */
  | "closed";

/** What a record of a store is for. Which texts those are is the business of the session. */
export type StoreKind = "head" | "state" | "entry" | "overflow" | "compaction";

/** One text under its key. */
export interface StoreRecord {
  readonly kind: StoreKind;
  /** Which one of its kind: a whole number, `Number.MAX_SAFE_INTEGER` at most. */
  readonly number: number;
  /** JSON. */
  readonly text: string;
}

/** The records of one kind with numbers from `from` up to, and without, `to` (2^53 at most). */
export interface StoreRange {
  readonly kind: StoreKind;
  readonly from: number;
  readonly to: number;
}

/** What a store tells of a conversation without reading it. Nothing of its content. */
export interface About {
  /** When it began, Unix time, milliseconds. */
  readonly createdMs: number;
  /** When it was written to last, Unix time, milliseconds. */
  readonly updatedMs: number;
  /** How many messages it has, those of abandoned branches included. */
  readonly entries: number;
}

/** What is written at once. Deletions come before writes: a record that is in both is there afterwards. */
export interface StoreBatch {
  readonly conversation: string;
  /** The revision that the conversation must have; 0 when it must not exist yet. */
  readonly expected: number;
  /** Records to write, each key at most once; those that exist are replaced. */
  readonly puts: readonly StoreRecord[];
  readonly deletes: readonly StoreRange[];
  /** What {@link Store.list} says of it from now on. */
  readonly about: About;
}

/** One conversation of a store. */
export interface ListedConversation {
  readonly conversation: string;
  /** How many batches it has had. */
  readonly revision: number;
  readonly about: About;
}

/** Which conversations to list. */
export interface ListPage {
  /** The last one of the page before; from the beginning without. */
  readonly after?: string | undefined;
  /** How many at most. */
  readonly limit?: number | undefined;
}

/** What every call of a store takes. */
export interface StoreCallOptions {
  readonly signal?: Signal | undefined;
}

/**
 * Keeps conversations: what a host gives a session that should keep them where no ready store does. Each call is one
 * transaction.
 *
 * What is thrown becomes an `EpitomeError`: an error with one of the codes `store_...` keeps it, a full disk
 * (`QuotaExceededError`, `ENOSPC`, `EDQUOT`) is `store_quota`, a place that is not there or not allowed (`ENOENT`,
 * `EACCES`, `SecurityError`...) is `store_unavailable`. Anything else is `store_failed` for calls that read, and
 * `store_lost` for `commit` and `delete`: nobody knows then whether it was written, and the session finds out. Throw
 * `{ code: "store_failed", message }` where you know that nothing was. A call has 30 seconds, then its signal is aborted
 * and it counts as `store_lost` (`store_failed` for calls that read). Messages of errors are passed on: do not write
 * into them what is kept.
 *
 * @example
 * ```ts
 * const rows: Store = {
 *   load: (conversation, ranges) => api.post("/load", { conversation, ranges }),
 *   list: (page) => api.post("/list", page),
 *   commit: (batch, { signal }) => api.post("/commit", batch, { signal }),
 *   delete: (conversation) => api.post("/delete", { conversation }),
 *   close: async () => {},
 * };
 * ```
 */
export interface Store {
  /**
   * Reads records of one conversation, all of them from one moment: in the order of `ranges`, and within a range by
   * number. Numbers that do not exist are left out. A conversation that does not exist has revision 0 and no records.
   */
  load(
    conversation: string,
    ranges: readonly StoreRange[],
    options: { readonly signal: Signal },
  ): Promise<{ readonly revision: number; readonly records: readonly StoreRecord[] }>;

  /**
   * The conversations that there are, at most `limit` of them, in an order of the store's own that stays the same,
   * beginning after `after`.
   */
  list(
    page: { readonly after?: string; readonly limit: number },
    options: { readonly signal: Signal },
  ): Promise<readonly ListedConversation[]>;

  /**
   * Writes a batch, all of it or nothing, if the conversation still has the revision that the batch expects; answers with
   * the new revision, which is one more, once it is durable. Otherwise writes nothing and answers with the revision that
   * it has as `conflict`.
   */
  commit(
    batch: StoreBatch,
    options: { readonly signal: Signal },
  ): Promise<{ readonly revision: number } | { readonly conflict: number }>;

  /** Deletes a conversation with everything that was ever kept of it. One that does not exist is no error. */
  delete(conversation: string, options: { readonly signal: Signal }): Promise<void>;

  /** Lets go of whatever is held open. Every call after that fails with `store_closed`. Closing again does nothing. */
  close(): Promise<void>;
}

/** What a host can ask a ready store itself. */
export interface StoreOfHost {
  /**
   * The conversations that there are, at most `limit` of them (default 100), beginning after `after`.
   *
   * @throws `EpitomeError` with a code `store_...`, or `aborted`
   * @example
   * ```ts
   * for (const { conversation, about } of await store.list({ limit: 20 })) {
   *   console.log(conversation, new Date(about.updatedMs), about.entries);
   * }
   * ```
   */
  list(page?: ListPage & StoreCallOptions, options?: StoreCallOptions): Promise<ListedConversation[]>;

  /**
   * Deletes a conversation with everything that was ever kept of it. One that does not exist is no error.
   *
   * @example
   * ```ts
   * await store.delete("chat-42", { signal: AbortSignal.timeout(5_000) });
   * ```
   */
  delete(conversation: string, options?: StoreCallOptions): Promise<void>;

  /**
   * Lets go of whatever is held open. Every call after that fails with `store_closed`. Closing again does nothing.
   *
   * @example
   * ```ts
   * await store.close();
   * ```
   */
  close(): Promise<void>;
}

/** A {@link Store} that comes with this package. */
export interface ReadyStore extends StoreOfHost {
  load(
    conversation: string,
    ranges: readonly StoreRange[],
    options?: StoreCallOptions,
  ): Promise<{ revision: number; records: StoreRecord[] }>;
  commit(batch: StoreBatch, options?: StoreCallOptions): Promise<{ revision: number } | { conflict: number }>;
}

/** A store in the browser's own database, which sessions use without a way through the host. */
export interface IndexedDbStore extends StoreOfHost {
  /**
   * Whether the browser keeps what is stored for this site until the user deletes it, instead of making room with it when
   * it needs some. With `persist: true` this is the answer to the request; the browser may ask the user first.
   *
   * @example
   * ```ts
   * if (!(await store.persisted())) suggestExport();
   * ```
   */
  persisted(options?: StoreCallOptions): Promise<boolean>;
}

/** How an {@link indexedDb} keeps conversations. */
export interface IndexedDbOptions {
  /** Of the database; default `epitome`. */
  readonly name?: string | undefined;
  /**
   * When a write counts as durable: `"strict"` when the disk has it, `"relaxed"` when the operating system has it, which
   * is faster and may lose the last writes when the machine (not just the browser) stops. Default `"strict"`.
   */
  readonly durability?: "strict" | "relaxed" | undefined;
  /** Ask the browser once not to make room by deleting this site's data (`navigator.storage.persist()`). Default false. */
  readonly persist?: boolean | undefined;
  /** Encrypts what is kept. */
  readonly codec?: StoreCodec | undefined;
}

/** What a host does with texts before they are kept, and after they were read. */
export interface StoreCodec {
  encode(text: string): string | Uint8Array | Promise<string | Uint8Array>;
  decode(stored: string | Uint8Array): string | Promise<string>;
}

/**
 * A store that is gone with the page or process.
 *
 * @example
 * ```ts
 * const store = memory();
 * ```
 */
export function memory(): ReadyStore;

/**
 * A store in the browser's own database (IndexedDB): conversations outlive reloads and crashes, and tabs and workers of
 * one origin share them. Sessions of the same store object share one connection. Where there is no IndexedDB, its calls
 * fail with `store_unavailable`.
 *
 * @example
 * ```ts
 * const store = indexedDb({ persist: true });
 * ```
 */
export function indexedDb(options?: IndexedDbOptions): IndexedDbStore;
