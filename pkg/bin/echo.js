// Carries out a recipe on JSON text: what no edit touches is copied byte for byte.

import { changeTree, isKeep, isRemoval } from "../recipe.js";
import { itemSpans, memberSpans } from "./spans.js";

/** @import { PathStep, Change } from "../index.d.ts" */
/** @import { ChangeNode, Recipe } from "../recipe.js" */
/** @import { Conversation } from "./documents.js" */

/**
 * The messages of a recipe as a JSON array.
 *
 * @param {Recipe} recipe
 * @param {Conversation} conversation
 */
export function echo(recipe, conversation) {
  const raw = (/** @type {number} */ index) => conversation.rawMessage(index);
  /** @type {string[]} */
  const messages = [];
  for (const item of recipe.items) {
    if (isKeep(item)) {
      for (let index = item[0]; index < item[1]; index += 1) messages.push(raw(index));
    } else if ("edit" in item) {
      messages.push(edited(raw(item.edit), changeTree(item.changes)));
    } else {
      messages.push(JSON.stringify(item.insert));
    }
  }
  return `[${messages.join(",")}]`;
}

/**
 * The text of one value with some of its fields changed. As deep as the paths of the changes, which the core makes.
 *
 * @param {string} text
 * @param {ChangeNode} node
 * @returns {string}
 */
export function edited(text, node) {
  /** @type {{ start: number, end: number, text: string }[]} */
  const replacements = [];
  const isArray = text.startsWith("[");
  const fields = isArray
    ? itemSpans(text, 0).map((span, index) => ({ ...span, key: index, keyStart: span.start }))
    : memberSpans(text, 0);
  // When a key occurs twice the last one counts, as in `JSON.parse`.
  const last = new Map(fields.map((field) => [/** @type {PathStep} */ (field.key), field]));
  const removed = new Set();
  /** @type {string[]} */
  const added = [];
  for (const [key, change] of node) {
    const field = last.get(key);
    if (isRemoval(change)) {
      removed.add(key);
    } else if (change instanceof Map) {
      if (field) replacements.push({ ...field, text: edited(text.slice(field.start, field.end), change) });
    } else if (field) {
      replacements.push({ ...field, text: JSON.stringify(change.value) });
    } else {
      added.push(`${JSON.stringify(String(key))}:${JSON.stringify(change.value)}`);
    }
  }
  if (removed.size === 0 && added.length === 0) return spliced(text, replacements);
  const byStart = new Map(replacements.map((replacement) => [replacement.start, replacement]));
  const kept = fields
    .filter((field) => !removed.has(field.key))
    .map((field) => {
      const replacement = byStart.get(field.start);
      return replacement
        ? text.slice(field.keyStart, field.start) + replacement.text
        : text.slice(field.keyStart, field.end);
    });
  const body = [...kept, ...added].join(",");
  return isArray ? `[${body}]` : `{${body}}`;
}

/**
 * @param {string} text
 * @param {{ start: number, end: number, text: string }[]} replacements
 */
function spliced(text, replacements) {
  let result = "";
  let at = 0;
  for (const replacement of replacements.sort((a, b) => a.start - b.start)) {
    result += text.slice(at, replacement.start) + replacement.text;
    at = replacement.end;
  }
  return result + text.slice(at);
}
