// Kills a program at random moments, and compares what it finds afterwards with what it had acknowledged.

import assert from "node:assert/strict";

import { randomNumbers } from "../../providers/support/random.mjs";

export const full = !["", "0", undefined].includes(process.env.EPITOME_FULL);
export const kills = Number(process.env.EPITOME_KILLS ?? (full ? 200 : 20));
export const seed = Number(process.env.EPITOME_SEED ?? Date.now() % 1_000_000);

/** After so many kills a new conversation begins. */
const PER_CONVERSATION = 20;
/** Nothing takes longer, ms. */
const PATIENCE = 120_000;

/**
 * A program that was started.
 *
 * @typedef {object} Run
 * @property {() => Promise<object>} next its next report
 * @property {() => Promise<object[]>} kill ends when it is dead; the reports that it had sent until then
 */

/**
 * @param {(conversation: string, undo: "none" | "newest" | "all") => Promise<Run>} start
 * @param {(line: string) => void} tell
 */
export async function killAll(start, tell) {
  const random = randomNumbers(seed);
  const below = (count) => Math.floor(random() * count);
  const totals = { kills: 0, early: 0, appended: 0, made: 0, undone: 0, took: 0, inFlight: 0, found: 0 };
  const began = Date.now();
  tell(`seed ${seed} (EPITOME_SEED repeats it), ${kills} kills`);
  let known = new Known();
  try {
    for (let kill = 0; ; kill += 1) {
      const isLast = kill === kills;
      if (kill % PER_CONVERSATION === 0 && !isLast) known = new Known();
      const conversation = `conversation ${Math.floor(Math.min(kill, kills - 1) / PER_CONVERSATION)}`;
      const isEarly = !isLast && kill % PER_CONVERSATION > 0 && below(8) === 0;
      const undo = isEarly ? "none" : ["none", "none", "none", "newest", "newest", "all"][below(6)];
      const [reports, delay] = [1 + below(12), random()];
      const startedAt = performance.now();
      const run = await start(conversation, undo);
      let rest;
      try {
        if (isEarly) {
          // It is killed while it opens the conversation, or looks at it.
          await pause(delay * totals.took * 1.2);
          totals.early += 1;
          known.mayHave({ kind: "prepare" });
        } else {
          known.looked(await inTime(run.next()), totals);
          totals.took = performance.now() - startedAt;
          for (let left = isLast ? 0 : reports; left > 0; left -= 1) known.take(await inTime(run.next()), totals);
          await pause(delay * delay * 60);
        }
      } finally {
        rest = await run.kill();
      }
      for (const [at, report] of rest.entries()) {
        if (isEarly && at === 0) known.looked(report, totals);
        else known.take(report, totals);
      }
      if (isLast) break;
      totals.kills += 1;
    }
  } catch (error) {
    error.message = `after ${totals.kills} kills of seed ${seed}: ${error.message}`;
    throw error;
  }
  const minutes = (Date.now() - began) / 60_000;
  const { early, appended, made, undone, inFlight, found } = totals;
  tell(
    `${totals.kills} kills (${early} of them while opening) in ${minutes.toFixed(1)} min, ${(totals.kills / minutes).toFixed(1)} a minute: ` +
      `${appended} messages, ${made} compactions, ${undone} taken back; of ${found} steps under way, ${inFlight} had happened`,
  );
  return totals;
}

/** What was acknowledged of a conversation, and what may have happened beyond that. */
class Known {
  state = { entries: 0, compactions: 0, chain: [] };
  digest = undefined;
  /** Steps under way when it was killed. */
  pending = [];

  mayHave(step) {
    this.pending.push(step);
  }

  /** The first report of a program. */
  looked(report, totals) {
    const { found, undone, compaction } = report;
    const { digest, ...state } = found;
    assert.deepEqual(report.problems, [], "problems");
    const possible = this.pending.reduce(
      (states, step) => states.flatMap((state) => [state, ...after(state, step)]),
      [this.state],
    );
    const which = possible.findIndex((one) => JSON.stringify(one) === JSON.stringify(state));
    assert.notEqual(which, -1, `found ${JSON.stringify(state)}, but only these can be: ${JSON.stringify(possible)}`);
    if (which === 0 && this.digest !== undefined) assert.equal(digest, this.digest, "the view is the one acknowledged");
    totals.found += this.pending.length;
    totals.inFlight += which > 0 ? 1 : 0;
    this.state = state;
    const { digest: shown, next } = report;
    this.take({ kind: "undo", undone, digest: shown, next, problems: [] }, totals);
    this.take({ kind: "prepare", compaction, digest: shown, next, problems: [] }, totals);
  }

  /** One more report. */
  take({ kind, ids = [], undone = [], compaction, digest, next, problems }, totals) {
    assert.deepEqual(problems, [], "problems");
    const { state } = this;
    const expected = ids.map((_, at) => state.entries + at);
    assert.deepEqual(ids, expected, "entries are numbered one after the other");
    if (kind === "append") assert.ok(ids.length > 0, "something was appended");
    state.entries += ids.length;
    for (const id of undone) assert.equal(id, state.chain.pop(), "the newest compaction is taken back");
    if (compaction !== undefined) {
      assert.equal(compaction, state.compactions, "compactions are numbered one after the other");
      state.chain.push(compaction);
      state.compactions += 1;
      totals.made += 1;
    }
    totals.appended += ids.length;
    totals.undone += undone.length;
    this.digest = digest;
    this.pending = [next];
  }
}

/** What a step may have led to, other than to nothing. */
function after({ entries, compactions, chain }, { kind, count }) {
  if (kind === "append") return [{ entries: entries + count, compactions, chain }];
  if (kind === "undo") return chain.length === 0 ? [] : [{ entries, compactions, chain: chain.slice(0, -1) }];
  return [{ entries, compactions: compactions + 1, chain: [...chain, compactions] }];
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Fails where something never comes. */
export async function inTime(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("nothing was heard of it")), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
