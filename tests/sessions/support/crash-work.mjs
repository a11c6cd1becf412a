// What the program does that is killed: it looks at what it finds in its store, says so, and goes on with the conversation.
// The same in Node.js, in a page, and in a Durable Object.

import { FORMAT, nextStep, Script } from "./crash-script.mjs";

export class Work {
  /** What is wrong with what was seen since the last report. */
  problems = [];

  /**
   * Opens the conversation.
   *
   * @param {object} epitome `Session`, `memory`, `repair`, `validate`
   * @param {object} store
   * @param {string} id
   */
  static async open(epitome, store, id) {
    const work = new Work();
    Object.assign(work, { epitome, store, id, script: new Script(id) });
    work.session = await work.opened(store, id);
    return work;
  }

  async opened(store, id) {
    const session = await this.epitome.Session.open({ ...this.script.options, store, id });
    session.on("warning", ({ code, message }) => this.problems.push(`warning ${code}: ${message}`));
    return session;
  }

  expect(isSo, problem) {
    if (!isSo) this.problems.push(problem);
  }

  // ------------------------------------------------------------------------------------------------------------ looking

  /**
   * How things are.
   *
   * @param {"none" | "newest" | "all"} undo what is taken back, once everything has been looked at
   */
  async look(undo) {
    const found = await this.found();
    await this.checkCopy(found);
    const undone = await this.takeBack(this.session, undo);
    const { compaction } = await this.prepared("prepare");
    this.entries = found.entries;
    this.since = { prepared: true };
    return this.said({ found, undone, compaction });
  }

  /** What was there when the conversation was opened. */
  async found() {
    const digest = await this.viewDigest(this.session, "as it was found");
    const other = await this.opened(this.store, this.id);
    this.expect((await this.viewDigest(other, "opened again")) === digest, "opened again, it looks different");
    await other.close();
    const entries = await this.checkHistory(this.session);
    const compactions = await this.session.compactions();
    return { entries, compactions: compactions.length, chain: this.chainOf(compactions), digest };
  }

  /** How many entries there are. */
  async checkHistory(session) {
    let entries = 0;
    for await (const { id, message, shortened } of session.history()) {
      this.expect(id === entries, `entry ${entries} of the history has the number ${id}`);
      const mayBeShortened = this.script.isThrifty && this.script.isLong(entries);
      const isRight = JSON.stringify(message) === JSON.stringify(this.script.message(entries));
      this.expect(shortened ? mayBeShortened : isRight, `entry ${entries} is not what was appended`);
      entries += 1;
    }
    this.expect(
      session.meter().entries === entries,
      `the history has ${entries} of ${session.meter().entries} entries`,
    );
    return entries;
  }

  /** The compactions in force, oldest first. */
  chainOf(compactions) {
    for (const [at, made] of compactions.entries()) {
      const { id, inForce, undone, tokensBefore, tokensAfter, hidden, edited } = made;
      this.expect(id === at, `compaction ${at} has the number ${id}`);
      this.expect(inForce !== undone, `compaction ${id} is neither in force nor taken back, or both`);
      this.expect(tokensAfter < tokensBefore, `compaction ${id} has made nothing smaller`);
      this.expect(hidden.length + edited.length > 0, `compaction ${id} has done nothing`);
    }
    const chain = compactions.filter(({ inForce }) => inForce);
    for (const [at, { id, parent }] of chain.entries()) {
      this.expect((parent ?? -1) === (chain[at - 1]?.id ?? -1), `compaction ${id} was made from ${parent}`);
    }
    return chain.map(({ id }) => id);
  }

  async viewDigest(session, when) {
    const view = session.view();
    const violations = this.epitome.validate(view, { format: FORMAT });
    this.expect(violations.length === 0, `the view ${when} is not valid: ${JSON.stringify(violations)}`);
    return digestOf(view);
  }

  /** Takes every compaction of a copy back. */
  async checkCopy({ chain, digest }) {
    const { Session, memory } = this.epitome;
    const store = memory();
    const imported = await Session.import(await this.session.export(), { ...this.script.options, store, id: "copy" });
    await imported.close();
    const copy = await this.opened(store, "copy");
    this.expect((await this.viewDigest(copy, "of a copy")) === digest, "a copy looks different");
    const undone = await this.takeBack(copy, "all");
    this.expect(undone.join() === chain.toReversed().join(), `of ${chain}, those were taken back: ${undone}`);
    await copy.close();
  }

  /**
   * @param {object} session
   * @param {"none" | "newest" | "all"} which
   * @returns {Promise<number[]>} the compactions that were taken back
   */
  async takeBack(session, which) {
    const inForce = this.chainOf(await session.compactions());
    const wanted = { none: 0, newest: Math.min(1, inForce.length), all: inForce.length }[which];
    const undone = [];
    for (let left = wanted; left > 0; left -= 1) {
      undone.push(...(await session.undo()));
      await this.viewDigest(session, `without compaction ${undone.at(-1)}`);
    }
    if (wanted === 0) return undone;
    const entries = await this.checkHistory(session);
    if (wanted === inForce.length) {
      const isWhole = (await digestOf(session.view())) === (await this.wholeDigest(session, entries));
      this.expect(isWhole, "without any compaction, the view is not the whole conversation");
    }
    return undone;
  }

  /**
   * That of the whole conversation, as it is without any compaction: long results are shown shortened, and to a call at the
   * end that has no result yet there is one that says so.
   */
  async wholeDigest(session, entries) {
    const view = session.view();
    const { script, epitome } = this;
    const shown = script.messages(0, entries).map((message, at) => (script.isLong(at) ? view[at] : message));
    return digestOf(epitome.repair(shown, { format: FORMAT }).messages);
  }

  // ----------------------------------------------------------------------------------------------------------- going on

  /** The next step of the conversation. */
  async step() {
    const { kind, count } = nextStep(this.entries, this.since);
    return this.said({ kind, ...(await this[kind](count)) });
  }

  async append(count) {
    const ids = await this.session.append(this.script.messages(this.entries, this.entries + count));
    this.entries += count;
    this.since = {};
    return { ids };
  }

  async prepare() {
    this.since.prepared = true;
    return this.prepared("prepare");
  }

  async compactNow() {
    this.since.prepared = true;
    return this.prepared("compactNow");
  }

  async prepared(how) {
    const { report, compaction, messages } = await this.session[how]();
    this.expect(report.after <= report.limit, `${report.after} tokens do not fit into ${report.limit}`);
    const isShown = (await digestOf(messages)) === (await this.viewDigest(this.session, `after ${how}`));
    this.expect(isShown, `${how} returns another view than is shown`);
    return { compaction };
  }

  async undo() {
    this.since.undone = true;
    return { undone: await this.takeBack(this.session, "newest") };
  }

  /** What is reported: it has happened. */
  async said(what) {
    return {
      ...what,
      digest: await digestOf(this.session.view()),
      next: nextStep(this.entries, this.since),
      problems: this.problems.splice(0),
    };
  }
}

async function digestOf(view) {
  const bytes = new TextEncoder().encode(JSON.stringify(view));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
