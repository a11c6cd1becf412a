// `Session` in Node.js.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import {
  collect,
  deferred,
  EpitomeError,
  held,
  memory,
  once,
  Session,
  small,
  talk,
  watched,
  withCode,
} from "./session-support.mjs";
import { assistant, epitome, toolTurn, user } from "./support.mjs";

const { undo } = epitome;

/** @type {(() => Promise<void>)[]} */
let closing = [];
const open = async (options = {}) => {
  const session = await Session.open({ id: "chat", budget: small, ...options });
  closing.push(() => session.close());
  return session;
};
afterEach(async () => {
  for (const close of closing) await close();
  closing = [];
  assert.deepEqual(held(), { sessions: 0, tasks: 0, waiting: 0 }, "nothing is left behind");
});

test("what was appended is the view, and is there when the conversation is opened again", async () => {
  const store = memory();
  const session = await open({ store });
  const messages = talk(3);
  assert.deepEqual(await session.append(messages[0]), [0]);
  assert.deepEqual(await session.append(messages.slice(1)), [1, 2, 3, 4, 5]);
  assert.deepEqual(session.view(), messages);
  await session.close();
  const again = await open({ store });
  assert.deepEqual(again.view(), messages);
  assert.equal(again.id, "chat");
});

test("a turn compacts what has grown too large, and the result is what `compact` gives", async () => {
  const session = await open();
  const messages = [...talk(20), user("And now?")];
  await session.append(messages);
  const result = await session.prepare();
  assert.ok(result.report.before > 1_600 && result.report.after <= 1_600);
  assert.equal(result.report.tier, "hard");
  assert.equal(result.compaction, 0);
  assert.deepEqual(
    result.entries,
    messages.map((_, at) => at),
  );
  assert.equal(result.messages.at(-1), messages.at(-1));
  assert.ok(!("behind" in result));
  const back = undo(result);
  assert.deepEqual(back, messages);
  assert.ok(
    back.every((message, at) => message === messages[at]),
    "the very objects",
  );
  assert.deepEqual(undo(JSON.parse(JSON.stringify(result))), messages, "also after JSON");
  const next = await session.prepare();
  assert.equal(next.compaction, undefined);
  assert.ok(next.messages.every((message, at) => message === result.messages[at]));
});

test("the second compaction takes in the summary of the first, and both can be taken back", async () => {
  const session = await open();
  await session.append([...talk(20), user("One")]);
  const first = await session.prepare();
  await session.append([...talk(20, 20), user("Two")]);
  const second = await session.compactNow();
  assert.equal(second.compaction, 1);
  assert.ok(second.entries.includes(null), "the summary of the first is no entry");
  assert.deepEqual(undo(second).slice(0, first.messages.length), first.messages);
  const list = await session.compactions();
  assert.deepEqual(
    list.map(({ id, parent, inForce }) => ({ id, parent, inForce })),
    [
      { id: 0, parent: null, inForce: true },
      { id: 1, parent: 0, inForce: true },
    ],
  );
  assert.deepEqual(await session.undo(0), [1, 0]);
  assert.equal(session.view().length, 82);
  await assert.rejects(session.undo(), withCode("cannot_undo"));
});

test("untouched messages are the very objects that were appended, for the view, the history and results", async () => {
  const session = await open();
  const messages = [...talk(20), user("And now?")];
  await session.append(messages);
  assert.ok(session.view().every((message, at) => message === messages[at]));
  assert.ok((await collect(session.history())).every(({ id, message }) => message === messages[id]));
  const { messages: shown } = await session.prepare();
  const view = session.view();
  assert.ok(
    view.every((message, at) => message === shown[at]),
    "the summary, too",
  );
  assert.ok(view.filter((message) => messages.includes(message)).length > 5);
});

test("a message of an earlier run is parsed once", async () => {
  const store = memory();
  const before = await open({ store });
  await before.append(talk(2));
  await before.close();
  const session = await open({ store });
  const view = session.view();
  assert.ok(session.view().every((message, at) => message === view[at]));
  const { messages } = await session.prepare();
  assert.ok(messages.every((message, at) => message === view[at]));
  const history = await collect(session.history());
  assert.ok(history.every(({ message }, at) => message === view[at]));
  assert.equal((await session.recall(0)).message, view[0]);
});

test("edited messages stay the same object as long as they are edited the same", async () => {
  const session = await open({ budget: { window: 4_000 } });
  const turns = Array.from({ length: 12 }, (_, turn) => [
    user(`Look at ${turn}`),
    ...toolTurn(`call_${turn}`, `line of ${turn} `.repeat(60)),
    assistant("Done."),
  ]);
  await session.append([...turns.flat(), user("Well?")]);
  const { report, messages } = await session.prepare();
  const pruned = report.edits.filter(({ kind }) => kind === "prune");
  assert.ok(pruned.length > 0);
  const view = session.view();
  assert.ok(view.every((message, at) => message === messages[at]));
  const edited = await collect(session.history());
  assert.deepEqual(edited[pruned[0].index].visibility, "edited");
  assert.match(edited[pruned[0].index].message.content, /^line of/, "the history has the whole");
});

test("what the host does to a message later changes nothing that is kept", async () => {
  const store = memory();
  const session = await open({ store });
  const message = user("before");
  const appending = session.append(message);
  message.content = "after";
  await appending;
  assert.equal(session.view()[0], message);
  const other = await open({ store });
  assert.deepEqual(other.view(), [user("before")]);
});

test("the cache lets go of what the view no longer shows", async () => {
  setFlagsFromString("--expose_gc");
  const gc = runInNewContext("gc");
  const session = await open();
  const first = await (async () => {
    const messages = [...talk(20), user("And now?")];
    await session.append(messages);
    await session.prepare();
    return new WeakRef(messages[0]);
  })();
  for (let tries = 0; tries < 50 && first.deref() !== undefined; tries += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    gc();
  }
  assert.equal(first.deref(), undefined);
  assert.equal((await collect(session.history({ limit: 100 })))[0].message.content.slice(0, 10), "Question 0");
});

test("a session that nobody has any more is freed, one with a call under way is not", async () => {
  setFlagsFromString("--expose_gc");
  const gc = runInNewContext("gc");
  const store = watched();
  const gate = deferred();
  store.before = (name) => (name === "commit" ? gate.promise : undefined);
  const appended = (async () => {
    const session = await Session.open({ id: "forgotten", budget: small, store });
    session.on("changed", () => session.view());
    return session.append(user("hi"));
  })();
  const settle = async () => {
    for (let i = 0; i < 10; i += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      gc();
    }
  };
  await settle();
  assert.equal(held().sessions, 1);
  gate.resolve();
  assert.deepEqual(await appended, [0]);
  for (let tries = 0; tries < 50 && held().sessions > 0; tries += 1) await settle();
  assert.equal(held().sessions, 0);
});

test("history is complete, in order, in as many pieces as it takes", async () => {
  const session = await open({ budget: 1_000_000 });
  const messages = talk(100);
  await session.append(messages);
  const all = await collect(session.history());
  assert.deepEqual(
    all.map(({ id }) => id),
    messages.map((_, at) => at),
  );
  assert.deepEqual(
    all.map(({ message }) => message),
    messages,
  );
  assert.ok(
    all.every(({ time, tokens, pinned, visibility, shortened }) => {
      return time > 1.7e12 && tokens > 0 && pinned === false && visibility === "shown" && shortened === false;
    }),
  );
  const ids = async (options) => (await collect(session.history(options))).map(({ id }) => id);
  assert.deepEqual(await ids({ limit: 3 }), [197, 198, 199]);
  assert.deepEqual(await ids({ before: 5 }), [0, 1, 2, 3, 4]);
  assert.deepEqual(await ids({ before: 5, limit: 2 }), [3, 4]);
  assert.deepEqual(
    await ids({ before: 150, limit: 130 }),
    Array.from({ length: 130 }, (_, at) => at + 20),
  );
  assert.deepEqual(await ids({ limit: 0 }), []);
  assert.deepEqual(
    await ids({ limit: 1_000 }),
    messages.map((_, at) => at),
  );
  for await (const { id } of session.history()) if (id === 3) break;
  const control = new AbortController();
  const reading = session.history({ signal: control.signal });
  assert.equal((await reading.next()).value.id, 0);
  control.abort(new Error("enough"));
  await assert.rejects(
    async () => {
      for await (const _ of reading);
    },
    (error) => error.code === "aborted" && error.name === "AbortError" && error.cause.message === "enough",
  );
});

test("a branch goes on from an earlier entry, and what it leaves is still there", async () => {
  const session = await open({ budget: 100_000 });
  await session.append(talk(3));
  await session.branch(1);
  const other = user("Another way");
  assert.deepEqual(await session.append(other), [6]);
  assert.deepEqual(
    (await collect(session.history())).map(({ id }) => id),
    [0, 1, 6],
  );
  assert.equal(session.view().at(-1), other);
  await session.branch(5);
  assert.deepEqual(
    (await collect(session.history())).map(({ id }) => id),
    [0, 1, 2, 3, 4, 5],
  );
  await assert.rejects(session.branch(7), withCode("invalid_option"));
  assert.equal((await session.recall(6)).message, other, "of whichever branch");
});

test("a pinned message is not edited", async () => {
  const session = await open();
  const messages = [...talk(20), user("And now?")];
  await session.append(messages);
  await session.pin(2);
  assert.ok((await session.prepare()).messages.includes(messages[2]));
  assert.equal((await collect(session.history()))[2].pinned, true);
  await session.unpin(2);
  assert.ok(!(await session.compactNow({ instructions: "Be brief" })).messages.includes(messages[2]));
});

test("a plan can be looked at, carried out, and goes stale", async () => {
  const session = await open();
  await session.append([...talk(20), user("And now?")]);
  const plan = await session.plan();
  assert.equal(session.view().length, 41);
  const proposal = JSON.parse(JSON.stringify(plan));
  const result = await session.apply(proposal);
  assert.equal(result.messages.length, plan.report.messagesAfter);
  assert.deepEqual(result.report.edits, plan.report.edits);
  assert.equal(result.compaction, 0);
  assert.equal(undo(result).length, 41);
  await assert.rejects(session.apply(plan), withCode("stale_plan"));
  for (const wrong of [undefined, 7, {}, { patch: {} }, { version: 1, patch: plan.patch, report: {} }]) {
    await assert.rejects(session.apply(wrong), withCode("invalid_option"));
  }
});

test("large results are kept whole and shown shortened; `recall` gives them back", async () => {
  const session = await open({
    budget: 50_000,
    overflow: { threshold: 2_000, keep: 300 },
    policy: { recallDeclared: true },
  });
  const secret = "the launch code is walrus-77";
  const large = `${"line\n".repeat(800)}${secret}\n${"line\n".repeat(800)}`;
  const messages = [user("Read it"), ...toolTurn("call_1", large)];
  await session.append(messages);
  const shown = session.view();
  assert.notEqual(shown[2], messages[2]);
  assert.ok(shown[2].content.length < 1_000);
  assert.equal((await session.recall(2)).message, messages[2]);
  const [found] = await session.recall("launch code walrus", { limit: 1 });
  assert.equal(found.id, 2);
  assert.ok(found.score > 0 && found.excerpt.includes(secret));
  assert.equal(session.recallTool.name, "recall");
  assert.equal(session.recallTool.parameters.type, "object");
  assert.match(await session.answerRecall({ query: "launch code" }), /walrus-77/);
  assert.match(await session.answerRecall('{"id":"2"}', { maxCharacters: 500 }), /Entry 2/);
  const off = await open({ id: "whole", budget: 50_000, overflow: false });
  await off.append(messages);
  assert.equal(off.view()[2], messages[2]);
});

test("export and import make the same conversation under another name", async () => {
  const store = memory();
  const session = await open({ store });
  await session.append([...talk(20), user("And now?")]);
  await session.prepare();
  const file = await session.export();
  assert.ok(
    file
      .split("\n")
      .filter(Boolean)
      .every((line) => JSON.parse(line)),
  );
  const copy = await Session.import(file, { id: "copy", budget: small, store });
  closing.push(() => copy.close());
  assert.deepEqual(copy.view(), session.view());
  assert.deepEqual(copy.meter(), session.meter());
  assert.deepEqual((await collect(copy.history())).length, 41);
  await assert.rejects(Session.import(file, { id: "copy", budget: small, store }), withCode("invalid_option"));
  await assert.rejects(Session.import("nonsense", { id: "x", budget: small, store }), withCode("invalid_input"));
  await assert.rejects(
    Session.import(file.slice(0, 500), { id: "x", budget: small, store }),
    withCode("invalid_input"),
  );
});

test("`delete` leaves nothing, and closes", async () => {
  const store = memory();
  const session = await open({ store });
  await session.append(talk(2));
  await session.delete();
  assert.deepEqual(await store.list(), []);
  await assert.rejects(session.append(user("x")), withCode("closed"));
  const again = await open({ store });
  assert.deepEqual(again.view(), []);
});

test("the meter says what the view is spent on", async () => {
  const session = await open({ budget: { window: 10_000 }, system: "You are terse.", tools: [{ name: "x" }] });
  await session.append([...talk(1), ...toolTurn("a", "result")]);
  const meter = session.meter();
  assert.equal(meter.limit, 8_000);
  assert.equal(meter.tokens + meter.free, 8_000);
  assert.ok(
    meter.overhead > 0 && meter.user > 0 && meter.assistant > 0 && meter.toolCalls > 0 && meter.toolResults > 0,
  );
  const parts = ["overhead", "system", "user", "assistant", "toolCalls", "toolResults", "summaries"];
  assert.equal(
    parts.reduce((sum, part) => sum + meter[part], 0),
    meter.tokens,
  );
  assert.deepEqual([meter.entries, meter.messages, meter.hidden, meter.ratio], [4, 4, 0, null]);
});

test("usage is read as every provider says it", async () => {
  const session = await open({ budget: { window: 100_000 } });
  await session.append(talk(5));
  const { report } = await session.prepare();
  const twice = report.after * 2;
  const ratio = async (usage) => {
    await session.reportUsage(usage);
    return session.meter().ratio;
  };
  for (const usage of [
    { inputTokens: twice },
    { inputTokens: { total: twice } },
    { prompt_tokens: twice, completion_tokens: 5 },
    { input_tokens: twice, input_tokens_details: { cached_tokens: 100 } },
    { input_tokens: twice - 30, cache_read_input_tokens: 20, cache_creation_input_tokens: 10 },
    { promptTokenCount: twice },
    { inputTokens: twice - 30, cacheReadInputTokens: 30 },
  ]) {
    await session.reportUsage({ inputTokens: report.after });
    assert.equal(await ratio(usage), 2, JSON.stringify(usage));
  }
  assert.ok(session.meter().limit < 80_000, "the limit is as far below");
  assert.equal(await ratio({ inputTokens: undefined }), 2, "not known");
  for (const wrong of [undefined, 5, {}, { tokens: 5 }, { inputTokens: "5" }, { prompt_tokens: -1 }]) {
    await assert.rejects(session.reportUsage(wrong), withCode("invalid_option"));
  }
});

// ------------------------------------------------------------------------------------------------------ what can be kept

test("what JSON cannot express is refused by its place, and nothing is appended", async () => {
  const session = await open();
  const cyclic = { role: "user", content: [{ type: "text", text: "x" }] };
  cyclic.content[0].self = cyclic;
  const deep = { role: "user", content: "x", extra: {} };
  for (let at = deep.extra, i = 0; i < 300; i += 1) at = at.in = {};
  const bad = (value) => ({ role: "user", content: "x", extra: { list: [1, value] } });
  const cases = [
    [bad(1n), "extra.list[1]", /a BigInt/],
    [bad(() => 1), "extra.list[1]", /a function/],
    [bad(Symbol("x")), "extra.list[1]", /a symbol/],
    [bad(new Uint8Array(3)), "extra.list[1]", /binary data/],
    [bad(new ArrayBuffer(3)), "extra.list[1]", /binary data/],
    [bad(new Date()), "extra.list[1]", /`Date`/],
    [bad(new URL("http://x")), "extra.list[1]", /`URL`/],
    [bad(new Map()), "extra.list[1]", /`Map`/],
    [bad(new (class Mine {})()), "extra.list[1]", /`Mine`/],
    [bad({ toJSON: () => 1 }), "extra.list[1].toJSON", /a function/],
    [bad(Number.NaN), "extra.list[1]", /NaN/],
    [cyclic, "content[0].self", /refers back/],
    [
      new (class Message {
        role = "user";
        content = "x";
      })(),
      undefined,
      /`Message`/,
    ],
    ["text", undefined, /a string/],
    [null, undefined, /null/],
  ];
  for (const [message, field, reason] of cases) {
    await assert.rejects(session.append([user("fine"), message]), (error) => {
      assert.ok(error instanceof EpitomeError, error.stack);
      assert.equal(error.code, "invalid_input");
      assert.deepEqual(error.details, field === undefined ? { index: 1 } : { index: 1, field });
      assert.match(error.message, reason);
      return true;
    });
  }
  await assert.rejects(session.append([deep]), (error) => error.code === "too_deep" && error.details.index === 0);
  await assert.rejects(session.append([{ content: "of nobody" }]), withCode("invalid_input"));
  assert.deepEqual(session.view(), []);
});

test("what JSON leaves out is left out, getters run once, lone surrogates survive, objects of other realms are plain", async () => {
  const store = memory();
  const session = await open({ store });
  let ran = 0;
  const message = {
    role: "user",
    get content() {
      ran += 1;
      return "half \ud83d of a pair";
    },
    nothing: undefined,
    list: [undefined, 1.5, -0, null, true],
  };
  await session.append([
    message,
    runInNewContext('({ role: "user", content: "from elsewhere" })'),
    Object.assign(Object.create(null), user("bare")),
  ]);
  assert.equal(ran, 1);
  const again = await open({ store });
  const [first, second, third] = again.view();
  assert.deepEqual(first, { role: "user", content: "half \ud83d of a pair", list: [null, 1.5, 0, null, true] });
  assert.deepEqual([second.content, third.content], ["from elsewhere", "bare"]);
  const thrower = {
    role: "user",
    get content() {
      throw new Error("no");
    },
  };
  await assert.rejects(
    session.append(thrower),
    (error) => error.code === "invalid_input" && error.cause.message === "no",
  );
});

// ------------------------------------------------------------------------------------------------------------ concurrency

test("concurrent calls are carried out in their order", async () => {
  const session = await open({ budget: 100_000 });
  const messages = talk(20);
  const ids = await Promise.all(messages.map((message) => session.append(message)));
  assert.deepEqual(
    ids.flat(),
    messages.map((_, at) => at),
  );
  assert.deepEqual(session.view(), messages);
});

test("two sessions of one store see what the other writes", async () => {
  const store = memory();
  const [a, b] = [await open({ store }), await open({ store })];
  const changed = once(b, "changed");
  await a.append(user("from a"));
  assert.deepEqual(await changed, { revision: 1, local: false });
  assert.deepEqual(b.view(), [user("from a")]);
  const both = await Promise.all([...Array(10).keys()].map((at) => (at % 2 ? a : b).append(user(`message ${at}`))));
  assert.equal(new Set(both.flat()).size, 10);
  const orders = await Promise.all(
    [a, b].map(async (session) => (await collect(session.history())).map(({ id }) => id)),
  );
  assert.deepEqual(orders[0], orders[1]);
  assert.equal(orders[0].length, 11);
});

test("tabs tell each other through a BroadcastChannel, of nothing but name and revision", async () => {
  const kept = memory();
  const tab = () => Object.assign(watched(kept), { shared: "tabs-test" });
  const [a, b] = [await open({ store: tab() }), await open({ store: tab() })];
  const heard = [];
  const channel = new BroadcastChannel("epitome:tabs-test");
  // It also keeps the process alive, which those of sessions do not.
  closing.push(async () => channel.close());
  const told = new Promise((resolve) => {
    channel.onmessage = ({ data }) => resolve(heard.push(data));
  });
  const changed = once(b, "changed");
  await a.append(user("secret"));
  assert.deepEqual(await changed, { revision: 1, local: false });
  assert.deepEqual(b.view(), [user("secret")]);
  await told;
  assert.deepEqual(heard, [{ conversation: "chat", revision: 1 }]);
  const warned = once(b, "warning");
  await a.delete();
  assert.equal((await warned).code, "store_evicted");
});

test("a last message that grew elsewhere is shown as it is now", async () => {
  const store = memory();
  const [a, b] = [await open({ store }), await open({ store })];
  const changed = () => once(b, "changed");
  let next = changed();
  await a.sync([user("Hi"), assistant("Hel")]);
  await next;
  assert.deepEqual(b.view()[1], assistant("Hel"));
  next = changed();
  assert.equal((await a.sync([user("Hi"), assistant("Hello")])).grown, 1);
  await next;
  assert.deepEqual(b.view()[1], assistant("Hello"));
  assert.deepEqual((await collect(b.history()))[1].message, assistant("Hello"));
});

// ---------------------------------------------------------------------------------------------------------------- waiting

const summary = "1. User Intent: to ask questions.\n2. Decisions: none.";

test('`wait: "never"` gives what fits now, and the summary of the model takes its place', async () => {
  const gate = deferred();
  let asked = 0;
  const provider = async () => {
    asked += 1;
    await gate.promise;
    return summary;
  };
  const session = await open({ provider });
  await session.append([...talk(20), user("And now?")]);
  const now = await session.prepare({ wait: "never" });
  assert.ok(now.report.after <= 1_600);
  assert.equal(now.compaction, undefined);
  assert.ok(!JSON.stringify(now.messages).includes("to ask questions"));
  assert.equal(undo(now).length, 41);
  await session.prepare({ wait: "never" });
  const compaction = once(session, "compaction");
  gate.resolve();
  const { id, summary: text } = await compaction;
  assert.equal(id, 0);
  assert.ok(text.includes("to ask questions"));
  assert.ok(JSON.stringify(session.view()).includes("to ask questions"));
  assert.ok(asked > 0);
  const list = await session.compactions();
  assert.equal(list.length, 1, "one at a time");
});

test("what goes wrong behind a call is a warning", async () => {
  const store = watched();
  const session = await open({ store, provider: () => summary });
  await session.append([...talk(20), user("And now?")]);
  store.before = (name) => {
    if (name === "commit") throw Object.assign(new Error("disk full"), { name: "QuotaExceededError" });
  };
  const warned = once(session, "warning");
  await session.prepare({ wait: "never" });
  assert.equal((await warned).code, "store_quota");
  store.before = undefined;
  assert.equal((await session.prepare()).compaction, 0);
});

test("an abort before a call does nothing, one within it leaves the conversation usable", async () => {
  const store = watched();
  const aborted = AbortSignal.abort(new Error("never"));
  await assert.rejects(Session.open({ id: "x", budget: small, store, signal: aborted }), withCode("aborted"));
  assert.deepEqual(store.calls.load, 0);
  let asked = 0;
  const signals = [];
  const provider = (_, { signal }) => {
    asked += 1;
    signals.push(signal);
    return new Promise(() => {});
  };
  const session = await open({ store, provider });
  const calls = [
    (signal) => session.append(user("x"), { signal }),
    (signal) => session.sync([user("x")], { signal }),
    (signal) => session.prepare({ signal }),
    (signal) => session.prepare({ signal, wait: "never" }),
    (signal) => session.plan({ signal }),
    (signal) => session.compactNow({ signal }),
    (signal) => session.undo(undefined, { signal }),
    (signal) => session.branch(0, { signal }),
    (signal) => session.pin(0, { signal }),
    (signal) => session.unpin(0, { signal }),
    (signal) => session.recall(0, { signal }),
    (signal) => session.recall("x", { signal }),
    (signal) => session.answerRecall({}, { signal }),
    (signal) => session.compactions({ signal }),
    (signal) => session.reportUsage({ inputTokens: 1 }, { signal }),
    (signal) => session.export({ signal }),
    (signal) => session.delete({ signal }),
    (signal) => session.history({ signal }).next(),
  ];
  const before = { ...store.calls };
  for (const call of calls) {
    await assert.rejects(
      call(aborted),
      (error) => error.code === "aborted" && error.cause.message === "never",
      String(call),
    );
  }
  assert.deepEqual(store.calls, before);
  await session.append([...talk(20), user("And now?")]);
  const control = new AbortController();
  const preparing = session.prepare({ signal: control.signal });
  while (asked === 0) await new Promise((resolve) => setImmediate(resolve));
  control.abort(new Error("enough"));
  await assert.rejects(preparing, (error) => error.code === "aborted" && error.cause.message === "enough");
  assert.ok(
    signals.every((signal) => signal.aborted),
    "the provider has heard of it",
  );
  assert.equal(session.view().length, 41);
  const gate = deferred();
  store.after = (name) => (name === "commit" ? gate.promise : undefined);
  const stop = new AbortController();
  const appending = session.append(user("late"), { signal: stop.signal });
  while (store.underWay === 0) await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await assert.rejects(appending, withCode("aborted"));
  gate.resolve();
  store.after = undefined;
  while (store.underWay > 0) await new Promise((resolve) => setImmediate(resolve));
  // It was written after all: the next call finds out.
  assert.deepEqual(await session.append(user("later")), [42]);
  assert.equal(session.view().length, 43);
});

// ---------------------------------------------------------------------------------------------------------------- ending

test("after `close` every method fails with `closed`", async () => {
  const session = await open();
  await session.append(talk(1));
  let told = 0;
  session.on("changed", () => {
    told += 1;
  });
  await session.close();
  await session.close();
  const calls = [
    () => session.append(user("x")),
    () => session.sync([]),
    () => session.prepare(),
    () => session.plan(),
    () => session.compactNow(),
    () => session.undo(),
    () => session.branch(0),
    () => session.pin(0),
    () => session.unpin(0),
    () => session.recall(0),
    () => session.recall("x"),
    () => session.answerRecall({}),
    () => session.compactions(),
    () => session.reportUsage({ inputTokens: 1 }),
    () => session.export(),
    () => session.delete(),
    () => session.history().next(),
    async () => session.view(),
    async () => session.meter(),
    async () => session.recallTool,
  ];
  for (const call of calls) await assert.rejects(call(), withCode("closed"), String(call));
  assert.equal(told, 0);
});

test("`close` ends what waits for a model, and asks nobody any more", async () => {
  const store = watched();
  let asked = 0;
  let heard = 0;
  const provider = (_, { signal }) => {
    asked += 1;
    signal.addEventListener("abort", () => {
      heard += 1;
    });
    return new Promise(() => {});
  };
  const session = await open({ store, provider });
  await session.append([...talk(20), user("And now?")]);
  const calls = [session.prepare(), session.prepare(), session.compactNow()];
  while (asked === 0) await new Promise((resolve) => setImmediate(resolve));
  const before = { ...store.calls };
  const closing = session.close();
  for (const call of calls) await assert.rejects(call, withCode("closed"));
  await closing;
  assert.equal(heard, asked);
  for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(store.calls, before);
});

test("`close` lets a write that is under way come to its end, and nothing else", async () => {
  const store = watched();
  const session = await open({ store });
  const gate = deferred();
  store.before = (name) => (name === "commit" ? gate.promise : undefined);
  const first = session.append(user("one"));
  const second = session.append(user("two"));
  while (store.underWay === 0) await new Promise((resolve) => setImmediate(resolve));
  let isClosed = false;
  const closing = session.close().then(() => {
    isClosed = true;
  });
  await assert.rejects(second, withCode("closed"), "at once, although the first still waits");
  assert.equal(isClosed, false);
  const before = { ...store.calls };
  gate.resolve();
  assert.deepEqual(await first, [0]);
  await closing;
  assert.deepEqual(store.calls, before);
  const again = await open({ store });
  assert.deepEqual(again.view(), [user("one")]);
});

test("`close` ends what goes on behind a call", async () => {
  const warnings = [];
  let aborted = 0;
  const provider = (_, { signal }) => {
    signal.addEventListener("abort", () => {
      aborted += 1;
    });
    return new Promise(() => {});
  };
  const session = await open({ provider });
  session.on("warning", (warning) => warnings.push(warning));
  await session.append([...talk(20), user("And now?")]);
  await session.prepare({ wait: "never" });
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
  await session.close();
  assert.ok(aborted > 0);
  assert.deepEqual(warnings, []);
});

test("a session is disposed of at the end of its block", async () => {
  assert.equal(Session.prototype[Symbol.asyncDispose], Session.prototype.close);
});

test("a session of memory() keeps no process alive", async () => {
  const session = await open();
  await session.append(user("x"));
  assert.ok(!process.getActiveResourcesInfo().some((name) => /MessagePort|Timeout/.test(name)));
});

// ---------------------------------------------------------------------------------------------------------------- options

test("options are checked, and messages name them", async () => {
  const fails = async (options, name, reason) => {
    await assert.rejects(Session.open(options), (error) => {
      assert.equal(error.code, "invalid_option", error.stack);
      assert.equal(error.details.option, name, error.message);
      if (reason !== undefined) assert.match(error.message, reason);
      return true;
    });
  };
  const good = { id: "x", budget: 1_000 };
  await fails(undefined, "options");
  await fails({ budget: 1_000 }, "id", /must be a text, but is undefined/);
  await fails({ ...good, id: "" }, "id", /1 to 1,000/);
  await fails({ ...good, id: "a\ud800" }, "id");
  await fails({ ...good, id: "a\0" }, "id", /NUL/);
  await fails({ id: "x" }, "budget", /is missing/);
  await fails({ ...good, budget: -1 }, "budget");
  await fails({ ...good, buget: 1 }, "buget", /is unknown/);
  await fails({ ...good, policy: { sft: 1 } }, "policy.sft", /unknown/);
  await assert.rejects(Session.open({ ...good, format: "x" }), withCode("unknown_format"));
  await fails({ ...good, store: {} }, "store", /no function `load`/);
  await fails({ ...good, store: "x" }, "store");
  await fails({ ...good, provider: 5 }, "provider");
  await fails({ ...good, tokens: 5 }, "tokens");
  await fails({ ...good, overflow: { threshold: 100, keep: 300 } }, "overflow");
  await fails({ ...good, overflow: { limit: 1 } }, "limit");
  await fails({ ...good, retention: { maxAgeMs: -1 } }, "retention.maxAgeMs");
  await fails({ ...good, signal: 5 }, "signal");
  await fails({ ...good, onProgress: 5 }, "onProgress");
  await fails({ ...good, timeoutMs: 0 }, "timeoutMs");
  const session = await open();
  await assert.rejects(session.prepare({ wait: "maybe" }), withCode("invalid_option"));
  await assert.rejects(session.prepare({ sgnal: 1 }), withCode("invalid_option"));
  await assert.rejects(session.pin("0"), withCode("invalid_option"));
  await assert.rejects(session.pin(3), withCode("invalid_option"));
  await assert.rejects(session.recall(3), withCode("invalid_option"));
  assert.throws(() => session.on("chnged", () => {}), withCode("invalid_option"));
  assert.throws(() => session.on("changed"), withCode("invalid_option"));
  assert.throws(() => new Session(), withCode("invalid_option"));
});

test("a token counter that fails writes nothing, and the session goes on once it works again", async () => {
  let fails = false;
  const store = watched();
  const tokens = (text) => {
    if (fails) throw new Error("no counter");
    return Math.ceil(text.length / 4);
  };
  const session = await open({ store, tokens });
  await session.append(talk(2));
  const { commit } = store.calls;
  fails = true;
  await assert.rejects(session.append(user("x")), (error) => {
    return error.code === "invalid_option" && error.details.option === "tokens" && error.cause.message === "no counter";
  });
  assert.equal(store.calls.commit, commit);
  fails = false;
  assert.deepEqual(await session.append(user("y")), [4]);
  assert.equal(session.view().length, 5);
});

test("events are told when nothing of ours is on the stack, so that a listener may use the session", async () => {
  const session = await open();
  const views = [];
  const off = session.on("changed", () => views.push(session.view().length));
  await session.append(user("a"));
  await session.append(user("b"));
  off();
  await session.append(user("c"));
  assert.deepEqual(views, [1, 2]);
  const seen = [];
  session.on("status", (status) => seen.push(status));
  await session.append([...talk(20), user("And now?")]);
  await session.prepare();
  assert.deepEqual(seen.at(-1), "idle");
  assert.ok(seen.length >= 2 && seen.every((status) => typeof status === "string"));
});
