// Faults of what is said: the connection is sound, the format is right, the answer is of little use.

import { refusalText } from "../text.mjs";

const saying = (changes) => (exchange) => exchange.send(exchange.reply(changes));

export const answerFaults = {
  ok: saying({}),
  refusal: saying({ stop: "refusal", text: refusalText }),
  blank: saying({ text: "" }),
  length: saying({ stop: "length" }),
  filter: saying({ stop: "filter" }),
  // The model thinks aloud, in the place that the format has for that.
  thinking: saying({ thinks: true }),
  "truncated-prompt": saying({ readShare: 0.1 }),
};
