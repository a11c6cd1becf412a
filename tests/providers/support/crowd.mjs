// Many calls of `compact` that share one provider, in a process of their own:
//
//   node --expose-gc crowd.mjs '{ "kind": "whole" | "stream" | "function", "calls": 300, "seed": 1, "server": "http://..." }'
//
// prints what came of it and what is left, as JSON.

import { getEventListeners } from "node:events";

import { load } from "../../node/support.mjs";
import { inTurns } from "../../provider-server/matrix.mjs";
import { budget, conversationAbout, faultsOf } from "./about.mjs";
import { complaints } from "./complaints.mjs";
import { modelOfMoods } from "./moods.mjs";
import { randomNumbers } from "./random.mjs";
import { watchTimers } from "./timers.mjs";

const { kind, calls, seed, server } = JSON.parse(process.argv[2]);

/** At the same time. */
const inFlight = 60;

/** The share of the calls after which live objects are counted for the first time. */
const warm = 0.3;

/** How many of the calls are given up by the host. */
const givenUp = 0.1;

const heard = complaints();
const timers = watchTimers();
const controllers = watchControllers();
const session = await load("session.node.js");
const { createProvider } = await load("providers/index.js");
const { openai } = await load("providers/openai.js");
const { instance } = await load("session-instance.node.js");

const random = randomNumbers(seed);
const moods = modelOfMoods(random);
let provider = kind === "function" ? createProvider(moods.ask, limits(200)) : endpoint(`random-${seed}-fits`);
const outcomes = {};
const problems = [];
let listeners = 0;

// Memory that was once needed is never given back: that of the largest answers, as many as there may be at once.
if (kind !== "function") await inTurns(Array(8).fill(endpoint("huge")), 8, huge);
await inTurns(
  Array.from({ length: calls * warm }, (_, at) => at),
  inFlight,
  call,
);
const before = await live();
await inTurns(
  Array.from({ length: calls * (1 - warm) }, (_, at) => calls * warm + at),
  inFlight,
  call,
);
const after = await live();
provider = undefined;
const gone = await live(({ providers }) => providers === 0);
process.stdout.write(
  JSON.stringify({ outcomes, problems, before, after, gone, listeners, heard: heard(), most: moods.most() }),
);
// Functions that never settle keep nobody waiting; neither do idle connections.
process.exit();

function limits(timeoutMs) {
  return { concurrency: 8, attempts: 2, timeoutMs, breaker: { failures: 5, pauseMs: 20 } };
}

function endpoint(fault) {
  return openai({
    model: "test",
    apiKey: "test-key",
    baseUrl: `${server}/${fault}/v1`,
    headers: { "x-test-id": kind },
    stream: kind === "stream",
    stallMs: 300,
    ...limits(500),
  });
}

/** A call that may end as it likes. */
async function huge(provider) {
  await session.compact(conversationAbout(0), { budget, provider });
}

/** One call, whose result has to be that of its own conversation. */
async function call(number) {
  const messages = conversationAbout(number);
  const host = new controllers.Original();
  const impatient = random() < givenUp;
  const timer = impatient && setTimeout(() => host.abort("no more"), random() * 50);
  try {
    const result = await session.compact(messages, { budget, provider, signal: host.signal });
    for (const problem of faultsOf(session, number, messages, result)) problems.push(`${number}: ${problem}`);
    const [warning] = result.report.warnings;
    count(warning?.code ?? (result.report.models ? "ok" : "unasked"));
  } catch (error) {
    const isRight = impatient && error.name === "AbortError" && error.cause === "no more";
    if (!isRight) problems.push(`${number}: ${error.stack}`);
    count("aborted");
  } finally {
    clearTimeout(timer);
    listeners += getEventListeners(host.signal, "abort").length;
  }
}

function count(outcome) {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}

/** What there is after collecting garbage, as soon as it is as wished, or after a while. */
async function live(wished = ({ controllers: alive }) => alive === 0) {
  let found;
  for (let turn = 0; turn < 200; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc();
    found = {
      controllers: controllers.live(),
      timers: timers.live(),
      tasks: instance.call((glue) => glue.task_count()),
      providers: instance.call((glue) => glue.provider_count()),
      memory: instance.ready().memory.buffer.byteLength,
      heap: process.memoryUsage().heapUsed,
    };
    if (wished(found)) break;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return found;
}

/** Counts the abort controllers that are alive, of which every wait of the package has one. */
function watchControllers() {
  const Original = globalThis.AbortController;
  const alive = new Set();
  const registry = new FinalizationRegistry((reference) => alive.delete(reference));
  globalThis.AbortController = class AbortController extends Original {
    constructor() {
      super();
      const reference = new WeakRef(this);
      alive.add(reference);
      registry.register(this, reference);
    }
  };
  return { Original, live: () => alive.size };
}
