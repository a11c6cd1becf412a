// Anthropic Messages: `POST */messages`.

import {
  bearer,
  isObject,
  isPositiveInteger,
  isText,
  missingModel,
  testKey,
  tokens,
  unknownFields,
  Violation,
} from "../checks.mjs";
import { thoughts } from "../text.mjs";
import { lastUser, reasons, sse } from "./common.mjs";

export const name = "anthropic";
export const streamType = "text/event-stream; charset=utf-8";

const known =
  "max_tokens messages model cache_control container context_management inference_geo mcp_servers metadata " +
  "output_config service_tier speed stop_sequences stream system thinking tool_choice tools";

/** What requests may hold besides, by version of the API: the latest takes no sampling parameters. */
const versions = {
  "2023-01-01": "temperature top_k top_p",
  "2023-06-01": "temperature top_k top_p",
  "2026-10-21": "",
};

const types = {
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  413: "request_too_large",
  425: "rate_limit_error",
  429: "rate_limit_error",
  504: "timeout_error",
  529: "overloaded_error",
};

const words = {
  401: "invalid x-api-key",
  429: "This request would exceed your organization's rate limit of 50 requests per minute.",
  500: "Internal server error",
  529: "Overloaded",
};

export const route = (path) => (path.endsWith("/messages") ? {} : undefined);

export function error({ status, message }) {
  const type = types[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
  const said = message ?? words[status] ?? reasons[status];
  return { type: "error", error: { type, message: said }, request_id: "req_test" };
}

/** The newest package of the vendor sends keys as bearer tokens; what is documented for others is `x-api-key`. */
export function authorise({ headers }) {
  const key = headers["x-api-key"] ?? bearer(headers);
  if (key === undefined) throw new Violation("x-api-key header is required", { status: 401 });
  if (key !== testKey) throw new Violation("invalid x-api-key", { status: 401 });
  // The service wants pages to say that they know what they do with their key.
  if (headers.origin !== undefined && headers["anthropic-dangerous-direct-browser-access"] !== "true") {
    throw new Violation("CORS requests must set 'anthropic-dangerous-direct-browser-access' header", { status: 401 });
  }
}

export function read({ body, headers }) {
  const [unknown] = unknownFields(body, `${known} ${fieldsOf(headers["anthropic-version"])}`);
  if (unknown !== undefined) throw new Violation(`${unknown}: Extra inputs are not permitted`);
  for (const required of ["model", "max_tokens", "messages"]) {
    if (body[required] === undefined) throw new Violation(`${required}: Field required`);
  }
  if (!isText(body.model)) throw new Violation("model: Input should be a valid string");
  if (!isPositiveInteger(body.max_tokens)) {
    throw new Violation("max_tokens: Input should be a valid integer greater than or equal to 1");
  }
  if (body.stream !== undefined && typeof body.stream !== "boolean") {
    throw new Violation("stream: Input should be a valid boolean");
  }
  const turns = messages(body.messages);
  if (body.system !== undefined) turns.unshift({ role: "system", text: content(body.system, "system") });
  if (body.model === missingModel) throw new Violation(`model: ${body.model}`, { status: 404 });
  return {
    model: body.model,
    stream: body.stream === true,
    prompt: lastUser(turns),
    inputTokens: turns.reduce((sum, { text }) => sum + tokens(text), 0),
    maxTokens: body.max_tokens,
  };
}

function fieldsOf(version) {
  if (version === undefined) throw new Violation("anthropic-version: header is required");
  if (!Object.hasOwn(versions, version)) {
    throw new Violation(`anthropic-version: "${version}" is not a valid version`);
  }
  return versions[version];
}

function messages(list) {
  if (!Array.isArray(list)) throw new Violation("messages: Input should be a valid list");
  if (list.length === 0) throw new Violation("messages: at least one message is required");
  const turns = list.map((message, at) => {
    if (!isObject(message)) throw new Violation(`messages.${at}: Input should be an object`);
    // Some models of late take it in between; what has to work with all of them puts it into `system`.
    if (message.role !== "user" && message.role !== "assistant") {
      throw new Violation(
        message.role === "system"
          ? 'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an input message role.'
          : `messages.${at}.role: Input should be 'user' or 'assistant'`,
      );
    }
    const [unknown] = unknownFields(message, "role content");
    if (unknown !== undefined) throw new Violation(`messages.${at}.${unknown}: Extra inputs are not permitted`);
    return { role: message.role, text: content(message.content, `messages.${at}.content`) };
  });
  if (turns[0].role !== "user") throw new Violation('messages: first message must use the "user" role');
  if (turns.at(-1).role === "assistant" && /\s$/.test(turns.at(-1).text)) {
    throw new Violation("messages: final assistant content cannot end with trailing whitespace");
  }
  return turns;
}

function content(value, place) {
  if (typeof value === "string") {
    if (value === "") throw new Violation(`${place}: must have non-empty content`);
    return value;
  }
  if (!Array.isArray(value) || value.length === 0) throw new Violation(`${place}: Input should be a valid list`);
  const texts = value.map((block, at) => {
    if (block?.type !== "text") throw new Violation(`${place}.${at}.type: this server reads text blocks only`);
    if (typeof block.text !== "string") throw new Violation(`${place}.${at}.text: Field required`);
    if (block.text === "") throw new Violation("messages: text content blocks must be non-empty");
    if (block.text.trim() === "") throw new Violation("messages: text content blocks must contain non-whitespace text");
    return block.text;
  });
  return texts.join("\n");
}

const stopReasons = { end: "end_turn", length: "max_tokens", refusal: "refusal", filter: "refusal" };

const usage = (input_tokens, output_tokens) => ({
  input_tokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens,
  service_tier: "standard",
});

const refused = { type: "refusal", category: "general_harms", explanation: null };
const stopDetails = { end: null, length: null, refusal: refused, filter: refused };

/** A refusal comes without text. */
const says = (answer) => answer.stop !== "refusal" && answer.text !== "";

function head(answer, content, stop_reason, counts) {
  const id = `msg_${answer.id}`;
  return {
    id,
    type: "message",
    role: "assistant",
    model: answer.model,
    content,
    stop_reason,
    stop_details: stop_reason === null ? null : stopDetails[answer.stop],
    stop_sequence: null,
    usage: counts,
  };
}

export function whole(answer) {
  const content = [];
  if (answer.thinks) content.push({ type: "thinking", thinking: thoughts, signature: "c2lnbmF0dXJl" });
  if (says(answer)) content.push({ type: "text", text: answer.text });
  return head(answer, content, stopReasons[answer.stop], usage(answer.usage.input, answer.usage.output));
}

export function* stream(answer) {
  const event = (type, more) => sse({ type, ...more }, type);
  const message = head(answer, [], null, usage(answer.usage.input, 1));
  yield { frame: event("message_start", { message }) };
  let index = 0;
  if (answer.thinks) {
    for (const frame of block(index, { type: "thinking", thinking: "", signature: "" }, thinkingDeltas))
      yield { frame };
    index += 1;
  }
  yield { frame: event("ping", {}) };
  if (says(answer)) {
    const deltas = texts(answer.pieces);
    for (const frame of block(index, { type: "text", text: "" }, deltas)) yield { frame };
  }
  const delta = {
    stop_reason: stopReasons[answer.stop],
    stop_details: stopDetails[answer.stop],
    stop_sequence: null,
  };
  const ended = { delta, usage: usage(answer.usage.input, answer.usage.output) };
  yield { frame: event("message_delta", ended), tail: true };
  yield { frame: event("message_stop", {}), tail: true };
}

const thinkingDeltas = [
  { type: "thinking_delta", thinking: thoughts },
  { type: "signature_delta", signature: "c2lnbmF0dXJl" },
];

function* texts(pieces) {
  for (const text of pieces) yield { type: "text_delta", text };
}

function* block(index, content_block, deltas) {
  yield sse({ type: "content_block_start", index, content_block }, "content_block_start");
  for (const delta of deltas) yield sse({ type: "content_block_delta", index, delta }, "content_block_delta");
  yield sse({ type: "content_block_stop", index }, "content_block_stop");
}

export const errorFrame = () => sse({ type: "error", error: error({ status: 529 }).error }, "error");

export const tooLong = (limit, actual) => ({
  status: 400,
  message: `prompt is too long: ${actual} tokens > ${limit} maximum`,
});
