// What has to hold when several have written to one conversation.

import assert from "node:assert/strict";

import { markOf } from "./tabs-writer.mjs";

/**
 * Every message is there once, those of each writer in their order, where it was said to be.
 *
 * @param {readonly (readonly [id: number, text: string])[]} history
 * @param {Record<string, readonly number[]>} acknowledged numbers of the entries, by writer
 * @param {number} count how many messages each has
 */
export function assertComplete(history, acknowledged, count) {
  const writers = Object.keys(acknowledged);
  assert.equal(history.length, writers.length * count);
  history.forEach(([id], at) => {
    assert.equal(id, at, "numbers have no gaps");
  });
  const numbers = Object.fromEntries(writers.map((name) => [name, []]));
  const found = Object.fromEntries(writers.map((name) => [name, []]));
  for (const [id, text] of history) {
    const [name, number] = markOf(text);
    numbers[name].push(Number(number));
    found[name].push(id);
  }
  const inOrder = Array.from({ length: count }, (_, at) => at);
  for (const name of writers) {
    assert.deepEqual(numbers[name], inOrder, `the messages of ${name}`);
    assert.deepEqual(acknowledged[name], found[name], `what ${name} was told`);
  }
}

/** One follows the other, each made from the view of the one before. */
export function assertOneChain(compactions) {
  compactions.forEach(({ id, parent, inForce, undone, through }, at) => {
    const before = compactions[at - 1];
    assert.deepEqual(
      { id, parent: parent ?? undefined, inForce, undone },
      { id: at, parent: before?.id, inForce: true, undone: false },
    );
    if (before !== undefined) assert.ok(through >= before.through, `compaction ${id} ends before ${before.id}`);
  });
}

/**
 * From the first to the last request of one step nobody else asks anything.
 *
 * @param {readonly { who: string, step: number, start: number, end: number }[]} requests
 */
export function assertOneAtATime(requests) {
  /** @type {Map<string, { who: string, step: number, start: number, end: number }>} */
  const steps = new Map();
  for (const request of requests) {
    const key = `${request.who} ${request.step}`;
    const { start = Infinity, end = 0 } = steps.get(key) ?? {};
    steps.set(key, { ...request, start: Math.min(start, request.start), end: Math.max(end, request.end) });
  }
  const sorted = [...steps.values()].sort((a, b) => a.start - b.start);
  for (const [at, step] of sorted.entries()) {
    const next = sorted[at + 1];
    if (next !== undefined) assert.ok(step.end <= next.start, `${JSON.stringify([step, next])} at once`);
  }
}
