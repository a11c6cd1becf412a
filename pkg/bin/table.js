// The answer of `fit` for people: what became of each message.

import * as calls from "../calls.js";
import { isKeep } from "../recipe.js";
import { printable } from "./output.js";

/** @import { Format } from "../index.d.ts" */
/** @import { Outcome } from "../calls.js" */

/** @typedef {"kept" | "pruned" | "shrunk" | "hidden" | "dropped" | "repaired" | "summary" | "stand-in"} Fate */
/**
 * @typedef {object} Row Messages next to each other that met the same fate.
 * @property {Fate} fate
 * @property {number | undefined} from first index, for source messages
 * @property {object[]} messages
 * @property {number} before tokens
 * @property {number} after tokens
 */

/** Runs up to this length are listed message by message. */
const LISTED = 4;
/** Lines shown at either end of a longer table; what lies between becomes one line. */
const ENDS = 15;
/** Columns of a message's text. */
const EXCERPT = 44;

const CHANGES = ["pruned", "shrunk", "hidden", "dropped", "repaired", "summary", "stand-in"];

const COLOURS = /** @type {const} */ ({
  kept: 2,
  pruned: 33,
  shrunk: 35,
  hidden: 31,
  dropped: 31,
  repaired: 36,
  summary: 32,
  "stand-in": 36,
});

/**
 * @param {string} name
 * @param {Outcome} outcome
 * @param {readonly unknown[]} list the messages given
 * @param {Format | undefined} format
 */
export function table(name, outcome, list, format) {
  const rows = folded(rowsOf(outcome, /** @type {readonly object[]} */ (list), format));
  const lines = shortened(
    rows.map((row) => ({ fate: row.fate, cells: cellsOf(row) })),
    rows,
  );
  const head = ["#", "role", "", "before", "after", ""];
  const width = (/** @type {number} */ column) =>
    lines.reduce((most, { cells }) => Math.max(most, (cells[column] ?? "").length), 0);
  const widths = head.map((title, column) => Math.max(title.length, width(column)));
  const line = (/** @type {readonly string[]} */ row) =>
    row
      .map((cell, column) => pad(cell, widths[column] ?? 0, column))
      .join("  ")
      .trimEnd();
  return [
    bold(name),
    dim(line(head)),
    ...lines.map(({ fate, cells }) => coloured(line(cells), fate)),
    ...totals(outcome, rows),
  ].join("\n");
}

/**
 * One row per run of one fate, hidden messages before the summary that stands for them.
 *
 * @param {Outcome} outcome
 * @param {readonly object[]} list
 * @param {Format | undefined} format
 */
function rowsOf({ report, recipe }, list, format) {
  const count = (/** @type {readonly object[]} */ messages) => calls.count(messages, undefined, format);
  /** @type {Map<number, Fate>} */
  const fates = new Map();
  /** @type {Map<number, number>} */
  const sizes = new Map();
  for (const edit of report.edits) {
    if (edit.kind === "hide") for (let index = edit.from; index < edit.to; index += 1) fates.set(index, "hidden");
    if (edit.kind !== "prune" && edit.kind !== "shrink") continue;
    fates.set(edit.index, edit.kind === "prune" ? "pruned" : "shrunk");
    sizes.set(edit.index, edit.tokensAfter);
  }
  /** @type {Row[]} */
  const rows = [];
  const seen = new Uint8Array(list.length);
  /** @param {Fate} fate @param {number} from @param {number} to */
  const source = (fate, from, to) => {
    seen.fill(1, from, to);
    const messages = list.slice(from, to);
    const before = count(messages);
    const after = { kept: before, hidden: 0, dropped: 0 }[String(fate)] ?? sizes.get(from) ?? before;
    rows.push({ fate, from, messages, before, after });
  };
  /** Whatever before `index` is not in the view. @param {number} index */
  const lost = (index) => {
    const fate = (/** @type {number} */ at) => fates.get(at) ?? "dropped";
    for (let from = seen.indexOf(0); from !== -1 && from < index; from = seen.indexOf(0, from)) {
      let to = from + 1;
      while (to < index && seen[to] === 0 && fate(to) === fate(from)) to += 1;
      source(fate(from), from, to);
    }
  };
  recipe.items.forEach((item, at) => {
    if (isKeep(item)) {
      lost(item[0]);
      source("kept", item[0], item[1]);
    } else if ("edit" in item) {
      lost(item.edit);
      source(fates.get(item.edit) ?? "repaired", item.edit, item.edit + 1);
    } else {
      if (item.summary) lost(nextSource(recipe.items.slice(at + 1), list.length));
      const fate = item.summary ? "summary" : "stand-in";
      rows.push({ fate, from: undefined, messages: [item.insert], before: 0, after: count([item.insert]) });
    }
  });
  lost(list.length);
  return rows;
}

/**
 * @param {Outcome["recipe"]["items"]} items
 * @param {number} end
 */
function nextSource(items, end) {
  for (const item of items) {
    if (isKeep(item)) return item[0];
    if ("edit" in item) return item.edit;
  }
  return end;
}

/**
 * Long runs become their first message, a line for those between, and their last message.
 *
 * @param {Row[]} rows
 */
function folded(rows) {
  return rows.flatMap((row) => {
    const { messages, from } = row;
    if (messages.length === 1 || from === undefined) return [row];
    const size = (/** @type {object[]} */ some) => calls.count(some);
    /** @param {number} start @param {number} end @returns {Row} */
    const part = (start, end) => {
      const some = messages.slice(start, end);
      const before = size(some);
      return { ...row, from: from + start, messages: some, before, after: row.after === 0 ? 0 : before };
    };
    const { length } = messages;
    if (length <= LISTED) return messages.map((_, at) => part(at, at + 1));
    return [part(0, 1), part(1, length - 1), part(length - 1, length)];
  });
}

/**
 * A table that fits a screen or two: the middle of a long one becomes one line.
 *
 * @param {{ fate: Fate, cells: string[] }[]} lines
 * @param {Row[]} rows
 * @returns {{ fate: Fate, cells: string[] }[]}
 */
function shortened(lines, rows) {
  if (lines.length <= ENDS * 2 + 3) return lines;
  const middle = rows.slice(ENDS, -ENDS);
  const sum = (/** @type {(row: Row) => number} */ size) => middle.reduce((total, row) => total + size(row), 0);
  const what = counted(middle, ["kept", ...CHANGES]).join(", ");
  const cells = [
    "...",
    `${sum((row) => row.messages.length)} messages`,
    "",
    number(sum((row) => row.before)),
    number(sum((row) => row.after)),
    what,
  ];
  return [...lines.slice(0, ENDS), { fate: "kept", cells }, ...lines.slice(-ENDS)];
}

/**
 * How many messages met each of these fates.
 *
 * @param {readonly Row[]} rows
 * @param {readonly string[]} fates
 */
function counted(rows, fates) {
  return fates
    .map((fate) => ({ fate, count: rows.reduce((sum, row) => sum + (row.fate === fate ? row.messages.length : 0), 0) }))
    .filter(({ count }) => count > 0)
    .map(({ fate, count }) => `${count} ${fate}`);
}

/** @param {Row} row */
function cellsOf({ fate, from, messages, before, after }) {
  const [first] = messages;
  const index = from === undefined ? "+" : messages.length === 1 ? `${from}` : `${from}-${from + messages.length - 1}`;
  const alone = messages.length === 1 && first !== undefined;
  return [
    index,
    alone ? printable(String(/** @type {{ role?: unknown }} */ (first).role ?? "")) : `${messages.length} messages`,
    fate,
    from === undefined ? "" : number(before),
    number(after),
    alone ? excerpt(first) : "",
  ];
}

/** @param {NonNullable<import("../index.d.ts").Report["models"]>} models */
function asked({ requests, inputTokens, outputTokens }) {
  const many = `${number(requests)} request${requests === 1 ? "" : "s"} to the model`;
  const isCounted = inputTokens + outputTokens > 0;
  return isCounted ? `${many}: ${number(inputTokens)} tokens read, ${number(outputTokens)} written` : many;
}

/**
 * @param {Outcome} outcome
 * @param {Row[]} rows
 */
function totals({ report }, rows) {
  const { before, after, limit, messagesBefore, messagesAfter, models, overhead, repairs, warnings } = report;
  const share = Math.round((after / limit) * 100);
  const counts = counted(rows, CHANGES);
  const beside = overhead > 0 ? `, ${number(overhead)} of them system and tools` : "";
  return [
    `${bold(`${number(before)} -> ${number(after)} tokens`)} (${share} % of the limit ${number(limit)}${beside})`,
    `${messagesBefore} -> ${messagesAfter} messages${counts.length === 0 ? ", nothing changed" : `: ${counts.join(", ")}`}`,
    ...(models === undefined ? [] : [asked(models)]),
    ...repairs.map((repair) => `repaired: message ${repair.index}: ${printable(repair.message)} (${repair.rule})`),
    ...warnings.map((warning) => `note: ${printable(warning.message)}`),
  ];
}

/** @param {object} message */
function excerpt(message) {
  const { content, tool_calls: toolCalls } = /** @type {{ content?: unknown, tool_calls?: unknown }} */ (message);
  const parts = Array.isArray(content) ? content : [content];
  const texts = parts.map((part) => (typeof part === "string" ? part : (part?.text ?? ""))).filter(Boolean);
  const names = Array.isArray(toolCalls) ? toolCalls.map((call) => `${call?.function?.name ?? "tool"}()`) : [];
  // A long text is cut before it is cleaned, not after.
  const text = printable([...texts.map((text) => String(text).slice(0, EXCERPT * 8)), ...names].join(" "));
  const units = [...text];
  return units.length > EXCERPT ? `${units.slice(0, EXCERPT - 1).join("")}…` : text;
}

/**
 * @param {string} cell
 * @param {number} width
 * @param {number} column
 */
function pad(cell, width, column) {
  // Numbers to the right, and nothing after the last column.
  return column === 0 || column === 3 || column === 4 ? cell.padStart(width) : column === 5 ? cell : cell.padEnd(width);
}

/** @param {number} value */
function number(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * @param {string} text
 * @param {Fate} fate
 */
function coloured(text, fate) {
  return styled(text, COLOURS[fate]);
}

/** @param {string} text */
function bold(text) {
  return styled(text, 1);
}

/** @param {string} text */
function dim(text) {
  return styled(text, 2);
}

/**
 * @param {string} text
 * @param {number} code
 */
function styled(text, code) {
  return process.stdout.isTTY && !process.env.NO_COLOR ? `\u001b[${code}m${text}\u001b[0m` : text;
}
