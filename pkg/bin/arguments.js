// What the user typed.

import { parseArgs } from "node:util";

export const USAGE = `Keeps LLM conversations inside their context window.

Usage:
  epitome fit --budget N [options] [FILE | -]...      make conversations fit
  epitome compact --budget N [options] [FILE | -]...  the same, with summaries by a model
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

Options of compact (without --provider it is fit):
  --provider URL   base URL of the model's service, e.g. http://127.0.0.1:11434/v1
  --model NAME     which model to ask
  --api NAME       how it is spoken to: openai-chat (default), openai-responses, anthropic, gemini or ollama
  --key-env NAME   environment variable that holds the key (default: EPITOME_API_KEY); a key is never an argument
  --window N       what the model reads and writes at most, in tokens (default: 16000)
  --timeout N      seconds after which no model is waited for (default: 300)
  --instructions TEXT  what every summary has to heed

  -h, --help       this text
  -v, --version    version

Exit codes: 0 all is well, 1 bad input (or violations found), 2 wrong usage, 3 the budget cannot be met.
`;

const COMMANDS = ["fit", "compact", "validate", "count"];
const LISTED = "fit, compact, validate and count";

/** Options that not all commands take. */
const OF = {
  budget: ["fit", "compact"],
  pin: ["fit", "compact"],
  provider: ["compact"],
  model: ["compact"],
  api: ["compact"],
  "key-env": ["compact"],
  window: ["compact"],
  timeout: ["compact"],
  instructions: ["compact"],
};
const APIS = ["openai-chat", "openai-responses", "anthropic", "gemini", "ollama"];

/** The user has to type something else. */
export class UsageError extends Error {}

/** @typedef {{ tokens: number } | { share: number }} BudgetArgument */
/**
 * @typedef {object} ModelArguments
 * @property {string} baseUrl
 * @property {string} model
 * @property {string} api
 * @property {string | undefined} key
 * @property {number | undefined} window
 * @property {number} timeoutMs
 * @property {string | undefined} instructions
 */
/**
 * @typedef {object} Command
 * @property {boolean} help
 * @property {boolean} version
 * @property {"fit" | "compact" | "validate" | "count"} name
 * @property {BudgetArgument | undefined} budget
 * @property {number[] | undefined} pin
 * @property {import("../index.d.ts").Format | undefined} format
 * @property {ModelArguments | undefined} model
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
    if (name === "") throw new UsageError(`which command? There are ${LISTED}`);
    if (!COMMANDS.includes(name)) throw new UsageError(`unknown command \`${name}\`; there are ${LISTED}`);
    if (values.json && values.jsonl) throw new UsageError("--json and --jsonl exclude each other");
    if (OF.budget.includes(name) && values.budget === undefined && !values.jsonl) {
      throw new UsageError(`${name} needs --budget, in tokens or as a percentage`);
    }
    for (const [option, commands] of Object.entries(OF)) {
      if (values[/** @type {keyof typeof OF} */ (option)] === undefined || commands.includes(name)) continue;
      throw new UsageError(`--${option} belongs to ${commands.join(" and ")}`);
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
    model: help || version ? undefined : modelOf(values),
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
        provider: { type: "string" },
        model: { type: "string" },
        api: { type: "string" },
        "key-env": { type: "string" },
        window: { type: "string" },
        timeout: { type: "string" },
        instructions: { type: "string" },
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

/**
 * @param {Partial<Record<keyof typeof OF, string>>} values
 * @returns {ModelArguments | undefined}
 */
function modelOf({ provider, model, api = "openai-chat", "key-env": keyEnv, window, timeout = "300", instructions }) {
  if (provider === undefined) {
    if (model !== undefined) throw new UsageError("--model needs --provider, the address of its service");
    return undefined;
  }
  if (model === undefined) throw new UsageError("--provider needs --model: which model to ask");
  if (!APIS.includes(api)) throw new UsageError(`--api ${api}: must be one of ${APIS.join(", ")}`);
  const key = process.env[keyEnv ?? "EPITOME_API_KEY"];
  if (keyEnv !== undefined && !key)
    throw new UsageError(`--key-env ${keyEnv}: there is no such variable, or it is empty`);
  return {
    baseUrl: provider,
    model,
    api,
    key: key || undefined,
    window: window === undefined ? undefined : parseNumber("window", window),
    timeoutMs: parseNumber("timeout", timeout) * 1000,
    instructions,
  };
}

/**
 * @param {string} option
 * @param {string} text
 */
function parseNumber(option, text) {
  const number = Number(text.replace(/[_,]/g, ""));
  if (number >= 1) return number;
  throw new UsageError(`--${option} ${text}: must be a number, 1 or more`);
}

/** @param {string} text */
function parsePins(text) {
  const pins = text.split(",").map((part) => part.trim());
  if (pins.every((pin) => /^[0-9]{1,9}$/.test(pin))) return pins.map(Number);
  throw new UsageError(`--pin ${text}: must be indices such as 0,4,7`);
}
