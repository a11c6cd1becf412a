// OpenAI Responses: `POST */responses`.

import { isObject, isPositiveInteger, isText, missingModel, tokens, unknownFields, Violation } from "../checks.mjs";
import { thoughts } from "../text.mjs";
import { created, lastUser, sse } from "./common.mjs";
import { common, contentText, error, field } from "./openai.mjs";

export { authorise, error } from "./openai.mjs";

export const name = "openai-responses";
export const streamType = "text/event-stream; charset=utf-8";

const known =
  "background context_management conversation include input instructions max_output_tokens max_tool_calls metadata " +
  "model parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_retention reasoning " +
  "safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs top_p " +
  "truncation user";

const roles = ["system", "developer", "user", "assistant"];
const partTypes = ["input_text", "output_text"];

/** Fewer tokens than this cannot be asked for. */
const leastTokens = 16;

export const route = (path) => (path.endsWith("/responses") ? {} : undefined);

export function read({ body }) {
  const [unknown] = unknownFields(body, known);
  if (unknown !== undefined) {
    throw new Violation(`Unknown parameter: '${unknown}'.`, { param: unknown, code: "unknown_parameter" });
  }
  common(body);
  field(body, "instructions", isText, "a string");
  field(body, "store", (value) => typeof value === "boolean", "a boolean");
  checkLimit(body.max_output_tokens);
  const turns = inputTurns(body.input);
  if (body.instructions) turns.unshift({ role: "system", text: body.instructions });
  if (body.model === missingModel) {
    throw new Violation(`The requested model '${body.model}' does not exist.`, {
      param: "model",
      code: "model_not_found",
    });
  }
  return {
    model: body.model,
    stream: body.stream === true,
    prompt: lastUser(turns),
    inputTokens: turns.reduce((sum, { text }) => sum + tokens(text), 0),
    maxTokens: body.max_output_tokens ?? undefined,
    echoed: { instructions: body.instructions ?? null, store: body.store ?? true },
  };
}

function checkLimit(value) {
  field({ max_output_tokens: value }, "max_output_tokens", isPositiveInteger, "a positive integer");
  if (value != null && value < leastTokens) {
    throw new Violation(
      `Invalid 'max_output_tokens': integer below minimum value. Expected a value >= ${leastTokens}, but got ${value} instead.`,
      { param: "max_output_tokens", code: "integer_below_min_value" },
    );
  }
}

function inputTurns(input) {
  const param = "input";
  if (isText(input)) return [{ role: "user", text: input }];
  if (!Array.isArray(input) || input.length === 0) {
    throw new Violation("Missing required parameter: 'input'.", { param, code: "missing_required_parameter" });
  }
  return input.map((item, at) => inputTurn(item, `${param}[${at}]`));
}

function inputTurn(item, param) {
  if (!isObject(item) || (item.type ?? "message") !== "message" || !roles.includes(item.role)) {
    throw new Violation(`Invalid value: '${item?.role}'. Supported values are: ${roles.join(", ")}.`, {
      param: `${param}.role`,
      code: "invalid_value",
    });
  }
  const [unknown] = unknownFields(item, "type role content id status phase");
  if (unknown !== undefined) throw new Violation(`Unknown parameter: '${param}.${unknown}'.`, { param });
  return { role: item.role, text: contentText(item.content, partTypes, `${param}.content`) };
}

const usage = ({ usage: { input, output } }) => ({
  input_tokens: input,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: output,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: input + output,
});

const incomplete = { length: "max_output_tokens", filter: "content_filter" };

function part(answer, text) {
  if (answer.stop === "refusal") return { type: "refusal", refusal: text };
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function message(answer, status, content) {
  return { id: `msg_${answer.id}`, type: "message", status, role: "assistant", content };
}

const reasoning = (answer) => ({
  id: `rs_${answer.id}`,
  type: "reasoning",
  summary: [{ type: "summary_text", text: thoughts }],
});

/** The response object; `finished` also with its output. */
function response(answer, finished, asked) {
  const reason = incomplete[answer.stop];
  const status = reason === undefined ? "completed" : "incomplete";
  const said = answer.text === "" ? [] : [part(answer, answer.text)];
  return {
    id: `resp_${answer.id}`,
    object: "response",
    created_at: created,
    status: finished ? status : "in_progress",
    background: false,
    error: null,
    incomplete_details: finished && reason !== undefined ? { reason } : null,
    instructions: asked.echoed.instructions,
    max_output_tokens: asked.maxTokens ?? null,
    model: answer.model,
    output: finished ? [...(answer.thinks ? [reasoning(answer)] : []), message(answer, status, said)] : [],
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: asked.echoed.store,
    temperature: 1,
    text: { format: { type: "text" } },
    tool_choice: "auto",
    tools: [],
    top_p: 1,
    truncation: "disabled",
    usage: finished ? usage(answer) : null,
    user: null,
    metadata: {},
  };
}

export const whole = (answer, asked) => response(answer, true, asked);

export function* stream(answer, asked) {
  let sequence_number = 0;
  const event = (type, more) => sse({ type, sequence_number: sequence_number++, ...more }, type);
  yield { frame: event("response.created", { response: response(answer, false, asked) }) };
  yield { frame: event("response.in_progress", { response: response(answer, false, asked) }) };
  let output_index = 0;
  if (answer.thinks) {
    for (const phase of ["added", "done"]) {
      yield { frame: event(`response.output_item.${phase}`, { output_index, item: reasoning(answer) }) };
    }
    output_index += 1;
  }
  const place = { item_id: `msg_${answer.id}`, output_index, content_index: 0 };
  const added = { output_index, item: message(answer, "in_progress", []) };
  yield { frame: event("response.output_item.added", added) };
  const kind = answer.stop === "refusal" ? "refusal" : "output_text";
  const extra = kind === "output_text" ? { logprobs: [] } : {};
  yield { frame: event("response.content_part.added", { ...place, part: part(answer, "") }) };
  for (const delta of answer.pieces) yield { frame: event(`response.${kind}.delta`, { ...place, delta, ...extra }) };
  const text = kind === "refusal" ? { refusal: answer.text } : { text: answer.text };
  yield { frame: event(`response.${kind}.done`, { ...place, ...text, ...extra }) };
  yield { frame: event("response.content_part.done", { ...place, part: part(answer, answer.text) }) };
  const final = response(answer, true, asked);
  yield { frame: event("response.output_item.done", { output_index, item: final.output.at(-1) }) };
  yield { frame: event(`response.${final.status}`, { response: final }), tail: true };
}

export const errorFrame = (sequence_number = 99) =>
  sse(
    {
      type: "error",
      code: "server_error",
      message: error({ status: 503 }).error.message,
      param: null,
      sequence_number,
    },
    "error",
  );

// This API names no numbers.
export const tooLong = () => ({
  status: 400,
  param: "input",
  code: "context_length_exceeded",
  message: "Your input exceeds the context window of this model. Please adjust your input and try again.",
});
