// The model that the command line asks.

import { EpitomeError } from "../errors.js";
import { anthropic } from "../providers/anthropic.js";
import { gemini } from "../providers/gemini.js";
import { ollama } from "../providers/ollama.js";
import { openai } from "../providers/openai.js";
import { UsageError } from "./arguments.js";

/** @import { ModelArguments } from "./arguments.js" */

/** @type {Record<string, (options: any) => import("../provider.js").Provider>} */
const APIS = {
  "openai-chat": openai,
  "openai-responses": (options) => openai({ ...options, api: "responses" }),
  anthropic,
  gemini,
  ollama,
};

/**
 * @param {ModelArguments | undefined} model
 * @returns {import("../provider.js").Provider | undefined}
 */
export function providerOf(model) {
  if (model === undefined) return undefined;
  const { api, baseUrl, key, model: name, window } = model;
  try {
    return APIS[api]?.({ baseUrl, model: name, apiKey: key, window, name });
  } catch (error) {
    if (error instanceof EpitomeError) throw new UsageError(error.message.replace("option `baseUrl`", "--provider"));
    throw error;
  }
}
