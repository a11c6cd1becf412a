// One function per call of the core: input in, the core's own answer out. The command line uses these, too.

import { describe, invalidOption } from "./errors.js";
import { call } from "./instance.js";
import { Writer } from "./wire.js";

/** @import { FitOptions, Format, Patch, Plan, Repair, Report, TokenCounter, Violation } from "./index.d.ts" */
/** @import { Recipe } from "./recipe.js" */

/** @typedef {{ report: Report, patch: Patch, recipe: Recipe }} Outcome */
/** @typedef {{ restore: readonly (readonly [number, number] | number)[] }} Restore */

/** Options that are functions or that only the shell acts on; the core gets all others. */
const SHELL_OPTIONS = ["system", "tools", "tokens", "previous", "createMessage", "patch", "pin"];

/**
 * @param {unknown} messages
 * @param {FitOptions} options
 * @returns {{ outcome: Outcome, writer: Writer }}
 */
export function fit(messages, options) {
  const { writer, write, counter } = requestOf(messages, options);
  const outcome = writer.send(write, (length) => counter.use((host) => call((glue) => glue.fit(length, host))));
  return { outcome: completed(outcome), writer };
}

/**
 * What `fit` and `compact` are asked: written when it is sent.
 *
 * @param {unknown} messages
 * @param {FitOptions} options
 * @param {object} [more] what only `compact` takes
 */
export function requestOf(messages, options, more) {
  const counter = new Counter(options.tokens);
  const previous = options.previous === undefined ? null : withoutOriginals("previous", options.previous);
  const writer = new Writer();
  const write = () => {
    writer.roots(more === undefined ? 5 : 6);
    writer.messages(messages);
    writer.other("system", options.system);
    writer.other("tools", options.tools);
    writer.other("options", { ...coreOptions(options), pin: pins(options.pin, writer) });
    writer.other("previous", previous);
    if (more !== undefined) writer.other("options", more);
  };
  return { writer, write, counter };
}

/**
 * @param {Outcome} outcome
 * @returns {Outcome}
 */
export function completed(outcome) {
  const { report, patch } = outcome;
  // These cross once and belong to both.
  return { ...outcome, patch: { ...patch, edits: report.edits, repairs: report.repairs } };
}

/**
 * @param {unknown} messages
 * @param {Plan} plan
 * @returns {{ outcome: Outcome, writer: Writer }}
 */
export function apply(messages, plan) {
  const record = object("plan", plan);
  const patch = withoutOriginals("plan", plan.patch);
  const { outcome, writer } = sent(
    messages,
    (writer) => writer.other("plan", { ...record, patch }),
    (glue, length) => glue.apply(length),
  );
  return { outcome: { report: plan.report, patch, recipe: outcome }, writer };
}

/**
 * @param {unknown} messages
 * @param {Patch} patch
 * @returns {{ outcome: Restore, writer: Writer }}
 */
export function undo(messages, patch) {
  const record = withoutOriginals("patch", patch);
  return sent(
    messages,
    (writer) => writer.other("patch", record),
    (glue, length) => glue.undo(length),
  );
}

/**
 * Whether these are the messages that a patch was made from.
 *
 * @param {unknown} messages
 * @param {Patch} patch
 * @returns {boolean}
 */
export function isSource(messages, patch) {
  const record = withoutOriginals("patch", patch);
  return sent(
    messages,
    (writer) => writer.other("patch", record),
    (glue, length) => glue.is_source(length),
  ).outcome;
}

/**
 * @param {unknown} messages
 * @param {Format} [format]
 * @returns {Violation[]}
 */
export function validate(messages, format) {
  return sent(
    messages,
    (writer) => writer.other("format", format),
    (glue, length) => glue.validate(length),
  ).outcome;
}

/**
 * @param {unknown} messages
 * @param {Format} [format]
 * @returns {{ outcome: { repairs: Repair[], recipe: Recipe }, writer: Writer }}
 */
export function repair(messages, format) {
  return sent(
    messages,
    (writer) => writer.other("format", format),
    (glue, length) => glue.repair(length),
  );
}

/**
 * @param {unknown} input a text, a message or messages
 * @param {"heuristic" | TokenCounter} [tokens]
 * @param {Format} [format]
 * @returns {number}
 */
export function count(input, tokens, format) {
  const counter = new Counter(tokens);
  return new Writer().send(
    (writer) => {
      writer.roots(2);
      if (Array.isArray(input)) writer.messages(input);
      else writer.message(input);
      writer.other("format", format);
    },
    (length) => counter.use((host) => call((glue) => glue.count(length, host))),
  );
}

/**
 * @param {unknown} messages
 * @returns {Format}
 */
export function detectFormat(messages) {
  return new Writer().send(
    (writer) => {
      writer.roots(1);
      writer.messages(messages);
    },
    (length) => call((glue) => glue.detect_format(length)),
  );
}

/** @typedef {typeof import("./wasm/epitome.js")} Glue */

/**
 * @param {unknown} messages
 * @param {(writer: Writer) => void} rest writes what comes beside the messages
 * @param {(glue: Glue, length: number) => any} run
 */
function sent(messages, rest, run) {
  const writer = new Writer();
  const outcome = writer.send(
    () => {
      writer.roots(2);
      writer.messages(messages);
      rest(writer);
    },
    (length) => call((glue) => run(glue, length)),
  );
  return { outcome, writer };
}

/**
 * Names that nobody knows are passed on, so that the core refuses them.
 *
 * @param {FitOptions} options
 */
function coreOptions(options) {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !SHELL_OPTIONS.includes(name)));
}

/**
 * @param {FitOptions["pin"]} pin
 * @param {Writer} writer
 */
function pins(pin, writer) {
  if (typeof pin !== "function") return pin;
  /** @type {number[]} */
  const indices = [];
  writer.source.forEach((message, index) => {
    let pinned;
    try {
      pinned = pin(/** @type {object} */ (message), index);
    } catch (cause) {
      writer.refuse(invalidOption("pin", `threw an error for message ${index} (see \`cause\`)`, { cause }));
    }
    if (pinned) indices.push(index);
  });
  return indices;
}

/**
 * A patch without the references to host messages, which the core has no use for.
 *
 * @param {string} option
 * @param {Patch} patch
 * @returns {Patch}
 */
function withoutOriginals(option, patch) {
  const { originals: _, ...rest } = object(option, patch);
  return rest;
}

/**
 * @template T
 * @param {string} option
 * @param {T} value
 */
function object(option, value) {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw invalidOption(option, `must be a ${option === "plan" ? "plan" : "patch"}, but is ${describe(value)}`);
}

/** The host's token counter, so wrapped that it never throws into the core. */
export class Counter {
  /** @param {unknown} tokens */
  constructor(tokens) {
    if (tokens !== undefined && tokens !== "heuristic" && typeof tokens !== "function") {
      throw invalidOption("tokens", `must be "heuristic" or a function of a text, but is ${describe(tokens)}`);
    }
    /** @type {{ reason: string, cause?: { cause: unknown } } | undefined} */
    this.failure = undefined;
    /** @type {TokenCounter | undefined} */
    this.host = typeof tokens === "function" ? this.wrapped(/** @type {TokenCounter} */ (tokens)) : undefined;
  }

  /**
   * @private
   * @param {(text: string) => unknown} tokens
   * @returns {TokenCounter}
   */
  wrapped(tokens) {
    return (text) => {
      let count;
      try {
        count = tokens(text);
      } catch (cause) {
        this.failure = { reason: "threw an error (see `cause`)", cause: { cause } };
        return -1;
      }
      if (typeof count === "number" && count >= 0 && count <= 0xffffffff) return count;
      const got = count instanceof Promise ? "a promise; it has to be synchronous" : describe(count);
      this.failure = { reason: `must return a number of tokens, 0 or more, but returned ${got}` };
      return -1;
    };
  }

  /**
   * @template T
   * @param {(host: TokenCounter | undefined) => T} run
   * @returns {T}
   */
  use(run) {
    try {
      return run(this.host);
    } catch (error) {
      return this.explain(error);
    }
  }

  /**
   * Throws what explains an error best.
   *
   * @param {unknown} error
   * @returns {never}
   */
  explain = (error) => {
    if (this.failure === undefined) throw error;
    throw invalidOption("tokens", this.failure.reason, this.failure.cause);
  };
}
