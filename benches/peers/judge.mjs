// What every result is judged by, the same for all: nothing here is taken from any of the packages compared.
//
// A result is first brought back to OpenAI chat messages (see contenders.mjs).

import { countTokens } from "gpt-tokenizer/encoding/o200k_base";

/** Counting the same text twice is a waste: most messages of a result are those of the input. */
const seen = new Map();

export function forget() {
  seen.clear();
}

function exact(text) {
  if (!text) return 0;
  let count = seen.get(text);
  if (count === undefined) {
    count = countTokens(text);
    seen.set(text, count);
  }
  return count;
}

/** Exact `o200k_base` tokens of messages: 4 for each message and each call, and their texts. */
export function tokensOf(messages) {
  let sum = 0;
  for (const message of messages) {
    sum += 4 + exact(message.content);
    for (const call of message.tool_calls ?? []) sum += 4 + exact(call.function.name) + exact(call.function.arguments);
  }
  return sum;
}

/**
 * What a provider would refuse, and a conversation that no longer starts with a user.
 *
 * C1 a tool result follows its call. C2 every call is answered before anything else is said. C3 an id is answered once
 * per call. C4 content may only be missing beside calls. C5 system messages stay, in order. C6 tool results are text.
 *
 * @returns {string[]} names of the rules broken, one per breach
 */
export function breaches(before, after) {
  const found = [];
  let open = new Map();
  let within = false;
  for (const message of after) {
    if (message === undefined) {
      found.push("no message");
      continue;
    }
    const { role, content } = message;
    if (role === "tool") {
      const left = within ? (open.get(message.tool_call_id) ?? 0) : 0;
      if (left === 0) found.push(within ? "C3" : "C1");
      else if (left === 1) open.delete(message.tool_call_id);
      else open.set(message.tool_call_id, left - 1);
      if (typeof content !== "string") found.push("C6");
      continue;
    }
    if (open.size > 0) found.push("C2");
    open = new Map();
    within = (message.tool_calls?.length ?? 0) > 0;
    for (const { id } of message.tool_calls ?? []) open.set(id, (open.get(id) ?? 0) + 1);
    if (!within && (typeof content !== "string" || content.trim() === "")) found.push("C4");
  }
  if (open.size > 0) found.push("C2");
  const systems = (messages) => JSON.stringify(messages.filter((message) => message?.role === "system"));
  if (systems(before) !== systems(after)) found.push("C5");
  const first = (messages) => messages.find((message) => message?.role !== "system")?.role;
  if (first(before) === "user" && first(after) !== "user") found.push("user first");
  return found;
}

/** Whether the last user message of the input is still there, word for word, and still the last one. */
export function keepsLastUser(before, after) {
  const last = (messages) => messages.findLast((message) => message?.role === "user")?.content;
  return last(before) === last(after);
}
