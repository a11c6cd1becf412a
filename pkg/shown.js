// What the chat's own model was sent last, as JSON, for requests that its prompt cache is to serve.

import { apply } from "./shell.js";

/** @import { FitOptions } from "./index.d.ts" */

/**
 * Gives the first messages of it, joined by commas, and the tools; `null` where they cannot be written.
 *
 * @param {readonly object[]} messages
 * @param {FitOptions} options
 */
export function shownTo(messages, { previous, system, tools }) {
  /** @type {readonly object[] | undefined} */
  let view;
  /** @type {string[]} */
  const texts = [];
  return (/** @type {number} */ count) => {
    try {
      view ??= lastView(messages, previous);
      for (let at = texts.length; at < count; at += 1) texts.push(JSON.stringify(view[at]));
      const before = typeof system === "string" ? [JSON.stringify({ role: "system", content: system })] : [];
      return [[...before, ...texts.slice(0, count)].join(","), tools === undefined ? "" : JSON.stringify(tools)];
    } catch {
      return [null, null];
    }
  };
}

/**
 * @param {readonly object[]} messages
 * @param {FitOptions["previous"]} previous
 */
function lastView(messages, previous) {
  if (previous === undefined) return messages;
  const source = messages.slice(0, previous.source.messages);
  try {
    const report = /** @type {any} */ ({ warnings: [] });
    const applied = apply(source, { version: 1, patch: previous, report }, { patch: "edits" });
    return [...applied.messages, ...messages.slice(source.length)];
  } catch {
    // It does not belong to these messages, so the core ignores it, too.
    return messages;
  }
}
