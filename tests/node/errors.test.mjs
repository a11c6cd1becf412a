// Bad input: a code, the message and the field, and an instance that works afterwards (`refuses` checks all three).

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { assistant, conversation, epitome, errorOf, load, refuses, toolTurn, user } from "./support.mjs";

const { countTokens, detectFormat, EpitomeError, fit, plan, repair, undo, validate } = epitome;
const { limits } = await load("wire.js");

const budget = 1_000;

describe("messages", () => {
  for (const [what, messages] of [
    ["nothing", undefined],
    ["null", null],
    ["a number", 7],
    ["a string", "hello"],
    ["an object", { role: "user", content: "hello" }],
    ["a function", () => []],
    ["a Map", new Map()],
    ["an iterator", [user("a")].values()],
  ]) {
    test(`that are ${what} and no array are refused by every call`, () => {
      refuses(() => fit(messages, { budget }), "invalid_input");
      refuses(() => plan(messages, { budget }), "invalid_input");
      refuses(() => validate(messages), "invalid_input");
      refuses(() => repair(messages), "invalid_input");
      refuses(() => detectFormat(messages), "invalid_input");
    });
  }

  for (const [what, message] of [
    ["a number", 7],
    ["a string", "hello"],
    ["null", null],
    ["nothing", undefined],
    ["an array", [user("a")]],
    ["a boolean", true],
    ["a function", () => 1],
    ["a BigInt", 1n],
  ]) {
    test(`among which there is ${what} are refused with its index`, () => {
      refuses(() => fit([user("a"), assistant("b"), message], { budget }), "invalid_input", { index: 2 });
      refuses(() => validate([message]), "invalid_input", { index: 0 });
    });
  }

  test("with an unknown role are refused with index and field", () => {
    const details = { index: 1, field: "role" };
    const error = refuses(
      () => fit([user("a"), { role: "wizard", content: "b" }], { budget }),
      "invalid_input",
      details,
    );
    assert.match(error.message, /message 1: `role` is "wizard"/);
    refuses(() => fit([user("a"), { role: 5, content: "b" }], { budget }), "invalid_input", details);
    refuses(() => fit([user("a"), { content: "b" }], { budget }), "invalid_input", details);
  });

  test("with a tool result without id are refused with index and field", () => {
    const [call, { tool_call_id: _, ...result }] = toolTurn("a", "42");
    refuses(() => fit([user("a"), call, result], { budget }), "invalid_input", { index: 2, field: "tool_call_id" });
  });

  test("with content of the wrong kind are refused with index and field", () => {
    refuses(() => fit([user(5)], { budget }), "invalid_input", { index: 0, field: "content" });
    refuses(() => fit([user("a"), user([{ type: "text", text: 5 }])], { budget }), "invalid_input", {
      index: 1,
      field: "content[0].text",
    });
  });

  test("that contain themselves are refused with index and field", () => {
    const self = user("a");
    self.again = self;
    refuses(() => fit([user("x"), self], { budget }), "invalid_input", { index: 1, field: "again" });

    const list = [user("a"), { ...user("b"), meta: { thread: { all: null } } }];
    list[1].meta.thread.all = list;
    const error = refuses(() => fit(list, { budget }), "invalid_input", { index: 1, field: "meta.thread.all" });
    assert.match(error.message, /list of messages/);

    const ring = { ...user("a"), "odd key": { ring: [{}] } };
    ring["odd key"].ring[0].back = ring["odd key"];
    refuses(() => validate([ring]), "invalid_input", { index: 0, field: '["odd key"].ring[0].back' });
  });

  test("that share objects without containing themselves are fine", () => {
    const shared = { nested: { list: [1, 2, 3] } };
    const messages = Array.from({ length: 50 }, (_, index) => ({
      ...user(`${index}`),
      shared,
      again: [shared, shared],
    }));
    assert.equal(fit(messages, { budget: 100_000 }).messages[7].shared, shared);
  });

  test("nested over 128 levels in a field that is read are refused with index and field", () => {
    let deep = "end";
    for (let level = 0; level < 200; level += 1) deep = [deep];
    const error = refuses(() => fit([user("a"), user(deep)], { budget }), "too_deep", { index: 1, field: "content" });
    assert.match(error.message, /128 levels/);
    let part = { type: "text", text: "x" };
    for (let level = 0; level < 200; level += 1) part = { inner: part };
    const image = [{ type: "image_url", image_url: part }];
    const refused = errorOf(() => fit([user("a"), user(image)], { budget }));
    assert.ok(["too_deep", "invalid_input"].includes(refused.code), refused.code);
    assert.equal(refused.details.index, 1);
  });

  test("whose getters or proxies throw are refused with index, field and cause", () => {
    const thrown = new Error("detached");
    const getter = {
      ...user("a"),
      meta: {
        get inner() {
          throw thrown;
        },
      },
    };
    const error = refuses(() => fit([user("x"), getter], { budget }), "invalid_input", {
      index: 1,
      field: "meta.inner",
    });
    assert.equal(error.cause, thrown);

    const { proxy, revoke } = Proxy.revocable(user("a"), {});
    revoke();
    const revoked = refuses(() => fit([user("x"), { ...user("b"), list: [proxy] }], { budget }), "invalid_input", {
      index: 1,
      field: "list[0]",
    });
    assert.ok(revoked.cause instanceof TypeError);
    refuses(() => fit([proxy], { budget }), "invalid_input", { index: 0 });

    const nothing = Object.defineProperty(user("a"), "meta", {
      enumerable: true,
      get() {
        throw undefined;
      },
    });
    assert.ok("cause" in refuses(() => fit([nothing], { budget }), "invalid_input", { index: 0, field: "meta" }));

    const trap = new Proxy([user("a")], {
      get(target, key) {
        if (key === "length") throw thrown;
        return Reflect.get(target, key);
      },
    });
    assert.equal(refuses(() => fit(trap, { budget }), "invalid_input").cause, thrown);
  });

  test("whose proxies lie about their length do not run for ever", () => {
    for (const [length, code] of [
      [Number.NaN, undefined],
      ["2", undefined],
      [-1, undefined],
      [Number.POSITIVE_INFINITY, "too_large"],
    ]) {
      limits.bytes = 1 << 20;
      const list = new Proxy([], { get: (target, key) => (key === "length" ? length : Reflect.get(target, key)) });
      try {
        const messages = [{ ...user("a"), list }];
        if (code) assert.equal(errorOf(() => fit(messages, { budget })).code, code);
        else assert.equal(fit(messages, { budget }).messages[0], messages[0]);
      } finally {
        limits.bytes = 1 << 28;
      }
    }
  });
});

describe("size", () => {
  test("over the limit is refused with the message at which it was passed", () => {
    const limit = limits.bytes;
    limits.bytes = 100_000;
    try {
      const messages = [user("a"), user("b".repeat(60_000)), user("c".repeat(60_000))];
      const error = errorOf(() => fit(messages, { budget }));
      assert.equal(error.code, "too_large");
      assert.equal(error.details.index, 2);
      assert.equal(error.details.limit, 100_000);
      assert.ok(error.details.bytes > 100_000);
      // Three bytes per character: the number of characters alone would fit.
      assert.equal(errorOf(() => fit([user("語".repeat(40_000))], { budget })).details.index, 0);
      assert.equal(errorOf(() => countTokens("x".repeat(100_001))).code, "too_large");
      const nested = [{ ...user("a"), big: Array.from({ length: 30_000 }, (_, index) => index) }];
      assert.equal(errorOf(() => fit(nested, { budget })).code, "too_large");
      assert.ok(countTokens("x".repeat(90_000)) > 0, "up to the limit all is well");
    } finally {
      limits.bytes = limit;
    }
  });

  test("over 256 MB is refused before anything is copied", async () => {
    const { ready } = await load("instance.js");
    const before = ready().memory.buffer.byteLength;
    // One string, many times: 300 MB that take no memory here, and may take none there.
    const text = "x".repeat(30_000_000);
    const started = process.memoryUsage().arrayBuffers;
    const error = errorOf(() => fit([user("x".repeat(300_000_000))], { budget }));
    assert.deepEqual([error.code, error.details.index, error.details.limit], ["too_large", 0, 268_435_456]);
    assert.ok(error.details.bytes > 300_000_000);
    assert.ok(ready().memory.buffer.byteLength - before < 1_000_000);
    assert.ok(process.memoryUsage().arrayBuffers - started < 10_000_000);
    assert.equal(
      errorOf(() =>
        fit(
          Array.from({ length: 10 }, () => user(text)),
          { budget },
        ),
      ).details.index,
      8,
    );
    assert.ok(countTokens("still alive") > 0);
  });
});

describe("options", () => {
  const messages = conversation(1);

  for (const value of [
    0,
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    1e300,
    2 ** 53,
    "1000",
    null,
    undefined,
    true,
    [1_000],
    10n,
  ]) {
    const shown = typeof value === "bigint" ? "10n" : (JSON.stringify(value) ?? "undefined");
    test(`refuse the budget ${Number.isNaN(value) ? "NaN" : value === Number.POSITIVE_INFINITY ? "Infinity" : shown}`, () => {
      refuses(() => fit(messages, { budget: value }), "invalid_option", { option: "budget" });
      refuses(() => plan(messages, { budget: value }), "invalid_option", { option: "budget" });
    });
  }

  test("refuse a Budget object that leaves nothing, or has unknown names", () => {
    refuses(() => fit(messages, { budget: {} }), "invalid_option", { option: "budget.window" });
    refuses(() => fit(messages, { budget: { window: 100, reserve: 100 } }), "invalid_option", { option: "budget" });
    refuses(() => fit(messages, { budget: { window: 100, reserved: 1 } }), "invalid_option", {
      option: "budget.reserved",
    });
    refuses(() => fit(messages, { budget: { window: Number.NaN } }), "invalid_option", { option: "budget.window" });
  });

  test("refuse what they do not know, with the name", () => {
    refuses(() => fit(messages, { budget, polcy: {} }), "invalid_option", { option: "polcy" });
    refuses(() => fit(messages, { budget, policy: { sotf: 1 } }), "invalid_option", { option: "policy.sotf" });
    refuses(() => validate(messages, { fromat: "x" }), "invalid_option", { option: "fromat" });
    refuses(() => countTokens("x", { token: "x" }), "invalid_option", { option: "token" });
    refuses(() => repair(messages, { budget }), "invalid_option", { option: "budget" });
  });

  test("refuse wrong types, with the name", () => {
    for (const [option, value] of [
      ["policy", 5],
      ["pin", "0"],
      ["pin", [-1]],
      ["pin", [1.5]],
      ["pin", [99]],
      ["tokens", "o200k"],
      ["tokens", 5],
      ["createMessage", {}],
      ["patch", "none"],
      ["previous", "x"],
      ["previous", []],
      ["model", 5],
      ["goal", {}],
    ]) {
      refuses(() => fit(messages, { budget, [option]: value }), "invalid_option", { option });
    }
    for (const [name, value] of [
      ["soft", 2],
      ["soft", "0.5"],
      ["softTarget", 0.95],
      ["strategy", "newest-first"],
      ["summaryRole", "tool"],
      ["shrinkLastUser", 1],
      ["protectTools", "read_file"],
      ["preserveTailMessages", -1],
    ]) {
      refuses(() => fit(messages, { budget, policy: { [name]: value } }), "invalid_option", {
        option: `policy.${name}`,
      });
    }
  });

  test("refuse options that are no object", () => {
    for (const options of [undefined, null, 1_000, "x", []]) {
      refuses(() => fit(messages, options), "invalid_option", { option: "options" });
    }
    refuses(() => validate(messages, 5), "invalid_option", { option: "options" });
  });

  test("refuse a format that this version does not read", () => {
    assert.equal(errorOf(() => fit(messages, { budget, format: "smoke" })).code, "unknown_format");
    assert.equal(errorOf(() => validate(messages, { format: "smoke" })).code, "unknown_format");
    refuses(() => validate(messages, { format: 5 }), "invalid_option", { option: "format" });
  });

  test("that contain themselves, or whose getters throw, are refused with their name", () => {
    const tools = [{ name: "x" }];
    tools.push(tools);
    refuses(() => fit(messages, { budget, tools }), "invalid_option", { option: "tools" });
    const thrown = new Error("no");
    const system = {
      get text() {
        throw thrown;
      },
    };
    assert.equal(
      refuses(() => fit(messages, { budget, system }), "invalid_option", { option: "system" }).cause,
      thrown,
    );
    const pin = () => {
      throw thrown;
    };
    assert.equal(refuses(() => fit(messages, { budget, pin }), "invalid_option", { option: "pin" }).cause, thrown);
  });
});

describe("the budget that cannot be met", () => {
  test("is refused with the parts that add up to what is required", () => {
    const messages = [{ role: "system", content: "word ".repeat(200) }, user("word ".repeat(100))];
    const error = errorOf(() => fit(messages, { budget: 50 }));
    assert.equal(error.code, "irreducible_budget");
    const { limit, required, breakdown } = error.details;
    assert.equal(limit, 50);
    assert.ok(required > 50);
    assert.equal(
      Object.values(breakdown).reduce((sum, part) => sum + part, 0),
      required,
    );
    assert.ok(breakdown.system > 0 && breakdown.lastUser > 0);
  });
});

describe("EpitomeError", () => {
  test("is an Error with a name, a code, details and perhaps a cause", () => {
    const error = errorOf(() => fit(5, { budget }));
    assert.ok(error instanceof Error);
    assert.equal(error.name, "EpitomeError");
    assert.match(String(error), /^EpitomeError: /);
    assert.equal("cause" in error, false);
    assert.match(error.stack, /errors\.test\.mjs/);
    const made = new EpitomeError("internal", "text", { cause: 5 });
    assert.deepEqual([made.code, made.details, made.cause], ["internal", {}, 5]);
  });
});

test("undo refuses what is no result and no array", () => {
  refuses(() => undo(5, undefined), "invalid_option", { option: "patch" });
  refuses(() => undo([user("a")], undefined), "invalid_option", { option: "patch" });
  refuses(() => undo([user("a")], {}), "invalid_option", { option: "patch" });
  const { patch } = fit(conversation(1), { budget: 100_000 });
  refuses(() => undo(5, patch), "invalid_input");
  refuses(() => undo(conversation(1), patch, { originals: 5 }), "invalid_option", { option: "originals" });
});
