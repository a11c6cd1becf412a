import type { Provider, ProviderLimits, Signal } from "./index.js";

export type { Provider } from "./index.js";

/** What is used of a `LanguageModel` of the AI SDK (version 5 and later). */
export interface AiSdkModel {
  readonly specificationVersion: string;
  readonly provider: string;
  readonly modelId: string;
  doGenerate(options: {
    prompt: AiSdkMessage[];
    maxOutputTokens: number;
    abortSignal: Signal;
  }): PromiseLike<AiSdkResult>;
}

/** A message as the AI SDK hands it to a model. */
export type AiSdkMessage =
  | { role: "system"; content: string }
  | { role: "user" | "assistant"; content: { type: "text"; text: string }[] };

/** What is read of the result of a model. */
export interface AiSdkResult {
  readonly content: readonly { readonly type: string; readonly text?: string }[];
  readonly finishReason?: string | { readonly unified: string } | undefined;
  readonly usage?:
    | {
        readonly inputTokens?: AiSdkTokens;
        readonly outputTokens?: AiSdkTokens;
      }
    | undefined;
}

/** A count of tokens, or one with its parts. */
export type AiSdkTokens = number | { readonly total?: number | undefined } | undefined;

/** Options of {@link aiSdk}. */
export interface AiSdkOptions extends ProviderLimits {
  /** What events and errors call it. Default: the model's own provider and name. */
  readonly name?: string | undefined;
}

/**
 * A model of the Vercel AI SDK, of any vendor. The SDK's own retries do not come into it: `attempts` counts all that is
 * sent.
 *
 * @example
 * ```ts
 * import { anthropic } from "@ai-sdk/anthropic";
 * const provider = aiSdk(anthropic("claude-haiku-4-5"), { window: 200_000 });
 * ```
 */
export function aiSdk(model: AiSdkModel, options?: AiSdkOptions): Provider;
