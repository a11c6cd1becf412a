/**
 * Epitome keeps an LLM conversation inside its context window.
 *
 * Give it any provider's messages and a budget; get back messages that the provider accepts and that fit, with every
 * untouched message identical (`===`), and a way back to the original.
 *
 * @example
 * ```ts
 * import { init, fit, undo } from "epitome";
 * await init(); // a no-op in Node and Workers
 * const { messages, report, patch } = fit(history, { budget: 8_000 });
 * const original = undo({ messages, report, patch });
 * ```
 * @packageDocumentation
 */

import type { Instance, ProgressEvent, Providers, Signal } from "./providers/index.js";
import type { StoreClass } from "./stores.js";

export type {
  ProgressEvent,
  ProviderAnswer,
  ProviderFunction,
  ProviderLimits,
  ProviderList,
  ProviderRequest,
  Providers,
  Purpose,
} from "./providers/index.js";
export * from "./stores.js";

/** Message formats this version reads and writes. Detected when not given. */
export type Format = "openai-chat";

type WasmModule = typeof globalThis extends { WebAssembly: infer Api } ? Instance<"Module", Api> : never;

/** What `init` accepts in a browser: where the `.wasm` is (an address or a request), a response, bytes, or the module. */
export type InitInput =
  | string
  | Instance<"URL">
  | Instance<"Request">
  | Instance<"Response">
  | ArrayBuffer
  | ArrayBufferView
  | WasmModule;

/**
 * Loads the WebAssembly module. Needed once in browsers; a no-op in Node and Workers. Safe to call many times and
 * concurrently.
 *
 * @example
 * ```ts
 * await init();
 * ```
 */
export function init(input?: InitInput | Promise<InitInput>): Promise<void>;

/** The window of the model and what must stay free in it, in tokens. `limit = window - reserve - overhead`. */
export interface Budget {
  /** Size of the context window. */
  readonly window: number;
  /** Tokens kept free for the answer. Default: 20 % of the window. */
  readonly reserve?: number;
  /** Tokens that the host adds besides these messages and is not passing as `system` or `tools`. Default 0. */
  readonly overhead?: number;
}

/** Every tunable. Unknown keys are refused, so that a misspelt one is not silently ignored. */
export interface Policy {
  /** With a `Budget` object: above this share of the limit, tool results are pruned. Default 0.6. */
  readonly soft: number;
  /** With a `Budget` object: above this share of the limit, messages are also hidden behind a summary. Default 0.9. */
  readonly hard: number;
  /** Pruning stops at this share of the limit. Default 0.5. */
  readonly softTarget: number;
  /** Hard compaction stops at this share of the limit. Default 0.55. */
  readonly hardTarget: number;
  /** The newest messages that are edited last. Default 6. */
  readonly preserveTailMessages: number;
  /** Tokens at the end that are edited last. Default 40,000, and at most 30 % of the limit. */
  readonly protectTailTokens: number;
  /** Names of tools whose results are never pruned. Default none. */
  readonly protectTools: readonly string[];
  /**
   * Which tool results are pruned first: the oldest (default), the least relevant to the goal (`task-aware`), those that
   * others repeat (`mig`), both (`task-aware-mig`), or by the subgoal that they belong to.
   */
  readonly strategy: "oldest-first" | "task-aware" | "mig" | "task-aware-mig" | "subgoal" | "subgoal-mig";
  /** Role of inserted summaries. Default `"user"`. */
  readonly summaryRole: "user" | "assistant" | "system" | "developer";
  /** Lets the last user message be shrunk when nothing else helps. Default false. */
  readonly shrinkLastUser: boolean;
  /**
   * Text left in place of a pruned tool result; `{tokens}` is replaced by its size, `{id}` by the id with which the tool
   * `recall` returns the whole. Where no id is known, or `recallDeclared` is false, a text with `{id}` gives way to the
   * standard one, which names an id by itself where there is one.
   */
  readonly placeholder: string;
  /**
   * Whether the model has the tool `recall`. Only then do placeholders say how a result can be had again, and results of
   * that tool keep their payload until the user has said something else. Default false.
   */
  readonly recallDeclared: boolean;
  /** Turns after a hard compaction in which no model is asked for another. Default 2. */
  readonly cooldownTurns: number;
  /** Tool calls with their results that may stand before the oldest are summarised. Default 6. */
  readonly toolCallCutoff: number;
  /** Below this share of the limit no tool call is summarised. Default 0.25. */
  readonly toolPairShare: number;
  /** Longest summary of a tool call, characters. Default 8,000. */
  readonly toolPairSummaryChars: number;
  /** Summarise before the window fills. Default off. */
  readonly proactive: { readonly thresholdTokens: number; readonly maxSummaryTokens: number } | null;
  /** Tokens of conversation that are summarised in one request. Default 4,096. */
  readonly chunkTokens: number;
  /** A message of this size is summarised in a request of its own, tokens. Default 2,048. */
  readonly oversizeTokens: number;
  /** Requests at the same time. Default 4. */
  readonly concurrency: number;
  /** Most requests of one compaction, retries included. Default 64. */
  readonly maxProviderCalls: number;
  /** Longest wait for a summary, milliseconds. Default 120,000. */
  readonly llmTimeoutMs: number;
  /** Longest wait for the goal, milliseconds. Default 5,000. */
  readonly goalTimeoutMs: number;
  /** Ask for summaries as JSON of five fields, with prose where that fails. Default false. */
  readonly structuredSummaries: boolean;
  /** What is taken out of a text before a model is asked to summarise it. Default: secrets. */
  readonly redact: { readonly secrets?: boolean; readonly paths?: boolean; readonly literals?: readonly string[] };
}

/** Counts the tokens of one text. Must be pure: the same text always gives the same number. */
export type TokenCounter = (text: string) => number;

/** Options of {@link fit} and {@link plan}. */
export interface FitOptions<M extends object = object> {
  /**
   * A number is a hard limit on the whole input (messages, `system` and `tools`): nothing is edited when it already
   * fits. A {@link Budget} object adds thresholds, so that each compaction leaves room to grow.
   */
  readonly budget: number | Budget;
  /** A system prompt sent beside the messages. Counted, never edited. */
  readonly system?: unknown;
  /** Tool definitions sent beside the messages. Counted, never edited. */
  readonly tools?: unknown;
  /** Name of the model; reserved for exact token counting. */
  readonly model?: string | undefined;
  /** The message format; detected when not given. */
  readonly format?: Format | undefined;
  /** Counts tokens, once per distinct text. Default: the built-in heuristic, which errs on the safe side. */
  readonly tokens?: "heuristic" | TokenCounter | undefined;
  /** Overrides of single tunables. */
  readonly policy?: Partial<Policy> | undefined;
  /** What the user is working on, for the strategies that ask; what the user said last when not given. */
  readonly goal?: string | undefined;
  /** Messages that must never be edited: their indices, or a predicate. */
  readonly pin?: readonly number[] | ((message: M, index: number) => boolean) | undefined;
  /** The patch of an earlier call whose messages are a prefix of these: its edits are kept, so the prefix stays stable. */
  readonly previous?: Patch<M> | undefined;
  /** Builds inserted summaries. A must where all messages are class instances, whose constructor cannot be guessed. */
  readonly createMessage?: ((role: string, text: string) => M) | undefined;
  /** `"full"` (default) keeps the edited originals in the patch, so that `undo` needs nothing else. */
  readonly patch?: "edits" | "full" | undefined;
}

/** Options of {@link compact}. */
export interface CompactOptions<M extends object = object> extends FitOptions<M> {
  /** Who writes the summaries. Without any, they are made without a model, as by {@link fit}. */
  readonly provider?: Providers | undefined;
  /** What every summary has to heed, in words for the model. */
  readonly instructions?: string | undefined;
  /**
   * What becomes of a provider's failure: `"offline"` (default) keeps the summary that was made without a model, and a
   * warning says what happened; `"throw"` rejects with it.
   */
  readonly onProviderError?: "offline" | "throw" | undefined;
  /** Hears of requests, answers and failures. */
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
  /** Gives everything up: rejects with `aborted` (`name: "AbortError"`, `cause: signal.reason`). */
  readonly signal?: Signal | undefined;
  /** After so many milliseconds no model is asked any more, and none is waited for. */
  readonly timeoutMs?: number | undefined;
  /**
   * Ask the chat's own model behind the chat as it was sent to it, so that its prompt cache serves most of each request:
   * for `openai` endpoints with the chat's model and key. `system` and `tools` must be what the chat sends. Each summary
   * then costs the chat up to there at the price of cached input, instead of what it stands for at full price; the model
   * reads everything in its place; nothing is redacted, since that would change the prefix. Default false.
   */
  readonly cachedPrefix?: boolean | undefined;
  /** Takes out of a text what must not reach a model, after `policy.redact` has been applied. */
  readonly redact?: ((text: string) => string) | undefined;
}

/** One step of a path into a message. */
export type PathStep = string | number;

/** Sets (or, without `value`, removes) one field of a message. */
export interface Change {
  readonly path: readonly PathStep[];
  readonly value?: unknown;
  readonly remove?: true;
}

/** A tool result's payload was replaced by a placeholder. */
export interface PruneEdit {
  readonly kind: "prune";
  /** Index in the messages given. */
  readonly index: number;
  readonly tokensBefore: number;
  readonly tokensAfter: number;
  readonly changes: readonly Change[];
}
/** A message was cut to its head and tail. */
export interface ShrinkEdit {
  readonly kind: "shrink";
  readonly index: number;
  readonly tokensBefore: number;
  readonly tokensAfter: number;
  readonly changes: readonly Change[];
}
/** Messages `from..to` (end exclusive) are hidden. */
export interface HideEdit {
  readonly kind: "hide";
  readonly from: number;
  readonly to: number;
  readonly tokensBefore: number;
}
/** A summary message stands where hidden messages were. */
export interface InsertEdit {
  readonly kind: "insert";
  /** Index, in the messages given, of the first message that it stands for. */
  readonly before: number;
  readonly role: string;
  readonly text: string;
  /** How many hidden messages it stands for. */
  readonly covers: number;
  readonly tokensAfter: number;
}
/** One reversible edit of a compaction. */
export type Edit = PruneEdit | ShrinkEdit | HideEdit | InsertEdit;

/** Something in the input that the format's rules forbid. */
export interface Violation {
  /** Stable name of the rule, e.g. `"C2"`. */
  readonly rule: string;
  /** Index of the offending message. */
  readonly index: number;
  /** Field of that message, e.g. `"tool_calls[1].id"`. */
  readonly field?: string;
  readonly message: string;
}

/** What was done about a violation. */
export interface Repair {
  readonly rule: string;
  readonly action: "drop" | "move" | "insert" | "change";
  readonly index: number;
  readonly field?: string;
  readonly message: string;
  readonly tokensBefore: number;
  readonly tokensAfter: number;
}

/** Something the host should know that is not an error. */
export interface Warning {
  readonly code:
    | "previous_ignored"
    | "summary_left_out"
    | "summary_refused"
    | "attachment_estimated"
    | "originals_not_json"
    | `provider_${ProviderClass}`;
  readonly message: string;
  readonly index?: number;
}

/** What kind of failure of a provider. */
export type ProviderClass =
  | "context_length"
  | "rate_limited"
  | "unavailable"
  | "auth"
  | "bad_request"
  | "refused"
  | "truncated"
  | "blank"
  | "malformed"
  | "timeout"
  | "aborted"
  | "network"
  | "opaque";

/** `none`: nothing to do. `soft`: only tool results were pruned. `hard`: messages were hidden or shrunk too. */
export type Tier = "none" | "soft" | "hard";

/** What happened, in numbers. All sizes are tokens by the counter in use. */
export interface Report {
  readonly format: Format;
  readonly tier: Tier;
  /** Size of what was given, `system` and `tools` included. */
  readonly before: number;
  /** Size of what came back, `system` and `tools` included. */
  readonly after: number;
  /** What `after` must not exceed. */
  readonly limit: number;
  /** The part of both that `system` and `tools` make up. */
  readonly overhead: number;
  readonly messagesBefore: number;
  readonly messagesAfter: number;
  readonly edits: readonly Edit[];
  readonly repairs: readonly Repair[];
  /**
   * Index of the first returned message that differs from what the model saw last (the view of `previous`, else the
   * messages given); `null` when nothing differs.
   */
  readonly firstChangedIndex: number | null;
  /** Tokens before `firstChangedIndex`: what a provider's prompt cache can still serve. */
  readonly prefixTokens: number;
  /** The newest inserted summary. */
  readonly summary?: {
    readonly index: number;
    readonly text: string;
    readonly tokens: number;
    readonly covers: number;
  };
  /** What models were asked for it, and what they say it cost. */
  readonly models?: { readonly requests: number; readonly inputTokens: number; readonly outputTokens: number };
  readonly warnings: readonly Warning[];
}

/** A compaction as plain JSON: store it, send it back as `previous`, or hand it to {@link undo}. */
export interface Patch<M extends object = object> {
  readonly version: 1;
  readonly format: Format;
  /** What it was computed from. */
  readonly source: {
    readonly messages: number;
    readonly hash: string;
    /** Size of each message, tokens, so that `previous` need not be counted again. */
    readonly sizes: readonly number[];
    /** What the counter makes of a fixed text: sizes are those of one counter. */
    readonly probe: number;
  };
  /** What it leads to: `layout` lists, in view order, `[from, to)` ranges of untouched source messages, indices of
   * edited ones, and `null` for inserted ones. */
  readonly view: {
    readonly messages: number;
    readonly hash: string;
    readonly layout: readonly (readonly [number, number] | number | null)[];
  };
  readonly edits: readonly Edit[];
  readonly repairs: readonly Repair[];
  /** With `patch: "full"`: the source messages that the view does not hold verbatim. */
  readonly originals?: readonly { readonly index: number; readonly message: M }[];
}

/** A compaction that has not been applied yet: look at it first, then {@link apply} it. */
export interface Plan<M extends object = object> {
  readonly version: 1;
  readonly patch: Patch<M>;
  readonly report: Report;
}

/** What {@link fit} and {@link apply} return. */
export interface FitResult<M extends object = object> {
  /** What to send. Messages that no edit touched are the same objects as in the input. */
  readonly messages: M[];
  readonly report: Report;
  readonly patch: Patch<M>;
}

/**
 * Fits messages to a budget: synchronously, without any model call.
 *
 * @throws {@link EpitomeError} `invalid_input`, `invalid_option`, `unknown_format`, `too_deep`, `too_large`,
 * `irreducible_budget`, `not_initialised`, `internal`
 * @example
 * ```ts
 * const { messages, report } = fit(history, { budget: 8_000, pin: [1] });
 * console.log(`${report.before} -> ${report.after} tokens`);
 * ```
 */
export function fit<M extends object>(messages: readonly M[], options: FitOptions<M>): FitResult<M>;

/**
 * Fits messages to a budget as {@link fit} does, with summaries written by a model. Whatever becomes of the model, the
 * messages fit.
 *
 * The part of Epitome that talks to models is a module of its own (`epitome/session`), which this loads when it is first
 * called.
 *
 * @throws {@link EpitomeError} what {@link fit} throws, `aborted`, and with `onProviderError: "throw"` any
 * `provider_...` code
 * @example
 * ```ts
 * import { compact } from "epitome";
 * import { openai } from "epitome/providers/openai";
 * const provider = openai({ model: "gpt-5-mini", apiKey: process.env.OPENAI_API_KEY });
 * const { messages, report } = await compact(history, { budget: 8_000, provider });
 * ```
 */
export function compact<M extends object>(messages: readonly M[], options: CompactOptions<M>): Promise<FitResult<M>>;

/**
 * The same decision as {@link fit}, not yet carried out.
 *
 * @example
 * ```ts
 * const proposal = plan(history, { budget: 8_000 });
 * if (confirm(`Hide ${proposal.report.edits.length} items?`)) send(apply(history, proposal).messages);
 * ```
 */
export function plan<M extends object>(messages: readonly M[], options: FitOptions<M>): Plan<M>;

/**
 * Carries a plan out. Throws `stale_plan` if the messages are no longer those it was made from.
 *
 * @example
 * ```ts
 * const { messages } = apply(history, plan(history, { budget: 8_000 }));
 * ```
 */
export function apply<M extends object>(
  messages: readonly M[],
  plan: Plan<M>,
  options?: { readonly createMessage?: (role: string, text: string) => M; readonly patch?: "edits" | "full" },
): FitResult<M>;

/**
 * The way back: the messages as they were given, in order, repaired ones as they were before. Messages that were
 * appended to the view since then stay at the end. Works after a JSON round trip, too. Throws `cannot_undo` if the
 * view was changed in between or the originals are not at hand: they are looked for in `originals` (the messages as
 * {@link fit} got them, in order), then in the patch.
 *
 * @example
 * ```ts
 * const result = fit(history, { budget: 8_000 });
 * undo(result); // deep-equal to history
 * ```
 */
export function undo<M extends object>(result: FitResult<M>): M[];
export function undo<M extends object>(
  messages: readonly M[],
  patch: Patch<M>,
  options?: { readonly originals?: readonly M[] },
): M[];

/**
 * Lists what the format's rules forbid in these messages. An empty list means that the provider will accept them.
 *
 * @example
 * ```ts
 * validate([{ role: "tool", tool_call_id: "x", content: "42" }]); // [{ rule: "C1", index: 0, ... }]
 * ```
 */
export function validate(messages: readonly object[], options?: { readonly format?: Format }): Violation[];

/**
 * Mends what {@link validate} finds, with the smallest change the format allows.
 *
 * @example
 * ```ts
 * const { messages, repairs } = repair(brokenHistory);
 * ```
 */
export function repair<M extends object>(
  messages: readonly M[],
  options?: { readonly format?: Format; readonly createMessage?: (role: string, text: string) => M },
): { messages: M[]; repairs: Repair[] };

/**
 * Counts tokens of a text, a message or messages (structure included).
 *
 * @example
 * ```ts
 * countTokens("Hello, world"); // 4
 * countTokens(history, { tokens: (text) => encode(text).length });
 * ```
 */
export function countTokens(
  input: string | object | readonly object[],
  options?: { readonly format?: Format; readonly model?: string; readonly tokens?: "heuristic" | TokenCounter },
): number;

/**
 * Tells the format of these messages. Throws `unknown_format`.
 *
 * @example
 * ```ts
 * detectFormat([{ role: "user", content: "hi" }]); // "openai-chat"
 * ```
 */
export function detectFormat(messages: readonly object[]): Format;

/** Details of a provider's failure. */
export interface ProviderDetails {
  /** For `provider_context_length`: what the model reads at most, tokens, where it says so. */
  readonly limit?: number;
  /** How long the service asks to wait, milliseconds. */
  readonly retryAfterMs?: number;
}

/** Details of a store's failure. */
export interface StoreDetails {
  /** For `store_conflict`: the revision that the conversation has. */
  readonly revision?: number;
}

/** Every error code, with the details that come with it. Codes are never renamed. */
export interface ErrorDetails
  extends Record<`provider_${ProviderClass}`, ProviderDetails>,
    Record<`store_${StoreClass}`, StoreDetails> {
  not_initialised: Record<string, never>;
  invalid_input: { readonly index?: number; readonly field?: string };
  invalid_option: { readonly option: string };
  unknown_format: { readonly index?: number; readonly looksLike?: string };
  too_deep: { readonly index: number; readonly field: string };
  too_large: { readonly index?: number; readonly bytes: number; readonly limit: number };
  invalid_history: { readonly index?: number; readonly field?: string };
  irreducible_budget: {
    /** The limit asked for. */
    readonly limit: number;
    /** The smallest size these messages can be brought to. */
    readonly required: number;
    /** What makes it up, in tokens. */
    readonly breakdown: {
      readonly overhead: number;
      readonly system: number;
      readonly pinned: number;
      readonly lastUser: number;
      readonly openToolUnit: number;
      readonly structure: number;
    };
  };
  stale_plan: Record<string, never>;
  cannot_undo: { readonly index?: number };
  needs_create_message: Record<string, never>;
  aborted: Record<string, never>;
  closed: Record<string, never>;
  internal: Record<string, never>;
}

/** A stable, machine-readable reason. */
export type ErrorCode = keyof ErrorDetails;

/** The only error class that Epitome throws. */
export class EpitomeError<C extends ErrorCode = ErrorCode> extends Error {
  constructor(code: C, message: string, options?: { details?: ErrorDetails[C]; cause?: unknown });
  /** `"AbortError"` for the code `aborted`, as the platform calls it. */
  readonly name: "EpitomeError" | "AbortError";
  readonly code: C;
  readonly details: ErrorDetails[C];
  readonly cause?: unknown;
}

/** Version of this package, e.g. `"0.1.0"`. */
export const version: string;
