// What the program does that is killed: it looks at what it finds in its store, says so, and goes on with the conversation.
// The same in Node.js, in a page, and in a Durable Object.

import { messages, nextStep, OPTIONS } from "./crash-script.mjs";

export class Work {
  /**
   * Opens the conversation.
   *
   * @param {object} epitome `Session`, `validate`, `memory`
   * @param {object} store
   * @param {string} id
   */
  static async open(epitome, store, id) {
    const work = new Work();
    Object.assign(work, { epitome, store, id, problems: [] });
    work.session = await work.opened(store, id);
    return work;
  }

  async opened(store, id) {
    const session = await this.epitome.Session.open({ ...OPTIONS, store, id });
    session.on("warning", ({ code, message }) => this.problems.push(`warning ${code}: ${message}`));
    return session;
  }

  // -------------------------------------------------------------------------------------------------------- looking

  /**
   * How things are.
   *
   * @param {"none" | "newest" | "all"} undo what is taken back, once everything has been looked at
   */
  async look(undo) {
    const found = await this.found();
    await this.checkCopy(found.chain);
    const undone = await this.takeBack(this.session, undo);
    const { compaction } = await this.prepared("prepare");
    this.entries = found.entries;
    this.since = { prepared: true };
    return { found, undone, ...(await this.said({ compaction })) };
  }

  /** What was there when the conversation was opened. */
  async found() {
    const history = [];
    for await (const entry of this.session.history()) history.push(entry);
    this.checkHistory(history);
    const compactions = await this.session.compactions();
    const digest = await this.checkView(this.session, "as it was found");
    const other = await this.opened(this.store, this.id);
    if ((await this.checkView(other, "opened a second time")) !== digest)
      this.problems.push("opened again it looks different");
    await other.close();
    return {
      entries: history.length,
      compactions: compactions.length,
      chain: this.chainOf(compactions),
      digest,
    };
  }

  checkHistory(history) {
    const expected = messages(0, history.length);
    history.forEach(({ id, message, shortened }, at) => {
      if (id !== at) this.problems.push(`entry ${at} of the history has the number ${id}`);
      if (shortened) this.problems.push(`entry ${at} is not whole`);
      if (JSON.stringify(message) !== JSON.stringify(expected[at]))
        this.problems.push(`entry ${at} is another message`);
    });
  }

  /** The compactions in force, oldest first. */
  chainOf(compactions) {
    const inForce = compactions.filter((made) => made.inForce);
    compactions.forEach((made, at) => {
      const { id, inForce, undone, tokensBefore, tokensAfter, hidden, edited } = made;
      if (id !== at) this.problems.push(`compaction ${at} has the number ${id}`);
      if (inForce === undone) this.problems.push(`compaction ${at} is neither in force nor undone, or both`);
      if (tokensAfter >= tokensBefore) this.problems.push(`compaction ${at} made nothing smaller`);
      if (hidden.length + edited.length === 0) this.problems.push(`compaction ${at} did nothing`);
    });
    inForce.forEach(({ id, parent }, at) => {
      if ((parent ?? -1) !== (inForce[at - 1]?.id ?? -1))
        this.problems.push(`compaction ${id} was made from ${parent}`);
    });
    return inForce.map(({ id }) => id);
  }

  /** Its digest. */
  async checkView(session, when) {
    const view = session.view();
    const violations = this.epitome.validate(view, { format: OPTIONS.format });
    if (violations.length > 0) this.problems.push(`the view ${when} is not valid: ${JSON.stringify(violations)}`);
    return digestOf(view);
  }

  /** Takes back every compaction of a copy. */
  async checkCopy(chain) {
    const store = this.epitome.memory();
    await this.epitome.Session.import(await this.session.export(), { ...OPTIONS, store, id: "copy" }).then((copy) =>
      copy.close(),
    );
    const copy = await this.opened(store, "copy");
    if ((await digestOf(copy.view())) !== (await digestOf(this.session.view())))
      this.problems.push("a copy looks different");
    const undone = await this.takeBack(copy, "all");
    if (undone.join() !== chain.toReversed().join())
      this.problems.push(`of ${chain}, those were taken back: ${undone}`);
    await copy.close();
  }

  async takeBack(session, undo) {
    const all = [];
    const chain = (await session.compactions()).filter(({ inForce }) => inForce);
    for (
      let left = undo === "all" ? chain.length : Math.min(chain.length, undo === "newest" ? 1 : 0);
      left > 0;
      left -= 1
    ) {
      all.push(...(await session.undo()));
      await this.checkView(session, `without compaction ${all.at(-1)}`);
    }
    const { entries } = session.meter();
    if (undo === "all" && (await digestOf(session.view())) !== (await this.wholeDigest(session, entries))) {
      this.problems.push("without any compaction, the view is not the whole conversation");
    }
    const history = [];
    for await (const entry of session.history()) history.push(entry);
    if (history.length !== entries) this.problems.push(`${history.length} of ${entries} entries are left`);
    this.checkHistory(history);
    return all;
  }

  /**
   * That of the whole conversation, as it is without any compaction: long results are shown shortened, and to a call at the
   * end that has no result yet there is one that says so.
   */
  async wholeDigest(session, entries) {
    const view = session.view();
    const isLong = ({ content }) => content !== null && content.length > OPTIONS.overflow.threshold;
    const shown = messages(0, entries).map((message, at) => (isLong(message) ? view[at] : message));
    return digestOf(this.epitome.repair(shown, { format: OPTIONS.format }).messages);
  }

  // ---------------------------------------------------------------------------------------------------------- going on

  /** The next step of the conversation. */
  async step() {
    const { kind, count } = nextStep(this.entries, this.since);
    return this.said({ kind, ...(await this[kind](count)) });
  }

  async append(count) {
    const ids = await this.session.append(messages(this.entries, this.entries + count));
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
    const { report, compaction } = await this.session[how]();
    if (report.after > report.limit) this.problems.push(`${report.after} tokens do not fit into ${report.limit}`);
    await this.checkView(this.session, `after ${how}`);
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
