// A model behind a function of the host that fails in every way, and knows for whom it works.

import { answerTo } from "../../provider-server/text.mjs";
import { modelOfMoods } from "../../providers/support/moods.mjs";

/** Beyond the moods that `compact` has met: what a session must not keep. */
const worse = {
  "never stops": (text) => text.repeat(100),
  "has no text": () => ({ answer: "yes" }),
  "has a number for a text": async () => ({ text: 7 }),
  "is an array": async () => [],
  "is only blanks": async () => " \n ".repeat(1_000),
  "was cut off": (text) => ({ text: text.slice(0, 20), stop: "length" }),
  "will not": () => ({ text: "I'd rather not.", stop: "refused" }),
  "comes much too late": (text, signal) =>
    new Promise((resolve) => signal.addEventListener("abort", () => setTimeout(resolve, 30, text), { once: true })),
};

/** How many of the requests meet those. */
const SHARE = 0.25;

/** @param {() => number} random */
export function faultyModel(random) {
  const moods = modelOfMoods(random);
  const names = Object.keys(worse);
  return {
    ask: (request, context) => {
      if (random() >= SHARE) return moods.ask(request, context);
      const name = names[Math.floor(random() * names.length)];
      return worse[name](answerTo(request.messages.at(-1).content), context.signal);
    },
  };
}
