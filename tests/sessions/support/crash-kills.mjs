// Kills a program at random moments, and compares what it finds afterwards with what it had acknowledged.

import assert from "node:assert/strict";

import { randomNumbers } from "../../providers/support/random.mjs";

const full = !["", "0", undefined].includes(process.env.EPITOME_FULL);
export const kills = Number(process.env.EPITOME_KILLS ?? (full ? 200 : 20));
const seed = Number(process.env.EPITOME_SEED ?? Date.now() % 1_000_000);

/** After so many kills a new conversation begins. */
const PER_CONVERSATION = 10;
/** A program that says nothing for so long has failed, ms. */
const PATIENCE = 120_000;

/**
 * A program that was started.
 *
 * @typedef {object} Run
 * @property {() => Promise<object>} next its next report
 * @property {() => Promise<object[]>} kill ends when it is dead; the reports that it had sent until then
 * @property {() => Promise<boolean>} [hasDeleted] whether the storage itself says that it has deleted everything
 */

/**
 * @param {(conversation: string, undo: "none" | "newest" | "all") => Promise<Run>} start
 * @param {(line: string) => void} tell
 */
export async function killAll(start, tell) {
  tell(`seed ${seed} (EPITOME_SEED repeats its choices), ${kills} kills`);
  const killer = new Killer(start);
  try {
    await killer.run();
    return killer.totals;
  } catch (error) {
    error.message = `after ${killer.totals.kills} kills, seed ${seed}: ${error.message}`;
    throw error;
  } finally {
    tell(killer.summary());
  }
}

const blankTotals = () => ({
  kills: 0,
  early: 0,
  messages: 0,
  compactions: 0,
  undone: 0,
  underWay: {},
  happened: 0,
  deleted: 0,
});

class Killer {
  random = randomNumbers(seed);
  totals = blankTotals();
  began = performance.now();
  /** How long the program took until its first report, and for a step, ms. */
  times = { look: 500, step: 5 };

  constructor(start) {
    this.start = start;
  }

  below(count) {
    return Math.floor(this.random() * count);
  }

  async run() {
    for (let first = 0; first < kills; first += PER_CONVERSATION) {
      const conversation = `conversation ${first / PER_CONVERSATION}`;
      const known = new Known(this.totals);
      const count = Math.min(PER_CONVERSATION, kills - first);
      for (let kill = 0; kill < count; kill += 1) {
        if (kill > 0 && this.below(8) === 0) await this.killEarly(conversation, known);
        else await this.killLater(conversation, known);
        this.totals.kills += 1;
      }
      await this.endWell(conversation, known);
    }
  }

  /** It is killed while it opens the conversation, or looks at it. */
  async killEarly(conversation, known) {
    const delay = this.random();
    const run = await this.start(conversation, "none");
    await pause(delay * this.times.look * 1.2);
    const [first, ...rest] = await run.kill();
    this.totals.early += 1;
    known.mayHavePrepared();
    if (first !== undefined) await known.looked(first, run);
    for (const report of rest) known.take(report);
  }

  /** It is killed somewhere between two reports. */
  async killLater(conversation, known) {
    const undo = ["none", "none", "none", "newest", "newest", "all"][this.below(6)];
    const [steps, delay] = [1 + this.below(12), this.random()];
    const run = await this.start(conversation, undo);
    const rest = await killedAfter(run, async () => {
      const started = performance.now();
      await known.looked(await inTime(run.next()), run);
      const looked = performance.now();
      for (let left = steps; left > 0; left -= 1) known.take(await inTime(run.next()));
      this.times = { look: looked - started, step: (performance.now() - looked) / steps };
      await pause(delay * 2 * this.times.step);
    });
    for (const report of rest) known.take(report);
    const { kind } = known.pending[0];
    this.totals.underWay[kind] = (this.totals.underWay[kind] ?? 0) + 1;
  }

  /** What was found after the last kill. */
  async endWell(conversation, known) {
    const run = await this.start(conversation, "all");
    await killedAfter(run, async () => known.looked(await inTime(run.next()), run));
  }

  summary() {
    const { kills, early, messages, compactions, undone, underWay, happened } = this.totals;
    const minutes = (performance.now() - this.began) / 60_000;
    const steps = Object.entries(underWay).map(([kind, count]) => `${count} ${kind}`);
    return (
      `${kills} kills in ${minutes.toFixed(1)} min (${(kills / minutes).toFixed(0)} a minute): ${early} while it was opened; ` +
      `otherwise with these steps under way: ${steps.join(", ")}; of all these, ${happened} had happened. ` +
      `${messages} messages, ${compactions} compactions, ${undone} taken back`
    );
  }
}

/**
 * @param {Run} run
 * @param {() => Promise<void>} work
 */
async function killedAfter(run, work) {
  try {
    await work();
  } catch (error) {
    await run.kill();
    throw error;
  }
  return run.kill();
}

/** What was acknowledged of a conversation, and what may have happened beyond that. */
export class Known {
  state = { entries: 0, compactions: 0, chain: [] };
  digest = undefined;
  /** Steps under way when it was killed. */
  pending = [];

  constructor(totals = blankTotals()) {
    this.totals = totals;
  }

  mayHavePrepared() {
    this.pending.push({ kind: "prepare" });
  }

  /**
   * The first report of a program.
   *
   * @param {any} report
   * @param {Run} run
   */
  async looked({ found, undone, compaction, digest, next, problems }, run) {
    const isDeleted = found.entries === 0 && this.state.entries > 0 && (await run.hasDeleted?.());
    if (isDeleted) this.forget();
    // Of that, a store may have warned.
    const bad = problems.filter((problem) => !(isDeleted && /^warning store_/.test(problem)));
    assert.deepEqual(bad, []);
    const { digest: shown, ...state } = found;
    const possible = this.pending.reduce((all, step) => all.flatMap((one) => [one, ...after(one, step)]), [this.state]);
    const which = possible.findIndex((one) => JSON.stringify(one) === JSON.stringify(state));
    assert.notEqual(which, -1, `found ${JSON.stringify(state)}, but possible are only ${JSON.stringify(possible)}`);
    if (which === 0 && this.digest !== undefined) assert.equal(shown, this.digest, "the view has changed");
    if (which > 0) this.totals.happened += 1;
    this.state = state;
    this.take({ kind: "undo", undone, digest, next, problems: bad });
    this.take({ kind: "prepare", compaction, digest, next, problems: bad });
  }

  /** Everything was deleted by the storage itself. */
  forget() {
    this.state = { entries: 0, compactions: 0, chain: [] };
    this.digest = undefined;
    this.pending = [];
    this.totals.deleted += 1;
  }

  /** Each other report. */
  take({ kind, ids = [], undone = [], compaction, digest, next, problems }) {
    assert.deepEqual(problems, []);
    const { state, totals } = this;
    if (kind === "append") assert.ok(ids.length > 0, "nothing was appended");
    for (const id of ids) assert.equal(id, state.entries++, "entries are numbered one after the other");
    for (const id of undone) assert.equal(id, state.chain.pop(), "the newest compaction is taken back");
    if (compaction !== undefined) {
      assert.equal(compaction, state.compactions++, "compactions are numbered one after the other");
      state.chain.push(compaction);
      totals.compactions += 1;
    }
    totals.messages += ids.length;
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

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Fails where something never comes. */
export function inTime(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("the program says nothing")), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
