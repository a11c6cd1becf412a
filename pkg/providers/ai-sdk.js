// A model of the Vercel AI SDK. Nothing of the SDK is imported: the model object brings all that is needed.

import { describe, invalidOption } from "../errors.js";
import { checked, text } from "../options.js";
import { LIMITS, Provider } from "../provider.js";
import { failed } from "../rejection.js";

/** @import { AiSdkModel, AiSdkOptions, AiSdkResult } from "./ai-sdk.d.ts" */
/** @import { ProviderAnswer, ProviderFunction, ProviderRequest } from "./index.d.ts" */

/**
 * @param {AiSdkModel} model
 * @param {AiSdkOptions} [options]
 * @returns {Provider}
 */
export function aiSdk(model, options) {
  checkModel(model);
  const { name, ...limits } = checked("options", options ?? {}, ["name", ...LIMITS]);
  /** @type {ProviderFunction} */
  const complete = async ({ messages, maxTokens }, { signal }) => {
    const prompt = messages.map(messageOf);
    return answerOf(await model.doGenerate({ prompt, maxOutputTokens: maxTokens, abortSignal: signal }));
  };
  return new Provider(text("name", name) ?? `${model.provider} ${model.modelId}`, { complete }, limits);
}

/** @param {any} model */
function checkModel(model) {
  if (typeof model === "string") {
    const id = JSON.stringify(model);
    throw invalidOption("model", `must be a model object, but is the name ${id}; make one of it: \`gateway(${id})\``);
  }
  if (typeof model?.doGenerate !== "function") {
    throw invalidOption("model", `must be a language model of the AI SDK, but is ${describe(model)}`);
  }
  if (model.specificationVersion === "v1") {
    throw invalidOption("model", "is of an AI SDK before version 5, which speaks another language");
  }
}

/** @param {ProviderRequest["messages"][number]} message */
function messageOf({ role, content }) {
  if (role === "system") return { role: /** @type {const} */ ("system"), content };
  return {
    role: role === "assistant" ? /** @type {const} */ ("assistant") : /** @type {const} */ ("user"),
    content: [{ type: /** @type {const} */ ("text"), text: content }],
  };
}

/**
 * @param {AiSdkResult} result
 * @returns {ProviderAnswer}
 */
function answerOf(result) {
  const { content, finishReason, usage } = result ?? {};
  if (!Array.isArray(content)) throw failed("malformed", "the result of the model has no `content`");
  // Up to version 5 of the SDK a word, then the vendor's word beside the one that all have in common.
  const reason = typeof finishReason === "object" ? finishReason?.unified : finishReason;
  if (reason === "error") throw new Error("the model stopped because of an error");
  return {
    text: content.map((part) => (part.type === "text" ? part.text : "")).join(""),
    usage: { inputTokens: total(usage?.inputTokens), outputTokens: total(usage?.outputTokens) },
    stop: reason === "length" ? "length" : reason === "content-filter" ? "refused" : "end",
  };
}

/**
 * A count of tokens: up to version 5 of the SDK a number, then an object with its parts.
 *
 * @param {NonNullable<AiSdkResult["usage"]>["inputTokens"]} tokens
 */
function total(tokens) {
  return (typeof tokens === "object" ? tokens?.total : tokens) ?? undefined;
}
