// One isolate of workerd, many requests, and providers that they share: none touches what belongs to another.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { after, before, test } from "node:test";

import { isolate } from "./support/isolate.mjs";
import { providerServer } from "./support/server.mjs";

/** For whom nothing is to be waited for. */
const patient = { timeoutMs: 20_000, stallMs: 20_000, attempts: 1 };

const PROVIDERS = {
  first: { fault: "ok" },
  narrow: { fault: "ok", concurrency: 2 },
  interleaved: { fault: "stall,1", stallMs: 600, attempts: 2, headers: { "x-test-id": "interleaved" } },
  faulty: { fault: "random-7", timeoutMs: 500, stallMs: 300, attempts: 2, breaker: { failures: 5, pauseMs: 50 } },
  left: { ...patient, fault: "slow-headers,2", concurrency: 2, timeoutMs: 2_000, headers: { "x-test-id": "left" } },
  disposed: { ...patient, fault: "slow-headers", headers: { "x-test-id": "disposed" } },
};

/** What hangs is not to hang for long. */
const bounded = { timeout: 30_000 };

let server;
let worker;
before(async () => {
  server = await providerServer();
  worker = await isolate("shared.mjs", { SERVER: server.url, PROVIDERS });
});
after(() => Promise.all([worker?.close(), server?.close()]));

const numbers = Array.from({ length: 60 }, (_, at) => at);
const right = (number) => ({ number, problems: [], codes: [] });

/** Waits until so many requests of an id are open at the server. */
async function open(id, count) {
  const isOpen = ({ id: of, running }) => of === id && running;
  while ((await server.log()).filter(isOpen).length !== count) await new Promise((resolve) => setTimeout(resolve, 10));
}

test("60 requests at once, the first of all, get each its own result", async () => {
  const answers = await Promise.all(numbers.map((number) => worker.ask({ number, provider: "first" })));
  assert.deepEqual(answers, numbers.map(right));
});

test("requests that wait for each other's places get each its own result", async () => {
  const answers = await Promise.all(numbers.map((number) => worker.ask({ number, provider: "narrow" })));
  assert.deepEqual(answers, numbers.map(right));
});

test("so do those that share a provider which one of them made", async () => {
  const provider = { fault: "ok", concurrency: 2 };
  const first = worker.ask({ number: 0, provider, keep: "made" });
  assert.deepEqual(await first, right(0));
  const answers = await Promise.all(numbers.map((number) => worker.ask({ number, provider: "made" })));
  assert.deepEqual(answers, numbers.map(right));
});

test(
  "of two interleaved requests the second is done while the first one stalls, and both are right",
  bounded,
  async () => {
    const done = [];
    const ask = async (number) => {
      const answer = await worker.ask({ number, provider: "interleaved" });
      done.push(number);
      return answer;
    };
    const first = ask(1);
    await open("interleaved", 1);
    const second = ask(2);
    assert.deepEqual(await Promise.all([first, second]), [right(1), right(2)]);
    assert.deepEqual(done, [2, 1]);
  },
);

test("whatever goes wrong for some of 60, each result is right", async () => {
  const answers = await Promise.all(numbers.map((number) => worker.ask({ number, provider: "faulty" })));
  assert.deepEqual(
    answers.flatMap(({ number, problems }) => problems.map((problem) => `${number}: ${problem}`)),
    [],
  );
  const failed = answers.filter(({ codes }) => codes.length > 0).length;
  assert.ok(failed > 0 && failed < 60, `${failed} met a fault`);
});

test("a client that goes away does not keep its place", bounded, async () => {
  const clients = [1, 2].map((number) => {
    const client = request(worker.url, { method: "POST" });
    client.end(JSON.stringify({ number, provider: "left" }));
    return client;
  });
  await open("left", 2);
  for (const client of clients) {
    const gone = once(client, "error");
    client.socket.resetAndDestroy();
    await gone;
  }
  await open("left", 0);
  // The places come back when the requests would have been over at the latest.
  assert.deepEqual(await worker.ask({ number: 3, provider: "left" }), right(3));
});

test("a provider may be disposed of by another request", bounded, async () => {
  const waiting = worker.ask({ number: 4, provider: "disposed" });
  await open("disposed", 1);
  assert.deepEqual(await worker.ask({ dispose: "disposed" }), { disposed: true });
  const { problems, codes } = await waiting;
  assert.deepEqual(problems, []);
  assert.equal(codes.length, 1);
  await open("disposed", 0);
});

test("nothing is left: no request, no word", async () => {
  await server.settled();
  assert.deepEqual(worker.heard(), []);
});
