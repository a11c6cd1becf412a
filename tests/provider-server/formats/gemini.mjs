// Gemini: `POST */models/{model}:generateContent` and `:streamGenerateContent`, the latter as events with `?alt=sse`,
// else as one JSON array that grows.

import { isObject, isPositiveInteger, missingModel, testKey, tokens, unknownFields, Violation } from "../checks.mjs";
import { thoughts } from "../text.mjs";
import { lastUser, reasons, sse } from "./common.mjs";

export const name = "gemini";
export const streamType = "text/event-stream";

const known =
  "contents tools toolConfig safetySettings systemInstruction generationConfig cachedContent labels serviceTier store";

const knownSettings =
  "audioTimestamp candidateCount enableAffectiveDialog enableEnhancedCivicAnswers frequencyPenalty logprobs " +
  "maxOutputTokens mediaResolution presencePenalty responseJsonSchema responseLogprobs responseMimeType " +
  "responseModalities responseSchema seed speechConfig stopSequences temperature thinkingConfig topK topP imageConfig";

const statuses = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  402: "FAILED_PRECONDITION",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  408: "DEADLINE_EXCEEDED",
  409: "ABORTED",
  413: "INVALID_ARGUMENT",
  422: "INVALID_ARGUMENT",
  425: "RESOURCE_EXHAUSTED",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
  529: "UNAVAILABLE",
};

const words = {
  401: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
  403: "The caller does not have permission",
  413: "Request payload size exceeds the limit: 20971520 bytes.",
  429: "You exceeded your current quota, please check your plan and billing details.",
  500: "An internal error has occurred. Please retry or report it.",
  503: "The model is overloaded. Please try again later.",
  504: "Deadline expired before operation could complete.",
};

export function route(path) {
  const [, model, method] = /\/models\/([^/:]+):(generateContent|streamGenerateContent)$/.exec(path) ?? [];
  return method && { model, stream: method === "streamGenerateContent" };
}

/** `code` is the reason in the details; `retryAfter` is in seconds. */
export function error({ status, message, code, retryAfter }) {
  const details = [];
  if (code) {
    details.push({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: code, domain: "googleapis.com" });
  }
  if (retryAfter !== undefined) {
    details.push({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${retryAfter}s` });
  }
  const said = message ?? words[status] ?? reasons[status];
  const inner = { code: status, message: said, status: statuses[status] ?? "UNKNOWN" };
  return { error: { ...inner, ...(details.length > 0 && { details }) } };
}

export function authorise({ headers, query }) {
  const key = headers["x-goog-api-key"] ?? query.get("key");
  if (key === testKey) return;
  if (key === null) {
    throw new Violation(
      "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.",
      { status: 403 },
    );
  }
  throw new Violation("API key not valid. Please pass a valid API key.", { code: "API_KEY_INVALID" });
}

export function read({ body, route: { model, stream }, query }) {
  checkNames(body, known, "");
  const settings = pick(body, "generationConfig") ?? {};
  checkNames(settings, knownSettings, " at 'generation_config'");
  const turns = contents(body.contents);
  const system = pick(body, "systemInstruction");
  if (system !== undefined) turns.unshift({ role: "system", text: parts(system, "system_instruction") });
  const maxTokens = pick(settings, "maxOutputTokens");
  if (maxTokens !== undefined && !isPositiveInteger(maxTokens)) {
    throw new Violation(
      "* GenerateContentRequest.generation_config.max_output_tokens: max_output_tokens must be positive.\n",
    );
  }
  if (model === missingModel) {
    throw new Violation(
      `models/${model} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods.`,
      { status: 404 },
    );
  }
  return {
    model,
    stream,
    asArray: stream && query.get("alt") !== "sse",
    prompt: lastUser(turns),
    inputTokens: turns.reduce((sum, { text }) => sum + tokens(text), 0),
    maxTokens,
  };
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Both spellings of a field are understood. */
const pick = (body, name) => body[name] ?? body[snake(name)];

function checkNames(value, names, place) {
  if (!isObject(value)) throw new Violation(`Invalid value${place}: Proto field is not repeating, cannot start list.`);
  const spelled = Object.fromEntries(Object.keys(value).map((name) => [camel(name), name]));
  const [unknown] = unknownFields(spelled, names);
  if (unknown !== undefined) {
    throw new Violation(
      `Invalid JSON payload received. Unknown name "${spelled[unknown]}"${place}: Cannot find field.`,
    );
  }
}

function contents(list) {
  if (!Array.isArray(list) || list.length === 0) {
    throw new Violation("* GenerateContentRequest.contents: contents is not specified\n");
  }
  return list.map((content, at) => {
    const place = `contents[${at}]`;
    checkNames(content, "role parts", ` at '${place}'`);
    const role = content.role ?? "user";
    if (role !== "user" && role !== "model") throw new Violation("Please use a valid role: user, model.");
    return { role, text: parts(content, place) };
  });
}

function parts(content, place) {
  if (!isObject(content) || !Array.isArray(content.parts) || content.parts.length === 0) {
    throw new Violation(`* GenerateContentRequest.${place}.parts: contents.parts must not be empty.\n`);
  }
  const texts = content.parts.map((part, at) => {
    checkNames(part, "text thought thoughtSignature", ` at '${place}.parts[${at}]'`);
    if (typeof part.text !== "string" || part.text === "") {
      throw new Violation(
        `* GenerateContentRequest.${place}.parts[${at}].data: required oneof field 'data' must have one initialized field\n`,
      );
    }
    return part.text;
  });
  return texts.join("\n");
}

const finishReasons = { end: "STOP", length: "MAX_TOKENS", refusal: "SAFETY" };

function usageMetadata({ usage: { input, output }, thinks }) {
  const thought = thinks ? tokens(thoughts) : 0;
  return {
    promptTokenCount: input,
    candidatesTokenCount: output,
    totalTokenCount: input + output + thought,
    promptTokensDetails: [{ modality: "TEXT", tokenCount: input }],
    ...(thinks && { thoughtsTokenCount: thought }),
  };
}

function chunk(answer, candidate) {
  return {
    ...candidate,
    usageMetadata: usageMetadata(answer),
    modelVersion: answer.model,
    responseId: answer.id,
  };
}

/** Parts of one candidate; none in it means that it says nothing. */
function candidate(parts, finishReason) {
  const content = parts.length > 0 ? { parts, role: "model" } : { role: "model" };
  return { candidates: [{ content, ...(finishReason && { finishReason }), index: 0 }] };
}

const blocked = { promptFeedback: { blockReason: "PROHIBITED_CONTENT" } };
const refused = {
  candidates: [
    {
      finishReason: "SAFETY",
      index: 0,
      safetyRatings: [{ category: "HARM_CATEGORY_DANGEROUS_CONTENT", probability: "HIGH", blocked: true }],
    },
  ],
};

export function whole(answer) {
  if (answer.stop === "filter") return chunk(answer, blocked);
  if (answer.stop === "refusal") return chunk(answer, refused);
  const parts = [];
  if (answer.thinks) parts.push({ text: thoughts, thought: true });
  if (answer.text !== "") parts.push({ text: answer.text });
  return chunk(answer, candidate(parts, finishReasons[answer.stop]));
}

export function* stream(answer, { asArray }) {
  let first = true;
  const frame = (value) => {
    if (!asArray) return sse(value).replaceAll("\n", "\r\n");
    const lead = first ? "[" : ",\r\n";
    first = false;
    return lead + JSON.stringify(value, null, 2);
  };
  if (answer.stop === "filter" || answer.stop === "refusal") {
    yield { frame: frame(whole(answer)), tail: true };
  } else {
    if (answer.thinks) yield { frame: frame(chunk(answer, candidate([{ text: thoughts, thought: true }]))) };
    for (const text of answer.pieces) yield { frame: frame(chunk(answer, candidate([{ text }]))) };
    yield { frame: frame(chunk(answer, candidate([{ text: "" }], finishReasons[answer.stop]))), tail: true };
  }
  if (asArray) yield { frame: "]", tail: true };
}

export const errorFrame = () => sse(error({ status: 503 }));

export const tooLong = (limit, actual) => ({
  status: 400,
  message: `The input token count (${actual}) exceeds the maximum number of tokens allowed (${limit}).`,
});
