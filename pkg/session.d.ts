/**
 * Everything that `epitome` exports, in one module together with what talks to models: import from here alone, and only
 * one WebAssembly module is loaded. And {@link Session}, which only this has.
 *
 * @packageDocumentation
 */

import type {
  Budget,
  ErrorCode,
  FitResult,
  Format,
  IndexedDbStore,
  Plan,
  Policy,
  ProgressEvent,
  Providers,
  Store,
  Tier,
  TokenCounter,
} from "./index.js";
import type { Signal } from "./providers/index.js";

export * from "./index.js";

/** Number of a message: counts up from 0 in the order in which messages were written, and never changes. */
export type EntryId = number;

/** What every call of a session takes. */
export interface CallOptions {
  /** Gives the call up: it rejects with `aborted`. The conversation is then as it was, or as it should be. */
  readonly signal?: Signal | undefined;
}

/** What a session is opened with. */
export interface SessionOptions extends CallOptions {
  /** Name of the conversation, 1 to 1,000 characters. Stores keep it readable: do not put secrets into it. */
  readonly id: string;
  /** How many tokens the input of the model may have; a `Budget` has thresholds below its limit, a number has none. */
  readonly budget: number | Budget;
  /** Where it is kept; default `memory()`, which is gone with the page or process. */
  readonly store?: SessionStore | undefined;
  /** Who writes the summaries; without any, they are made without a model. */
  readonly provider?: Providers | undefined;
  /** Counts tokens. Default: the built-in heuristic, which errs on the safe side. */
  readonly tokens?: "heuristic" | TokenCounter | undefined;
  /** Tunables. */
  readonly policy?: Partial<Policy> | undefined;
  /** The format of the messages; default `"openai-chat"`. It stays the same for the life of a conversation. */
  readonly format?: Format | undefined;
  /** Reserved for model-specific counts. */
  readonly model?: string | undefined;
  /** What the user is working on, for the strategies that ask. */
  readonly goal?: string | undefined;
  /** A system prompt that is sent beside the messages: counted, never kept. */
  readonly system?: unknown;
  /** Tool definitions that are sent beside the messages: counted, never kept. */
  readonly tools?: unknown;
  /** What every summary has to heed, in words for the model. */
  readonly instructions?: string | undefined;
  /**
   * Tool results longer than `threshold` characters (default 50,000) are shown with `keep` of them (default 8,000), and
   * kept whole. `false`: none are.
   */
  readonly overflow?:
    | { readonly threshold?: number | undefined; readonly keep?: number | undefined }
    | false
    | undefined;
  /**
   * How long the whole of those is kept: at most so many milliseconds, at most so many bytes together. Default: for ever.
   * What the view shows shortened is always kept whole.
   */
  readonly retention?: { readonly maxAgeMs?: number | undefined; readonly maxBytes?: number | undefined } | undefined;
  /** Takes out of a text what must not reach a model, after `policy.redact` has been applied. */
  readonly redact?: ((text: string) => string) | undefined;
  /** Hears of requests, answers and failures. */
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
  /** After so many milliseconds a call asks no model any more, and waits for none. */
  readonly timeoutMs?: number | undefined;
}

/**
 * A store for sessions. Those of tabs and workers that share one hear of each other's writes when it says what it is
 * called among them (`indexedDb()` does by itself).
 */
export type SessionStore = (Store | IndexedDbStore) & { readonly shared?: string | undefined };

/** A message of a conversation, as it was given. */
export interface Entry<M extends object = object> {
  readonly id: EntryId;
  readonly message: M;
  /** When it was appended, Unix time, milliseconds. */
  readonly time: number;
  /** Its size as it was first shown, tokens. */
  readonly tokens: number;
  /** Whether it is kept from being edited. */
  readonly pinned: boolean;
  /** How the view shows it: as it was given, pruned or shortened, or not at all (or as part of a summary). */
  readonly visibility: "shown" | "edited" | "hidden";
  /** Its whole is no longer kept: this is what was shown of it. */
  readonly shortened: boolean;
}

/** What was found of what a view no longer shows. */
export interface Recalled<M extends object = object> extends Entry<M> {
  /** How well it fits (BM25). Comparable within one search. */
  readonly score: number;
  /** The passage that fits best, at most 600 characters. */
  readonly excerpt: string;
}

/** What `prepare`, `compactNow` and `apply` give. Indices of report and patch mean the view before. */
export interface SessionResult<M extends object = object> extends FitResult<M> {
  /** The entry of each message of the view before; `null` for summaries. */
  readonly entries: (EntryId | null)[];
  /** The number of the compaction, if one was made. */
  readonly compaction?: number;
}

/** What an array of the host came to. */
export interface Synced {
  /** Entries that were appended: the last messages of the array, in their order. */
  readonly appended: EntryId[];
  /** Entries that are no longer on the branch. They are kept. */
  readonly replaced: EntryId[];
  /** The last entry that the new branch has in common with the old one (`null`: none), when there is a new one. */
  readonly branchedAt?: EntryId | null;
  /** The last entry, whose message has grown: it was written anew, under the same number. */
  readonly grown?: EntryId;
}

/** One compaction, as it was made. */
export interface CompactionInfo {
  /** Its number; counts up from 0. */
  readonly id: number;
  /** The compaction whose view it was made from. */
  readonly parent: number | null;
  /** The last entry of that view. */
  readonly through: EntryId | null;
  /** Whether the view is made by it, or by one that was made from it. */
  readonly inForce: boolean;
  /** Whether it was taken back. */
  readonly undone: boolean;
  /** When, Unix time, milliseconds. */
  readonly time: number;
  readonly tier: Tier;
  /** Size of the view before and after, tokens. */
  readonly tokensBefore: number;
  readonly tokensAfter: number;
  /** Entries that it hid, as ranges `from..to` (end exclusive). */
  readonly hidden: readonly (readonly [EntryId, EntryId])[];
  /** Entries that it pruned or shortened. */
  readonly edited: readonly EntryId[];
  /** The text of its newest summary. */
  readonly summary: string | null;
  /** Requests to models that it took. */
  readonly requests: number;
  /** Version of Epitome that made it. */
  readonly engine: string;
  /** XXH64 of the messages that it was made from, 16 hexadecimal digits. */
  readonly sourceHash: string;
}

/** How large the view is, and what its size is spent on, tokens. */
export interface Meter {
  /** Size of the view, with what is sent beside it: the sum of `overhead` to `summaries`. */
  readonly tokens: number;
  /** What it must not exceed. */
  readonly limit: number;
  /** What is left. */
  readonly free: number;
  /** From here on results are pruned. */
  readonly soft: number;
  /** From here on messages are summarised. */
  readonly hard: number;
  /** System prompt and tool definitions given beside the messages. */
  readonly overhead: number;
  readonly system: number;
  readonly user: number;
  readonly assistant: number;
  readonly toolCalls: number;
  readonly toolResults: number;
  readonly summaries: number;
  /** How many entries the conversation has on this branch. */
  readonly entries: number;
  /** How many messages the view has. */
  readonly messages: number;
  /** How many entries the view does not show. */
  readonly hidden: number;
  /** What the provider counts for a token of ours; `null` as long as {@link Session.reportUsage} was not called. */
  readonly ratio: number | null;
}

/** What a session does just now. */
export type SessionStatus =
  | "soft-compacting"
  | "compacting"
  | "compressing"
  | "summarizing-tools"
  | "exhausted"
  | "idle";

/** Something that is no error: what went wrong without stopping a call, or behind the host's back. */
export interface SessionWarning {
  readonly code: ErrorCode | "summary_left_out" | "summary_refused" | "attachment_estimated" | "previous_ignored";
  readonly message: string;
}

/** What a session tells, by name. */
export interface SessionEvents {
  /** What it does just now. */
  status: SessionStatus;
  /** A compaction is in force. */
  compaction: CompactionInfo;
  warning: SessionWarning;
  /** The conversation was written to: by this session (`local`), or by another one. */
  changed: { readonly revision: number; readonly local: boolean };
}

/** What a provider says a request has cost, in whichever words. The first that is there counts. */
export type SessionUsage =
  | { readonly prompt_tokens: number | null | undefined }
  | {
      readonly input_tokens: number | null | undefined;
      readonly cache_read_input_tokens?: number | null | undefined;
      readonly cache_creation_input_tokens?: number | null | undefined;
    }
  | { readonly inputTokens: number | { readonly total: number | undefined } | null | undefined }
  | { readonly promptTokenCount?: number | null | undefined }
  | { readonly promptTokens: number | null | undefined };

/** How to declare the tool `recall` to a model. */
export interface RecallTool {
  readonly name: "recall";
  readonly description: string;
  /** JSON Schema. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

type AsyncDisposing = SymbolConstructor extends { readonly asyncDispose: infer Key extends symbol }
  ? { [K in Key]: () => Promise<void> }
  : object;

/** For `await using`, where the runtime has it: as {@link Session.close}. */
// biome-ignore lint/correctness/noUnusedVariables: both declarations must have the same parameters
export interface Session<M extends object = object> extends AsyncDisposing {}

/**
 * A conversation that outlives the program: every message that was ever appended, and compactions beside them, over a
 * {@link Store}. What goes to the model is its {@link Session.view}, which {@link Session.prepare} keeps within the budget.
 *
 * Calls may be made concurrently: they queue up. Several sessions, in this program, in other tabs or on other machines, may
 * work on one conversation. A session that nobody holds any more is freed.
 *
 * Messages are kept as JSON: anything else in them (binary data, dates, class instances, functions) is `invalid_input`.
 * A message that no edit touches is the very object that was appended, as long as the view shows it; changing that object
 * afterwards changes nothing that is kept, only what you are shown.
 *
 * @example
 * ```ts
 * import { indexedDb, Session } from "epitome/session";
 * const session = await Session.open({ id: "chat-42", budget: { window: 128_000 }, store: indexedDb() });
 * await session.append({ role: "user", content: question });
 * const { messages } = await session.prepare();
 * await session.append(await askModel(messages));
 * ```
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: a class has no member that only some runtimes' types know
export class Session<M extends object = object> {
  private constructor();

  /**
   * Opens a conversation, or begins it. Nothing is written before the first message. In browsers it loads the module, as
   * `init()` does.
   *
   * @throws `EpitomeError` `invalid_option`, `unknown_format`, `aborted`, any `store_...`
   * @example
   * ```ts
   * const session = await Session.open({ id: "chat-42", budget: { window: 128_000 } });
   * ```
   */
  static open<M extends object = object>(options: SessionOptions): Promise<Session<M>>;

  /**
   * Writes an exported conversation to a store, under a name that is free there, and opens it.
   *
   * @throws `EpitomeError` `invalid_input` for what is no such file or not all of it, `invalid_option` for a name that is
   * taken
   * @example
   * ```ts
   * const session = await Session.import(await file.text(), { id: "imported", budget: { window: 128_000 }, store });
   * ```
   */
  static import<M extends object = object>(file: string, options: SessionOptions): Promise<Session<M>>;

  /** Name of the conversation. */
  readonly id: string;

  /**
   * Adds messages at the end. They are durable when it resolves; all of them or none.
   *
   * @example
   * ```ts
   * const [id] = await session.append({ role: "user", content: "Hello" });
   * ```
   */
  append(messages: M | readonly M[], options?: CallOptions): Promise<EntryId[]>;

  /**
   * Brings the conversation to what your array says, with as little as that takes, for hosts that own the array: what is
   * new is appended, a last message that its model is still writing grows, and where the array differs before that, a
   * branch begins. Call it as often as you like, also while a message streams in.
   *
   * @example
   * ```ts
   * await session.sync(chat.messages);
   * ```
   */
  sync(messages: readonly M[], options?: CallOptions): Promise<Synced>;

  /**
   * What is done before a request to the model: the history is compacted where it has grown too large, and what to send is
   * returned. With `wait: "never"` no model is waited for: what fits now is returned, the summary is written behind it,
   * and takes its place in a later view.
   *
   * @throws `EpitomeError` `irreducible_budget`, `aborted`, any `store_...`, `closed`
   * @example
   * ```ts
   * const { messages, report } = await session.prepare({ wait: "never" });
   * ```
   */
  prepare(options?: CallOptions & { readonly wait?: "auto" | "never" | undefined }): Promise<SessionResult<M>>;

  /**
   * Compacts now, whatever thresholds and guards say.
   *
   * @example
   * ```ts
   * await session.compactNow({ instructions: "Keep every file name." });
   * ```
   */
  compactNow(options?: CallOptions & { readonly instructions?: string | undefined }): Promise<SessionResult<M>>;

  /**
   * What compacting now would do. Nothing changes.
   *
   * @example
   * ```ts
   * const plan = await session.plan();
   * if (confirm(`Save ${plan.report.before - plan.report.after} tokens?`)) await session.apply(plan);
   * ```
   */
  plan(options?: CallOptions): Promise<Plan<M>>;

  /**
   * Carries a plan out, also after a JSON round trip. `stale_plan` when the view has changed since.
   *
   * @example
   * ```ts
   * const { messages } = await session.apply(await session.plan());
   * ```
   */
  apply(plan: Plan<M>, options?: CallOptions): Promise<SessionResult<M>>;

  /**
   * What goes to the model, as things stand.
   *
   * @throws `EpitomeError` `closed`
   * @example
   * ```ts
   * console.log(session.view().length);
   * ```
   */
  view(): M[];

  /**
   * How large the view is, and what its size is spent on.
   *
   * @example
   * ```ts
   * const { tokens, limit } = session.meter();
   * ```
   */
  meter(): Meter;

  /**
   * Every message of this branch as it was given, oldest first, hidden ones included: for the UI. `limit` gives the last
   * ones, `before` those before an entry. Read in pieces, as you go.
   *
   * @example
   * ```ts
   * for await (const { id, message, visibility } of session.history({ limit: 50 })) show(id, message, visibility);
   * ```
   */
  history(
    options?: CallOptions & { readonly before?: EntryId | undefined; readonly limit?: number | undefined },
  ): AsyncGenerator<Entry<M>, void, void>;

  /**
   * One message as it was given, of whichever branch; or, for a text, what fits it best of all that the view shows edited
   * or not at all.
   *
   * @example
   * ```ts
   * const { message } = await session.recall(12);
   * const [best] = await session.recall("error in parser.rs", { limit: 5 });
   * ```
   */
  recall(id: EntryId, options?: CallOptions): Promise<Entry<M>>;
  recall(
    query: string,
    options?: CallOptions & {
      /** How many; default 10. */
      readonly limit?: number | undefined;
    },
  ): Promise<Recalled<M>[]>;

  /**
   * The tool with which a model reads what it no longer sees. Declare it, set `policy.recallDeclared`, and answer its
   * calls with {@link Session.answerRecall}.
   *
   * @example
   * ```ts
   * const tools = [{ type: "function", function: session.recallTool }];
   * ```
   */
  readonly recallTool: RecallTool;

  /**
   * Answers a call of the tool `recall`, in words for the model, also where its arguments make no sense.
   *
   * @example
   * ```ts
   * const content = await session.answerRecall(call.function.arguments);
   * await session.append({ role: "tool", tool_call_id: call.id, content });
   * ```
   */
  answerRecall(
    args: string | Readonly<Record<string, unknown>>,
    options?: CallOptions & {
      /** Longest answer; default 20,000. */
      readonly maxCharacters?: number | undefined;
    },
  ): Promise<string>;

  /**
   * All compactions, oldest first, undone ones included.
   *
   * @example
   * ```ts
   * const newest = (await session.compactions()).findLast(({ inForce }) => inForce);
   * ```
   */
  compactions(options?: CallOptions): Promise<CompactionInfo[]>;

  /**
   * Keeps a message from being edited from now on. What is hidden or edited already stays so.
   *
   * @example
   * ```ts
   * await session.pin(id);
   * ```
   */
  pin(id: EntryId, options?: CallOptions): Promise<void>;

  /**
   * Takes a pin off.
   *
   * @example
   * ```ts
   * await session.unpin(id);
   * ```
   */
  unpin(id: EntryId, options?: CallOptions): Promise<void>;

  /**
   * Takes a compaction back, by default the newest, and with it those that were made from it. Gives their numbers, newest
   * first. `cannot_undo` when it is not in force.
   *
   * @example
   * ```ts
   * await session.undo();
   * ```
   */
  undo(compactionId?: number, options?: CallOptions): Promise<number[]>;

  /**
   * Goes back to an entry, or over to one on another branch: what is appended follows it. What came after it stays in the
   * store, and can be gone back to in the same way.
   *
   * @example
   * ```ts
   * await session.branch(3);
   * await session.append({ role: "user", content: "Let me put it differently." });
   * ```
   */
  branch(entryId: EntryId, options?: CallOptions): Promise<void>;

  /**
   * The provider has counted what was sent last: hand over the `usage` of its answer. Where it counts more than we do, the
   * limit is lowered by as much.
   *
   * @example
   * ```ts
   * await session.reportUsage(response.usage);
   * ```
   */
  reportUsage(usage: SessionUsage, options?: CallOptions): Promise<void>;

  /**
   * Tells `listener` of every event of that name, until the function that it returns is called. Listeners may use the
   * session.
   *
   * @example
   * ```ts
   * const off = session.on("changed", ({ local }) => local || render(session.view()));
   * ```
   */
  on<Name extends keyof SessionEvents>(name: Name, listener: (event: SessionEvents[Name]) => void): () => void;

  /**
   * The conversation with everything that is kept of it, as JSON Lines.
   *
   * @example
   * ```ts
   * const file = new Blob([await session.export()], { type: "application/jsonl" });
   * ```
   */
  export(options?: CallOptions): Promise<string>;

  /**
   * Deletes the conversation with everything that was kept of it, and closes the session.
   *
   * @example
   * ```ts
   * await session.delete();
   * ```
   */
  delete(options?: CallOptions): Promise<void>;

  /**
   * Ends the session: calls that wait fail with `closed`, requests to models are given up, nothing is written any more.
   * Resolves when what was being written just then is. The store stays open, since others may use it.
   *
   * @example
   * ```ts
   * await session.close();
   * ```
   */
  close(): Promise<void>;
}
