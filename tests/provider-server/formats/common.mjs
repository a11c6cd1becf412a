// What the formats share.

import { isObject, Violation } from "../checks.mjs";

/** Written so that it is plainly ours, and the same in every run. */
export const created = 1_760_000_000;

/** One server-sent event. */
export const sse = (data, event) => `${event ? `event: ${event}\n` : ""}data: ${JSON.stringify(data)}\n\n`;

/** What vendors send along with a status, unless they are known to say something else. */
export const reasons = {
  400: "The request is not valid.",
  401: "The key is not valid.",
  402: "Insufficient balance.",
  403: "This key may not use this model.",
  404: "There is no such model.",
  408: "The request took too long to arrive.",
  409: "Another request is under way.",
  413: "Request exceeds the maximum size",
  422: "The request cannot be processed.",
  425: "Too early.",
  429: "Rate limit reached. Please slow down.",
  500: "Internal error.",
  501: "Not implemented.",
  502: "Bad gateway.",
  503: "The service is overloaded. Please try again later.",
  504: "The upstream service did not answer in time.",
  529: "Overloaded",
};

/** Calls `check(message, index)` for each message, after the checks that hold everywhere. */
export function eachMessage(messages, check) {
  for (const [at, message] of messages.entries()) {
    if (!isObject(message)) throw new Violation(`messages[${at}]: expected an object`, { param: `messages[${at}]` });
    check(message, at);
  }
}

/** The last of the turns that the user said, else the last of all. */
export const lastUser = (turns) => turns.findLast((turn) => turn.role === "user")?.text ?? turns.at(-1)?.text ?? "";
