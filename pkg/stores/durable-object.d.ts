import type { ReadyStore } from "../stores.js";

/** What is used of the storage of a Durable Object (`ctx.storage`), which has to be of the kind with SQLite. */
export interface DurableObjectStorage {
  readonly sql: {
    exec(
      query: string,
      ...bindings: (string | number)[]
    ): Iterable<Record<string, ArrayBuffer | string | number | null>>;
  };
  transactionSync<T>(closure: () => T): T;
  sync(): Promise<void>;
}

/**
 * Conversations in the SQLite storage of a Cloudflare Durable Object, in tables whose names begin with `epitome_`. Each
 * call is one transaction, and what was written is on the disk when it resolves.
 *
 * One object runs in one place, so all its sessions share this store and there is nobody else to be in conflict with:
 * route all requests for a conversation to the same object. The class has to be listed in `new_sqlite_classes` of a
 * migration, else calls fail with `store_unavailable`. An object holds 10 GB at most (`store_quota` beyond that).
 *
 * @example
 * ```ts
 * import { DurableObject } from "cloudflare:workers";
 * import { durableObject } from "epitome/stores/durable-object";
 *
 * export class Chat extends DurableObject {
 *   store = durableObject(this.ctx.storage);
 * }
 * ```
 */
export function durableObject(storage: DurableObjectStorage): ReadyStore;
