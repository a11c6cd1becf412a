import type { Provider, ProviderLimits, Signal } from "./index.js";

export type { Provider } from "./index.js";

/** What is used of an `MLCEngine` of WebLLM, also of one in a worker. */
export interface ChatEngine {
  readonly chat: { readonly completions: { create(body: ChatBody): PromiseLike<ChatAnswer> } };
  /** Stops what is being generated. */
  interruptGenerate(): unknown;
  resetChat?(): unknown;
}

/** What is used of a client object such as that of the package `openai`. */
export interface ChatClient {
  readonly chat: {
    readonly completions: {
      create(
        body: ChatBody & { model: string },
        options: { signal: Signal; maxRetries: number },
      ): PromiseLike<ChatAnswer>;
    };
  };
}

/** What is asked. */
export interface ChatBody {
  model?: string;
  messages: { role: "user"; content: string }[];
  max_tokens?: number;
  max_completion_tokens?: number;
  stream: false;
}

/** What is read of an answer. */
export interface ChatAnswer {
  readonly choices: readonly {
    readonly message: { readonly content?: string | null; readonly refusal?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null | undefined;
}

/** Options of {@link webLlm}. */
export interface WebLlmOptions extends ProviderLimits {
  /** The model to ask; an engine with one model needs no name. */
  readonly model?: string | undefined;
  /** Further fields of the request, e.g. `{ extra_body: { enable_thinking: false } }`. They win over ours. */
  readonly body?: Readonly<Record<string, unknown>> | undefined;
  /** Has the engine forget its conversation before every request. Default false: WebLLM keeps requests apart itself. */
  readonly reset?: boolean | undefined;
  /** What events and errors call it. Default: `web-llm` (a client: `chat`) and the model. */
  readonly name?: string | undefined;
}

/**
 * An engine of WebLLM: a model that runs in the page. Its requests go one at a time, whatever `concurrency` says, and its
 * `window` is 4,000 unless given: give what the model was loaded with.
 *
 * An engine that is told to stop stops whatever it is generating. So where a request is given up (it takes too long, or
 * the host aborts) while a chat of yours has the engine, it is that chat that stops: give Epitome an engine of its own,
 * or much time.
 *
 * @example
 * ```ts
 * import { CreateMLCEngine } from "@mlc-ai/web-llm";
 * const provider = webLlm(await CreateMLCEngine("Llama-3.2-3B-Instruct-q4f16_1-MLC"), { window: 4_096 });
 * ```
 */
export function webLlm(engine: ChatEngine, options?: WebLlmOptions): Provider;

/**
 * A client object that is asked as that of the package `openai` is. Its own retries are turned off: `attempts` counts all
 * that is sent.
 *
 * @example
 * ```ts
 * import OpenAI from "openai";
 * const provider = webLlm(new OpenAI(), { model: "gpt-5-mini", window: 128_000 });
 * ```
 */
export function webLlm(client: ChatClient, options: WebLlmOptions & { readonly model: string }): Provider;
