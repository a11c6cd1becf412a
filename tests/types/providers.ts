// Providers as a user meets them. A line below `@ts-expect-error` must not compile.

import type * as epitome from "epitome";
import { type CompactOptions, compact, type FitResult, type ProgressEvent } from "epitome";
import {
  createProvider,
  Provider,
  type ProviderAnswer,
  type ProviderFunction,
  type ProviderRequest,
} from "epitome/providers";
import { aiSdk } from "epitome/providers/ai-sdk";
import { anthropic } from "epitome/providers/anthropic";
import {
  chromePrompt,
  chromePromptAvailability,
  chromeSummarizer,
  type chromeSummarizerAvailability,
} from "epitome/providers/chrome";
import { gemini } from "epitome/providers/gemini";
import { ollama } from "epitome/providers/ollama";
import { openai } from "epitome/providers/openai";
import { webLlm } from "epitome/providers/web-llm";
import type * as session from "epitome/session";

/** Both types are one. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_T extends true>() => {};

type Message = { role: "user" | "assistant"; content: string };
declare const history: readonly Message[];

// What both modules have is one, in types as well.
type Both = keyof typeof epitome;
holds<Same<Pick<typeof session, Both>, Pick<typeof epitome, Both>>>();
holds<Same<Exclude<keyof typeof session, Both>, "Session">>();

// A bare function, of every form that an answer may have.
const result: FitResult<Message> = await compact(history, { budget: 8_000, provider: () => "text" });
void result;
const functions: ProviderFunction[] = [
  async ({ messages, tokens, maxTokens, timeoutMs, purpose }, { signal }) => {
    const all: number = tokens + maxTokens + timeoutMs;
    const aborted: boolean = signal.aborted;
    return `${messages[0]?.role}: ${messages[0]?.content} ${purpose} ${all} ${aborted}`;
  },
  async () => ({ text: "x", usage: { inputTokens: 1, outputTokens: undefined }, stop: "length" }),
  () => ({ text: "x", usage: undefined, stop: undefined }),
  () => Promise.resolve({ text: "x" }),
];
// @ts-expect-error an answer is a text
functions.push(async () => ({ content: "x" }));
// @ts-expect-error and ends for a reason that is known
functions.push(() => ({ text: "x", stop: "tired" }));
const answer: ProviderAnswer = { text: "x" };
void answer;
declare const request: ProviderRequest;
// @ts-expect-error requests are for reading
request.tokens = 5;

// Ready ones, with limits of their own.
const limits = {
  window: 32_000,
  attempts: 2,
  timeoutMs: 10_000,
  concurrency: 2,
  breaker: { failures: 3, pauseMs: 1_000 },
} as const;
const endpoint = {
  ...limits,
  model: "m",
  baseUrl: new URL("https://example.org"),
  apiKey: async ({ signal }: { readonly signal: AbortSignal }) => `key ${signal.aborted}`,
  headers: { "x-tenant": "t" },
  query: { "api-version": "1" },
  body: { temperature: 0 },
  fetch,
  stream: true,
  stallMs: 5_000,
  name: "mine",
} as const;
const engine = {
  chat: { completions: { create: async () => ({ choices: [{ message: { content: "x" }, finish_reason: "stop" }] }) } },
  interruptGenerate() {},
};
const model = {
  specificationVersion: "v3",
  provider: "p",
  modelId: "m",
  doGenerate: async () => ({ content: [{ type: "text", text: "x" }] }),
};
const all: Provider[] = [
  createProvider(() => "x", { ...limits, name: "mine" }),
  openai({ ...endpoint, api: "responses" }),
  anthropic({ ...endpoint, breaker: false }),
  gemini(endpoint),
  ollama({ model: "m", baseUrl: "/api/model" }),
  aiSdk(model, { ...limits, name: "mine" }),
  webLlm(engine, { ...limits, model: "m", body: { temperature: 0 } }),
  chromePrompt(),
  chromePrompt({ ...limits, download: true, create: { expectedOutputs: [{ type: "text", languages: ["en"] }] } }),
  chromeSummarizer({ ...limits, type: "tldr", format: "markdown", length: "long", sharedContext: "x" }),
];
for (const { name, dispose } of all) {
  const text: string = name;
  void [text, dispose];
}
const availability: "available" | "downloadable" | "downloading" | "unavailable" = await chromePromptAvailability();
holds<Same<Awaited<ReturnType<typeof chromeSummarizerAvailability>>, typeof availability>>();

// What is not given may be `undefined` too: options that a host passes on.
declare const given: { window?: number; apiKey?: string; name?: string; type?: "tldr" };
const { window, apiKey, name, type } = given;
openai({ model: "m", window, apiKey, name, api: undefined, stream: undefined, baseUrl: undefined, fetch: undefined });
aiSdk(model, { window, name });
webLlm(engine, { window, name, model: undefined, body: undefined, reset: undefined });
chromeSummarizer({ window, name, type, length: undefined, create: undefined, download: undefined });

// @ts-expect-error no model
openai({});
// @ts-expect-error a misspelt option
openai({ model: "m", baseURL: "https://example.org" });
// @ts-expect-error no such API
openai({ model: "m", api: "completions" });
// @ts-expect-error only OpenAI has two
anthropic({ model: "m", api: "chat" });
// @ts-expect-error no model of the AI SDK
aiSdk({ doGenerate: () => "x" });
// @ts-expect-error no engine
webLlm({ chat: { completions: {} }, interruptGenerate() {} });
// @ts-expect-error no such kind of summary
chromeSummarizer({ type: "headline" });
// @ts-expect-error the browser's model has no summaries of kinds
chromePrompt({ type: "tldr" });
// @ts-expect-error providers are made by functions
new Provider();
// @ts-expect-error with limits of these names
createProvider(() => "x", { timeout: 5 });

// One for everything, several in turn, one for each purpose.
const [one] = all as [Provider];
const forms: CompactOptions<Message>["provider"][] = [
  undefined,
  "offline",
  one,
  [one, () => "x", "offline"],
  { summary: one, toolPair: [one, "offline"], goal: undefined },
  {},
];
// @ts-expect-error no such purpose
forms.push({ summaries: one });
// @ts-expect-error a model is to be wrapped first
forms.push(model);

const controller = new AbortController();
await compact(history, {
  budget: { window: 128_000 },
  provider: forms[3],
  instructions: "stress the tests",
  onProviderError: "throw",
  onProgress: (event) => heard(event),
  signal: controller.signal,
  timeoutMs: 30_000,
  redact: (text) => text.replaceAll("secret", ""),
});
// @ts-expect-error a failure is passed over or thrown
await compact(history, { budget: 1, onProviderError: "ignore" });
// @ts-expect-error what is redacted stays a text
await compact(history, { budget: 1, redact: (text) => text.length });

// Events are told apart by their type.
function heard(event: ProgressEvent): string {
  switch (event.type) {
    case "request":
      return `${event.provider} ${event.purpose} ${event.attempt} ${event.tokens}`;
    case "text":
      return `${event.characters}`;
    case "answer":
      return `${event.ms}`;
    case "failure": {
      const wait: number | undefined = event.retryInMs;
      return `${event.code} ${event.message} ${wait}`;
    }
    default: {
      const never: never = event;
      return never;
    }
  }
}
