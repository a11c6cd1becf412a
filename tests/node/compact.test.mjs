// `compact` with functions of the host as providers: what they may do wrong, and what the host may ask for.

// biome-ignore-all lint/suspicious/noThenProperty: that is what is tested
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { inspect } from "node:util";

import { assertSameObjects, bundled, epitome, errorOf, limitFor, load, packageFolder } from "./support.mjs";

const { EpitomeError, compact, countTokens, fit, undo, validate } = epitome;
const { createProvider } = await load("providers/index.js");
const { openai } = await load("providers/openai.js");
const { instance } = await load("session-instance.node.js");

const messages = bundled("coding-agent");
/** So small that what is hidden is worth asking a model about. */
const budget = limitFor(messages, 0.06);

/** What a model of good will answers: short, and with words of what it was shown. */
function good({ messages: [{ content }] }) {
  const shown = content.slice(content.length / 2).split(/\s+/);
  return `1. User Intent: resolve the conflict in pkg/cli/main.go. ${shown.slice(0, 12).join(" ").slice(0, 80)}`;
}

/** The error that a call rejects with. */
const rejection = async (options) => {
  try {
    await compact(messages, { budget, onProviderError: "throw", ...options });
  } catch (error) {
    assert.ok(error instanceof EpitomeError, `not an EpitomeError: ${error?.stack}`);
    assert.equal(
      instance.call((glue) => glue.task_count()),
      0,
      "nothing waits any more",
    );
    return error;
  }
  assert.fail("nothing was thrown");
};

const never = () => new Promise(() => {});
/** A provider that is given up at once, so that tests need no patience. */
const hasty = (complete, limits) => createProvider(complete, { attempts: 1, ...limits });

describe("compact", () => {
  test("puts a model's summaries in, and keeps every promise of fit", async () => {
    const before = structuredClone(messages);
    const requests = [];
    const provider = async (request, { signal }) => {
      assert.ok(signal instanceof AbortSignal);
      requests.push(request);
      return { text: good(request), usage: { inputTokens: request.tokens, outputTokens: 10 } };
    };
    const result = await compact(messages, { budget, provider });
    assert.deepEqual(messages, before, "the input is as it was");
    assert.ok(result.report.after <= budget);
    assert.equal(countTokens(result.messages), result.report.after);
    assert.deepEqual(validate(result.messages), []);
    assert.deepEqual(undo(result), messages);
    assert.ok(assertSameObjects(result, messages) > 5);
    const summaries = result.report.edits.filter((edit) => edit.kind === "insert");
    assert.ok(summaries.some(({ text }) => text.includes("resolve the conflict in pkg/cli/main.go")));
    assert.deepEqual(result.report.models, {
      requests: requests.length,
      inputTokens: requests.reduce((sum, { tokens }) => sum + tokens, 0),
      outputTokens: requests.length * 10,
    });
    for (const request of requests) {
      assert.deepEqual(Object.keys(request), ["number", "purpose", "messages", "tokens", "maxTokens", "timeoutMs"]);
      assert.equal(request.tokens, countTokens(request.messages[0].content));
      assert.ok(request.tokens + request.maxTokens <= 16_000);
      assert.ok(request.timeoutMs <= 120_000 && request.timeoutMs > 60_000);
    }
  });

  test("without a provider is fit", async () => {
    const expected = JSON.stringify(fit(messages, { budget }));
    for (const provider of [undefined, null, "offline", ["offline"], []]) {
      assert.equal(JSON.stringify(await compact(messages, { budget, provider })), expected);
    }
  });

  test("is the same from the session entry, over one module", async () => {
    const session = await load("session.node.js");
    const provider = (request) => good(request);
    const [one, other] = await Promise.all([
      compact(messages, { budget, provider }),
      session.compact(messages, { budget, provider }),
    ]);
    assert.equal(JSON.stringify(one), JSON.stringify(other));
    assert.equal(session.EpitomeError, EpitomeError);
  });

  test("reads the messages as they are when it is called", async () => {
    const own = structuredClone(messages);
    const pending = compact(own, { budget, provider: (request) => good(request) });
    own.length = 0;
    assert.deepEqual(undo(await pending), messages);
  });

  test("gives the summaries of many calls back to their callers", async () => {
    const provider = async (request) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
      return `${good(request)} ${/case-\d+/.exec(request.messages[0].content)?.[0]}`;
    };
    const of = (number) =>
      messages.map((message) => ({ ...message, content: `case-${number} ${message.content ?? ""}` }));
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, number) => compact(of(number), { budget: budget + 600, provider })),
    );
    results.forEach((result, number) => {
      const texts = result.report.edits.flatMap((edit) => (edit.kind === "insert" ? [edit.text] : [])).join("\n");
      const seen = new Set(texts.match(/case-\d+/g));
      assert.deepEqual([...seen], [`case-${number}`]);
    });
  });

  test("takes a previous patch, so that nothing is asked again", async () => {
    let asked = 0;
    const provider = (request) => {
      asked += 1;
      return good(request);
    };
    const first = await compact(messages, { budget, provider });
    const before = asked;
    const again = await compact(messages, { budget, provider, previous: first.patch });
    assert.equal(asked, before);
    assert.deepEqual(again.messages, first.messages);
  });
});

describe("a function of the host that", () => {
  const thrown = new Error("thrown");
  const rows = [
    [
      "throws",
      () => {
        throw thrown;
      },
      "provider_unavailable",
      thrown,
    ],
    ["rejects with an error", () => Promise.reject(thrown), "provider_unavailable", thrown],
    ["rejects with a text", () => Promise.reject("no luck"), "provider_unavailable", "no luck"],
    ["rejects with nothing", () => Promise.reject(), "provider_unavailable", undefined],
    ["rejects with null", () => Promise.reject(null), "provider_unavailable", null],
    [
      "throws a hostile object",
      () => {
        throw new Proxy(
          {},
          {
            get() {
              throw new Error("no");
            },
          },
        );
      },
      "provider_unavailable",
    ],
    ["gives null", () => null, "provider_malformed"],
    ["gives undefined", () => undefined, "provider_malformed"],
    ["gives a number", async () => 5, "provider_malformed"],
    ["gives an object without text", async () => ({ content: "x" }), "provider_malformed"],
    [
      "gives a getter that throws",
      async () => ({
        get text() {
          throw thrown;
        },
      }),
      "provider_unavailable",
      thrown,
    ],
    ["gives an empty text", () => "", "provider_blank"],
    ["gives blanks", async () => " \n\t ", "provider_blank"],
    ["gives a thenable that rejects", () => ({ then: (_, no) => no(thrown) }), "provider_unavailable", thrown],
    [
      "gives a thenable that throws",
      () => ({
        then() {
          throw thrown;
        },
      }),
      "provider_unavailable",
      thrown,
    ],
    ["says that it was refused", async () => ({ text: "no", stop: "refused" }), "provider_refused"],
    [
      "is aborted by itself",
      async () => {
        throw new DOMException("gone", "AbortError");
      },
      "aborted",
    ],
    [
      "runs out of its own time",
      async () => {
        throw new DOMException("late", "TimeoutError");
      },
      "provider_timeout",
    ],
    [
      "has an error with a status",
      async () => {
        throw Object.assign(new Error("busy"), { status: 503 });
      },
      "provider_unavailable",
    ],
    [
      "has a wrong key",
      async () => {
        throw Object.assign(new Error("who?"), { statusCode: 401 });
      },
      "provider_auth",
    ],
    [
      "was sent too much",
      async () => {
        throw Object.assign(new Error("prompt is too long: 9000 tokens > 8000 maximum"), { status: 400 });
      },
      "provider_context_length",
    ],
  ];
  for (const [what, complete, code, cause] of rows) {
    test(`${what} ends as ${code}`, async () => {
      const error = await rejection({ provider: hasty(complete) });
      assert.equal(error.code, code, error.message);
      if (cause !== undefined) assert.equal(error.cause, cause);
      if (code === "aborted") return;
      const result = await compact(messages, { budget, provider: hasty(complete) });
      assert.equal(JSON.stringify(result.messages), JSON.stringify(fit(messages, { budget }).messages));
      assert.ok(result.report.warnings.some((warning) => warning.code === code));
    });
  }

  test("gives a thenable is awaited", async () => {
    const result = await compact(messages, { budget, provider: (request) => ({ then: (yes) => yes(good(request)) }) });
    assert.ok(JSON.stringify(result.messages).includes("resolve the conflict"));
  });

  test("never settles is waited for as long as was asked, and told so", async () => {
    let told = 0;
    const hang = (_, { signal }) => {
      signal.addEventListener("abort", () => {
        told += 1;
      });
      return never();
    };
    const began = Date.now();
    const error = await rejection({ provider: hasty(hang, { timeoutMs: 40 }) });
    assert.equal(error.code, "provider_timeout");
    assert.match(error.message, /no answer within 40 ms/);
    assert.ok(told > 0);
    assert.ok(Date.now() - began < 10_000);
  });

  test("answers after it was given up changes nothing", async () => {
    const late = [];
    const provider = hasty((request) => new Promise((resolve) => late.push(() => resolve(good(request)))), {
      timeoutMs: 20,
    });
    const result = await compact(messages, { budget, provider });
    const before = JSON.stringify(result);
    for (const answer of late) answer();
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(JSON.stringify(result), before);
  });

  test("asks to wait is asked again then, and by nobody sooner", async () => {
    const times = [];
    const provider = createProvider(
      async (request) => {
        times.push(Date.now());
        if (times.length === 1)
          throw Object.assign(new Error("slow down"), { status: 429, headers: { "retry-after": "0.2" } });
        return good(request);
      },
      { concurrency: 1 },
    );
    const result = await compact(messages, { budget, provider });
    assert.deepEqual(
      result.report.warnings.filter(({ code }) => code === "provider_rate_limited"),
      [],
    );
    assert.ok(times[1] - times[0] >= 195, `${times[1] - times[0]} ms`);
  });
});

describe("the host", () => {
  test("can give up before, during, and with any reason", async () => {
    for (const reason of [undefined, "a text", 5, new Error("why"), null]) {
      const error = await rejection({ provider: never, signal: AbortSignal.abort(reason) });
      assert.deepEqual([error.code, error.name], ["aborted", "AbortError"]);
      const controller = new AbortController();
      const pending = rejection({
        provider: () => {
          setTimeout(() => controller.abort(reason));
          return never();
        },
        signal: controller.signal,
      });
      const { code, name, cause } = await pending;
      assert.deepEqual([code, name], ["aborted", "AbortError"]);
      assert.equal(cause, controller.signal.reason);
    }
  });

  test("can give up from within its own functions", async () => {
    const controller = new AbortController();
    const error = await rejection({
      provider: (request) => good(request),
      onProgress: () => controller.abort("enough"),
      signal: controller.signal,
    });
    assert.deepEqual([error.code, error.cause], ["aborted", "enough"]);
    const other = new AbortController();
    const inside = await rejection({
      provider: () => {
        other.abort("inside");
        return "x";
      },
      signal: other.signal,
    });
    assert.deepEqual([inside.code, inside.cause], ["aborted", "inside"]);
  });

  test("leaves no listener on its signal", async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args) => {
      listeners += 1;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args) => {
      listeners -= 1;
      removeEventListener.apply(signal, args);
    };
    await compact(messages, { budget, provider: (request) => good(request), signal });
    assert.equal(listeners, 0);
  });

  test("can bound the whole", async () => {
    const began = Date.now();
    const result = await compact(messages, { budget, provider: createProvider(never, { attempts: 9 }), timeoutMs: 60 });
    assert.ok(Date.now() - began < 5_000);
    assert.ok(result.report.warnings.some(({ code }) => code === "provider_timeout"));
    assert.ok(result.report.after <= budget);
  });

  test("hears what goes on", async () => {
    const events = [];
    let failed = false;
    const provider = createProvider(
      async (request) => {
        if (failed) return good(request);
        failed = true;
        throw new Error("only once");
      },
      { name: "the model", concurrency: 1 },
    );
    await compact(messages, { budget, provider, onProgress: (event) => events.push(event) });
    assert.deepEqual(events[0], {
      type: "request",
      provider: "the model",
      request: 1,
      purpose: "summary",
      attempt: 1,
      tokens: events[0].tokens,
    });
    const { retryInMs, ...failure } = events.find(({ type }) => type === "failure");
    assert.deepEqual(failure, {
      type: "failure",
      provider: "the model",
      request: 1,
      purpose: "summary",
      code: "provider_unavailable",
      message: "only once",
    });
    assert.ok(retryInMs >= 250 && retryInMs <= 500);
    assert.ok(events.some(({ type, attempt }) => type === "request" && attempt === 2));
    assert.equal(
      events.filter(({ type }) => type === "answer").length,
      events.filter(({ type }) => type === "request").length - 1,
    );
  });

  test("learns of its own mistakes", async () => {
    const mistake = new Error("mine");
    const provider = (request) => good(request);
    for (const options of [
      {
        onProgress: () => {
          throw mistake;
        },
      },
      {
        redact: () => {
          throw mistake;
        },
      },
      {
        tokens: () => {
          throw mistake;
        },
      },
    ]) {
      const error = await rejection({ provider, ...options });
      assert.deepEqual([error.code, error.cause], ["invalid_option", mistake], Object.keys(options)[0]);
    }
    const error = await rejection({ provider, redact: () => 5 });
    assert.match(error.message, /`redact`: must return a string, but returned the number 5/);
  });

  test("can take things out of what is sent", async () => {
    const sent = [];
    await compact(messages, {
      budget,
      provider: (request) => {
        sent.push(request.messages[0].content);
        return good(request);
      },
      redact: (text) => text.replaceAll("cmdpkg", "XXX"),
    });
    assert.ok(sent.length > 0);
    assert.ok(!sent.join("").includes("cmdpkg"));
    assert.ok(sent.join("").includes("XXX"));
  });

  test("can say what summaries have to heed", async () => {
    const sent = [];
    await compact(messages, {
      budget,
      instructions: "Keep every file name.",
      provider: (request) => {
        sent.push(request.messages[0].content);
        return good(request);
      },
    });
    assert.ok(sent.every((text) => text.includes("Keep every file name.")));
  });

  test("can have several asked, one after another", async () => {
    const asked = [];
    const bad = createProvider(
      () => {
        asked.push("bad");
        throw Object.assign(new Error("no"), { status: 401 });
      },
      { name: "bad" },
    );
    const fine = (request) => {
      asked.push("fine");
      return good(request);
    };
    const result = await compact(messages, { budget, provider: [bad, fine, "offline"] });
    assert.ok(asked.includes("bad") && asked.includes("fine"));
    assert.ok(JSON.stringify(result.messages).includes("resolve the conflict"));
    assert.deepEqual(
      result.report.warnings.filter(({ code }) => code.startsWith("provider_")),
      [],
    );
    const error = await rejection({ provider: [bad, bad] });
    assert.equal(error.code, "provider_auth");
  });

  test("can give each purpose its own", async () => {
    const asked = { summary: 0, goal: 0 };
    await compact(messages, {
      budget,
      provider: {
        summary: (request) => {
          asked.summary += 1;
          return good(request);
        },
        goal: () => {
          asked.goal += 1;
          return "x";
        },
      },
    });
    assert.ok(asked.summary > 0);
  });

  test("is told at once what is wrong with its options", async () => {
    for (const [options, pattern] of [
      [{ provider: 5 }, /`provider`: must be a provider or a function, but is the number 5/],
      [{ provider: { doGenerate() {} } }, /wrap a model of the AI SDK/],
      [
        { provider: { chat: { completions: { create() {} } } } },
        /wrap a client like that of `openai`, or an engine of WebLLM: `webLlm\(it\)`/,
      ],
      [{ provider: { prompt() {} } }, /wrap a model of the browser/],
      [{ provider: ["offline", () => ""] }, /must come last/],
      [{ provider: [null] }, /but is null/],
      [{ instructions: 5 }, /`instructions`/],
      [{ onProviderError: "ignore" }, /`onProviderError`: must be "offline" or "throw"/],
      [{ onProgress: 5 }, /`onProgress`/],
      [{ signal: {} }, /`signal`: must be an AbortSignal/],
      [{ timeoutMs: 0 }, /`timeoutMs`/],
      [{ redact: "x" }, /`redact`/],
      [{ cachedPrefix: 5 }, /`cachedPrefix`/],
      [{ providers: [] }, /`providers`: is unknown/],
      [{ budget: 0 }, /`budget`/],
    ]) {
      const error = await rejection(options);
      assert.equal(error.code, "invalid_option");
      assert.match(error.message, pattern);
    }
    await assert.rejects(compact(messages), { code: "invalid_option" });
    await assert.rejects(compact("x", { budget }), { code: "invalid_input" });
    await assert.rejects(compact(messages, { budget: 5, provider: () => "x" }), { code: "irreducible_budget" });
  });

  test("hears that a service has read only a part of what it was sent", async () => {
    const provider = hasty((request) => ({ text: good(request), usage: { inputTokens: 90, outputTokens: 9 } }));
    const error = await rejection({ provider });
    assert.equal(error.code, "provider_context_length");
    assert.equal(error.details.limit, 90);
    assert.match(error.message, /the service read only 90 of about [\d,]+ tokens/);
  });
});

describe("a provider", () => {
  test("is told at once what is wrong with its options", () => {
    for (const [make, option] of [
      [() => createProvider(), "provider"],
      [() => createProvider(() => "", { attemps: 3 }), "attemps"],
      [() => createProvider(() => "", { attempts: 0 }), "attempts"],
      [() => createProvider(() => "", { window: "8k" }), "window"],
      [() => createProvider(() => "", { breaker: { pause: 5 } }), "pause"],
      [() => openai(), "model"],
      [() => openai(5), "model"],
      [() => openai({}), "model"],
      [() => openai({ model: "m", baseUrl: "not an address" }), "baseUrl"],
      [() => openai({ model: "m", baseUrl: "https://user:secret@example.com" }), "baseUrl"],
      [() => openai({ model: "m", api: "chats" }), "api"],
      [() => openai({ model: "m", apiKey: 5 }), "apiKey"],
      [() => openai({ model: "m", headers: { a: 5 } }), "headers.a"],
      [() => openai({ model: "m", query: ["a"] }), "query"],
      [() => openai({ model: "m", body: "x" }), "body"],
      [() => openai({ model: "m", stream: "yes" }), "stream"],
      [() => openai({ model: "m", fetch: "node-fetch" }), "fetch"],
    ]) {
      const { code, details } = errorOf(make);
      assert.deepEqual([code, details], ["invalid_option", { option }]);
    }
  });

  test("with a key or header that no request can carry says so, and harms no other call", async () => {
    const other = compact(messages, { budget, provider: (request) => good(request) });
    for (const options of [
      { apiKey: "a\nb" },
      { apiKey: "key→" },
      { headers: { "x y": "1" } },
      { headers: { x: "\0" } },
    ]) {
      const error = await rejection({ provider: openai({ model: "m", baseUrl: "http://127.0.0.1:9/v1", ...options }) });
      assert.equal(error.code, "provider_bad_request", error.message);
      assert.match(error.message, /holds characters that no header can/);
    }
    assert.ok(JSON.stringify((await other).messages).includes("resolve the conflict"));
  });

  test("shows nothing of its key", () => {
    const provider = openai({ model: "m", apiKey: "sk-very-secret-key", headers: { "x-more": "more-secret" } });
    for (const text of [
      inspect(provider, { depth: 9, showHidden: true }),
      JSON.stringify(provider),
      String(provider),
    ]) {
      assert.doesNotMatch(text, /secret/);
    }
    assert.equal(provider.name, "openai m");
  });

  test("asks for its key and headers anew for every request, and says when it gets none", async () => {
    const seen = [];
    let number = 0;
    const answer = (text) =>
      Response.json({ choices: [{ message: { role: "assistant", content: text }, finish_reason: "stop" }] });
    const provider = openai({
      model: "m",
      baseUrl: "https://models.example/v1",
      apiKey: async ({ signal }) => {
        assert.ok(signal instanceof AbortSignal);
        number += 1;
        return `key-${number}`;
      },
      headers: () => ({ "x-number": `${number}` }),
      fetch: async (address, init) => {
        seen.push([address, init.headers.authorization, init.headers["x-number"], init.redirect, init.method]);
        return answer(good(JSON.parse(init.body)));
      },
    });
    const result = await compact(messages, { budget, provider });
    assert.ok(JSON.stringify(result.messages).includes("resolve the conflict"));
    assert.ok(seen.length > 3);
    assert.equal(new Set(seen.map(([, key]) => key)).size, seen.length);
    assert.equal(seen[0][0], "https://models.example/v1/chat/completions");
    assert.deepEqual(seen[0].slice(3), ["manual", "POST"]);
    const without = openai({
      model: "m",
      apiKey: () => {
        throw new Error("no vault");
      },
      attempts: 1,
    });
    const error = await rejection({ provider: without });
    assert.match(error.message, /no vault/);
    assert.ok(!error.message.includes("key-"));
  });

  test("reads what any `fetch` gives, and says what cannot be read", async () => {
    const body = JSON.stringify({ choices: [{ message: { content: "" }, finish_reason: "stop" }] });
    const answers = {
      "provider_blank a stand-in for a response": () => ({
        status: 200,
        headers: { get: () => null },
        text: async () => body,
      }),
      "provider_blank an iterable body": () => ({
        status: 200,
        headers: new Map(),
        body: (async function* () {
          yield body;
        })(),
      }),
      "provider_malformed nothing": () => undefined,
      "provider_malformed a text": () => body,
      "provider_network an error": () => {
        throw new TypeError("fetch failed");
      },
      "provider_network a text that is thrown": () => {
        throw "no";
      },
      "provider_timeout no answer": never,
      "provider_timeout no body": () => new Response(new ReadableStream({ pull: never })),
    };
    for (const [what, fetch] of Object.entries(answers)) {
      const provider = openai({
        model: "m",
        fetch,
        attempts: 1,
        timeoutMs: 50,
        stallMs: 20,
        baseUrl: "https://models.example",
      });
      const error = await rejection({ provider });
      assert.equal(error.code, what.split(" ")[0], `${what}: ${error.message}`);
    }
  });

  test("that was disposed of is asked nothing any more, and gives up what is under way", async () => {
    let asked = 0;
    let told = 0;
    const provider = createProvider(
      (_, { signal }) => {
        asked += 1;
        signal.addEventListener("abort", () => {
          told += 1;
        });
        if (asked === 1) setTimeout(() => provider.dispose(), 5);
        return never();
      },
      { attempts: 3, concurrency: 2 },
    );
    const result = await compact(messages, { budget, provider });
    assert.ok(result.report.after <= budget);
    assert.equal(told, asked);
    const before = asked;
    await compact(messages, { budget, provider });
    assert.equal(asked, before);
    if (Symbol.dispose) assert.equal(typeof provider[Symbol.dispose], "function");
  });

  test("that fails again and again is left alone, by all who share it", async () => {
    let asked = 0;
    const provider = createProvider(
      () => {
        asked += 1;
        throw new Error("down");
      },
      { attempts: 1, concurrency: 1, breaker: { failures: 3, pauseMs: 60_000 } },
    );
    await compact(messages, { budget, provider });
    assert.equal(asked, 3);
    const error = await rejection({ provider });
    assert.equal(asked, 3);
    assert.match(error.message, /not asked for another \d+ s after 3 failures in a row; the last: down/);
    const bold = createProvider(
      () => {
        asked += 1;
        throw new Error("down");
      },
      { attempts: 1, breaker: false },
    );
    asked = 0;
    await compact(messages, { budget, provider: bold });
    assert.ok(asked > 5);
  });
});

describe("cachedPrefix", () => {
  const tools = [{ type: "function", function: { name: "read", parameters: { type: "object" } } }];
  /** A service that keeps what it is sent, and answers well. */
  const service = (bodies, status = 200) =>
    openai({
      model: "the chat's own",
      baseUrl: "https://models.example/v1",
      window: 200_000,
      attempts: 1,
      fetch: async (_, { body }) => {
        const request = JSON.parse(body);
        bodies.push(request);
        if (status !== 200) return Response.json({ error: { message: "no" } }, { status });
        const content = "1. User Intent: resolve the conflict in pkg/cli/main.go, cmd/main.go";
        return Response.json({ choices: [{ message: { content }, finish_reason: "stop" }] });
      },
    });

  test("puts each request behind the chat as it was sent, with its tools", async () => {
    const bodies = [];
    const result = await compact(messages, { budget, tools, provider: service(bodies), cachedPrefix: true });
    assert.ok(JSON.stringify(result.messages).includes("resolve the conflict"));
    assert.ok(bodies.length > 0);
    for (const body of bodies) {
      const task = body.messages.at(-1);
      assert.match(task.content, /^\[This is not a message of the user/);
      assert.deepEqual(body.messages.slice(0, -1), messages.slice(0, body.messages.length - 1));
      assert.deepEqual(body.tools, tools);
      assert.equal(body.tool_choice, "none");
      assert.deepEqual(validate(body.messages), []);
    }
    // One request for each run, since nothing is cut into chunks.
    const runs = result.report.edits.filter((edit) => edit.kind === "insert");
    assert.ok(bodies.length <= runs.length);
    const chunked = [];
    await compact(messages, { budget, tools, provider: service(chunked) });
    assert.ok(chunked.every((body) => body.messages.length === 1 && body.tools === undefined));
  });

  test("sends what `previous` led to, where there is one", async () => {
    const half = messages.slice(0, 60);
    const first = fit(half, { budget: limitFor(half, 0.3) });
    const bodies = [];
    const options = { budget, previous: first.patch, provider: service(bodies), cachedPrefix: true };
    const result = await compact(messages, options);
    assert.deepEqual(undo(result), messages);
    assert.ok(bodies.length > 0);
    const last = [...first.messages, ...messages.slice(60)];
    for (const body of bodies) {
      assert.deepEqual(body.messages.slice(0, -1), last.slice(0, body.messages.length - 1));
    }
  });

  test("asks as always where that does not work", async () => {
    const bodies = [];
    await compact(messages, { budget, provider: service(bodies, 400), cachedPrefix: true });
    assert.ok(bodies.some((body) => body.messages.length > 1) && bodies.some((body) => body.messages.length === 1));
    const plain = [];
    const provider = (request) => {
      plain.push(request);
      return good(request);
    };
    await compact(messages, { budget, provider, cachedPrefix: true });
    assert.ok(plain.length > 0 && plain.every((request) => request.messages.length === 1 && !("prefix" in request)));
    const notJson = structuredClone(messages);
    notJson[0].own = 5n;
    const other = [];
    await compact(notJson, { budget, provider: service(other), cachedPrefix: true });
    assert.ok(other.length > 0 && other.every((body) => body.messages.length === 1));
    const small = [];
    const tiny = openai({
      model: "m",
      baseUrl: "https://models.example/v1",
      window: 8_000,
      fetch: async (_, { body }) => {
        small.push(JSON.parse(body));
        return Response.json({ choices: [{ message: { content: "x" } }] });
      },
    });
    await compact(messages, { budget, provider: tiny, cachedPrefix: true });
    for (const body of small) assert.ok(countTokens(body.messages) <= 8_000);
    assert.ok(small.some((body) => body.messages.length === 1));
  });
});

test("the session module is not loaded before a model is asked", () => {
  const code = `
    import { compact, fit } from ${JSON.stringify(`file://${packageFolder}/index.node.js`)};
    import { readdirSync } from "node:fs";
    let compiled = 0;
    const { Module } = WebAssembly;
    WebAssembly.Module = class extends Module { constructor(bytes) { super(bytes); compiled += 1; } };
    const messages = [{ role: "user", content: "hi" }];
    fit(messages, { budget: 100 });
    if (compiled !== 1) throw new Error("main: " + compiled);
    await compact(messages, { budget: 100, provider: () => "x" });
    if (compiled !== 2) throw new Error("session: " + compiled);
    fit(messages, { budget: 100 });
    await compact(messages, { budget: 100 });
    if (compiled !== 2) throw new Error("again: " + compiled);
  `;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
});
