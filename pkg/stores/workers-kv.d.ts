import type { ReadyStore } from "../stores.js";

/** What is used of a KV namespace. */
export interface KvNamespace {
  get(key: string, type: "text"): Promise<string | null>;
  put(key: string, value: Uint8Array, options: { metadata: object }): Promise<void>;
  delete(key: string): Promise<void>;
  list(options: { prefix: string; cursor?: string }): Promise<{
    readonly keys: readonly { readonly name: string; readonly metadata?: unknown }[];
    readonly list_complete: boolean;
    readonly cursor?: string;
  }>;
}

/** Options of {@link workersKv}. */
export interface WorkersKvOptions {
  /** What every key begins with; default `epitome/`. */
  readonly prefix?: string | undefined;
}

/**
 * Conversations in Workers KV, for what is read in many places and written rarely, e.g. finished conversations that are
 * shown again. Keep conversations that go on in a Durable Object.
 *
 * What KV cannot promise, this store does not:
 *
 * - **Two writers.** KV does not compare before it writes. Commits through one store object are checked against each
 *   other; two isolates that write to one conversation at the same time both succeed, and one loses what it wrote.
 * - **Fresh reads.** Elsewhere a write shows after up to 60 seconds, or later; until then the conversation as it was
 *   before is read (whole, never half of a batch), or none. The store object that wrote it reads what it wrote.
 * - **Fast writes.** One write per second and conversation: a faster one waits up to some seconds, then fails with
 *   `store_blocked`. Every commit writes the whole conversation, 25 MiB at most (`store_quota` beyond that).
 * - **Deleted for good.** `delete` deletes at once, but what was deleted can be read elsewhere for as long as a write
 *   takes to show.
 *
 * The name of a conversation is part of its key where it fits (512 bytes), and of its value.
 *
 * @example
 * ```ts
 * import { workersKv } from "epitome/stores/workers-kv";
 * const archive = workersKv(env.CONVERSATIONS);
 * ```
 */
export function workersKv(namespace: KvNamespace, options?: WorkersKvOptions): ReadyStore;
