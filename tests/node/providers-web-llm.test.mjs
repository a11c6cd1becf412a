// Engines of WebLLM, as far as its published types and sources say how they behave, and the client of `openai` in front of
// the test server. No engine runs here: there is no GPU.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI from "openai";

import { startServer } from "../provider-server/server.mjs";
import { abortedAfter, answer, asked, deferred, failureOf, refusesOption, summarised } from "./providers-support.mjs";
import { load } from "./support.mjs";

const { webLlm } = await load("providers/web-llm.js");

/** What an engine says. */
const completion = (content, finish_reason = "stop") => ({
  id: "1",
  object: "chat.completion",
  model: "m",
  created: 0,
  choices: [{ index: 0, finish_reason, logprobs: null, message: { role: "assistant", content } }],
  usage: { prompt_tokens: 3_000, completion_tokens: 40, total_tokens: 3_040, extra: {} },
});

/**
 * An engine: requests wait for each other, `interruptGenerate` ends the one that is running, which then answers with what
 * it has.
 */
class Engine {
  bodies = [];
  resets = 0;
  interrupts = 0;
  running = undefined;
  waiting = Promise.resolve();

  constructor(generate) {
    const create = (...args) => {
      const turn = this.waiting.then(() => this.run(generate, args));
      this.waiting = turn.catch(() => {});
      return turn;
    };
    this.chat = { completions: { create } };
  }

  async run(generate, args) {
    this.bodies.push(args);
    const interrupted = deferred();
    this.running = interrupted;
    try {
      const generated = Promise.resolve(generate(args[0], this.bodies.length)).then((text) =>
        typeof text === "string" ? completion(text) : text,
      );
      return await Promise.race([generated, interrupted.promise]);
    } finally {
      this.running = undefined;
    }
  }

  async interruptGenerate() {
    this.interrupts += 1;
    this.running?.resolve(completion("cut of", "abort"));
  }

  async resetChat() {
    this.resets += 1;
  }
}

test("an engine writes the summary, one request at a time", async () => {
  let running = 0;
  let most = 0;
  const engine = new Engine(answer);
  const { create } = engine.chat.completions;
  engine.chat.completions.create = async (...args) => {
    running += 1;
    most = Math.max(most, running);
    try {
      return await create(...args);
    } finally {
      running -= 1;
    }
  };
  // Neither a limit of the host's nor a second provider changes that.
  const reports = await Promise.all([
    summarised(webLlm(engine, { window: 16_000, concurrency: 8 })),
    summarised(webLlm(engine, { window: 16_000 })),
  ]);
  const asked = reports.reduce((sum, { models }) => sum + models.requests, 0);
  assert.equal(most, 1);
  assert.equal(engine.bodies.length, asked);
  assert.deepEqual(reports[0].models.outputTokens, 40 * reports[0].models.requests);
  for (const [body, ...others] of engine.bodies) {
    const { messages, max_tokens, ...rest } = body;
    assert.deepEqual(messages, [{ role: "user", content: messages[0].content }]);
    assert.ok(Number.isInteger(max_tokens) && max_tokens > 0);
    assert.deepEqual(rest, { stream: false });
    assert.deepEqual(others, [], "engines in workers send what they get to the worker, where no signal can go");
  }
  assert.deepEqual([engine.resets, engine.interrupts], [0, 0]);
});

test("requests fit the window that models of WebLLM have", async () => {
  const engine = new Engine(answer);
  const sizes = [];
  const onProgress = (event) => {
    if (event.type === "request") sizes.push(event.tokens);
  };
  await summarised(webLlm(engine), { onProgress });
  const answers = engine.bodies.map(([{ max_tokens }]) => max_tokens);
  assert.ok(Math.max(...sizes) + Math.max(...answers) <= 4_096, `${sizes}; ${answers}`);
});

test("an engine that nobody waits for is told to stop, and what waits for it is never sent", async () => {
  const { promise: begun, resolve } = deferred();
  const engine = new Engine(() => {
    resolve();
    return new Promise(() => {});
  });
  await abortedAfter(begun, webLlm(engine, { concurrency: 4, reset: true }));
  await engine.waiting;
  await new Promise(setImmediate);
  assert.equal(engine.interrupts, 1);
  assert.equal(engine.bodies.length, 1);
  assert.equal(engine.resets, 1);
});

test("a request that ran out of time does not cost the next one its answer", async () => {
  const engine = new Engine((body, count) => (count === 1 ? new Promise(() => {}) : answer(body)));
  const failures = [];
  const onProgress = (event) => {
    if (event.type === "failure") failures.push(event.code);
  };
  await summarised(webLlm(engine, { timeoutMs: 300 }), { onProgress });
  assert.deepEqual(failures, ["provider_timeout"]);
  assert.equal(engine.interrupts, 1);
});

test("an engine that cannot be told to stop disturbs nobody", async () => {
  for (const interruptGenerate of [
    () => Promise.reject(new Error("the worker is gone")),
    () => {
      throw new Error("no worker");
    },
  ]) {
    const { promise: begun, resolve } = deferred();
    const create = () => {
      resolve();
      return new Promise(() => {});
    };
    await abortedAfter(begun, webLlm({ chat: { completions: { create } }, interruptGenerate }));
  }
});

test("an answer that somebody else cut short is no answer", async () => {
  const engine = new Engine(() => completion("cut of", "abort"));
  const error = await failureOf(webLlm(engine, { attempts: 1 }));
  assert.equal(error.code, "provider_unavailable");
  assert.match(error.message, /told to stop/);
});

test("the reason why an answer ends is heeded", async () => {
  const request = { messages: [{ role: "user", content: "x" }], maxTokens: 9 };
  for (const [reason, stop] of Object.entries({
    stop: "end",
    length: "length",
    content_filter: "refused",
    other: "end",
  })) {
    const provider = webLlm(new Engine(() => completion("text", reason)));
    const usage = { inputTokens: 3_000, outputTokens: 40 };
    assert.deepEqual(await asked(provider, request), { text: "text", usage, stop });
  }
});

test("the engine forgets its conversation before a request only where that is asked for", async () => {
  const engine = new Engine(answer);
  await summarised(webLlm(engine, { reset: true }));
  assert.equal(engine.resets, engine.bodies.length);
});

test("a window that was passed is recognised by what WebLLM says", async () => {
  const engine = new Engine(() => {
    const error = new Error(
      "Prompt tokens exceed context window size: number of prompt tokens: 5001; context window size: 4096\n" +
        "Consider shortening the prompt, or increase `context_window_size`, or using sliding window via " +
        "`sliding_window_size`.",
    );
    throw Object.assign(error, { name: "ContextWindowSizeExceededError" });
  });
  assert.equal((await failureOf(webLlm(engine, { attempts: 1 }))).code, "provider_context_length");
});

test("fields of the host win over ours, those that we depend on apart", async () => {
  const engine = new Engine(answer);
  const body = { max_tokens: 77, extra_body: { enable_thinking: false }, stream: true };
  await summarised(webLlm(engine, { model: "m", body }));
  const [{ messages: _, ...rest }] = engine.bodies[0];
  assert.deepEqual(rest, { model: "m", max_tokens: 77, extra_body: { enable_thinking: false }, stream: false });
});

test("an answer without choices is malformed, one without text blank", async () => {
  for (const odd of [undefined, {}, { choices: [] }]) {
    const engine = { chat: { completions: { create: async () => odd } }, interruptGenerate() {} };
    assert.equal((await failureOf(webLlm(engine, { attempts: 1 }))).code, "provider_malformed");
  }
  assert.equal((await failureOf(webLlm(new Engine(() => completion(null)), { attempts: 1 }))).code, "provider_blank");
});

test("what cannot be asked is refused with words that help", () => {
  const engine = new Engine(answer);
  refusesOption(() => webLlm(), "engine", /`chat\.completions\.create`, but is undefined/);
  refusesOption(() => webLlm({ chat: {} }), "engine", /an object/);
  refusesOption(() => webLlm({ chat: engine.chat }), "model", /which model/);
  refusesOption(() => webLlm(engine, { model: 5 }), "model", /the number 5/);
  refusesOption(() => webLlm(engine, { reset: "yes" }), "reset", /true or false/);
  refusesOption(() => webLlm({ chat: engine.chat, interruptGenerate() {} }, { reset: true }), "reset", /resetChat/);
  refusesOption(() => webLlm(engine, { body: [] }), "body", /an array/);
  refusesOption(() => webLlm(engine, { signal: 1 }), "signal", /there are model, body/);
  assert.equal(webLlm(engine).name, "web-llm");
  assert.equal(webLlm(engine, { model: "m" }).name, "web-llm m");
  assert.equal(webLlm({ chat: engine.chat }, { model: "m" }).name, "chat m");
  assert.equal(webLlm(engine, { name: "mine" }).name, "mine");
});

// ---------------------------------------------------------------------------------------------------- the OpenAI client

let server;
before(async () => {
  server = await startServer();
});
after(() => server.close());

const client = (fault) =>
  new OpenAI({
    baseURL: `${server.url}/${fault}/v1`,
    apiKey: "test-key",
    defaultHeaders: { "x-test-id": fault },
    logLevel: "off",
  });
const logOf = async (id) => (await fetch(`${server.url}/_log?id=${id}`)).json();

test("a client of `openai` is asked, several times at once", async () => {
  const report = await summarised(webLlm(client("ok"), { model: "local" }));
  assert.ok(report.models.inputTokens > 0);
  const log = await logOf("ok");
  assert.ok(
    log.every(({ fault }) => fault === "ok"),
    "requests keep to the vendor's rules",
  );
  assert.equal(log.length, report.models.requests);
});

test("errors of that client have their classes, and it never tries again itself", async () => {
  const codes = {
    s401: "auth",
    s429: "rate_limited",
    s500: "unavailable",
    s400: "bad_request",
    context: "context_length",
    refusal: "refused",
    filter: "refused",
    blank: "blank",
  };
  for (const [fault, code] of Object.entries(codes)) {
    // One at a time, so that what was sent can be counted.
    const provider = webLlm(client(fault), { model: "local", attempts: 1, concurrency: 1 });
    let sent = 0;
    const onProgress = ({ type }) => {
      if (type === "request") sent += 1;
    };
    const error = await failureOf(provider, { onProgress });
    assert.equal(error.code, `provider_${code}`, `${fault}: ${error.message}`);
    assert.equal((await logOf(fault)).length, sent, fault);
  }
});

test("the connection of that client is given up with the request", async () => {
  const { promise: begun, resolve } = deferred();
  const openai = client("slow-headers");
  openai.fetch = (...args) => {
    resolve();
    return fetch(...args);
  };
  await abortedAfter(begun, webLlm(openai, { model: "local" }));
  let stats;
  do stats = await (await fetch(`${server.url}/_stats`)).json();
  while (stats.running > 0);
});

test("models of OpenAI itself get the limit by the name that they know", async () => {
  const limits = async (baseURL, more) => {
    const bodies = [];
    const create = async (body) => {
      bodies.push(body);
      return completion(answer(body));
    };
    await summarised(webLlm({ baseURL, chat: { completions: { create } } }, { model: "m", body: more }));
    return Object.keys(bodies[0]).filter((name) => name.startsWith("max_"));
  };
  assert.deepEqual(await limits("https://api.openai.com/v1"), ["max_completion_tokens"]);
  assert.deepEqual(await limits("https://mine.openai.azure.com/openai"), ["max_completion_tokens"]);
  assert.deepEqual(await limits("https://api.openai.com/v1", { max_tokens: 99 }), ["max_tokens"]);
  assert.deepEqual(await limits("https://openai.com.example.org/v1"), ["max_tokens"]);
  assert.deepEqual(await limits("http://127.0.0.1:8080/v1"), ["max_tokens"]);
});
