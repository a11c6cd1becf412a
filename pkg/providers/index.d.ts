/**
 * Who writes the summaries: types that `compact`, the session and all ready providers share.
 *
 * @packageDocumentation
 */

/**
 * The instances of a global class, if this project's type library has it: these declarations need neither `lib: ["dom"]`
 * nor the types of Node or Workers.
 */
export type Instance<Name extends string, Scope = typeof globalThis> =
  Scope extends Record<Name, { prototype: infer T }> ? T : never;

/** The platform's `AbortSignal`. */
export type Signal = Instance<"AbortSignal">;

/** What a request is for. */
export type Purpose = "summary" | "consolidation" | "tool-pair" | "goal" | "subgoal" | "guidelines";

/** One request to a model. Sizes are tokens by the counter in use. */
export interface ProviderRequest {
  /** Which request of the call this is, from 1; attempts at it have the same. */
  readonly number: number;
  readonly purpose: Purpose;
  /** What the model reads. */
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  /** Size of `messages`. */
  readonly tokens: number;
  /** Longest answer that is of use. */
  readonly maxTokens: number;
  /** After so many milliseconds nobody waits for the answer any more. */
  readonly timeoutMs: number;
}

/** What a model answers: its text, or its text with what is known about it. */
export type ProviderAnswer =
  | string
  | {
      readonly text: string;
      readonly usage?:
        | { readonly inputTokens?: number | undefined; readonly outputTokens?: number | undefined }
        | undefined;
      /** Why it ends: complete (default), cut off at `maxTokens`, or a refusal. */
      readonly stop?: "end" | "length" | "refused" | undefined;
    };

/** A function that asks a model. `signal` is aborted when nobody waits any more. */
export type ProviderFunction = (
  request: ProviderRequest,
  context: { readonly signal: Signal },
) => ProviderAnswer | PromiseLike<ProviderAnswer>;

/** How much patience a provider deserves. It belongs to the provider: all calls that use it share one count. */
export interface ProviderLimits {
  /** What the model reads and writes at most, tokens; requests are kept within it. Default 16,000. */
  readonly window?: number | undefined;
  /** How often a request is sent at most. Default 3. */
  readonly attempts?: number | undefined;
  /** Longest wait for one attempt, milliseconds. Default: all the time that the request has (`policy.llmTimeoutMs`). */
  readonly timeoutMs?: number | undefined;
  /** Requests at the same time. Default 8. */
  readonly concurrency?: number | undefined;
  /** After `failures` in a row (default 5) the provider is left alone for `pauseMs` (default 30,000); `false`: never. */
  readonly breaker?:
    | false
    | { readonly failures?: number | undefined; readonly pauseMs?: number | undefined }
    | undefined;
}

/** Options of a provider behind an address. */
export interface EndpointOptions extends ProviderLimits {
  /** The model to ask. */
  readonly model: string;
  /** Where the service is. A path is relative to the page: a proxy of the same origin. */
  readonly baseUrl?: string | Instance<"URL"> | undefined;
  /**
   * The key, or what gets a short-lived one, asked before every request. A key in a browser can be read by whoever uses
   * the page: use a proxy of the same origin instead.
   */
  readonly apiKey?: string | ((context: { readonly signal: Signal }) => string | PromiseLike<string>) | undefined;
  /** Further headers, or what gets them, asked before every request. They win over ours. */
  readonly headers?:
    | Readonly<Record<string, string>>
    | ((context: {
        readonly signal: Signal;
      }) => Readonly<Record<string, string>> | PromiseLike<Readonly<Record<string, string>>>)
    | undefined;
  /** Added to the address, e.g. an `api-version`. */
  readonly query?: Readonly<Record<string, string>> | undefined;
  /** Further fields of the request, e.g. `{ temperature: 0 }`. They win over ours. */
  readonly body?: Readonly<Record<string, unknown>> | undefined;
  /** Used instead of the global `fetch`. Gets an address and `{ method, headers, body, redirect, signal }`. */
  readonly fetch?: ((address: string, init: FetchInit) => PromiseLike<FetchAnswer>) | undefined;
  /** Ask for the answer piece by piece: `onProgress` hears of it, and a service that goes silent is noticed. Default false. */
  readonly stream?: boolean | undefined;
  /** Longest silence within an answer, milliseconds. Default 30,000. */
  readonly stallMs?: number | undefined;
  /** What events and errors call it. Default: the service and the model. */
  readonly name?: string | undefined;
}

/** What a `fetch` of the host is called with. */
export interface FetchInit {
  readonly method: "POST";
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly redirect: "manual";
  readonly signal: Signal;
}

/** What a `fetch` of the host must give: a `Response`, or something that can be read like one. */
export interface FetchAnswer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): PromiseLike<string>;
}

/** A provider with its limits. Make one with {@link createProvider} or a function of `epitome/providers/*`. */
export class Provider {
  private constructor();
  /** What events and errors call it. */
  readonly name: string;
  /** Gives up every request under way; from now on every request fails. */
  dispose(): void;
}

/**
 * A provider that asks a function of yours, with limits of its own.
 *
 * @example
 * ```ts
 * const provider = createProvider(
 *   async ({ messages, maxTokens }, { signal }) => (await myModel.chat(messages, { maxTokens, signal })).text,
 *   { window: 32_000, attempts: 2 },
 * );
 * ```
 */
export function createProvider(
  complete: ProviderFunction,
  options?: ProviderLimits & { readonly name?: string | undefined },
): Provider;

/** One provider, or several: the next is asked when one has failed. `"offline"` asks nobody. */
export type ProviderList =
  | Provider
  | ProviderFunction
  | "offline"
  | readonly (Provider | ProviderFunction | "offline")[];

/** Who is asked: the same for everything, or one for each purpose (those not given fall back to `summary`). */
export type Providers =
  | ProviderList
  | {
      /** Summaries of what is hidden. */
      readonly summary?: ProviderList | undefined;
      /** Summaries of single tool calls, in conversations that are followed turn by turn; `compact` writes none. */
      readonly toolPair?: ProviderList | undefined;
      /** What the user is working on, likewise. */
      readonly goal?: ProviderList | undefined;
    };

/** What goes on during a call that asks models. */
export type ProgressEvent =
  | {
      readonly type: "request";
      readonly provider: string;
      /** Which request of the call, from 1. */
      readonly request: number;
      readonly purpose: Purpose;
      /** 1 for the first time. */
      readonly attempt: number;
      /** Size of what is sent. */
      readonly tokens: number;
    }
  | {
      readonly type: "text";
      readonly provider: string;
      /** Which request of the call, from 1. */
      readonly request: number;
      readonly purpose: Purpose;
      /** Length of the answer so far. */
      readonly characters: number;
    }
  | {
      readonly type: "answer";
      readonly provider: string;
      readonly request: number;
      readonly purpose: Purpose;
      readonly ms: number;
    }
  | {
      readonly type: "failure";
      readonly provider: string;
      /** Which request of the call, from 1. */
      readonly request: number;
      readonly purpose: Purpose;
      /** `provider_<class>`. */
      readonly code: string;
      readonly message: string;
      /** How long until it is tried again; not there when it is not. */
      readonly retryInMs?: number;
    };
