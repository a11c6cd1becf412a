// Every cell of the provider matrix in Node.js.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inspect } from "node:util";

import { epitome, load } from "../node/support.mjs";
import { cells, runCells, sample } from "../provider-server/matrix.mjs";
import { complaints } from "./support/complaints.mjs";
import { providerServer } from "./support/server.mjs";
import { watchTimers } from "./support/timers.mjs";
import { assertRequests, assertRight } from "./support/verdicts.mjs";

const heard = complaints();
const timers = watchTimers();
const names = ["openai", "anthropic", "gemini", "ollama"];
const modules = await Promise.all(names.map((name) => load(`providers/${name}.js`)));
const providers = Object.assign({}, ...modules);
const shown = (value) => inspect(value, { depth: 20, showHidden: true, getters: true });

let server;
let bench;
const verdicts = [];
before(async () => {
  server = await providerServer();
  bench = { epitome, providers, runtime: "node", server: server.url, inspect: shown };
});
after(() => server?.close());

test("every cell ends in the right code, in time, and shows no key", async () => {
  verdicts.push(...(await runCells(cells, bench)));
  assertRight(verdicts, 790);
});

test("where a failure is not to reject there is a result that fits, with a warning", async () => {
  const results = await runCells(sample, { ...bench, throws: false });
  verdicts.push(...results);
  assertRight(results, 158);
});

test("every request was one that the vendor takes", async () => {
  assertRequests(await server.log(), verdicts);
});

test("nothing is left: no request, no timer, no word", async () => {
  await server.settled();
  assert.ok(timers.made() > 1_000, "the timers were counted");
  assert.equal(timers.live(), 0);
  // The connection of the question just asked is in the pool before it no longer holds the process.
  const waiting = () => process.getActiveResourcesInfo().filter((name) => /Timeout|TCP|TLS|Request/.test(name));
  for (let round = 0; round < 100 && waiting().length > 0; round += 1) await new Promise(setImmediate);
  assert.deepEqual(waiting(), []);
  assert.deepEqual(heard(), []);
});
