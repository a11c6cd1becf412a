import type { Provider, ProviderLimits } from "./index.js";

export type { Provider } from "./index.js";

/** Whether a browser's model can be asked: now, after a download, or not at all. */
export type Availability = "available" | "downloadable" | "downloading" | "unavailable";

/** How a model is made. */
export interface ChromeCreateOptions {
  /**
   * Further options for the browser's `create` and `availability`, e.g.
   * `{ expectedOutputs: [{ type: "text", languages: ["en"] }] }`.
   */
  readonly create?: Readonly<Record<string, unknown>> | undefined;
}

/** Options of {@link chromePrompt}. Defaults that differ: `window` 6,000, `attempts` 1, `concurrency` 1. */
export interface ChromePromptOptions extends ProviderLimits, ChromeCreateOptions {
  /**
   * Have the browser fetch a model that is not there yet, which can take longer than a request waits. The browser may
   * want the user to have clicked somewhere before. Default false: such a request fails.
   */
  readonly download?: boolean | undefined;
  /** What events and errors call it. Default: `chrome prompt` or `chrome summarizer`. */
  readonly name?: string | undefined;
}

/** Options of {@link chromeSummarizer}. */
export interface ChromeSummarizerOptions extends ChromePromptOptions {
  /** Default `key-points`. */
  readonly type?: "key-points" | "tldr" | undefined;
  /** Default `plain-text`. */
  readonly format?: "plain-text" | "markdown" | undefined;
  /** Default: what there is room for. */
  readonly length?: "short" | "medium" | "long" | undefined;
  /** What the model is told of every text. */
  readonly sharedContext?: string | undefined;
}

/**
 * The language model that the browser brings with it (Prompt API): nothing leaves the machine. Every request has a
 * session of its own. Where there is no such model, requests fail with `provider_unavailable`.
 *
 * @example
 * ```ts
 * const provider = [chromePrompt(), openai({ model: "gpt-5-mini", baseUrl: "/api/model" })];
 * ```
 */
export function chromePrompt(options?: ChromePromptOptions): Provider;

/**
 * Whether {@link chromePrompt} has a model to ask. With `"downloadable"`, a request with `download: true` fetches it.
 *
 * @example
 * ```ts
 * const provider = (await chromePromptAvailability()) === "available" ? chromePrompt() : "offline";
 * ```
 */
export function chromePromptAvailability(options?: ChromeCreateOptions): Promise<Availability>;

/**
 * The summarizer that the browser brings with it (Summarizer API). It gets the texts without our instructions and
 * writes in its own way; what is no summary (`goal`) it cannot be asked for.
 *
 * @example
 * ```ts
 * const provider = { summary: chromeSummarizer({ create: { outputLanguage: "en" } }), goal: chromePrompt() };
 * ```
 */
export function chromeSummarizer(options?: ChromeSummarizerOptions): Provider;

/**
 * Whether {@link chromeSummarizer} has a model to ask.
 *
 * @example
 * ```ts
 * if ((await chromeSummarizerAvailability()) === "unavailable") showSettings();
 * ```
 */
export function chromeSummarizerAvailability(options?: ChromeCreateOptions): Promise<Availability>;
