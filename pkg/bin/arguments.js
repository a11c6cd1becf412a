// What the user typed.

import { parseArgs } from "node:util";

export const USAGE = `Keeps LLM conversations inside their context window.

Usage:
  epitome fit --budget N [options] [FILE | -]...      make conversations fit
  epitome validate [options] [FILE | -]...            list what the provider would refuse
  epitome count [options] [FILE | -]...               count tokens

Input is a JSON array of messages, an object { messages, system?, tools? }, or JSON Lines of either messages or
conversations; standard input when no file is given.

Options:
  --budget N       limit in tokens, or a percentage such as 25%: that share of what lies beyond the system messages
                   and the last user message, which come on top
  --pin LIST       messages that must stay as they are, by index: 0,4,7
  --format NAME    format of the messages (default: detected)
  --json           print JSON: {"messages", "report"}, {"violations"} or {"tokens"}; untouched messages byte for byte
  --jsonl          a stream: one conversation per line in ({"messages", "budget_tokens", "goal"?}), one answer per line
                   out, in order; a line that fails gives {"error"}
  -h, --help       this text
  -v, --version    version

Exit codes: 0 all is well, 1 bad input (or violations found), 2 wrong usage, 3 the budget cannot be met.
`;

const COMMANDS = ["fit", "validate", "count"];

/** The user has to type something else. */
export class UsageError extends Error {}

/** @typedef {{ tokens: number } | { share: number }} BudgetArgument */
/**
 * @typedef {object} Command
 * @property {boolean} help
 * @property {boolean} version
 * @property {"fit" | "validate" | "count"} name
 * @property {BudgetArgument | undefined} budget
 * @property {number[] | undefined} pin
 * @property {import("../index.d.ts").Format | undefined} format
 * @property {"text" | "json" | "jsonl"} output
 * @property {string[]} files
 */

/**
 * @param {string[]} args
 * @returns {Command}
 */
export function parseCommand(args) {
  const { values, positionals } = parsed(args);
  const help = values.help === true;
  const version = values.version === true;
  const [name = "", ...files] = positionals;
  if (!help && !version) {
    if (name === "") throw new UsageError("which command? There are fit, validate and count");
    if (!COMMANDS.includes(name))
      throw new UsageError(`unknown command \`${name}\`; there are fit, validate and count`);
    if (values.json && values.jsonl) throw new UsageError("--json and --jsonl exclude each other");
    if (name === "fit" && values.budget === undefined && !values.jsonl) {
      throw new UsageError("fit needs --budget, in tokens or as a percentage");
    }
    for (const option of /** @type {const} */ (["budget", "pin"])) {
      if (name !== "fit" && values[option] !== undefined) throw new UsageError(`--${option} belongs to fit`);
    }
    if (files.length === 0 && process.stdin.isTTY)
      throw new UsageError("give a file, or a conversation on standard input");
  }
  return {
    help,
    version,
    name: /** @type {Command["name"]} */ (name),
    budget: values.budget === undefined ? undefined : parseBudget(values.budget),
    pin: values.pin === undefined ? undefined : parsePins(values.pin),
    format: /** @type {Command["format"]} */ (values.format),
    output: values.jsonl ? "jsonl" : values.json ? "json" : "text",
    files: files.length === 0 ? ["-"] : files,
  };
}

/** @param {string[]} args */
function parsed(args) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        budget: { type: "string" },
        pin: { type: "string" },
        format: { type: "string" },
        json: { type: "boolean" },
        jsonl: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "v" },
      },
    });
  } catch (error) {
    throw new UsageError((error instanceof Error ? error.message : String(error)).replaceAll("\n", " "));
  }
}

/**
 * @param {string} text
 * @returns {BudgetArgument}
 */
function parseBudget(text) {
  const [, digits, percent] = /^([0-9][0-9_,]*(?:\.[0-9]+)?)(%?)$/.exec(text) ?? [];
  const number = Number(digits?.replace(/[_,]/g, ""));
  if (percent === "%") {
    if (number > 0 && number <= 100) return { share: number / 100 };
    throw new UsageError(`--budget ${text}: a percentage is above 0 and at most 100`);
  }
  if (number >= 1) return { tokens: Math.floor(number) };
  throw new UsageError(`--budget ${text}: must be a number of tokens, 1 or more, or a percentage such as 25%`);
}

/** @param {string} text */
function parsePins(text) {
  const pins = text.split(",").map((part) => part.trim());
  if (pins.every((pin) => /^[0-9]{1,9}$/.test(pin))) return pins.map(Number);
  throw new UsageError(`--pin ${text}: must be indices such as 0,4,7`);
}
