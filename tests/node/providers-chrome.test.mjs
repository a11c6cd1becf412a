// The models that a browser brings with it. None is here: these follow what the specifications of the Prompt API and of
// the Writing Assistance APIs say of `create`, `availability`, signals, quotas and `destroy`.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { answerTo } from "../provider-server/text.mjs";
import {
  abortedAfter,
  answer,
  asked,
  compacted,
  deferred,
  failureOf,
  refusesOption,
  summarised,
} from "./providers-support.mjs";
import { load } from "./support.mjs";

const { chromePrompt, chromePromptAvailability, chromeSummarizer, chromeSummarizerAvailability } =
  await load("providers/chrome.js");

class QuotaExceededError extends DOMException {
  constructor(sizes) {
    super("The input is too large.", "QuotaExceededError");
    Object.assign(this, sizes);
  }
}

const tokensOf = (input) => Math.ceil(JSON.stringify(input).length / 4);

/**
 * An API of a browser.
 *
 * @param {object} how
 * @param how.answer what its models say to an input; may throw, or never come
 */
function api({ answer, availability = "available", window = 100_000, numbers = true, create = async () => {} }) {
  const seen = { asked: [], made: [], models: [], measured: 0 };

  class Model {
    contextWindow = window;
    destroyed = 0;
    over = deferred();
    constructor(signal) {
      seen.models.push(this);
      this.over.promise.catch(() => {});
      signal.addEventListener("abort", () => this.over.reject(signal.reason));
    }
    destroy() {
      this.destroyed += 1;
      this.over.reject(new DOMException("The session was destroyed.", "AbortError"));
    }
    async measureContextUsage(input) {
      seen.measured += 1;
      return tokensOf(input);
    }
    async prompt(input, options) {
      assert.equal(this.destroyed, 0, "asked after it was destroyed");
      seen.asked.push({ input, ...options });
      const requested = tokensOf(input);
      if (requested > window) throw new QuotaExceededError(numbers ? { requested, quota: window } : {});
      return Promise.race([answer(input), this.over.promise]);
    }
    summarize = this.prompt;
  }

  return {
    seen,
    availability: async (options) => {
      seen.queried = options;
      return availability;
    },
    create: async ({ signal, ...options }) => {
      seen.made.push(options);
      await create(signal);
      return new Model(signal);
    },
  };
}

/** Sets what only browsers have. */
const browser = (globals) => Object.assign(globalThis, globals);
afterEach(() => {
  for (const name of ["LanguageModel", "Summarizer", "ai"]) delete globalThis[name];
});

/** Every model that was made is gone. */
function assertDestroyed({ models }) {
  assert.ok(models.length > 0, "one was made");
  for (const { destroyed } of models) assert.ok(destroyed > 0, "not destroyed");
}

/** What a model says to the text that it gets. */
const says = { answer: async (input) => answer({ messages: [{ content: input }] }) };

// -------------------------------------------------------------------------------------------------------- Prompt API

test("every request has a session of its own, which is destroyed", async () => {
  const LanguageModel = api(says);
  browser({ LanguageModel });
  const create = { expectedOutputs: [{ type: "text", languages: ["en"] }] };
  const { models } = await summarised(chromePrompt({ create }));
  const { seen } = LanguageModel;
  assert.equal(seen.models.length, models.requests);
  assert.equal(seen.asked.length, models.requests);
  assertDestroyed(seen);
  for (const { input, signal, ...others } of seen.asked) {
    assert.equal(typeof input, "string");
    assert.ok(signal instanceof AbortSignal);
    assert.deepEqual(others, {});
  }
  for (const made of seen.made) assert.deepEqual(made, create);
  assert.deepEqual(seen.queried, create);
});

test("one request is under way at a time", async () => {
  let running = 0;
  const LanguageModel = api({
    answer: async (input) => {
      running += 1;
      assert.equal(running, 1);
      await new Promise(setImmediate);
      running -= 1;
      return answerTo(input);
    },
  });
  browser({ LanguageModel });
  await summarised(chromePrompt());
});

test("a session is destroyed also when the model fails", async () => {
  const LanguageModel = api({ answer: () => Promise.reject(new DOMException("?", "UnknownError")) });
  browser({ LanguageModel });
  const error = await failureOf(chromePrompt());
  assert.equal(error.code, "provider_unavailable");
  assert.equal(error.cause.name, "UnknownError");
  assertDestroyed(LanguageModel.seen);
});

for (const [what, heeds] of [
  ["a browser that heeds the signal", true],
  ["one that does not", false],
]) {
  test(`a request that is given up ends its session, in ${what}`, async () => {
    const begun = deferred();
    const LanguageModel = api({
      answer: () => {
        begun.resolve();
        return new Promise(() => {});
      },
    });
    if (!heeds) {
      const { create } = LanguageModel;
      const deaf = new AbortController().signal;
      LanguageModel.create = (options) => create({ ...options, signal: deaf });
    }
    browser({ LanguageModel });
    await abortedAfter(begun.promise, chromePrompt());
    assertDestroyed(LanguageModel.seen);
  });
}

test("a session that comes when nobody waits any more is destroyed and never asked", async () => {
  const begun = deferred();
  const made = deferred();
  const LanguageModel = api({
    ...says,
    create: () => {
      begun.resolve();
      return made.promise;
    },
  });
  browser({ LanguageModel });
  await abortedAfter(begun.promise, chromePrompt());
  assert.equal(LanguageModel.seen.models.length, 0);
  made.resolve();
  await new Promise(setImmediate);
  assertDestroyed(LanguageModel.seen);
  assert.deepEqual(LanguageModel.seen.asked, []);
});

test("a text that is too long is told with the numbers that the browser gives", async () => {
  for (const numbers of [true, false]) {
    const LanguageModel = api({ ...says, window: 150, numbers });
    browser({ LanguageModel });
    const error = await failureOf(chromePrompt());
    assert.equal(error.code, "provider_context_length");
    assert.deepEqual(error.details, { limit: 150 }, `numbers in the error: ${numbers}`);
    assert.equal(error.cause.cause.name, "QuotaExceededError");
    assert.match(error.message, /It has \d+ prompt tokens/);
    assert.equal(LanguageModel.seen.measured > 0, !numbers, "the model is asked for a size only where there is need");
    assertDestroyed(LanguageModel.seen);
  }
});

test("a browser without any numbers is understood too", async () => {
  const LanguageModel = api({ answer: () => Promise.reject(new QuotaExceededError()), window: Infinity });
  const { create } = LanguageModel;
  LanguageModel.create = async (options) =>
    Object.assign(await create(options), { measureContextUsage: () => assert.fail("cannot") });
  browser({ LanguageModel });
  const error = await failureOf(chromePrompt());
  assert.equal(error.code, "provider_context_length");
  assert.deepEqual(error.details, {});
});

test("a model that reads less than was thought is asked for less", async () => {
  const LanguageModel = api({ ...says, window: 2_500 });
  browser({ LanguageModel });
  const { report } = await compacted(chromePrompt(), { onProviderError: "offline" });
  assert.match(report.summary.text, /1\. User Intent: “/);
  const sizes = LanguageModel.seen.asked.map(({ input }) => tokensOf(input));
  // What was under way when it said so, and no more.
  assert.ok(sizes.filter((size) => size > 2_500).length <= 4, String(sizes));
  assert.ok(sizes.at(-1) <= 2_500);
  assertDestroyed(LanguageModel.seen);
});

test("an answer that the browser keeps to itself is a refusal", async () => {
  browser({ LanguageModel: api({ answer: () => Promise.reject(new DOMException("filtered", "NotReadableError")) }) });
  assert.equal((await failureOf(chromePrompt())).code, "provider_refused");
});

test("a session that the browser ends is no request that the host gave up", async () => {
  browser({ LanguageModel: api({ answer: () => Promise.reject(new DOMException("gone", "AbortError")) }) });
  const error = await failureOf(chromePrompt());
  assert.equal(error.code, "provider_unavailable");
  assert.match(error.message, /ended the session/);
  await summarised([chromePrompt(), answer]);
});

test("where there is no model, a request fails at once and says so", async () => {
  const failures = [];
  const onProgress = (event) => {
    if (event.type === "failure") failures.push(event);
  };
  const error = await failureOf(chromePrompt(), { onProgress });
  assert.equal(error.code, "provider_unavailable");
  assert.match(error.message, /no model of its own \(`LanguageModel` is missing\)/);
  assert.ok(failures.length > 0);
  for (const failure of failures) assert.ok(!("retryInMs" in failure), "it is not tried again");
  assert.equal(await chromePromptAvailability(), "unavailable");
  assert.equal(await chromeSummarizerAvailability(), "unavailable");
});

test("a model that would have to be fetched is only fetched where that is wanted", async () => {
  for (const availability of ["downloadable", "downloading"]) {
    const LanguageModel = api({ ...says, availability });
    browser({ LanguageModel });
    assert.equal(await chromePromptAvailability(), availability);
    const error = await failureOf(chromePrompt());
    assert.equal(error.code, "provider_unavailable");
    assert.match(error.message, /not there yet .*`download: true`/);
    await failureOf(chromePrompt({ download: false }));
    assert.deepEqual(LanguageModel.seen.made, []);
    await summarised(chromePrompt({ download: true }));
  }
});

test("a machine that cannot run the model never makes one, wanted or not", async () => {
  const LanguageModel = api({ ...says, availability: "unavailable" });
  browser({ LanguageModel });
  const error = await failureOf(chromePrompt({ download: true }));
  assert.equal(error.code, "provider_unavailable");
  assert.match(error.message, /cannot be used here/);
  assert.deepEqual(LanguageModel.seen.made, []);
});

test("the place where the API was at first does as well", async () => {
  const languageModel = api(says);
  browser({ ai: { languageModel } });
  assert.equal(await chromePromptAvailability(), "available");
  await summarised(chromePrompt());
  assertDestroyed(languageModel.seen);
});

// ---------------------------------------------------------------------------------------------------- Summarizer API

test("the summarizer gets the records, and what is wished for beside them", async () => {
  const Summarizer = api({ answer: async (input) => answerTo(input) });
  browser({ Summarizer });
  const { models } = await summarised(chromeSummarizer(), { instructions: "stress the tests" });
  const { seen } = Summarizer;
  assert.equal(seen.asked.length, models.requests);
  assertDestroyed(seen);
  for (const { input, context, signal } of seen.asked) {
    assert.doesNotMatch(input, /nine sections|stress the tests|^<\/?conversation /m);
    assert.equal(context, "stress the tests");
    assert.ok(signal instanceof AbortSignal);
  }
  assert.ok(seen.asked.some(({ input }) => input.includes("[assistant]: ")));
  for (const { sharedContext, length: _, ...others } of seen.made) {
    assert.match(sharedContext, /conversation/);
    assert.deepEqual(others, { type: "key-points", format: "plain-text" });
  }
});

test("the summarizer is made as the host wants it", async () => {
  const Summarizer = api({ answer: async (input) => answerTo(input) });
  browser({ Summarizer });
  const options = { type: "tldr", format: "markdown", length: "long", sharedContext: "a chat" };
  await summarised(chromeSummarizer({ ...options, create: { outputLanguage: "en" } }));
  for (const made of Summarizer.seen.made) assert.deepEqual(made, { ...options, outputLanguage: "en" });
});

test("a text too long for the summarizer is told with its numbers", async () => {
  const Summarizer = api({ answer: async (input) => answerTo(input), window: 150 });
  browser({ Summarizer });
  const error = await failureOf(chromeSummarizer());
  assert.deepEqual([error.code, error.details], ["provider_context_length", { limit: 150 }]);
  assertDestroyed(Summarizer.seen);
});

test("the summarizer is asked for as much as there is room for", async () => {
  const Summarizer = api({ answer: async (input) => input });
  browser({ Summarizer });
  for (const maxTokens of [64, 200, 1_000]) await asks({ purpose: "tool-pair", maxTokens });
  assert.deepEqual(
    Summarizer.seen.made.map(({ length }) => length),
    ["short", "medium", "long"],
  );
});

test("the summarizer is not asked for what is no summary", async () => {
  const Summarizer = api({ answer: async (input) => input });
  browser({ Summarizer });
  for (const purpose of ["goal", "subgoal", "guidelines"]) {
    await assert.rejects(asks({ purpose, maxTokens: 64 }), {
      kind: "option",
      message: new RegExp(`only summarise: .*\\(${purpose}\\)`),
    });
  }
  for (const purpose of ["summary", "consolidation", "tool-pair"]) {
    assert.equal(await asks({ purpose, maxTokens: 64 }), "One.\n\nTwo: <b x>\n\n\n</b x>");
  }
  assert.equal(Summarizer.seen.made.length, 3);
});

/** What the function behind the summarizer makes of one request. */
function asks(request) {
  const content =
    "Summarise.\n\nLessons:\n<guidelines c3>\nkeep ports\n</guidelines c3>\n\nThe request:\n<tool_request a1>\nOne.\n" +
    "</tool_request a1>\n\nThe response:\n<tool_response b2>\nTwo: <b x>\n\n\n</b x>\n</tool_response b2>\n\nNow.";
  return asked(chromeSummarizer(), { messages: [{ role: "user", content }], ...request });
}

test("where there is no summarizer, a request says so", async () => {
  browser({ LanguageModel: api(says) });
  const error = await failureOf(chromeSummarizer());
  assert.equal(error.code, "provider_unavailable");
  assert.match(error.message, /`Summarizer` is missing/);
});

test("options that cannot be are refused with words that help", () => {
  refusesOption(() => chromePrompt(5), "options", /the number 5/);
  refusesOption(() => chromePrompt({ model: "x" }), "model", /there are create, download/);
  refusesOption(() => chromePrompt({ download: "yes" }), "download", /true or false/);
  refusesOption(() => chromePrompt({ create: [] }), "create", /an array/);
  refusesOption(() => chromePrompt({ window: 0 }), "window", /1 or more/);
  refusesOption(() => chromePromptAvailability({ download: true }), "download", /there are create/);
  refusesOption(() => chromeSummarizer({ type: "headline" }), "type", /key-points, tldr, but is "headline"/);
  refusesOption(() => chromeSummarizer({ format: "html" }), "format", /plain-text/);
  refusesOption(() => chromeSummarizer({ length: 5 }), "length", /short/);
  refusesOption(() => chromeSummarizer({ sharedContext: 5 }), "sharedContext", /a text/);
  assert.equal(chromePrompt().name, "chrome prompt");
  assert.equal(chromeSummarizer({ name: "mine" }).name, "mine");
});
