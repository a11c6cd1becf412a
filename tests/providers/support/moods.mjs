// A model behind a function of the host, which does whatever functions can do.

import { answerTo } from "../../provider-server/text.mjs";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const aborted = (signal) => new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));

const failing = (message, more) => Object.assign(new Error(message), more);

/** @type {Record<string, (text: string, signal: AbortSignal) => unknown>} */
const moods = {
  answers: async (text) => {
    await pause(3);
    return { text, usage: { inputTokens: 1_500, outputTokens: 100 } };
  },
  "answers at once": (text) => text,
  "answers like a promise": (text) => ({
    // biome-ignore lint/suspicious/noThenProperty: hosts have their own promises
    then: (resolve) => {
      resolve(text);
      resolve("twice");
      throw failing("nobody is to hear of this");
    },
  }),
  throws: () => {
    throw failing("out of order");
  },
  "throws nothing": () => {
    throw undefined;
  },
  rejects: () => Promise.reject(failing("overloaded", { status: 503 })),
  "rejects with a word": () => Promise.reject("no"),
  "has had enough": () => Promise.reject(failing("too many", { status: 429, headers: { "retry-after": "0.01" } })),
  "returns nothing": () => null,
  "returns a number": async () => 42,
  "is blank": async () => "",
  "never settles": () => new Promise(() => {}),
  "rejects when aborted": async (_, signal) => {
    await aborted(signal);
    throw signal.reason;
  },
  "answers after it was aborted": async (text, signal) => {
    await aborted(signal);
    await pause(5);
    return text;
  },
};

/** The first three are what functions should do: half of all calls meet them. */
const names = Object.keys(moods);
const good = 3;

/** @param {() => number} random */
export function modelOfMoods(random) {
  let running = 0;
  let most = 0;
  const draw = (from, to) => names[from + Math.floor(random() * (to - from))];
  return {
    /** At most so many were under way at the same time. */
    most: () => most,
    ask: (request, { signal }) => {
      running += 1;
      most = Math.max(most, running);
      const mood = random() < 0.5 ? draw(0, good) : draw(good, names.length);
      // One that nobody waits for any more is not under way.
      let over = false;
      const end = () => {
        if (!over) running -= 1;
        over = true;
      };
      signal.addEventListener("abort", end, { once: true });
      try {
        const answer = moods[mood](answerTo(request.messages.at(-1).content), signal);
        Promise.resolve(answer).then(end, end);
        return answer;
      } catch (error) {
        end();
        throw error;
      }
    },
  };
}
