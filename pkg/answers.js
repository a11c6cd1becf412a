// What `fit`, `apply` and `compact` have in common: the options that never reach the core, and the answer.

import { describe, invalidOption } from "./errors.js";
import { callable, checked, withoutNulls } from "./options.js";
import { assemble, notKept } from "./recipe.js";

/** @import { FitOptions, FitResult, Patch, Warning } from "./index.d.ts" */
/** @import { Outcome } from "./calls.js" */
/** @import { CreateMessage } from "./recipe.js" */
/** @import { Writer } from "./wire.js" */

/**
 * @template {object} M
 * @param {Outcome} outcome
 * @param {Writer} writer
 * @param {{ createMessage?: CreateMessage, patch?: "edits" | "full" }} options
 * @returns {FitResult<M>}
 */
export function result(outcome, writer, options) {
  const { report, recipe } = outcome;
  const messages = /** @type {M[]} */ (assemble(recipe, writer, options.createMessage));
  const patch = /** @type {Patch<M>} */ (outcome.patch);
  if (options.patch === "edits") return { messages, report, patch };
  const indices = notKept(recipe, writer.source.length);
  const originals = indices.map((index) => ({ index, message: /** @type {M} */ (writer.source[index]) }));
  const warnings = [...report.warnings, ...lossy(indices, writer.notJson)];
  return { messages, report: { ...report, warnings }, patch: { ...patch, originals } };
}

/**
 * Warns of originals that do not survive `JSON.stringify`.
 *
 * @param {readonly number[]} originals
 * @param {readonly number[]} notJson
 * @returns {Warning[]}
 */
function lossy(originals, notJson) {
  if (notJson.length === 0) return [];
  const kept = new Set(originals);
  return notJson
    .filter((index) => kept.has(index))
    .map((index) => ({
      code: "originals_not_json",
      message:
        `message ${index} holds values that JSON cannot express; ` +
        "`undo` needs this patch as it is, or `originals`, once it has been through JSON",
      index,
    }));
}

/**
 * @template {object} M
 * @param {FitOptions<M>} options
 * @returns {FitOptions}
 */
export function fitOptions(options) {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw invalidOption("options", `must be an object with at least \`budget\`, but is ${describe(options)}`);
  }
  return /** @type {FitOptions} */ (shellOptions(options));
}

/**
 * Checks the options that never reach the core. `null` counts as not given, as it does there.
 *
 * @template {{ readonly createMessage?: unknown, readonly patch?: unknown }} O
 * @param {O} options
 * @returns {any}
 */
export function shellOptions(options) {
  const given = withoutNulls(options);
  const { createMessage, patch } = given;
  callable("createMessage", createMessage);
  if (patch !== undefined && patch !== "edits" && patch !== "full") {
    throw invalidOption("patch", `must be "edits" or "full", but is ${JSON.stringify(patch) ?? describe(patch)}`);
  }
  return given;
}

/**
 * The options of a call that takes only these.
 *
 * @template {object} O
 * @param {O | undefined} options
 * @param {readonly string[]} names
 * @returns {Partial<O>}
 */
export function known(options, names) {
  return options === undefined || options === null ? {} : /** @type {any} */ (checked("options", options, names));
}
