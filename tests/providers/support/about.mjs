// Conversations that are each about a number of their own, so that results can be told apart. Imports nothing.

/** What they have to fit into, tokens: not without a summary. */
export const budget = 2_000;

/** @param {number} number */
export const conversationAbout = (number) =>
  Array.from({ length: 40 }, (_, step) => ({
    role: step % 2 === 0 ? "user" : "assistant",
    content:
      `Step ${step}: look at src/case_${number}/file_${step % 7}.rs, where E0308 was reported in line ${100 + step}. ` +
      `${"It has to work as it did before, whatever the input is. ".repeat(4)}`,
  }));

/** The numbers of the conversations that a text comes from. */
export const numbersIn = (text) => new Set([...text.matchAll(/case_(\d+)/g)].map(([, number]) => Number(number)));

/**
 * What is wrong with the result for the conversation about a number.
 *
 * @param {{ countTokens: Function, validate: Function }} epitome
 * @param {number} number
 * @param {readonly object[]} given
 * @param {{ messages: { content: string }[], report: any }} result
 */
export function* faultsOf({ countTokens, validate }, number, given, { messages, report }) {
  const tokens = countTokens(messages);
  if (tokens > budget || tokens !== report.after) yield `${tokens} tokens, ${report.after} by the report`;
  if (validate(messages).length > 0) yield "the result is not valid";
  const kept = messages.filter((message) => given.includes(message));
  if (messages.length - kept.length !== 1) yield "more is new than the summary";
  const at = kept.map((message) => given.indexOf(message));
  if (at.some((place, index) => index > 0 && place <= at[index - 1])) yield "the messages are out of order";
  const numbers = [...numbersIn(JSON.stringify([messages, report]))];
  if (numbers.length !== 1 || numbers[0] !== number) yield `it is about ${numbers.join(", ")}, not about ${number}`;
}
