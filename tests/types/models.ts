// The ready providers take what the packages of others really make. A line below `@ts-expect-error` must not compile.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { CreateMLCEngine, type MLCEngine, type MLCEngineInterface, type WebWorkerMLCEngine } from "@mlc-ai/web-llm";
import { gateway, type LanguageModel, wrapLanguageModel } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { gateway as gateway7, type LanguageModel as LanguageModel7 } from "ai-v7";
import { MockLanguageModelV4 } from "ai-v7/test";
import { compact } from "epitome";
import { aiSdk } from "epitome/providers/ai-sdk";
import { webLlm } from "epitome/providers/web-llm";
import OpenAI, { AzureOpenAI } from "openai";

const history = [{ role: "user", content: "hi" }];

/** A package whose types were not found would fit anything. */
type IsAny<T> = 0 extends 1 & T ? true : false;
const known = <_T extends false>() => {};
known<IsAny<typeof gateway>>();
known<IsAny<typeof gateway7>>();
known<IsAny<MockLanguageModelV3["doGenerate"]>>();
known<IsAny<MockLanguageModelV4["doGenerate"]>>();
known<IsAny<MLCEngine["chat"]["completions"]["create"]>>();
known<IsAny<OpenAI["chat"]["completions"]["create"]>>();

// The AI SDK: real models of two vendors, of its gateway, wrapped ones, mocks; versions 6 and 7.
const model = createOpenAI({})("gpt-5-mini");
await compact(history, { budget: 1_000, provider: aiSdk(model, { window: 128_000, name: "mine" }) });
aiSdk(createAnthropic({})("claude-haiku-4-5"));
aiSdk(gateway("openai/gpt-5-mini"));
aiSdk(gateway7("openai/gpt-5-mini"));
aiSdk(wrapLanguageModel({ model, middleware: { specificationVersion: "v3" } }));
aiSdk(new MockLanguageModelV3());
aiSdk(new MockLanguageModelV4());
declare const either: Exclude<LanguageModel, string> | Exclude<LanguageModel7, string>;
aiSdk(either);
// @ts-expect-error a name goes through the gateway of the SDK, which only the SDK knows
aiSdk("openai/gpt-5-mini");
declare const named: LanguageModel;
// @ts-expect-error it may be a name
aiSdk(named);
// @ts-expect-error a client of another package
aiSdk(new OpenAI());
// @ts-expect-error a misspelt option
aiSdk(model, { windw: 128_000 });

// WebLLM: engines of the page, of workers, and behind their interface.
const engine: MLCEngine = await CreateMLCEngine("Llama-3.2-3B-Instruct-q4f16_1-MLC");
declare const worker: WebWorkerMLCEngine;
declare const any: MLCEngineInterface;
webLlm(engine, { window: 4_096, reset: true, body: { temperature: 0 } });
webLlm(worker);
webLlm(any, { model: "one of several" });

// Clients of `openai`.
webLlm(new OpenAI(), { model: "gpt-5-mini" });
webLlm(new AzureOpenAI(), { model: "mine" });
// @ts-expect-error which model?
webLlm(new OpenAI());
// @ts-expect-error a model of the AI SDK
webLlm(model, { model: "x" });
