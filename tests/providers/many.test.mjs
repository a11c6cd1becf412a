// Many compactions at once that share one provider: under random faults, with few places, and after its end.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";

import { epitome, load } from "../node/support.mjs";
import { budget, conversationAbout, faultsOf } from "./support/about.mjs";
import { providerServer } from "./support/server.mjs";

const { createProvider } = await load("providers/index.js");
const { openai } = await load("providers/openai.js");
const { compact } = epitome;

const full = !["", "0", undefined].includes(process.env.EPITOME_FULL);
const calls = full ? 1_000 : 300;
const seed = Number(process.env.EPITOME_SEED ?? 5);

let server;
before(async () => {
  server = await providerServer();
});
after(() => server?.close());

/** What `support/crowd.mjs` finds. */
async function crowd(kind) {
  const script = join(import.meta.dirname, "support/crowd.mjs");
  const input = JSON.stringify({ kind, calls, seed, server: server.url });
  const child = spawn(process.execPath, ["--expose-gc", script, input], { stdio: ["ignore", "pipe", "inherit"] });
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  assert.equal(code, 0);
  return JSON.parse(said);
}

/**
 * How much more there may be after the last 70 % of the calls than before them, bytes. If each left its input behind,
 * that would be 13 kB a call, 2.7 MB or more. What V8 learns meanwhile costs up to 0.8 MB, holes in memory as much.
 */
const growth = { heap: 1_500_000, memory: 2_000_000 };

describe(`${calls} calls share a provider, 60 at a time`, () => {
  for (const [kind, title] of [
    ["function", "that is a function of the host, with every mood that one can have"],
    ["whole", "behind an address, under random faults"],
    ["stream", "behind an address that answers in pieces, under random faults"],
  ]) {
    test(title, { timeout: 300_000 }, async () => {
      const { outcomes, problems, before: early, after: late, gone, listeners, heard, most } = await crowd(kind);
      assert.deepEqual(problems, []);
      const { ok = 0, aborted = 0, unasked = 0, ...failed } = outcomes;
      const failures = Object.values(failed).reduce((sum, count) => sum + count, 0);
      assert.equal(ok + aborted + failures, calls, JSON.stringify(outcomes));
      assert.equal(unasked, 0, "each call asks its model");
      assert.ok(ok > calls * 0.3 && aborted > 0 && Object.keys(failed).length > 4, JSON.stringify(outcomes));
      for (const { controllers, tasks, timers } of [early, late, gone]) {
        assert.deepEqual({ controllers, tasks, timers }, { controllers: 0, tasks: 0, timers: 0 });
      }
      assert.equal(listeners, 0, "no signal of the host is listened to any more");
      assert.deepEqual([early.providers, late.providers, gone.providers], [1, 1, 0]);
      for (const [what, bytes] of Object.entries(growth)) {
        assert.ok(late[what] - early[what] < bytes, `${what}: ${late[what]} after ${early[what]} bytes`);
      }
      assert.deepEqual(heard, []);
      if (kind === "function") return assert.equal(most, 8, "all places are taken, and no more");
      await server.settled();
      // A request that was given up takes no place any more, but the server may hear of the next one first.
      const { maxConcurrent } = await server.stats();
      assert.ok(maxConcurrent >= 8 && maxConcurrent <= 10, `${maxConcurrent} requests at a time`);
    });
  }
});

const provider = (fault, options) =>
  openai({ model: "test", apiKey: "test-key", baseUrl: `${server.url}/${fault}/v1`, ...options });

const numbers = Array.from({ length: 60 }, (_, at) => at);

/** Starts a call, and checks its result. */
async function call(number, options) {
  const messages = conversationAbout(number);
  const result = await compact(messages, { budget, ...options });
  assert.deepEqual([...faultsOf(epitome, number, messages, result)], []);
  return result.report.warnings.map(({ code }) => code);
}

const reset = () => fetch(`${server.url}/_reset`, { method: "POST" });

/** Waits until something is so. */
async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

test("calls take all places and no more", async () => {
  await reset();
  // Byte by byte, so that no answer is there before the next call asks.
  const shared = provider("sse-split", { concurrency: 8, stream: true });
  const codes = await Promise.all(numbers.slice(0, 24).map((number) => call(number, { provider: shared })));
  assert.deepEqual(codes.flat(), []);
  const { maxConcurrent, total } = await server.stats();
  assert.deepEqual({ maxConcurrent, total }, { maxConcurrent: 8, total: 24 });
});

describe("after its end a provider", { timeout: 60_000 }, () => {
  /** At once, on a busy machine, milliseconds. The pauses between these attempts would be four seconds at least. */
  const atOnce = 1_500;
  const persistent = { attempts: 5, breaker: false };

  test("gives up what is under way and waiting, and sends nothing more", async () => {
    await reset();
    const shared = provider("slow-headers", { ...persistent, concurrency: 8 });
    const pending = Promise.all(numbers.map((number) => call(number, { provider: shared })));
    await until(async () => (await server.stats()).running === 8);
    const began = performance.now();
    shared.dispose();
    const codes = await pending;
    const ms = performance.now() - began;
    assert.ok(
      codes.every((of) => of.length === 1 && of[0].startsWith("provider_")),
      JSON.stringify(codes),
    );
    assert.ok(ms < atOnce, `${ms} ms until all calls were over`);
    await server.settled();
    assert.equal((await server.stats()).total, 8);
  });

  test("is asked nothing, and says so", async () => {
    await reset();
    const over = provider("ok", persistent);
    over.dispose();
    const began = performance.now();
    const codes = await call(1, { provider: over });
    assert.equal(codes.length, 1);
    const failure = await call(1, { provider: over, onProviderError: "throw" }).catch((error) => error);
    const ms = performance.now() - began;
    assert.ok(ms < atOnce, `${ms} ms until both calls were over`);
    assert.match(String(failure), /disposed/);
    assert.equal((await server.stats()).total, 0);
  });

  test("that is a function is not called, and its signals are aborted", async () => {
    const signals = [];
    const complete = (_, { signal }) => signals.push(signal) && new Promise(() => {});
    const shared = createProvider(complete, { ...persistent, concurrency: 3 });
    const pending = Promise.all(numbers.map((number) => call(number, { provider: shared })));
    await until(() => signals.length === 3);
    const began = performance.now();
    shared.dispose();
    await pending;
    const ms = performance.now() - began;
    assert.equal(signals.length, 3);
    assert.ok(signals.every(({ aborted }) => aborted));
    assert.ok(ms < atOnce, `${ms} ms until all calls were over`);
  });

  test("leaves it to the next in a list", async () => {
    const over = provider("ok", persistent);
    over.dispose();
    assert.deepEqual(await call(1, { provider: [over, provider("ok")] }), []);
  });
});
