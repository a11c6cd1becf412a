// The test server speaks like the vendors: their own packages read its answers, its streams and its errors.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import { ApiError, GoogleGenAI } from "@google/genai";
import { Ollama } from "ollama";
import OpenAI from "openai";

import { spawnServer } from "../provider-server/server.mjs";

const apiKey = "test-key";
const model = "test";
const prompt = `Please fix the parser in src/parser.rs; it fails at line 42 with E0308. ${"It worked before. ".repeat(20)}`;
const messages = [{ role: "user", content: prompt }];

let server;
before(async () => {
  server = await spawnServer();
});
after(() => server.close());

/** Each answer begins and ends like this, whichever way it came. */
const right = /^1\. User Intent: “Please fix the parser in src\/parser\.rs;.*42/;
const headers = { "x-test-answer": Buffer.from("Grüße — 你好 🙂").toString("base64") };
const greeting = "Grüße — 你好 🙂";

/** Runs through a stream and returns its items. */
async function all(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** What a promise rejects with. */
async function errorOf(promise) {
  const [result] = await Promise.allSettled([promise]);
  assert.equal(result.status, "rejected");
  return result.reason;
}

describe("openai, Chat Completions", () => {
  const client = (fault) => new OpenAI({ apiKey, baseURL: `${server.url}/${fault}/v1`, maxRetries: 0 });
  const ask = (fault, more = {}, options = {}) =>
    client(fault).chat.completions.create({ model, messages, max_completion_tokens: 500, ...more }, options);
  const streamed = { stream: true, stream_options: { include_usage: true } };

  test("reads an answer, its usage and why it ends", async () => {
    const { choices, usage } = await ask("ok");
    assert.match(choices[0].message.content, right);
    assert.equal(choices[0].finish_reason, "stop");
    assert.equal(usage.prompt_tokens, Math.ceil(prompt.length / 4));
    assert.equal(usage.completion_tokens, Math.ceil([...choices[0].message.content].length / 4));
  });

  test("reads a stream, whole and cut into bytes", async () => {
    for (const fault of ["ok", "sse-split", "gzip"]) {
      const chunks = await all(await ask(fault, streamed, { headers }));
      assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), greeting);
      assert.equal(chunks.findLast(({ choices }) => choices.length > 0).choices[0].finish_reason, "stop");
      assert.deepEqual(chunks.at(-1).choices, []);
      assert.ok(chunks.at(-1).usage.completion_tokens > 0);
    }
  });

  test("its own accumulation of a stream is the whole answer", async () => {
    const runner = client("thinking").chat.completions.stream({ model, messages, ...streamed });
    const { choices, usage } = await runner.finalChatCompletion();
    const whole = await ask("ok");
    assert.equal(choices[0].message.content, whole.choices[0].message.content);
    assert.deepEqual(usage, whole.usage);
  });

  test("tells a cut, filtered and refused answer", async () => {
    const { choices: cut } = await ask("ok", { max_completion_tokens: 5 });
    assert.deepEqual([cut[0].finish_reason, cut[0].message.content.length], ["length", 20]);
    const { choices: filtered } = await ask("filter");
    assert.equal(filtered[0].finish_reason, "content_filter");
    const { choices: refused } = await ask("refusal");
    assert.equal(refused[0].message.content, null);
    assert.match(refused[0].message.refusal, /can't help/);
  });

  test("throws errors of the right class", async () => {
    for (const [fault, kind, code] of openaiErrors) await throws(ask(fault), kind, code);
    assert.ok((await errorOf(ask("reset"))) instanceof OpenAI.APIConnectionError);
    const broken = ask("sse-error", streamed).then(all);
    assert.ok((await errorOf(broken)) instanceof OpenAI.APIError);
  });
});

describe("openai, Responses", () => {
  const client = (fault) => new OpenAI({ apiKey, baseURL: `${server.url}/${fault}/v1`, maxRetries: 0 });
  const ask = (fault, more = {}, options = {}) =>
    client(fault).responses.create({ model, input: messages, max_output_tokens: 500, store: false, ...more }, options);

  test("reads an answer, its usage and why it ends", async () => {
    const response = await ask("ok");
    assert.match(response.output_text, right);
    assert.equal(response.status, "completed");
    assert.equal(response.usage.input_tokens, Math.ceil(prompt.length / 4));
  });

  test("reads a stream, whole and cut into bytes", async () => {
    for (const fault of ["ok", "sse-split", "thinking"]) {
      const events = await all(await ask(fault, { stream: true }, { headers }));
      const deltas = events.filter(({ type }) => type === "response.output_text.delta");
      assert.equal(deltas.map(({ delta }) => delta).join(""), greeting);
      assert.deepEqual(
        events.map(({ sequence_number }) => sequence_number),
        events.map((_, at) => at),
      );
      assert.equal(events.at(-1).type, "response.completed");
      assert.ok(events.at(-1).response.usage.output_tokens > 0);
    }
  });

  test("its own accumulation of a stream is the whole answer", async () => {
    const final = await client("thinking").responses.stream({ model, input: prompt }).finalResponse();
    const whole = await ask("thinking");
    assert.equal(final.output_text, whole.output_text);
    assert.equal(final.output[0].type, "reasoning");
    assert.deepEqual(final.usage, whole.usage);
  });

  test("tells a cut, filtered and refused answer", async () => {
    const cut = await ask("ok", { max_output_tokens: 16 });
    assert.deepEqual([cut.status, cut.incomplete_details.reason], ["incomplete", "max_output_tokens"]);
    assert.equal((await ask("filter")).incomplete_details.reason, "content_filter");
    assert.equal((await ask("refusal")).output[0].content[0].type, "refusal");
    const refused = await client("refusal").responses.stream({ model, input: prompt }).finalResponse();
    assert.equal(refused.output[0].content[0].type, "refusal");
  });

  test("throws errors of the right class", async () => {
    for (const [fault, kind, code] of openaiErrors) await throws(ask(fault), kind, code);
    // In the middle of a stream, it hands an error on as one of the events.
    const { type, code, message } = (await all(await ask("sse-error", { stream: true }))).at(-1);
    assert.deepEqual([type, code], ["error", "server_error"]);
    assert.match(message, /overloaded/);
  });
});

const openaiErrors = [
  ["s400", OpenAI.BadRequestError],
  ["s401", OpenAI.AuthenticationError, "invalid_api_key"],
  ["s403", OpenAI.PermissionDeniedError],
  ["s404", OpenAI.NotFoundError, "model_not_found"],
  ["s429", OpenAI.RateLimitError, "rate_limit_exceeded"],
  ["s500", OpenAI.InternalServerError],
  ["s503-plain", OpenAI.InternalServerError],
  ["context", OpenAI.BadRequestError, "context_length_exceeded"],
];

async function throws(promise, kind, code) {
  const error = await errorOf(promise);
  assert.ok(error instanceof kind, error.stack);
  if (code) assert.equal(error.code, code);
}

describe("@anthropic-ai/sdk", () => {
  const client = (fault) => new Anthropic({ apiKey, baseURL: `${server.url}/${fault}`, maxRetries: 0 });
  const ask = (fault, more = {}, options = {}) =>
    client(fault).messages.create({ model, messages, max_tokens: 500, ...more }, options);

  test("reads an answer, its usage and why it ends", async () => {
    const { content, stop_reason, usage } = await ask("ok", { system: "Be brief." });
    assert.match(content[0].text, right);
    assert.equal(stop_reason, "end_turn");
    assert.equal(usage.input_tokens, Math.ceil(prompt.length / 4) + 3);
  });

  test("reads a stream, whole and cut into bytes", async () => {
    for (const fault of ["ok", "sse-split", "thinking"]) {
      const events = await all(await ask(fault, { stream: true }, { headers }));
      assert.equal(events.map(({ delta }) => delta?.text ?? "").join(""), greeting);
      assert.equal(events.at(-2).delta.stop_reason, "end_turn");
      assert.equal(events.at(-1).type, "message_stop");
    }
  });

  test("its own accumulation of a stream is the whole answer", async () => {
    const final = await client("thinking").messages.stream({ model, messages, max_tokens: 500 }).finalMessage();
    const whole = await ask("thinking");
    assert.deepEqual(final.content, whole.content);
    assert.equal(final.content[0].type, "thinking");
    assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
  });

  test("tells a cut and a refused answer", async () => {
    assert.equal((await ask("ok", { max_tokens: 5 })).stop_reason, "max_tokens");
    const refused = await ask("refusal");
    assert.deepEqual([refused.stop_reason, refused.content], ["refusal", []]);
  });

  test("throws errors of the right class", async () => {
    for (const [fault, kind, type] of [
      ["s400", Anthropic.BadRequestError, "invalid_request_error"],
      ["s401", Anthropic.AuthenticationError, "authentication_error"],
      ["s403", Anthropic.PermissionDeniedError, "permission_error"],
      ["s404", Anthropic.NotFoundError, "not_found_error"],
      ["s429", Anthropic.RateLimitError, "rate_limit_error"],
      ["s500", Anthropic.InternalServerError, "api_error"],
      ["s529", Anthropic.InternalServerError, "overloaded_error"],
      ["context", Anthropic.BadRequestError, "invalid_request_error"],
    ]) {
      const error = await errorOf(ask(fault));
      assert.ok(error instanceof kind, error.stack);
      assert.equal(error.error.error.type, type);
    }
    const broken = await errorOf(ask("sse-error", { stream: true }).then(all));
    assert.ok(broken instanceof Anthropic.APIError);
    assert.match(broken.message, /overloaded_error/);
  });

  test("says what a page has to say", async () => {
    const origin = { origin: "http://localhost:5173" };
    assert.ok((await errorOf(ask("ok", {}, { headers: origin }))) instanceof Anthropic.AuthenticationError);
    const allowed = { ...origin, "anthropic-dangerous-direct-browser-access": "true" };
    assert.match((await ask("ok", {}, { headers: allowed })).content[0].text, right);
  });
});

describe("@google/genai", () => {
  const models = (fault) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: `${server.url}/${fault}` } }).models;
  const request = (config) => ({ model, contents: prompt, config: { maxOutputTokens: 500, ...config } });

  test("reads an answer, its usage and why it ends", async () => {
    const answer = await models("ok").generateContent(request({ systemInstruction: "Be brief." }));
    assert.match(answer.text, right);
    assert.equal(answer.candidates[0].finishReason, "STOP");
    assert.equal(answer.usageMetadata.promptTokenCount, Math.ceil(prompt.length / 4) + 3);
  });

  test("reads a stream, whole and cut into bytes", async () => {
    for (const fault of ["ok", "sse-split", "thinking"]) {
      const chunks = await all(await models(fault).generateContentStream(request({ httpOptions: { headers } })));
      assert.equal(chunks.map(({ text }) => text ?? "").join(""), greeting);
      assert.equal(chunks.at(-1).candidates[0].finishReason, "STOP");
      assert.ok(chunks.at(-1).usageMetadata.candidatesTokenCount > 0);
    }
  });

  test("tells a cut, blocked and refused answer", async () => {
    const cut = await models("ok").generateContent(request({ maxOutputTokens: 5 }));
    assert.equal(cut.candidates[0].finishReason, "MAX_TOKENS");
    const blocked = await models("filter").generateContent(request());
    assert.equal(blocked.promptFeedback.blockReason, "PROHIBITED_CONTENT");
    assert.equal((await models("refusal").generateContent(request())).candidates[0].finishReason, "SAFETY");
  });

  test("throws errors with the right status", async () => {
    for (const [fault, status, name] of [
      ["s401", 401, "UNAUTHENTICATED"],
      ["s429", 429, "RESOURCE_EXHAUSTED"],
      ["s500", 500, "INTERNAL"],
      ["context", 400, "INVALID_ARGUMENT"],
    ]) {
      const error = await errorOf(models(fault).generateContent(request()));
      assert.ok(error instanceof ApiError, error.stack);
      assert.equal(error.status, status);
      assert.equal(JSON.parse(error.message).error.status, name);
    }
    const broken = await errorOf(models("sse-error").generateContentStream(request()).then(all));
    assert.ok(broken instanceof ApiError);
    assert.equal(broken.status, 503);
  });
});

describe("ollama", () => {
  const client = (fault, more = {}) => new Ollama({ host: `${server.url}/${fault}`, ...more });
  const request = (options) => ({ model, messages, options: { num_ctx: 8_192, num_predict: 500, ...options } });

  test("reads an answer, its usage and why it ends", async () => {
    const answer = await client("ok").chat(request());
    assert.match(answer.message.content, right);
    assert.equal(answer.done_reason, "stop");
    assert.equal(answer.prompt_eval_count, Math.ceil(prompt.length / 4));
  });

  test("reads a stream, whole and cut into bytes", async () => {
    for (const fault of ["ok", "sse-split", "thinking"]) {
      const chunks = await all(await client(fault, { headers }).chat({ ...request(), stream: true }));
      assert.equal(chunks.map(({ message }) => message.content).join(""), greeting);
      assert.deepEqual([chunks.at(-1).done, chunks.at(-1).done_reason], [true, "stop"]);
      assert.ok(chunks.at(-1).eval_count > 0);
    }
  });

  test("tells a cut answer, and not that it cut the prompt", async () => {
    assert.equal((await client("ok").chat(request({ num_predict: 5 }))).done_reason, "length");
    const { prompt_eval_count, done_reason } = await client("ok").chat(request({ num_ctx: 10 }));
    assert.deepEqual([prompt_eval_count, done_reason], [10, "stop"]);
  });

  test("throws errors with the right status", async () => {
    for (const [fault, status, words] of [
      ["s401", 401, /key/],
      ["s404", 404, /model 'test' not found/],
      ["s429", 429, /Rate limit/],
      ["s500", 500, /Internal error/],
      ["context", 400, /exceeded max context length by \d+ tokens/],
    ]) {
      const error = await errorOf(client(fault).chat(request()));
      assert.deepEqual([error.name, error.status_code], ["ResponseError", status]);
      assert.match(error.message, words);
    }
    const broken = client("sse-error").chat({ ...request(), stream: true });
    assert.match((await errorOf(broken.then(all))).message, /error was encountered/);
  });
});
