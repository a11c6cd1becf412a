// One of several who write to the same conversation, wherever it runs: a tab, a worker, a process. Imports nothing.

/** How many tokens a view may have: about forty messages, so that it is compacted again and again. */
export const budget = { window: 2_400, reserve: 0 };

/** Every so many batches the view is prepared. */
const EVERY = 3;

/** Which message a text is: whose, and which of theirs. */
export const markOf = (text) => /"content":"\[([\w-]+) (\d+)\]/.exec(text)?.slice(1);

/** The messages of a writer, in the batches that are appended at once: a call and its result must not be torn apart. */
export function batchesOf(name, count) {
  const batches = [];
  for (let number = 0; number < count; ) {
    const isCall = number % 5 === 3 && number + 1 < count;
    batches.push(isCall ? [call(name, number), result(name, number + 1)] : [plain(name, number)]);
    number += isCall ? 2 : 1;
  }
  return batches;
}

const said = (name, number) =>
  `[${name} ${number}] src/part_${number % 11}.rs has to work as before, whatever the input is. ${"So it was said. ".repeat(8)}`;

const plain = (name, number) => ({ role: number % 2 === 0 ? "user" : "assistant", content: said(name, number) });

const call = (name, number) => ({
  role: "assistant",
  content: said(name, number),
  tool_calls: [{ id: `${name}_${number}`, type: "function", function: { name: "look", arguments: '{"at":"part"}' } }],
});

const result = (name, number) => ({
  role: "tool",
  tool_call_id: `${name}_${number - 1}`,
  content: `${said(name, number)} ${"There is one line more of it. ".repeat(12)}`,
});

export class Writer {
  /**
   * @param {object} world
   * @param {any} world.epitome the package's entry `session`
   * @param {object} world.store
   * @param {string} world.conversation
   * @param {string} world.name
   * @param {((request: { prompt: string, step: number, signal: AbortSignal }) => Promise<string>)} [world.model] answers
   *   requests of a step; without it there is no model
   */
  constructor({ epitome, store, conversation, name, model }) {
    Object.assign(this, { epitome, store, conversation, name, model });
    this.problems = [];
    /** How often a model was asked for a compaction: with one request or with several. */
    this.steps = 0;
    /** Numbers of the entries that were acknowledged, in the order of the messages. */
    this.ids = [];
    this.prepared = 0;
    this.compacted = 0;
    /** How often it was heard that another one has written. */
    this.changes = 0;
  }

  async open() {
    const { epitome, store, conversation, model } = this;
    const provider = ({ number, messages }, { signal }) => {
      if (number === 1) this.steps += 1;
      return model({ prompt: messages.at(-1).content, step: this.steps, signal });
    };
    this.session = await epitome.Session.open({
      id: conversation,
      budget,
      store,
      format: "openai-chat",
      policy: { cooldownTurns: 0 },
      ...(model && { provider }),
    });
    this.session.on("changed", ({ local }) => {
      if (local) return;
      this.changes += 1;
      this.wake?.();
    });
    this.session.on("warning", ({ code, message }) => {
      // A view so small is not worth every summary.
      if (code !== "summary_refused") this.problems.push(`${code}: ${message}`);
    });
  }

  async write(count) {
    let step = 0;
    for (const batch of batchesOf(this.name, count)) {
      try {
        this.ids.push(...(await this.session.append(batch)));
        step += 1;
        if (step % EVERY === 0) await this.prepare(step % (3 * EVERY) === 0 ? "never" : "auto");
        this.check("view()", this.session.view());
      } catch (error) {
        this.problems.push(String(error?.stack ?? error));
      }
    }
    return { ids: this.ids, prepared: this.prepared };
  }

  /** @param {"auto" | "never"} wait */
  async prepare(wait = "auto") {
    this.prepared += 1;
    const { messages, report, compaction } = await this.session.prepare({ wait });
    if (compaction !== undefined) this.compacted += 1;
    this.check(`prepare(${wait})`, messages);
    const tokens = this.epitome.countTokens(messages);
    if (tokens > report.limit) this.problems.push(`prepare(${wait}): ${tokens} tokens of ${report.limit} at most`);
  }

  check(what, messages) {
    for (const { rule, index, message } of this.epitome.validate(messages, { format: "openai-chat" })) {
      this.problems.push(`${what}: ${rule} at ${index}: ${message}`);
    }
  }

  /** What others have written is known afterwards. */
  async compactions() {
    return this.session.compactions();
  }

  view() {
    return JSON.stringify(this.session.view());
  }

  async history() {
    const entries = [];
    for await (const { id, message } of this.session.history()) entries.push([id, JSON.stringify(message)]);
    return entries;
  }

  async say(text) {
    await this.session.append({ role: "user", content: text });
  }

  /** Waits until somebody else is heard to have written this, without asking for it. */
  async hears(text) {
    while (!this.view().includes(text)) {
      await new Promise((resolve) => {
        this.wake = resolve;
      });
    }
  }

  report() {
    const { problems, changes, compacted, prepared } = this;
    return { problems, changes, compacted, prepared };
  }

  async close() {
    await this.session.close();
    await this.store.close();
  }
}
