// Ollama: `POST */api/chat`, streamed as lines of JSON unless `stream` is false. It wants no key.
//
// It is stricter than the real one, which ignores fields and options that it does not know. Like the real one, it cuts
// a prompt that is longer than `num_ctx` and does not say so.

import { isObject, isPositiveInteger, isText, missingModel, tokens, unknownFields, Violation } from "../checks.mjs";
import { thoughts } from "../text.mjs";
import { lastUser, reasons } from "./common.mjs";

export const name = "ollama";
export const streamType = "application/x-ndjson";

const known =
  "model messages stream format options keep_alive tools think logprobs top_logprobs truncate shift template";

const integerOptions =
  "num_ctx num_predict num_keep num_batch num_gpu main_gpu num_thread seed top_k repeat_last_n mirostat";

const otherOptions =
  "temperature top_p min_p typical_p tfs_z repeat_penalty presence_penalty frequency_penalty mirostat_tau " +
  "mirostat_eta penalize_newline stop numa use_mmap use_mlock low_vram f16_kv logits_all vocab_only embedding_only";

const roles = ["system", "user", "assistant", "tool"];

/** What is read of a prompt where the request does not say. */
const defaultContext = 4_096;

export const route = (path) => (path.endsWith("/api/chat") ? {} : undefined);

export const error = ({ status, message }) => ({ error: message ?? words[status] ?? reasons[status] });

const words = {
  404: "model 'test' not found",
  503: "server busy, please try again. maximum pending requests exceeded",
};

export function authorise() {}

export function read({ body }) {
  const [unknown] = unknownFields(body, known);
  if (unknown !== undefined) throw new Violation(`unknown field "${unknown}"`);
  if (!isText(body.model)) throw new Violation("model is required");
  if (body.stream !== undefined && typeof body.stream !== "boolean") {
    throw new Violation("json: cannot unmarshal into Go struct field ChatRequest.stream of type bool");
  }
  if (!Array.isArray(body.messages) || body.messages.length === 0) throw new Violation("messages is required");
  const turns = body.messages.map(turn);
  const options = body.options ?? {};
  checkOptions(options);
  if (body.model === missingModel) throw new Violation(`model '${body.model}' not found`, { status: 404 });
  const inputTokens = turns.reduce((sum, { text }) => sum + tokens(text), 0);
  return {
    model: body.model,
    stream: body.stream !== false,
    prompt: lastUser(turns),
    inputTokens: Math.min(inputTokens, options.num_ctx ?? defaultContext),
    maxTokens: options.num_predict,
  };
}

function turn(message, at) {
  if (!isObject(message)) throw new Violation(`messages[${at}]: expected an object`);
  if (!roles.includes(message.role)) {
    throw new Violation(`invalid role "${message.role}", must be one of ["system", "user", "assistant", "tool"]`);
  }
  const [unknown] = unknownFields(message, "role content thinking images tool_calls tool_name tool_call_id");
  if (unknown !== undefined) throw new Violation(`unknown field "messages[${at}].${unknown}"`);
  if (!isText(message.content)) throw new Violation(`messages[${at}]: content must be a string that is not empty`);
  return { role: message.role, text: message.content };
}

function checkOptions(options) {
  if (!isObject(options)) throw new Violation("json: cannot unmarshal into Go struct field ChatRequest.options");
  const [unknown] = unknownFields(options, `${integerOptions} ${otherOptions}`);
  if (unknown !== undefined) throw new Violation(`invalid option provided: "${unknown}"`);
  for (const option of integerOptions.split(" ")) {
    if (options[option] !== undefined && !Number.isSafeInteger(options[option])) {
      throw new Violation(`option "${option}" must be of type integer`);
    }
  }
  for (const option of ["num_ctx", "num_predict"]) {
    if (options[option] !== undefined && !isPositiveInteger(options[option])) {
      throw new Violation(`option "${option}" must be positive`);
    }
  }
}

const created_at = "2025-10-09T08:53:20.123456Z";

const said = (answer, content, more = {}) => ({
  model: answer.model,
  created_at,
  message: { role: "assistant", content, ...more },
});

function ended(answer) {
  return {
    done: true,
    done_reason: answer.stop === "length" ? "length" : "stop",
    total_duration: 1_200_000_000,
    load_duration: 100_000_000,
    prompt_eval_count: answer.usage.input,
    prompt_eval_duration: 300_000_000,
    eval_count: answer.usage.output,
    eval_duration: 800_000_000,
  };
}

export function whole(answer) {
  return { ...said(answer, answer.text, answer.thinks ? { thinking: thoughts } : {}), ...ended(answer) };
}

export function* stream(answer) {
  const line = (value) => `${JSON.stringify(value)}\n`;
  if (answer.thinks) yield { frame: line({ ...said(answer, "", { thinking: thoughts }), done: false }) };
  for (const piece of answer.pieces) yield { frame: line({ ...said(answer, piece), done: false }) };
  yield { frame: line({ ...said(answer, ""), ...ended(answer) }), tail: true };
}

export const errorFrame = () => `${JSON.stringify({ error: "an error was encountered while running the model" })}\n`;

// The words of its runner name how much too much there was, not how much it takes.
export const tooLong = (limit, actual) => ({
  status: 400,
  message: `prompt too long; exceeded max context length by ${actual - limit} tokens`,
});
