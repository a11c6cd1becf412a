// Where the values of a JSON text are. What is echoed is copied from the text, so that numbers such as `1e2`, escapes,
// key order and whitespace come out as they went in; `JSON.stringify` would keep none of these.
//
// Everything here takes text that `JSON.parse` has accepted, and none of it recurses over the input's depth.

/** @typedef {{ readonly start: number, readonly end: number }} Span */
/** @typedef {{ readonly key: string, readonly keyStart: number, readonly start: number, readonly end: number }} Member */

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;

/**
 * The first place at or after `at` that is no whitespace.
 *
 * @param {string} text
 * @param {number} at
 */
export function skipSpace(text, at) {
  for (;;) {
    const unit = text.charCodeAt(at);
    if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return at;
    at += 1;
  }
}

/**
 * The items of the array that begins at `at`.
 *
 * @param {string} text
 * @param {number} at
 */
export function itemSpans(text, at) {
  /** @type {Span[]} */
  const items = [];
  let next = skipSpace(text, at + 1);
  while (text[next] !== "]") {
    const end = valueEnd(text, next);
    items.push({ start: next, end });
    next = skipSpace(text, end);
    if (text.charCodeAt(next) === COMMA) next = skipSpace(text, next + 1);
  }
  return items;
}

/**
 * The members of the object that begins at `at`.
 *
 * @param {string} text
 * @param {number} at
 */
export function memberSpans(text, at) {
  /** @type {Member[]} */
  const members = [];
  let next = skipSpace(text, at + 1);
  while (text[next] !== "}") {
    const keyEnd = stringEnd(text, next);
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = valueEnd(text, start);
    members.push({ key: JSON.parse(text.slice(next, keyEnd)), keyStart: next, start, end });
    next = skipSpace(text, end);
    if (text.charCodeAt(next) === COMMA) next = skipSpace(text, next + 1);
  }
  return members;
}

const NOT_STRUCTURE = /[^"[\]{}]*/y;
const SCALAR = /[^\s,\]}]*/y;

/**
 * @param {string} text
 * @param {number} at
 */
function valueEnd(text, at) {
  const first = text.charCodeAt(at);
  if (first === QUOTE) return stringEnd(text, at);
  if (text[at] !== "{" && text[at] !== "[") {
    SCALAR.lastIndex = at;
    SCALAR.test(text);
    return SCALAR.lastIndex;
  }
  let depth = 0;
  for (;;) {
    NOT_STRUCTURE.lastIndex = at;
    NOT_STRUCTURE.test(text);
    at = NOT_STRUCTURE.lastIndex;
    const found = text[at];
    if (found === '"') {
      at = stringEnd(text, at);
      continue;
    }
    at += 1;
    if (found === "{" || found === "[") {
      depth += 1;
    } else {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
}

/**
 * @param {string} text
 * @param {number} at
 */
function stringEnd(text, at) {
  for (;;) {
    at = text.indexOf('"', at + 1);
    let escapes = 0;
    while (text.charCodeAt(at - 1 - escapes) === BACKSLASH) escapes += 1;
    if (escapes % 2 === 0) return at + 1;
  }
}
