// What is said in a conversation whose program is killed all the time. Everything follows from the numbers of the
// conversation and of the message, so whoever knows how many messages there are knows them all.

import { randomNumbers } from "../../providers/support/random.mjs";

const WORDS = "file line error path build test value list open read close 漢字 naïve 🙂 retry window token limit".split(
  " ",
);

const QUESTION = 0;
const CALL = 1;
const RESULT = 2;
const ANSWER = 3;

export const FORMAT = "openai-chat";

/** So small a window that every few turns something has to be compacted, and results that are shown shortened. */
const OPTIONS = {
  budget: { window: 2_600, reserve: 300 },
  format: FORMAT,
  overflow: { threshold: 3_000, keep: 600 },
};

export class Script {
  /** @param {string} conversation its name, which ends with its number */
  constructor(conversation) {
    // In every second one the wholes of the long results, which are longer, are let go of after a while: much of what was
    // written is deleted then, and a store that copies what is left does so.
    this.isThrifty = Number(conversation.split(" ").at(-1)) % 2 === 1;
    this.options = this.isThrifty ? { ...OPTIONS, retention: { maxBytes: 100_000 } } : OPTIONS;
  }

  message(number) {
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
        return { role: "tool", tool_call_id: id, content: `#${number} ${words(number, this.lengthOf(number))}` };
      default:
        return { role: "assistant", content: `#${number} ${words(number, 40)}` };
    }
  }

  messages(from, to) {
    return Array.from({ length: to - from }, (_, at) => this.message(from + at));
  }

  /** Whether a message is shown shortened. */
  isLong(number) {
    const turn = Math.floor(number / 4);
    return number % 4 === RESULT && (this.isThrifty ? turn % 2 === 1 : turn % 5 === 4);
  }

  lengthOf(number) {
    if (!this.isLong(number)) return 200;
    return this.isThrifty ? 10_000 : 1_200;
  }
}

function words(seed, count) {
  const random = randomNumbers(seed * 7919 + 1);
  return Array.from({ length: count }, () => WORDS[Math.floor(random() * WORDS.length)]).join(" ");
}

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
