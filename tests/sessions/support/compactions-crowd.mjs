// Many compactions through sessions whose models fail at random, in a process of their own:
//
//   node --expose-gc compactions-crowd.mjs '{ "compactions": 100, "seed": 1 }'
//
// prints what came of it and what is left, as JSON. Sessions are opened, closed in the middle of a call, given up by
// their signal and forgotten without being closed; every conversation is deleted in the end.

import { getEventListeners } from "node:events";

import { load } from "../../node/support.mjs";
import { complaints } from "../../providers/support/complaints.mjs";
import { randomNumbers } from "../../providers/support/random.mjs";
import { watchTimers } from "../../providers/support/timers.mjs";
import { faultyModel } from "./compactions-model.mjs";
import { countingStore } from "./compactions-store.mjs";

const { compactions: wanted, seed } = JSON.parse(process.argv[2]);

/** Conversations at the same time. */
const AT_ONCE = 12;
/** Compactions after which a conversation is deleted. */
const LONGEST = 8;
/** The shares of the sessions that are closed in the middle of calls, and that are forgotten without being closed. */
const CUT_SHORT = 0.4;
const FORGOTTEN = 0.1;
/** How many stores this script itself holds. */
const KEPT = 2;
/** The share of the compactions after which live objects are counted for the first time. */
const WARM = 0.3;

const heard = complaints();
const timers = watchTimers();
const session = await load("session.node.js");
const { createProvider } = await load("providers/index.js");
const { instance } = await load("session-instance.node.js");
const { Session, EpitomeError, memory, validate, countTokens } = session;

const random = randomNumbers(seed);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const host = countingStore(memory(), { pause: () => (random() < 0.2 ? pause(random() * 3) : undefined) });
const ready = memory();
const limits = { concurrency: 6, attempts: 2, timeoutMs: 150, breaker: { failures: 8, pauseMs: 15 } };
const budget = { window: 2_000, reserve: 0 };

const problems = [];
const outcomes = {};
const count = (outcome) => {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
};
let compacted = 0;
let opened = 0;
let asked = 0;
let listeners = 0;
let last = 0;

/** What is asked of store and model for the sessions that are closed. */
const late = { store: 0, model: 0 };

/** A conversation from its first message to its end, through many sessions. */
async function conversation() {
  last += 1;
  const id = `conversation ${last}`;
  const isOfHost = random() < 0.5;
  const store = isOfHost ? host.store : ready;
  let made = 0;
  let said = 0;
  let view;
  while (made < LONGEST && compacted < target) {
    const life = await lived(id, store, said, view);
    [made, said, view] = [made + life.made, life.said, life.view];
  }
  const open = await Session.open({ id, store, budget });
  await open.delete();
}

/** One session, from opening to its end. */
async function lived(id, store, before, expected) {
  // What this session asks for goes through a store of its own, so that it is known who asks.
  let isClosed = false;
  const watched = watching(store, () => {
    if (isClosed) late.store += 1;
  });
  const model = faultyModel(random);
  const complete = (request, context) => {
    asked += 1;
    if (isClosed) late.model += 1;
    return model.ask(request, context);
  };
  const provider = createProvider(complete, limits);
  const own = await Session.open({ id, store: watched, budget, provider, policy: { cooldownTurns: 0 } });
  opened += 1;
  const life = { made: 0, said: before, view: undefined };
  own.on("compaction", () => {
    life.made += 1;
    compacted += 1;
  });
  if (expected !== undefined && JSON.stringify(own.view()) !== expected)
    problems.push(`${id}: another view than before`);
  const turns = 2 + Math.floor(random() * 5);
  for (let turn = 0; turn < turns; turn += 1) {
    const texts = Array.from({ length: 8 }, () => message(id, life.said++));
    await own.append(texts);
    await prepared(own, id);
  }
  const end = random();
  if (end < CUT_SHORT) {
    const calls = [own.append(message(id, life.said)), own.prepare(), own.compactNow()];
    const outcomes = Promise.allSettled(calls);
    if (random() < 0.5) await pause(random() * 20);
    const closing = own.close();
    isClosed = true;
    await closing;
    cutShort(id, life, await outcomes);
  } else {
    await own.prepare();
    life.view = JSON.stringify(own.view());
    if (end < CUT_SHORT + FORGOTTEN) return life;
    const closing = own.close();
    isClosed = true;
    await closing;
  }
  return life;
}

/** What came of the calls that were under way when their session was closed. */
function cutShort(id, life, outcomes) {
  for (const { reason, status } of outcomes) {
    if (status === "rejected" && reason?.code !== "closed") problems.push(`${id}: ${reason?.stack ?? reason}`);
    count(status === "fulfilled" ? "done when it was closed" : "closed meanwhile");
  }
  if (outcomes[0].status === "fulfilled") life.said += 1;
}

const message = (id, at) => ({
  role: at % 2 === 0 ? "user" : "assistant",
  content: `${id}, message ${at}: src/case_${at}.rs has to work as it did, whatever comes in. ${"It is said again. ".repeat(6)}`,
});

/** A step of its life, which the host may give up. */
async function prepared(own, id) {
  const controller = new AbortController();
  const { signal } = controller;
  const isImpatient = random() < 0.15;
  const timer = isImpatient ? setTimeout(() => controller.abort("no more"), random() * 60) : undefined;
  try {
    const kind = random();
    const result = await (kind < 0.2
      ? own.compactNow({ signal })
      : own.prepare({ signal, wait: kind < 0.5 ? "never" : "auto" }));
    const { messages, report } = result;
    if (validate(messages).length > 0) problems.push(`${id}: not valid`);
    if (countTokens(messages) > report.limit)
      problems.push(`${id}: ${countTokens(messages)} of ${report.limit} tokens`);
    count(report.warnings[0]?.code ?? (/1\. \w/.test(report.summary?.text) ? "ok" : "unasked"));
  } catch (error) {
    const isRight = isImpatient && error instanceof EpitomeError && error.name === "AbortError";
    if (!isRight) problems.push(`${id}: ${error?.stack ?? error}`);
    count("aborted");
  } finally {
    clearTimeout(timer);
    listeners += getEventListeners(signal, "abort").length;
  }
}

/** The same store, as an object of its own that tells of each call. */
function watching(store, tell) {
  const through =
    (name) =>
    (...rest) => {
      tell();
      return store[name](...rest);
    };
  return Object.fromEntries(["load", "list", "commit", "delete", "close"].map((name) => [name, through(name)]));
}

let target = 0;

/** Conversations, as many at a time, until there were so many compactions. */
async function until(compactions) {
  target = compactions;
  const line = async () => {
    while (compacted < target) await conversation();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, line));
}

/** What there is after collecting garbage, as soon as nothing is left, or after a while. */
async function live() {
  let found;
  for (let turn = 0; turn < 400; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc();
    const { sessions, tasks, stores, providers } = counted();
    found = {
      ...{ sessions, tasks, stores, providers },
      timers: timers.live(),
      waiting: instance.waiting.size,
      memory: instance.ready().memory.buffer.byteLength,
      heap: process.memoryUsage().heapUsed,
    };
    if (sessions + tasks + providers + found.timers + found.waiting === 0 && stores === KEPT) break;
    await pause(25);
  }
  return found;
}

function counted() {
  return instance.call((glue) => ({
    sessions: glue.session_count(),
    tasks: glue.task_count(),
    stores: glue.store_count(),
    providers: glue.provider_count(),
  }));
}

await until(Math.ceil(wanted * WARM));
const before = await live();
await until(wanted);
const after = await live();
const left = [...(await ready.list()), ...(await host.store.list({ limit: 100 }, {}))].map(
  ({ conversation }) => conversation,
);
process.stdout.write(
  JSON.stringify({
    compacted,
    opened,
    asked,
    outcomes,
    problems,
    late,
    listeners,
    left,
    before,
    after,
    heard: heard(),
  }),
);
// Functions that never settle keep nobody waiting.
process.exit();
