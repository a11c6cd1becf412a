// Every cell of the provider matrix in workerd, each in a request of its own.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { cells, inTurns, sample } from "../provider-server/matrix.mjs";
import { isolate } from "./support/isolate.mjs";
import { providerServer } from "./support/server.mjs";
import { assertRequests, assertRight } from "./support/verdicts.mjs";

let server;
let worker;
const verdicts = [];
before(async () => {
  [server, worker] = await Promise.all([providerServer(), isolate("worker.mjs")]);
});
after(() => Promise.all([worker?.close(), server?.close()]));

const run = (list, throws) => inTurns(list, 12, (_, at) => worker.ask({ at, throws, server: server.url }));

test("every cell ends in the right code, in time, and shows no key", async () => {
  verdicts.push(...(await run(cells, true)));
  assertRight(verdicts, 790);
});

test("where a failure is not to reject there is a result that fits, with a warning", async () => {
  const results = await run(sample, false);
  verdicts.push(...results);
  assertRight(results, 158);
});

test("every request was one that the vendor takes", async () => {
  assertRequests(await server.log(), verdicts);
});

test("nothing is left: no request, no timer, no word", async () => {
  await server.settled();
  const { live, made, unhandled } = await worker.ask();
  assert.ok(made > 1_000, "the timers were counted");
  assert.equal(live, 0);
  assert.deepEqual(unhandled, []);
  assert.deepEqual(worker.heard(), []);
});
