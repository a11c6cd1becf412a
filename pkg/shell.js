// The API: checks what only JavaScript can check, calls the core, puts the answer together from the host's objects.

import { fitOptions, known, result, shellOptions } from "./answers.js";
import * as calls from "./calls.js";
import { describe, EpitomeError, invalidOption } from "./errors.js";
import { assemble } from "./recipe.js";

/** @import { FitOptions, FitResult, Format, Patch, Plan, Repair, TokenCounter, Violation, Warning } from "./index.d.ts" */
/** @import { Outcome } from "./calls.js" */
/** @import { CreateMessage } from "./recipe.js" */
/** @import { Writer } from "./wire.js" */

export { EpitomeError } from "./errors.js";

/** Version of this package. */
export const version = "0.1.0";

/**
 * @template {object} M
 * @param {readonly M[]} messages
 * @param {FitOptions<M>} options
 * @returns {FitResult<M>}
 */
export function fit(messages, options) {
  const checked = fitOptions(options);
  const { outcome, writer } = calls.fit(messages, checked);
  return result(outcome, writer, checked);
}

/**
 * @template {object} M
 * @param {readonly M[]} messages
 * @param {FitOptions<M>} options
 * @returns {Plan<M>}
 */
export function plan(messages, options) {
  const { report, patch } = calls.fit(messages, fitOptions(options)).outcome;
  return { version: patch.version, patch: /** @type {Patch<M>} */ (patch), report };
}

/**
 * @template {object} M
 * @param {readonly M[]} messages
 * @param {Plan<M>} plan
 * @param {{ createMessage?: (role: string, text: string) => M, patch?: "edits" | "full" }} [options]
 * @returns {FitResult<M>}
 */
export function apply(messages, plan, options) {
  const checked = shellOptions(known(options, ["createMessage", "patch"]));
  const { outcome, writer } = calls.apply(messages, plan);
  return result(outcome, writer, checked);
}

/**
 * @template {object} M
 * @param {FitResult<M> | readonly M[]} given
 * @param {Patch<M>} [patch]
 * @param {{ originals?: readonly M[] }} [options]
 * @returns {M[]}
 */
export function undo(given, patch, options) {
  if (patch === undefined && isResult(given)) return undo(given.messages, given.patch);
  const { originals } = known(options, ["originals"]);
  if (originals !== undefined && !Array.isArray(originals)) {
    throw invalidOption("originals", `must be an array of messages, but is ${describe(originals)}`);
  }
  const record = /** @type {Patch<M>} */ (patch);
  if (claimsTooMuch(record, given, originals)) {
    throw new EpitomeError("cannot_undo", "cannot undo: the patch speaks of more messages than there are");
  }
  const { outcome, writer } = calls.undo(given, record);
  const find = finder(record, /** @type {readonly M[] | undefined} */ (originals));
  /** @type {M[]} */
  const messages = [];
  for (const span of outcome.restore) {
    if (typeof span === "number") messages.push(find(span));
    else for (let index = span[0]; index < span[1]; index += 1) messages.push(/** @type {M} */ (writer.source[index]));
  }
  // Messages from elsewhere (a database, the caller) may not be the ones that were edited: a wrong history is worse
  // than none.
  if (!calls.isSource(messages.slice(0, record.source.messages), record)) {
    throw new EpitomeError("cannot_undo", "cannot undo: the originals are not those that the patch was made from");
  }
  return messages;
}

/**
 * @param {readonly object[]} messages
 * @param {{ format?: Format }} [options]
 * @returns {Violation[]}
 */
export function validate(messages, options) {
  return calls.validate(messages, /** @type {any} */ (known(options, ["format"])).format);
}

/**
 * @template {object} M
 * @param {readonly M[]} messages
 * @param {{ format?: Format, createMessage?: (role: string, text: string) => M }} [options]
 * @returns {{ messages: M[], repairs: Repair[] }}
 */
export function repair(messages, options) {
  const { format, createMessage } = shellOptions(known(options, ["format", "createMessage"]));
  const { outcome, writer } = calls.repair(messages, format);
  const repaired = /** @type {M[]} */ (assemble(outcome.recipe, writer, createMessage));
  return { messages: repaired, repairs: outcome.repairs };
}

/**
 * @param {string | object | readonly object[]} input
 * @param {{ format?: Format, model?: string, tokens?: "heuristic" | TokenCounter }} [options]
 * @returns {number}
 */
export function countTokens(input, options) {
  const { format, model, tokens } = /** @type {any} */ (known(options, ["format", "model", "tokens"]));
  if (model !== undefined && typeof model !== "string") {
    throw invalidOption("model", `must be a string, but is ${describe(model)}`);
  }
  return calls.count(input, tokens, format);
}

/**
 * @param {readonly object[]} messages
 * @returns {Format}
 */
export function detectFormat(messages) {
  return calls.detectFormat(messages);
}

/**
 * Whether a patch claims far more source messages than the view and the originals can hold. It may come from anywhere,
 * and a number in it must not decide how much memory is spent. (A few too many are found, and named, later.)
 *
 * @param {Patch} patch
 * @param {unknown} given
 * @param {readonly unknown[] | undefined} originals
 */
function claimsTooMuch(patch, given, originals) {
  const count = (/** @type {unknown} */ list) => (Array.isArray(list) ? list.length : 0);
  const held = count(given) + (originals === undefined ? count(patch?.originals) : originals.length);
  return patch?.source?.messages > held * 2 + 100_000;
}

/**
 * Finds the original of a source index.
 *
 * @template {object} M
 * @param {Patch<M>} patch
 * @param {readonly M[] | undefined} originals the source messages, in order
 */
function finder(patch, originals) {
  const listed = Array.isArray(patch.originals) ? patch.originals : [];
  const byIndex = new Map(listed.map((entry) => [entry?.index, entry?.message]));
  return (/** @type {number} */ index) => {
    const message = originals?.[index] ?? byIndex.get(index);
    if (typeof message === "object" && message !== null) return message;
    throw new EpitomeError(
      "cannot_undo",
      `cannot undo: the original of message ${index} is missing; pass the messages as they were in \`originals\`, ` +
        'or fit with `patch: "full"`',
      { details: { index } },
    );
  };
}

/**
 * @template {object} M
 * @param {FitResult<M> | readonly M[]} given
 * @returns {given is FitResult<M>}
 */
function isResult(given) {
  return (
    typeof given === "object" && given !== null && !Array.isArray(given) && "messages" in given && "patch" in given
  );
}
