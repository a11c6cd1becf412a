#!/usr/bin/env node
// The command line: `epitome fit | compact | validate | count`. Same module, same answers as the API.

import { version } from "../index.node.js";
import { parseCommand, USAGE, UsageError } from "./arguments.js";
import { answerDocuments, answerLines } from "./commands.js";
import { write } from "./output.js";

/** Exit codes: all is well; bad input; wrong usage; what may not be edited is larger than the budget. */
const USAGE_EXIT = 2;

async function main() {
  const command = parseCommand(process.argv.slice(2));
  if (command.help) {
    await write(USAGE);
    return 0;
  }
  if (command.version) {
    await write(`${version}\n`);
    return 0;
  }
  return command.output === "jsonl" ? answerLines(command) : answerDocuments(command);
}

try {
  // Not `process.exit`: what was written must get out first.
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`epitome: ${error.message}\nTry \`epitome --help\`.\n`);
  process.exitCode = USAGE_EXIT;
}
