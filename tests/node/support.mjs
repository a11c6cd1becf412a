// What the tests of the package share. `EPITOME_PACKAGE` names another build of it (default: pkg).

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

export const root = resolve(import.meta.dirname, "../..");
export const packageFolder = resolve(root, process.env.EPITOME_PACKAGE ?? "pkg");
export const trapFolder = resolve(root, process.env.EPITOME_TRAP_PACKAGE ?? "target/trap-pkg");

/** A file of the package, or of another build of it. */
export const load = (file, folder = packageFolder) => import(pathToFileURL(`${folder}/${file}`).href);

export const epitome = await load("index.node.js");
const { EpitomeError } = epitome;

/** The `EpitomeError` that a call throws; fails if it throws nothing or something else. */
export function errorOf(call) {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof EpitomeError, `not an EpitomeError: ${error?.stack}`);
    return error;
  }
  assert.fail("nothing was thrown");
}

/** Checks code and details of what a call throws, and that the next call works. */
export function refuses(call, code, details = {}) {
  const error = errorOf(call);
  assert.deepEqual({ code: error.code, details: error.details }, { code, details }, error.message);
  assert.equal(epitome.countTokens("still alive"), alive, "the instance works afterwards");
  return error;
}
const alive = epitome.countTokens("still alive");

export const user = (content) => ({ role: "user", content });
export const assistant = (content) => ({ role: "assistant", content });

/** An assistant message that calls a tool, and the tool's answer. */
export function toolTurn(id, payload, name = "read_file") {
  return [
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id, type: "function", function: { name, arguments: JSON.stringify({ path: `${id}.txt` }) } }],
    },
    { role: "tool", tool_call_id: id, content: payload },
  ];
}

/** About 25 tokens per unit of `size`, different for each `seed`. */
export const payload = (seed, size = 40) =>
  Array.from(
    { length: size },
    (_, line) => `line ${line} of ${seed}: some words that mean nothing, ${seed}-${line * 37}`,
  ).join("\n");

/** A conversation of a system message and `turns` turns, each with one tool call. */
export function conversation(turns, size = 40) {
  const messages = [{ role: "system", content: "You are a careful engineer." }];
  for (let turn = 0; turn < turns; turn += 1) {
    messages.push(user(`Please look at file ${turn}.`), ...toolTurn(`call_${turn}`, payload(`file ${turn}`, size)));
    messages.push(assistant(`File ${turn} is in order.`));
  }
  messages.push(user("Thank you. What did you find in the first file?"));
  return messages;
}

/** A conversation that is bundled with the repository. */
export const bundled = (name) => JSON.parse(readFileSync(`${root}/tests/data/${name}.json`, "utf8"));

const shared = resolve(root, "../shared/data/dev");

/** The real conversations beside the repository; `undefined` where they are not. */
export function realConversations() {
  if (!existsSync(shared)) return undefined;
  return readdirSync(shared)
    .filter((file) => file.endsWith(".jsonl"))
    .flatMap((file) => readFileSync(`${shared}/${file}`, "utf8").trim().split("\n"))
    .map((line) => JSON.parse(line));
}

/** For `test(name, { skip }, ...)`: why, or false. */
export const noRealConversations = existsSync(shared) ? false : "the real conversations are not beside this repository";

/** The limit that leaves `share` of what may be edited: see `--budget 25%`. */
export function limitFor(messages, share) {
  const { countTokens } = epitome;
  const lastUser = messages.findLastIndex((message) => message.role === "user");
  const rest = messages.filter((message, index) => message.role !== "system" && index !== lastUser);
  const tokens = countTokens(rest);
  return countTokens(messages) - tokens + Math.floor(tokens * share);
}

/** The share of what is there is `===` to the message that it came from. */
export function assertSameObjects(result, source) {
  const edited = new Set(result.report.edits.flatMap((edit) => ("index" in edit ? [edit.index] : [])));
  const repaired = new Set(result.report.repairs.map((repair) => repair.index));
  const known = new Map(source.map((message, index) => [message, index]));
  let same = 0;
  for (const message of result.messages) {
    const index = known.get(message);
    if (index === undefined) continue;
    same += 1;
    assert.ok(!edited.has(index), `message ${index} was edited and yet is the same object`);
  }
  const inserted = result.report.edits.filter((edit) => edit.kind === "insert").length;
  const others = result.messages.length - same;
  assert.ok(others <= edited.size + repaired.size + inserted, `${others} messages are new objects without reason`);
  return same;
}

/** Compares long texts; a failure shows where they part. */
export function assertSameText(actual, expected) {
  if (actual === expected) return;
  let at = 0;
  while (actual[at] === expected[at]) at += 1;
  const around = (text) => JSON.stringify(text.slice(Math.max(0, at - 40), at + 80));
  assert.fail(`they differ at ${at}:\n  here     ${around(actual)}\n  expected ${around(expected)}`);
}
