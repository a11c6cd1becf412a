// Stores as a user meets them. A line below `@ts-expect-error` must not compile.

import {
  type About,
  EpitomeError,
  type ErrorCode,
  type ErrorDetails,
  type IndexedDbOptions,
  type IndexedDbStore,
  indexedDb,
  type ListedConversation,
  memory,
  type ReadyStore,
  type Store,
  type StoreBatch,
  type StoreClass,
  type StoreCodec,
  type StoreKind,
  type StoreOfHost,
  type StoreRange,
  type StoreRecord,
} from "epitome";
import type * as session from "epitome/session";
import { type DurableObjectStorage, durableObject } from "epitome/stores/durable-object";
import { nodeFs } from "epitome/stores/node-fs";
import { type KvNamespace, workersKv } from "epitome/stores/workers-kv";

/** Both types are one. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_T extends true>() => {};

holds<Same<typeof session.memory, typeof memory>>();
holds<Same<Extract<ErrorCode, `store_${string}`>, `store_${StoreClass}`>>();
holds<Same<ErrorDetails["store_conflict"]["revision"], number | undefined>>();
// @ts-expect-error there is no such failure
const noClass: StoreClass = "broken";
void noClass;

// What every ready store does for the host.
const signal = AbortSignal.timeout(1_000);
declare const namespace: KvNamespace;
declare const storage: DurableObjectStorage;
const ready: ReadyStore[] = [memory(), nodeFs("folder"), nodeFs(new URL("file:///folder")), durableObject(storage)];
ready.push(workersKv(namespace), workersKv(namespace, { prefix: "chats/" }));
const database: IndexedDbStore = indexedDb();
const stores: StoreOfHost[] = [...ready, database];
for (const store of stores) {
  const listed: ListedConversation[] = await store.list();
  await store.list({ after: "a", limit: 5, signal });
  await store.list({ limit: 5 }, { signal });
  const about: About | undefined = listed[0]?.about;
  const times: number[] = [about?.createdMs ?? 0, about?.updatedMs ?? 0, about?.entries ?? 0];
  void times;
  await store.delete("chat", { signal });
  await store.close();
  // @ts-expect-error a conversation is named by a text
  await store.delete(5);
}
const kept: boolean = await database.persisted({ signal });
void kept;

// Each of those that are JavaScript is a store as a host may write one.
const asStores: Store[] = ready;
void asStores;
// @ts-expect-error what is in Rust is not
const inRust: Store = database;
void inRust;

// A store of the host.
const kinds: StoreKind[] = ["head", "state", "entry", "overflow", "compaction"];
const records: StoreRecord[] = kinds.map((kind, number) => ({ kind, number, text: "{}" }));
const own: Store = {
  async load(conversation: string, ranges: readonly StoreRange[], { signal }) {
    signal.throwIfAborted();
    const within = records.filter(({ kind, number }) => ranges.some((r) => r.kind === kind && number >= r.from));
    return { revision: conversation.length, records: within };
  },
  async list({ after = "", limit }) {
    return [{ conversation: after, revision: limit, about: { createdMs: 0, updatedMs: 0, entries: 0 } }];
  },
  async commit({ conversation, expected, puts, deletes, about }: StoreBatch) {
    void [conversation, puts[0]?.text, deletes[0]?.to, about.entries];
    return expected > 0 ? { conflict: 0 } : { revision: 1 };
  },
  async delete(_conversation, { signal }) {
    signal.throwIfAborted();
  },
  async close() {},
};
void own;
// @ts-expect-error a commit has to say what came of it
const silent: Store = { ...own, commit: async () => {} };
void silent;

// IndexedDB, and what stands between it and the texts.
const codec: StoreCodec = {
  encode: async (text) => new TextEncoder().encode(text),
  decode: (stored) => String(stored),
};
const options: IndexedDbOptions = { name: "chats", durability: "relaxed", persist: true, codec };
indexedDb(options);
// @ts-expect-error there is no such durability
indexedDb({ durability: "eventual" });
// @ts-expect-error both halves belong together
indexedDb({ codec: { encode: (text) => text } });

// @ts-expect-error a folder is needed
nodeFs();
// @ts-expect-error no KV namespace
workersKv({});
// @ts-expect-error no storage
durableObject({});

/** The types of Cloudflare, as far as these functions take them. */
interface SqlStorageCursor<T extends Record<string, ArrayBuffer | string | number | null>> {
  next(): { done?: false; value: T } | { done: true; value?: never };
  toArray(): T[];
  one(): T;
  [Symbol.iterator](): IterableIterator<T>;
}
interface RealStorage {
  sql: {
    exec<T extends Record<string, ArrayBuffer | string | number | null>>(
      query: string,
      ...bindings: unknown[]
    ): SqlStorageCursor<T>;
    get databaseSize(): number;
  };
  transactionSync<T>(closure: () => T): T;
  sync(): Promise<void>;
  get<T = unknown>(key: string): Promise<T | undefined>;
}
interface RealNamespace {
  get(key: string, options?: { cacheTtl?: number }): Promise<string | null>;
  get(key: string, type: "text"): Promise<string | null>;
  get<Value = unknown>(key: string, type: "json"): Promise<Value | null>;
  put(
    key: string,
    value: string | ArrayBuffer | ArrayBufferView | ReadableStream,
    options?: { expirationTtl?: number; metadata?: object | null },
  ): Promise<void>;
  delete(key: string): Promise<void>;
  list<Metadata = unknown>(options?: {
    limit?: number;
    prefix?: string | null;
    cursor?: string | null;
  }): Promise<
    | {
        list_complete: false;
        keys: { name: string; metadata?: Metadata }[];
        cursor: string;
        cacheStatus: string | null;
      }
    | { list_complete: true; keys: { name: string; metadata?: Metadata }[]; cacheStatus: string | null }
  >;
}
declare const realStorage: RealStorage;
declare const realNamespace: RealNamespace;
durableObject(realStorage);
workersKv(realNamespace);

const error = new EpitomeError("store_conflict", "too late", { details: { revision: 4 } });
void error.details.revision;
