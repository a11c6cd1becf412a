// OpenAI Chat Completions: `POST */chat/completions`.

import { isObject, isPositiveInteger, missingModel, tokens, unknownFields, Violation } from "../checks.mjs";
import { thoughts } from "../text.mjs";
import { created, eachMessage, lastUser, sse } from "./common.mjs";
import { common, contentText, error, field } from "./openai.mjs";

export { authorise, error } from "./openai.mjs";

export const name = "openai-chat";
export const streamType = "text/event-stream; charset=utf-8";

const known =
  "messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens " +
  "max_tokens metadata modalities n parallel_tool_calls prediction presence_penalty prompt_cache_key " +
  "prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream " +
  "stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options";

const roles = ["system", "developer", "user", "assistant", "tool", "function"];

/** Models that think take `max_completion_tokens` only. */
const thinks = /^(?:o\d|gpt-5)/;

export const route = (path) => (path.endsWith("/chat/completions") ? {} : undefined);

/** @returns what is asked, or throws a `Violation` */
export function read({ body }) {
  const [unknown] = unknownFields(body, known);
  if (unknown !== undefined) throw new Violation(`Unrecognized request argument supplied: ${unknown}`);
  common(body);
  field(body, "messages", Array.isArray, "an array of messages", true);
  if (body.messages.length === 0) {
    throw new Violation("Invalid 'messages': empty array. Expected an array with minimum length 1.", {
      param: "messages",
      code: "empty_array",
    });
  }
  const turns = [];
  eachMessage(body.messages, (message, at) => turns.push(turn(message, `messages[${at}]`)));
  if (body.model === missingModel) {
    throw new Violation(`The model \`${body.model}\` does not exist or you do not have access to it.`, {
      status: 404,
      code: "model_not_found",
    });
  }
  const maxTokens = limit(body);
  checkStreamOptions(body.stream_options);
  return {
    model: body.model,
    stream: body.stream === true,
    prompt: lastUser(turns),
    inputTokens: turns.reduce((sum, { text }) => sum + tokens(text), 0),
    maxTokens,
    includeUsage: body.stream_options?.include_usage === true,
  };
}

function turn(message, param) {
  if (!roles.includes(message.role)) {
    throw new Violation(`Invalid value: '${message.role}'. Supported values are: ${roles.join(", ")}.`, {
      param: `${param}.role`,
      code: "invalid_value",
    });
  }
  const [unknown] = unknownFields(message, "role content name refusal audio tool_calls tool_call_id function_call");
  if (unknown !== undefined) throw new Violation(`Unknown parameter: '${param}.${unknown}'.`, { param });
  const called = message.role === "assistant" && Array.isArray(message.tool_calls);
  if (called && message.content == null) return { role: message.role, text: "" };
  return { role: message.role, text: contentText(message.content, ["text", "refusal"], `${param}.content`) };
}

function limit(body) {
  for (const param of ["max_tokens", "max_completion_tokens"]) {
    field(body, param, isPositiveInteger, "a positive integer");
  }
  if (body.max_tokens != null && thinks.test(body.model)) {
    throw new Violation(
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      { param: "max_tokens", code: "unsupported_parameter" },
    );
  }
  if (body.max_tokens != null && body.max_completion_tokens != null) {
    throw new Violation("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", {
      param: "max_tokens",
    });
  }
  return body.max_completion_tokens ?? body.max_tokens ?? undefined;
}

function checkStreamOptions(options) {
  if (options == null) return;
  const good = isObject(options) && unknownFields(options, "include_usage include_obfuscation").length === 0;
  if (!good) throw new Violation("Invalid value for 'stream_options'.", { param: "stream_options" });
}

const finishReasons = { end: "stop", refusal: "stop", length: "length", filter: "content_filter" };

const usage = ({ usage: { input, output } }) => ({
  prompt_tokens: input,
  completion_tokens: output,
  total_tokens: input + output,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
});

export function whole(answer) {
  const refused = answer.stop === "refusal";
  const message = {
    role: "assistant",
    content: refused ? null : answer.text,
    ...(answer.thinks && { reasoning_content: thoughts }),
    refusal: refused ? answer.text : null,
    annotations: [],
  };
  return {
    id: `chatcmpl-${answer.id}`,
    object: "chat.completion",
    created,
    model: answer.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishReasons[answer.stop] }],
    usage: usage(answer),
    service_tier: "default",
    system_fingerprint: "fp_test",
  };
}

/** The frames of a streamed answer; `tail` marks those that say that it is complete. */
export function* stream(answer, { includeUsage }) {
  const frame = (choices, more = {}) =>
    sse({
      id: `chatcmpl-${answer.id}`,
      object: "chat.completion.chunk",
      created,
      model: answer.model,
      service_tier: "default",
      system_fingerprint: "fp_test",
      choices,
      ...(includeUsage && { usage: null }),
      ...more,
    });
  const chunk = (delta, finish_reason = null) => frame([{ index: 0, delta, logprobs: null, finish_reason }]);
  yield { frame: chunk({ role: "assistant", content: "", refusal: null }) };
  if (answer.thinks) yield { frame: chunk({ reasoning_content: thoughts }) };
  const key = answer.stop === "refusal" ? "refusal" : "content";
  for (const piece of answer.pieces) yield { frame: chunk({ [key]: piece }) };
  yield { frame: chunk({}, finishReasons[answer.stop]), tail: true };
  if (includeUsage) yield { frame: frame([], { usage: usage(answer) }), tail: true };
  yield { frame: "data: [DONE]\n\n", tail: true };
}

export const errorFrame = () => sse(error({ status: 503 }));

export const tooLong = (limit, actual) => ({
  status: 400,
  param: "messages",
  code: "context_length_exceeded",
  message: `This model's maximum context length is ${limit} tokens. However, your messages resulted in ${actual} tokens. Please reduce the length of the messages.`,
});
