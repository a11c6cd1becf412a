// `sync` for hosts that own their array: real streams of the AI SDK, at every piece, and what users do to such an array.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { createUIMessageStream, readUIMessageStream } from "ai";

import { collect, memory, Session, watched } from "./session-support.mjs";
import { assistant, toolTurn, user } from "./support.mjs";

const sessions = [];
after(() => Promise.all(sessions.map((session) => session.close())));
const open = async (store = memory()) => {
  const session = await Session.open({ id: "chat", budget: { window: 100_000 }, store });
  sessions.push(session);
  return session;
};
const ids = async (session) => (await collect(session.history())).map(({ id }) => id);
const messagesOf = async (session) => (await collect(session.history())).map(({ message }) => message);

/** As a host that speaks OpenAI's format writes its UI messages: each step of an answer is a message with its results. */
function chatMessages(message) {
  const text = (parts) => parts.map(({ text }) => text).join("");
  if (message.role === "user") return [{ role: "user", content: text(message.parts), id: message.id }];
  const steps = [[]];
  for (const part of message.parts) {
    if (part.type === "step-start") steps.push([]);
    else steps.at(-1).push(part);
  }
  return steps
    .filter((parts) => parts.length > 0)
    .flatMap((parts, step) => {
      const calls = parts.filter(({ type, state }) => type.startsWith("tool-") && state !== "input-streaming");
      const said = {
        role: "assistant",
        content: text(parts.filter(({ type }) => type === "text")) || null,
        id: `${message.id}-${step}`,
        ...(calls.length > 0 && {
          tool_calls: calls.map(({ toolCallId, type, input }) => ({
            id: toolCallId,
            type: "function",
            function: { name: type.slice(5), arguments: JSON.stringify(input) },
          })),
        }),
      };
      const results = calls
        .filter(({ state }) => state === "output-available")
        .map(({ toolCallId, output }) => ({ role: "tool", tool_call_id: toolCallId, content: JSON.stringify(output) }));
      return [said, ...results];
    });
}

/** The states of an assistant's message while it streams in, as `useChat` shows them. */
const streamed = (chunks) =>
  readUIMessageStream({
    stream: createUIMessageStream({
      execute: ({ writer }) => {
        for (const chunk of chunks) writer.write(chunk);
      },
    }),
  });

const words = (id, ...deltas) => [
  { type: "text-start", id },
  ...deltas.map((delta) => ({ type: "text-delta", id, delta })),
  { type: "text-end", id },
];

const ui = (id, text) => ({ id, role: "user", parts: [{ type: "text", text }] });

test("an answer that streams in stays one entry, at every piece", async () => {
  const store = watched();
  const session = await open(store);
  const question = chatMessages(ui("u1", "What is the capital of Peru?"));
  assert.deepEqual((await session.sync(question)).appended, [0]);
  let last;
  let states = 0;
  const answer = [
    { type: "start", messageId: "a1" },
    ...words("t1", "The ", "capital ", "is ", "Lima", "."),
    { type: "finish" },
  ];
  for await (const message of streamed(answer)) {
    const array = [...question, ...chatMessages(message)];
    const synced = await session.sync(array);
    states += 1;
    assert.deepEqual(
      synced.replaced.filter((id) => id !== 1),
      [],
    );
    assert.equal(synced.branchedAt, undefined);
    assert.deepEqual(await messagesOf(session), array);
    last = array;
  }
  assert.ok(states >= 5, `${states} states`);
  assert.deepEqual(await ids(session), [0, 1]);
  assert.equal(last.at(-1).content, "The capital is Lima.");
  assert.deepEqual(session.view(), last);
  const { commit } = store.calls;
  assert.deepEqual(await session.sync(structuredClone(last)), { appended: [], replaced: [] });
  assert.equal(store.calls.commit, commit, "nothing new is nothing to write");
  const again = await open(store.store);
  assert.deepEqual(again.view(), last);
});

test("an answer of several steps with tools keeps its entries' numbers", async () => {
  const session = await open();
  const question = chatMessages(ui("u1", "Weather in Lima and Cusco?"));
  const chunks = [
    { type: "start", messageId: "a1" },
    { type: "start-step" },
    ...words("t1", "Let me ", "look."),
    { type: "tool-input-start", toolCallId: "c1", toolName: "weather" },
    { type: "tool-input-delta", toolCallId: "c1", inputTextDelta: '{"city":' },
    { type: "tool-input-available", toolCallId: "c1", toolName: "weather", input: { city: "Lima" } },
    { type: "tool-output-available", toolCallId: "c1", output: { degrees: 19 } },
    { type: "finish-step" },
    { type: "start-step" },
    ...words("t2", "It is ", "19 degrees ", "in Lima."),
    { type: "finish-step" },
    { type: "finish" },
  ];
  const seen = new Map();
  let array = [];
  for await (const message of streamed(chunks)) {
    array = [...question, ...chatMessages(message)];
    await session.sync(array);
    for (const { id, message } of await collect(session.history())) {
      const key = message.id ?? message.tool_call_id;
      assert.equal(seen.get(key) ?? id, id, `${key} keeps its number`);
      seen.set(key, id);
    }
  }
  assert.deepEqual(await messagesOf(session), array);
  assert.deepEqual(
    array.map(({ role }) => role),
    ["user", "assistant", "tool", "assistant"],
  );
  assert.deepEqual(await ids(session), [0, 1, 2, 3]);
});

test("an answer that is regenerated is a branch, and the first one can be gone back to", async () => {
  const session = await open();
  const first = [user("Tell a joke"), { ...assistant("Why did the"), id: "a1" }];
  await session.sync(first);
  const second = [first[0], { ...assistant("A horse walks"), id: "a2" }];
  assert.deepEqual(await session.sync(second), { appended: [2], replaced: [1], branchedAt: 0 });
  assert.deepEqual(session.view(), second);
  assert.equal(session.view()[0], first[0], "the same object still");
  assert.equal(session.view()[1], second[1]);
  const longer = [...second, user("Another!")];
  assert.deepEqual(await session.sync(longer), { appended: [3], replaced: [] });
  await session.branch(1);
  assert.deepEqual(session.view(), first);
});

test("an edited question begins a branch where it stands", async () => {
  const session = await open();
  const chat = [user("One"), assistant("1"), user("Two"), assistant("2"), user("Three"), assistant("3")];
  await session.sync(chat);
  const edited = [...chat.slice(0, 2), user("Deux")];
  assert.deepEqual(await session.sync(edited), { appended: [6], replaced: [2, 3, 4, 5], branchedAt: 1 });
  assert.deepEqual(await messagesOf(session), edited);
  const fresh = [user("Another beginning")];
  const synced = await session.sync(fresh);
  assert.deepEqual(synced, { appended: [7], replaced: [0, 1, 6], branchedAt: null });
  assert.deepEqual(session.view(), fresh);
  assert.equal((await session.recall(2)).message.content, "Two");
});

test("messages that were taken off the end are no longer on the branch", async () => {
  const session = await open();
  const chat = [user("One"), assistant("1"), user("Two")];
  await session.sync(chat);
  assert.deepEqual(await session.sync(chat.slice(0, 1)), { appended: [], replaced: [1, 2], branchedAt: 0 });
  assert.deepEqual(session.view(), chat.slice(0, 1));
});

test("keys in another order and new objects are the same messages", async () => {
  const session = await open();
  const chat = [user("One"), ...toolTurn("c1", "result"), assistant("Done")];
  await session.sync(chat);
  const again = chat.map((message) => Object.fromEntries(Object.entries(structuredClone(message)).reverse()));
  assert.deepEqual(await session.sync(again), { appended: [], replaced: [] });
  assert.ok(session.view().every((message, at) => message === chat[at]));
});

test("an array that cannot be kept changes nothing", async () => {
  const session = await open();
  const chat = [user("One")];
  await session.sync(chat);
  await assert.rejects(session.sync([...chat, { ...assistant("x"), at: new Date() }]), (error) => {
    assert.deepEqual(
      { code: error.code, details: error.details },
      { code: "invalid_input", details: { index: 1, field: "at" } },
    );
    return true;
  });
  await assert.rejects(session.sync(user("no array")), (error) => error.code === "invalid_input");
  assert.deepEqual(session.view(), chat);
});
