// After a trap the instance is dropped and the next call starts with a fresh one. Needs the package built with the
// feature `trap`, whose module exports a function that panics on purpose.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";

import { bundled, conversation, limitFor, load, trapFolder, user } from "./support.mjs";

const skip = existsSync(`${trapFolder}/index.node.js`)
  ? false
  : "there is no build with the feature `trap`: cargo xtask build --dev --features trap --out target/trap-pkg";

const { EpitomeError, countTokens, fit } = skip ? {} : await load("index.node.js", trapFolder);
const { call, ready } = skip ? {} : await load("instance.js", trapFolder);
const { limits, Writer } = skip ? {} : await load("wire.js", trapFolder);

/** What the panic hook prints is expected here. */
function quietly(run) {
  const { error } = console;
  const printed = [];
  console.error = (...args) => printed.push(args.join(" "));
  try {
    run();
  } finally {
    console.error = error;
  }
  return printed.join("\n");
}

/** As every call does it: an input is written first. */
const trap = () =>
  new Writer().send(
    (writer) => writer.roots(0),
    () => call((glue) => glue.trap()),
  );

const isInternal = (error) => {
  assert.ok(error instanceof EpitomeError);
  assert.equal(error.code, "internal");
  return true;
};

test("a trap becomes `internal`, with the engine's error as the cause and a readable message on the console", {
  skip,
}, () => {
  const printed = quietly(() => {
    assert.throws(trap, (error) => isInternal(error) && error.cause instanceof WebAssembly.RuntimeError);
  });
  assert.match(printed, /a deliberate trap/);
});

test("the next call works, on a new instance with fresh memory", { skip }, () => {
  const messages = conversation(5);
  const expected = JSON.stringify(fit(messages, { budget: 600 }));
  const { memory } = ready();
  quietly(() => assert.throws(trap, isInternal));
  assert.equal(JSON.stringify(fit(messages, { budget: 600 })), expected);
  assert.notEqual(ready().memory, memory);
});

test("many traps in a row are survived", { skip }, () => {
  for (let i = 0; i < 20; i += 1) {
    quietly(() => assert.throws(trap, isInternal));
    assert.ok(countTokens("alive") > 0);
  }
});

test("a trap in a nested call fails the outer call, and the next one works", { skip }, () => {
  let nested = 0;
  const tokens = (text) => {
    nested += 1;
    if (nested === 2) {
      assert.throws(trap, isInternal);
      // The instance is broken and still on the stack: nothing may run on it.
      assert.throws(() => countTokens("x"), isInternal);
    }
    return text.length;
  };
  quietly(() => assert.throws(() => fit(conversation(3), { budget: 600, tokens }), isInternal));
  assert.ok(fit(conversation(3), { budget: 600 }).report.after <= 600);
});

test("a trap while a getter runs is survived by the call that reads", { skip }, () => {
  const messages = conversation(3);
  const expected = JSON.stringify(fit(structuredClone(messages), { budget: 600 }));
  const { content } = messages[2];
  Object.defineProperty(messages[2], "content", {
    configurable: true,
    enumerable: true,
    get() {
      quietly(() => assert.throws(trap, isInternal));
      return content;
    },
  });
  assert.equal(JSON.stringify(fit(messages, { budget: 600 })), expected);
});

test("running out of the stack inside a callback is refused and survived", { skip }, () => {
  const forever = (text) => forever(text) + 1;
  assert.throws(
    () => countTokens("text", { tokens: forever }),
    (error) => error instanceof EpitomeError && error.code === "invalid_option" && error.cause instanceof RangeError,
  );
  const deeper = () => countTokens("text", { tokens: () => deeper() });
  assert.throws(deeper, (error) => error instanceof EpitomeError);
  assert.ok(countTokens("alive") > 0);
});

test("running out of memory becomes `internal` and is survived", { skip }, () => {
  const { bytes } = limits;
  limits.bytes = 2 ** 32;
  try {
    // Half of what a module can address, so that it cannot grow a second time.
    const text = "x".repeat(500_000_000);
    quietly(() => {
      assert.throws(() => fit([user(text), user(text), user(text), user(text), user(text)], { budget: 9 }), isInternal);
    });
  } finally {
    limits.bytes = bytes;
  }
  assert.ok(countTokens("alive") > 0);
});

test("a trap ends every call that waits, leaves no timer, and the next one works", { skip }, async () => {
  const { compact } = await load("session.node.js", trapFolder);
  const { instance } = await load("session-instance.node.js", trapFolder);
  const messages = bundled("coding-agent");
  const budget = limitFor(messages, 0.06);
  const unhandled = [];
  const note = (error) => unhandled.push(error);
  process.on("unhandledRejection", note).on("uncaughtException", note);
  const late = [];
  let told = 0;
  const provider = (_, { signal }) => {
    signal.addEventListener("abort", () => {
      told += 1;
    });
    return new Promise((resolve, reject) => late.push(late.length % 2 === 0 ? resolve : reject));
  };
  const calls = [1, 2, 3].map(() => compact(messages, { budget, provider }));
  assert.ok(late.length > 0, "they wait for the provider");
  const asked = late.length;
  quietly(() => {
    assert.throws(() => instance.call((glue) => glue.trap()), isInternal);
  });
  for (const call of calls) await assert.rejects(call, isInternal);
  assert.equal(told, asked);
  for (const settle of late) settle(new Error("too late"));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(unhandled, []);
  assert.ok(!process.getActiveResourcesInfo().includes("Timeout"), "no timer is left");
  const result = await compact(messages, { budget, provider: () => "1. User Intent: pkg/cli/main.go" });
  assert.ok(result.report.after <= budget);
  process.off("unhandledRejection", note).off("uncaughtException", note);
});

test("a trap while a call that waits goes on ends it, and the others", { skip }, async () => {
  const { compact } = await load("session.node.js", trapFolder);
  const { instance } = await load("session-instance.node.js", trapFolder);
  const messages = bundled("coding-agent");
  const budget = limitFor(messages, 0.06);
  const other = compact(messages, { budget, provider: () => new Promise(() => {}) });
  const trapping = compact(messages, {
    budget,
    provider: () => "x",
    onProgress: () => quietly(() => assert.throws(() => instance.call((glue) => glue.trap()), isInternal)),
  });
  await assert.rejects(trapping, isInternal);
  await assert.rejects(other, isInternal);
  assert.ok((await compact(messages, { budget, provider: () => "x" })).report.after <= budget);
});
