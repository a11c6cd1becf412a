// What is said in a conversation whose program is killed all the time. Everything follows from the number of a message,
// so whoever knows how many there are knows them all.

import { randomNumbers } from "../../providers/support/random.mjs";

const WORDS = "file line error path build test value list open read close 漢字 naïve 🙂 retry window token limit".split(
  " ",
);

function words(seed, count) {
  const random = randomNumbers(seed * 7919 + 1);
  return Array.from({ length: count }, () => WORDS[Math.floor(random() * WORDS.length)]).join(" ");
}

/** The options of the session: so small a window that every few turns something has to be compacted. */
export const OPTIONS = {
  budget: { window: 2_600, reserve: 300 },
  format: "openai-chat",
  overflow: { threshold: 3_000, keep: 600 },
};

const QUESTION = 0;
const CALL = 1;
const RESULT = 2;
const ANSWER = 3;

/** Every fifth result is so long that only its beginning and end are shown. */
const isLong = (turn) => turn % 5 === 4;

export function message(number) {
  const turn = Math.floor(number / 4);
  const id = `call_${turn}`;
  switch (number % 4) {
    case QUESTION:
      return { role: "user", content: `#${number} ${words(number, 30)}` };
    case CALL: {
      const call = { name: "read_file", arguments: JSON.stringify({ path: `${turn}.txt` }) };
      return { role: "assistant", content: null, tool_calls: [{ id, type: "function", function: call }] };
    }
    case RESULT:
      return { role: "tool", tool_call_id: id, content: `#${number} ${words(number, isLong(turn) ? 1_200 : 200)}` };
    default:
      return { role: "assistant", content: `#${number} ${words(number, 40)}` };
  }
}

export const messages = (from, to) => Array.from({ length: to - from }, (_, at) => message(from + at));

/**
 * What is done next.
 *
 * @param {number} entries how many messages there are
 * @param {{ prepared?: boolean, undone?: boolean }} since what was done since the last of them
 * @returns {{ kind: "append", count: number } | { kind: "prepare" | "compactNow" | "undo" }}
 */
export function nextStep(entries, { prepared = false, undone = false } = {}) {
  const turn = Math.floor(entries / 4);
  const part = entries % 4;
  const isAsked = entries > 0 && (part === CALL || part === ANSWER);
  if (isAsked && !prepared) return { kind: turn % 6 === 5 ? "compactNow" : "prepare" };
  if (part === QUESTION && turn % 8 === 6 && !undone) return { kind: "undo" };
  // Two at once: a call with its result, an answer with the next question.
  const isPair = (part === CALL && turn % 2 === 1) || (part === ANSWER && turn % 3 === 0);
  return { kind: "append", count: isPair ? 2 : 1 };
}
