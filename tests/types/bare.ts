// The declarations stand on their own: no DOM, no Node, no Workers types.

import { compact, fit, type InitInput, init } from "epitome";
import { createProvider } from "epitome/providers";
import { aiSdk } from "epitome/providers/ai-sdk";
import { anthropic } from "epitome/providers/anthropic";
import { chromePrompt, chromeSummarizer } from "epitome/providers/chrome";
import { gemini } from "epitome/providers/gemini";
import { ollama } from "epitome/providers/ollama";
import { openai } from "epitome/providers/openai";
import { webLlm } from "epitome/providers/web-llm";

const input: InitInput = "https://example.org/epitome_bg.wasm";
await init(input);
await init(new Uint8Array(8));
fit([{ role: "user", content: "hi" }], { budget: 1_000 });

// Providers neither.
const provider = createProvider(async ({ messages }) => messages.map(({ content }) => content).join("\n"));
await compact([{ role: "user", content: "hi" }], {
  budget: 1_000,
  provider: [
    provider,
    openai({ model: "m", baseUrl: "https://example.org/v1" }),
    anthropic({ model: "m" }),
    gemini({ model: "m" }),
    ollama({ model: "m" }),
    aiSdk({ specificationVersion: "v3", provider: "p", modelId: "m", doGenerate: async () => ({ content: [] }) }),
    webLlm({ chat: { completions: { create: async () => ({ choices: [] }) } }, interruptGenerate() {} }),
    chromePrompt(),
    chromeSummarizer(),
    "offline",
  ],
});
