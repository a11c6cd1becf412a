// The commands, over whole files and over streams of lines.

import * as calls from "../calls.js";
import { describe, EpitomeError, invalidOption } from "../errors.js";
import { UsageError } from "./arguments.js";
import { conversationOfLine, conversationsOf, openFile, readLines, readText } from "./documents.js";
import { echo } from "./echo.js";
import { providerOf } from "./models.js";
import { printable, write } from "./output.js";
import { table } from "./table.js";

/** @import { FitOptions } from "../index.d.ts" */
/** @import { Provider } from "../provider.js" */
/** @import { BudgetArgument, Command } from "./arguments.js" */
/** @import { Conversation } from "./documents.js" */

const BAD_INPUT = 1;
const IRREDUCIBLE = 3;

/** More than any conversation has: with it nothing is edited. */
const NO_LIMIT = 1_000_000_000;

/**
 * Whole files. An error in one does not keep the others from being answered.
 *
 * @param {Command} command
 * @returns {Promise<number>} exit code
 */
export async function answerDocuments(command) {
  let exit = 0;
  for (const file of command.files) {
    try {
      const conversations = conversationsOf(await readText(file));
      for (const [at, conversation] of conversations.entries()) {
        const name = conversations.length > 1 ? `${shown(file)} (${at + 1} of ${conversations.length})` : shown(file);
        const answer = await answerOf(command, conversation, name);
        await write(`${answer.text}\n`);
        exit = Math.max(exit, answer.exit);
      }
    } catch (error) {
      exit = Math.max(exit, await failed(command, shown(file), error));
    }
  }
  return exit;
}

/**
 * A stream: one line in, one line out, in order, never more than one line in memory.
 *
 * @param {Command} command
 * @returns {Promise<number>} the highest exit code of the lines
 */
export async function answerLines(command) {
  let exit = 0;
  for (const file of command.files) {
    try {
      for await (const line of readLines(openFile(file))) {
        let answer;
        try {
          if (typeof line !== "string") throw line;
          answer = await answerOf({ ...command, output: "json" }, conversationOfLine(line), "");
        } catch (error) {
          answer = { text: JSON.stringify({ error: plainError(error) }), exit: exitOf(error) };
        }
        await write(`${answer.text}\n`);
        exit = Math.max(exit, answer.exit);
      }
    } catch (error) {
      exit = Math.max(exit, await failed(command, shown(file), error));
    }
  }
  return exit;
}

/**
 * @param {Command} command
 * @param {Conversation} conversation
 * @param {string} name
 */
function answerOf(command, conversation, name) {
  switch (command.name) {
    case "fit":
    case "compact":
      return answerFit(command, conversation, name);
    case "validate":
      return answerValidate(command, conversation, name);
    case "count":
      return answerCount(command, conversation, name);
  }
}

/**
 * @param {Command} command
 * @param {Conversation} conversation
 * @param {string} name
 */
async function answerFit(command, conversation, name) {
  const options = { ...optionsOf(command, conversation), budget: limitOf(command, conversation) };
  const { outcome } = await decided(command, conversation, options);
  const { report, recipe } = outcome;
  if (command.output === "text") return { text: table(name, outcome, conversation.list, command.format), exit: 0 };
  return { text: `{"messages":${echo(recipe, conversation)},"report":${JSON.stringify(report)}}`, exit: 0 };
}

/** The provider of this run: what its requests share lasts from one conversation to the next. */
/** @type {Provider | undefined} */
let provider;

/**
 * @param {Command} command
 * @param {Conversation} conversation
 * @param {FitOptions} options
 */
async function decided({ model, name }, { messages }, options) {
  if (name === "fit" || model === undefined) return calls.fit(messages, options);
  provider ??= providerOf(model);
  // Loaded only when a model is asked.
  const [{ compactionOn }, { instance }] = await Promise.all([
    import("../compact.js"),
    import("../session-instance.node.js"),
  ]);
  const { instructions, timeoutMs } = model;
  return compactionOn(instance)(messages, { ...options, provider, instructions, timeoutMs });
}

/**
 * @param {Command} command
 * @param {Conversation} conversation
 * @param {string} name
 */
function answerValidate(command, conversation, name) {
  const violations = calls.validate(conversation.messages, command.format);
  const exit = violations.length === 0 ? 0 : BAD_INPUT;
  if (command.output === "json") return { text: JSON.stringify({ violations }), exit };
  if (exit === 0) return { text: `${name}: valid`, exit };
  const lines = violations.map(({ rule, index, field, message }) => {
    const where = field === undefined ? `message ${index}` : `message ${index}, ${printable(field)}`;
    return `${name}: ${where}: ${printable(message)} (${rule})`;
  });
  return { text: lines.join("\n"), exit };
}

/**
 * @param {Command} command
 * @param {Conversation} conversation
 * @param {string} name
 */
function answerCount(command, conversation, name) {
  const { overhead, before } = unedited(command, conversation);
  const count = { tokens: before, messages: conversation.list.length, overhead };
  if (command.output === "json") return { text: JSON.stringify(count), exit: 0 };
  return { text: command.files.length === 1 && command.files[0] === "-" ? `${before}` : `${before}\t${name}`, exit: 0 };
}

/**
 * @param {Command} command
 * @param {Conversation} conversation
 * @returns {Omit<FitOptions, "budget">}
 */
function optionsOf({ format, pin }, { fields }) {
  const { system, tools, goal } = fields;
  if (goal !== undefined && goal !== null && typeof goal !== "string") {
    throw invalidOption("goal", `must be a string, but is ${describe(goal)}`);
  }
  return {
    ...(format === undefined ? {} : { format }),
    ...(pin === undefined ? {} : { pin }),
    ...(typeof goal === "string" ? { goal } : {}),
    system,
    tools,
  };
}

/**
 * The report of a fit that edits nothing.
 *
 * @param {Command} command
 * @param {Conversation} conversation
 */
function unedited(command, conversation) {
  const { pin: _, ...options } = optionsOf(command, conversation);
  return calls.fit(conversation.messages, { ...options, budget: NO_LIMIT }).outcome.report;
}

/**
 * The limit in tokens. What a line says itself comes before what was typed.
 *
 * @param {Command} command
 * @param {Conversation} conversation
 * @returns {number}
 */
function limitOf(command, conversation) {
  const own = conversation.fields.budget_tokens;
  if (command.output === "json" && own !== undefined && own !== null) {
    if (typeof own === "number") return own;
    throw invalidOption("budget_tokens", `must be a number, but is ${describe(own)}`);
  }
  const { budget } = command;
  if (budget === undefined) throw invalidOption("budget_tokens", "is missing, and there is no --budget");
  return "tokens" in budget ? budget.tokens : shareOf(budget.share, command, conversation);
}

/**
 * A share of what lies beyond the system messages and the last user message, with these on top.
 *
 * @param {number} share
 * @param {Command} command
 * @param {Conversation} conversation
 */
function shareOf(share, command, conversation) {
  const { before } = unedited(command, conversation);
  const list = /** @type {readonly { role?: unknown }[]} */ (conversation.list);
  const lastUser = list.findLastIndex((message) => message?.role === "user");
  const rest = list.filter(({ role }, index) => role !== "system" && role !== "developer" && index !== lastUser);
  const tokens = rest.length === 0 ? 0 : calls.count(rest, undefined, command.format);
  return Math.max(1, before - tokens + Math.floor(tokens * share));
}

/**
 * @param {Command} command
 * @param {string} name
 * @param {unknown} error
 */
async function failed(command, name, error) {
  const exit = exitOf(error);
  if (error instanceof EpitomeError && command.format !== undefined && isAboutFormat(error)) {
    throw new UsageError(error.message);
  }
  if (command.output !== "text") await write(`${JSON.stringify({ error: plainError(error) })}\n`);
  const { code, message } = plainError(error);
  process.stderr.write(`epitome: ${name}: ${printable(message)} (${code})\n`);
  return exit;
}

/** @param {EpitomeError} error */
function isAboutFormat({ code, details }) {
  return code === "unknown_format" && !("index" in details);
}

/** @param {unknown} error */
function exitOf(error) {
  return error instanceof EpitomeError && error.code === "irreducible_budget" ? IRREDUCIBLE : BAD_INPUT;
}

/** @param {unknown} error */
function plainError(error) {
  if (error instanceof EpitomeError) {
    const { code, message, details } = error;
    return { code, message, details };
  }
  // A file that is not there, is a folder, may not be read.
  if (error instanceof Error && "code" in error && "syscall" in error) {
    return { code: "invalid_input", message: error.message, details: {} };
  }
  throw error;
}

/** @param {string} file */
function shown(file) {
  return file === "-" ? "standard input" : printable(file);
}
