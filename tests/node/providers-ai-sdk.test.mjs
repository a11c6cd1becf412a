// Models of the AI SDK, by the SDK's own packages: mocks of two versions of it, and real ones in front of the test server.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, RetryError, wrapLanguageModel } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { MockLanguageModelV3 as MockLanguageModelV3of7, MockLanguageModelV4 } from "ai-v7/test";

import { startServer } from "../provider-server/server.mjs";
import { abortedAfter, answer, asked, deferred, failureOf, refusesOption, summarised } from "./providers-support.mjs";
import { load } from "./support.mjs";

const { aiSdk } = await load("providers/ai-sdk.js");

/** The request as the core made it, of what a model gets. */
const request = ({ prompt }) => ({ messages: prompt.map(({ content: [part] }) => ({ content: part.text })) });

/** What models say, by the version of their specification. */
const results = {
  v2: (text, reason) => ({
    content: [{ type: "text", text }],
    finishReason: reason,
    usage: { inputTokens: 5_000, outputTokens: 40, totalTokens: 5_040 },
    warnings: [],
  }),
  v3: (text, reason) => ({
    content: [
      { type: "reasoning", text: "none of this is the answer" },
      { type: "text", text: text.slice(0, 10) },
      { type: "text", text: text.slice(10) },
    ],
    finishReason: { unified: reason, raw: "whatever" },
    usage: {
      inputTokens: { total: 5_000, noCache: 4_000, cacheRead: 1_000, cacheWrite: undefined },
      outputTokens: { total: 40, text: 30, reasoning: 10 },
    },
    warnings: [],
  }),
};
results.v4 = results.v3;

/** A model as a package for version 5 of the SDK would make it. */
class ModelV2 {
  specificationVersion = "v2";
  provider = "mock";
  modelId = "old";
  supportedUrls = {};
  doGenerateCalls = [];
  constructor({ doGenerate }) {
    this.doGenerate = (options) => {
      this.doGenerateCalls.push(options);
      return doGenerate(options);
    };
  }
}

const mocks = {
  "version 5": ModelV2,
  "version 6": MockLanguageModelV3,
  "version 7, older specification": MockLanguageModelV3of7,
  "version 7": MockLanguageModelV4,
};

for (const [version, Model] of Object.entries(mocks)) {
  test(`a model of ${version} of the SDK writes the summary`, async () => {
    const model = new Model({
      doGenerate: async (options) => results[model.specificationVersion](answer(request(options)), "stop"),
    });
    const { models } = await summarised(aiSdk(model));
    const { length } = model.doGenerateCalls;
    assert.deepEqual(models, { requests: length, inputTokens: 5_000 * length, outputTokens: 40 * length });
    for (const { prompt, maxOutputTokens, abortSignal, ...others } of model.doGenerateCalls) {
      assert.deepEqual(prompt, [{ role: "user", content: [{ type: "text", text: prompt[0].content[0].text }] }]);
      assert.ok(Number.isInteger(maxOutputTokens) && maxOutputTokens > 0);
      assert.ok(abortSignal instanceof AbortSignal);
      assert.deepEqual(others, {});
    }
  });

  test(`the reason why a model of ${version} ends is heeded`, async () => {
    const ending = (reason) =>
      aiSdk(
        new Model({
          doGenerate: async (options) => results[Model === ModelV2 ? "v2" : "v3"](answer(request(options)), reason),
        }),
        { attempts: 1 },
      );
    assert.equal((await failureOf(ending("content-filter"))).code, "provider_refused");
    assert.equal((await failureOf(ending("error"))).code, "provider_unavailable");
    for (const [reason, stop] of Object.entries({ length: "length", stop: "end", "tool-calls": "end", other: "end" })) {
      const provider = ending(reason);
      await summarised(provider);
      assert.equal((await asked(provider, { messages: [{ role: "user", content: "x" }], maxTokens: 9 })).stop, stop);
    }
  });
}

test("thoughts alone are no answer, and a result of another shape is malformed", async () => {
  const ending = (result) => aiSdk(new MockLanguageModelV3({ doGenerate: async () => result }), { attempts: 1 });
  assert.equal((await failureOf(ending(results.v3("", "stop")))).code, "provider_blank");
  for (const odd of [undefined, {}, { text: "of version 4" }]) {
    assert.equal((await failureOf(ending(odd))).code, "provider_malformed");
  }
});

test("usage that is not known is not made up", async () => {
  const unknown = { inputTokens: { total: undefined }, outputTokens: { total: undefined } };
  const model = new MockLanguageModelV3({
    doGenerate: async (options) => ({ ...results.v3(answer(request(options)), "stop"), usage: unknown }),
  });
  const { models } = await summarised(aiSdk(model));
  assert.deepEqual([models.inputTokens, models.outputTokens], [0, 0]);
});

test("the model is told when nobody waits any more", async () => {
  const { promise: begun, resolve } = deferred();
  const { promise: told, resolve: tell } = deferred();
  const model = new MockLanguageModelV3({
    doGenerate: ({ abortSignal }) => {
      resolve();
      abortSignal.addEventListener("abort", tell);
      return new Promise(() => {});
    },
  });
  await abortedAfter(begun, aiSdk(model));
  await told;
});

test("a failure that the SDK has tried again has the class of the last one", async () => {
  const last = new APICallError({
    message: "slow down",
    url: "https://example.org",
    requestBodyValues: {},
    statusCode: 429,
    // Longer than anybody waits here.
    responseHeaders: { "retry-after": "3600" },
  });
  const retried = new RetryError({ message: "failed after 3 attempts", reason: "maxRetriesExceeded", errors: [last] });
  const model = new MockLanguageModelV3({ doGenerate: () => Promise.reject(retried) });
  const error = await failureOf(aiSdk(model, { attempts: 1 }));
  assert.equal(error.code, "provider_rate_limited");
  assert.deepEqual(error.details, { retryAfterMs: 3_600_000 });
  assert.equal(error.cause, retried);
});

test("a key that a vendor repeats does not show in the message", async () => {
  const key = `sk-proj-${"a1B2c3D4".repeat(6)}`;
  const message = `Incorrect API key provided: ${key}.`;
  const refusal = new APICallError({ message, url: "https://example.org", requestBodyValues: {}, statusCode: 401 });
  const model = new MockLanguageModelV3({ doGenerate: () => Promise.reject(refusal) });
  const error = await failureOf(aiSdk(model));
  assert.equal(error.code, "provider_auth");
  assert.doesNotMatch(error.message, /a1B2c3D4/);
});

test("a model is asked as often as `attempts` says", async () => {
  const model = new MockLanguageModelV3({
    doGenerate: () => Promise.reject(Object.assign(new Error("x"), { status: 503 })),
  });
  await failureOf(aiSdk(model, { attempts: 2, concurrency: 1, breaker: { failures: 2, pauseMs: 60_000 } }));
  assert.equal(model.doGenerateCalls.length, 2);
});

test("what is no model is refused with words that help", () => {
  refusesOption(() => aiSdk("openai/gpt-5-mini"), "model", /gateway\("openai\/gpt-5-mini"\)/);
  refusesOption(() => aiSdk(), "model", /is undefined/);
  refusesOption(() => aiSdk({ modelId: "x" }), "model", /is an object/);
  refusesOption(() => aiSdk({ specificationVersion: "v1", doGenerate() {} }), "model", /before version 5/);
  const model = new MockLanguageModelV3();
  refusesOption(() => aiSdk(model, { windw: 5 }), "windw", /there are name, window/);
  refusesOption(() => aiSdk(model, 5), "options", /the number 5/);
  refusesOption(() => aiSdk(model, { window: "8k" }), "window", /a string/);
  refusesOption(() => aiSdk(model, { name: "" }), "name", /empty/);
});

test("it is called what the model is called", () => {
  const model = new MockLanguageModelV3({ provider: "openai.chat", modelId: "gpt-5-mini" });
  assert.equal(aiSdk(model).name, "openai.chat gpt-5-mini");
  assert.equal(aiSdk(model, { name: "mine", window: undefined }).name, "mine");
});

// ------------------------------------------------------------------------------------------- real models of the packages

let server;
before(async () => {
  server = await startServer();
});
after(() => server.close());

/** Models that ask the test server, which meets them with `fault`. */
function models(fault) {
  const at = { baseURL: `${server.url}/${fault}/v1`, apiKey: "test-key", headers: { "x-test-id": fault } };
  return {
    "openai, responses": createOpenAI(at)("gpt-5-mini"),
    "openai, chat": createOpenAI(at).chat("gpt-5-mini"),
    anthropic: createAnthropic(at)("claude-haiku-4-5"),
  };
}

const logOf = async (id) => (await fetch(`${server.url}/_log?id=${id}`)).json();

for (const name of ["openai, responses", "openai, chat", "anthropic"]) {
  test(`${name}: the real model is asked, and what it says is taken`, async () => {
    const report = await summarised(aiSdk(models("ok")[name]));
    assert.ok(report.models.outputTokens > 0);
    assert.ok(
      (await logOf("ok")).every(({ fault }) => fault === "ok"),
      "requests keep to the vendor's rules",
    );
  });

  test(`${name}: errors have their classes, and are there as the cause`, async () => {
    const codes = {
      s401: "auth",
      s403: "auth",
      s429: "rate_limited",
      s400: "bad_request",
      s500: "unavailable",
      s529: "unavailable",
      s408: "timeout",
      context: "context_length",
      html: "malformed",
      reset: "network",
    };
    for (const [fault, code] of Object.entries(codes)) {
      const error = await failureOf(aiSdk(models(fault)[name], { attempts: 1 }));
      assert.equal(error.code, `provider_${code}`, `${fault}: ${error.message}`);
      assert.ok(APICallError.isInstance(error.cause), `${fault}: ${error.cause}`);
    }
    const { details } = await failureOf(aiSdk(models("retry-after-3600")[name], { attempts: 1 }));
    assert.deepEqual(details, { retryAfterMs: 3_600_000 });
    for (const fault of ["refusal", "filter"]) {
      const { code } = await failureOf(aiSdk(models(fault)[name], { attempts: 1 }));
      assert.equal(code, "provider_refused");
    }
  });

  test(`${name}: the connection is given up with the request`, async () => {
    const fault = "slow-headers";
    await fetch(`${server.url}/_reset`, { method: "POST" });
    const { promise: begun, resolve } = deferred();
    const doGenerate = (call) => {
      resolve();
      return call();
    };
    const middleware = { specificationVersion: "v3", wrapGenerate: ({ doGenerate: call }) => doGenerate(call) };
    await abortedAfter(begun, aiSdk(wrapLanguageModel({ model: models(fault)[name], middleware })));
    let stats;
    do stats = await (await fetch(`${server.url}/_stats`)).json();
    while (stats.running > 0);
    assert.ok((await logOf(fault)).every(({ gone }) => gone));
  });
}
