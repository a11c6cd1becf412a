// Several who write to one conversation while they compact it: tabs and workers of a browser, processes over one folder.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launch } from "../e2e/support/browser.mjs";
import { load } from "../node/support.mjs";
import { site } from "./support/tabs-site.mjs";
import { assertComplete, assertOneAtATime, assertOneChain } from "./support/tabs-verdict.mjs";

const full = !["", "0", undefined].includes(process.env.EPITOME_FULL);

/** @typedef {{ name: string, call: (method: string, ...rest: unknown[]) => Promise<any> }} Caller */

/** What each of them is to do, all at once. @param {readonly Caller[]} callers */
const all = (callers, method, ...rest) => Promise.all(callers.map(({ call }) => call(method, ...rest)));

/** @param {readonly Caller[]} callers */
async function written(callers, count) {
  const results = await all(callers, "write", count);
  return Object.fromEntries(callers.map(({ name }, at) => [name, results[at].ids]));
}

/** Nobody compacts any more afterwards, and everybody knows what the others did. @param {readonly Caller[]} callers */
async function settle(callers) {
  for (const { call } of callers) await call("prepare");
  const lists = await all(callers, "compactions");
  for (const list of lists) assert.deepEqual(list, lists[0]);
  return lists[0];
}

/** @param {readonly Caller[]} callers */
async function assertSameView(callers) {
  const [first, ...others] = await all(callers, "view");
  for (const view of others) assert.equal(view, first);
  return first;
}

/** Whether the model of these tests has written that. */
const isOfModel = (summary) => summary?.includes("1. User Intent");

const count = full ? 500 : 100;

describe(`four tabs and two workers append ${count} messages each`, { timeout: 900_000 }, () => {
  const conversation = "one for all";
  const names = ["tab-1", "tab-2", "tab-3", "tab-4", "worker-1", "worker-2"];
  /** The others compact without a model. */
  const asking = new Set(["tab-1", "tab-2", "tab-3", "worker-1"]);
  let served;
  let browser;
  let acknowledged;
  let compactions;
  /** @type {Caller[]} */
  const callers = [];
  const heard = [];

  before(async () => {
    [served, browser] = await Promise.all([site("/tests/sessions/support/tabs-page.mjs"), launch()]);
    const context = await browser.newContext();
    for (let at = 0; at < 4; at += 1) {
      const page = await context.newPage();
      page.on("console", (message) => heard.push(`${names[at]}: ${message.text()}`));
      page.on("pageerror", (error) => heard.push(`${names[at]}: ${error?.stack ?? error}`));
      await page.goto(served.url);
      await page.waitForFunction(() => globalThis.tab !== undefined);
      const own = at === 0 ? ["tab-1", "worker-1", "worker-2"] : [names[at]];
      for (const name of own) {
        const begin = name.startsWith("worker") ? "beginWorker" : "begin";
        const options = { conversation, asks: asking.has(name) };
        await page.evaluate(([begin, ...rest]) => globalThis.tab[begin](...rest), [begin, name, options]);
        const call = (...asked) => page.evaluate((asked) => globalThis.tab.call(...asked), [name, ...asked]);
        callers.push({ name, call });
      }
    }
  });
  after(async () => {
    await browser?.close();
    await served?.close();
  });

  test("every view is valid and fits, and no call fails", async () => {
    acknowledged = await written(callers, count);
    compactions = await settle(callers);
    for (const { name, call } of callers) {
      const { problems, prepared } = await call("report");
      assert.deepEqual(problems.slice(0, 5), [], `${problems.length} problems of ${name}`);
      assert.ok(prepared > count / 5, `${name} prepared ${prepared} times`);
    }
  });

  test("no message is lost or doubled, and those of each are in its order", async () => {
    assertComplete(await callers[0].call("history"), acknowledged, count);
  });

  test("the compactions are one chain, made by several", async () => {
    assertOneChain(compactions);
    assert.ok(compactions.length > count / 10, `${compactions.length} compactions`);
    assert.ok(
      compactions.some(({ summary }) => isOfModel(summary)),
      "some have the words of the model",
    );
    assert.ok(
      compactions.some(({ summary }) => summary && !isOfModel(summary)),
      "some do without",
    );
    const reports = await all(callers, "report");
    assert.ok(reports.filter(({ compacted }) => compacted > 0).length > 2, JSON.stringify(reports));
  });

  test("one at a time asks a model", () => {
    const asked = new Set(served.requests.map(({ who }) => who));
    assert.deepEqual(
      [...asked].filter((who) => !asking.has(who)),
      [],
    );
    assert.ok(asked.size > 1, `only ${[...asked]} asked`);
    assertOneAtATime(served.requests);
  });

  test("all of them see the same, and hear of what one of them says next", async () => {
    await assertSameView(callers);
    const [first, ...others] = callers;
    await Promise.all([
      ...others.map(({ call }) => call("hears", "the last word")),
      first.call("say", "the last word"),
    ]);
    assert.ok((await assertSameView(callers)).includes("the last word"));
    for (const { name, call } of callers) assert.ok((await call("report")).changes > 0, `${name} heard nothing`);
  });

  test("nobody complains", async () => {
    await all(callers, "close");
    assert.deepEqual(heard, []);
  });
});

test("a view that grew while a model was at work on it fits nevertheless", async () => {
  const { Session, countTokens, memory } = await load("session.node.js");
  const store = memory();
  const said = (at) => ({
    role: at % 2 === 0 ? "user" : "assistant",
    content: `Message ${at}. ${"It is said. ".repeat(12)}`,
  });
  const messages = (from, to) => Array.from({ length: to - from }, (_, at) => said(from + at));
  const budget = { window: 2_000, reserve: 0 };
  const other = await Session.open({ id: "one", store, budget });
  let asked = 0;
  const provider = async () => {
    asked += 1;
    if (asked === 1) await other.append(messages(60, 110));
    return "1. User Intent: to do what was said in all of these messages.";
  };
  const session = await Session.open({ id: "one", store, budget, provider });
  await session.append(messages(0, 60));
  const { messages: view, report } = await session.prepare();
  assert.ok(asked > 0);
  const tokens = countTokens(view);
  assert.ok(tokens <= report.limit, `${tokens} tokens of ${report.limit} at most`);
  assert.ok(JSON.stringify(view).includes("Message 109."), "what was said last is there");
});

const each = full ? 500 : 200;

test(`two processes append ${each} messages each to a conversation in one folder`, { timeout: 600_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "epitome-tabs-"));
  const children = ["process-1", "process-2"].map((name) => process_(name, folder));
  t.after(() => {
    for (const { end } of children) end();
    rmSync(folder, { recursive: true });
  });
  await all(children, "open");
  const acknowledged = await written(children, each);
  const compactions = await settle(children);
  for (const { name, call } of children) {
    const { problems } = await call("report");
    assert.deepEqual(problems.slice(0, 5), [], `${problems.length} problems of ${name}`);
  }
  assertComplete(await children[0].call("history"), acknowledged, each);
  assertOneChain(compactions);
  assert.ok(compactions.length > each / 10, `${compactions.length} compactions`);
  await assertSameView(children);
  await all(children, "close");
});

/** A writer in a process of its own; the first one asks a model. */
function process_(name, folder) {
  const asks = name === "process-1" ? "asks" : "offline";
  const child = fork(join(import.meta.dirname, "support/tabs-process.mjs"), [name, "one for all", folder, asks]);
  let last = 0;
  const waiting = new Map();
  child.on("message", ({ number, value, error }) => {
    const { resolve, reject } = waiting.get(number);
    waiting.delete(number);
    if (error === undefined) resolve(value);
    else reject(new Error(error));
  });
  child.on("exit", (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`${name} ended with ${code}`));
  });
  const call = (method, ...rest) =>
    new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, { resolve, reject });
      child.send({ number: last, method, rest });
    });
  return { name, call, end: () => child.kill() };
}
