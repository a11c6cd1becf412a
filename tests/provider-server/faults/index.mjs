// What can go wrong, by the first segment of the path: `/<fault>/...`, or `/<fault>,<n>/...` for the first `n` requests
// of an `x-test-id` (without one, of a path) only.

import { answerFaults } from "./answers.mjs";
import { bodyFaults } from "./bodies.mjs";
import { context, retryAfter, statusFaults } from "./statuses.mjs";
import { streamFaults } from "./streams.mjs";

/** @type {Record<string, (exchange: import("../exchange.mjs").Exchange) => Promise<void>>} */
const table = {
  ...answerFaults,
  ...statusFaults,
  ...bodyFaults,
  ...streamFaults,
  // The headers are left out before this is called.
  "no-cors": answerFaults.ok,
};

/** The names of all faults without a number in them. */
export const faultNames = Object.keys(table);

/** Faults that act before the key is looked at. */
export const beforeKey = ["echo-key"];

const numbered = [
  [/^retry-after-(\d+(?:\.\d+)?)$/, (seconds) => retryAfter(seconds)],
  [/^context-(\d+)$/, (limit) => context(limit, false)],
];

/**
 * The fault of a path segment, or nothing when it names none.
 * @param {string} segment
 * @param {(name: string) => number} count how often it was asked for, this time included
 * @returns {{ name: string, act: (exchange: import("../exchange.mjs").Exchange) => Promise<void> } | undefined}
 */
export function faultOf(segment, count) {
  const [, name, times] = /^([a-z0-9.-]+?)(?:,(\d+))?$/.exec(segment) ?? [];
  if (name === undefined) return undefined;
  const fault = chosen(name, count);
  const isOver = times !== undefined && fault && count(segment) > Number(times);
  return isOver ? named("ok") : fault;
}

function chosen(name, count) {
  const [, flaky] = /^flaky-(\d+)$/.exec(name) ?? [];
  if (flaky !== undefined) return named(count(name) > Number(flaky) ? "ok" : "s503");
  const [, seed, fits] = /^random-(\d+)(-fits)?$/.exec(name) ?? [];
  if (seed !== undefined) return named(drawn(fits ? fitting : faultNames, Number(seed), count(name)));
  return named(name);
}

function named(name) {
  if (Object.hasOwn(table, name)) return { name, act: table[name] };
  for (const [pattern, make] of numbered) {
    const [, number] = pattern.exec(name) ?? [];
    if (number !== undefined) return { name, act: make(Number(number)) };
  }
  return undefined;
}

/** Those that say nothing of how long a prompt may be, which a provider would remember. */
const fitting = faultNames.filter((name) => !/^(?:context|truncated-prompt|s413)/.test(name));

/** The `n`th draw of a seed: in half of them nothing goes wrong. */
function drawn(names, seed, n) {
  const number = scrambled(seed * 2_654_435_761 + n);
  if (number % 2 === 0) return "ok";
  return names[(number >>> 1) % names.length];
}

/** 32 bits that depend on all bits of the input. */
function scrambled(value) {
  let bits = value >>> 0;
  for (const factor of [0x7feb352d, 0x846ca68b]) {
    bits = Math.imul(bits ^ (bits >>> 16), factor) >>> 0;
  }
  return (bits ^ (bits >>> 15)) >>> 0;
}
