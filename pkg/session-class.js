// `Session`: a conversation over a store, for the host. Its options are checked here, its messages made texts and back.

import { completed } from "./calls.js";
import { durable } from "./durable.js";
import { describe, invalidOption } from "./errors.js";
import { Core } from "./session-core.js";
import { Events } from "./session-events.js";
import { callOptions, listenerOf, openOptions, wholeNumber } from "./session-options.js";
import { inputTokensOf } from "./session-usage.js";
import { storeOn } from "./store-bridge.js";
import { run } from "./task.js";
import { Writer } from "./wire.js";

/** @import { SessionInstance } from "./task.js" */

/** How many entries are read at once. */
const CHUNK = 64;
/** Says that a session was opened here. */
const OPENED = Symbol("opened");

/**
 * The class `Session` of an entry.
 *
 * @param {SessionInstance} instance
 * @param {() => Promise<void>} init
 */
export function sessionOn(instance, init) {
  const forgotten = new FinalizationRegistry((/** @type {Core} */ core) => void core.close());

  class Session {
    /** @type {Core} */
    #core;
    /** @type {Events} */
    #events;
    /** @type {Promise<void> | undefined} */
    #behind;

    /**
     * @param {symbol} opened
     * @param {Core} core
     * @param {Events} events
     */
    constructor(opened, core, events) {
      if (opened !== OPENED)
        throw invalidOption("new", "is not how to get a session: use `await Session.open(options)`");
      this.#core = core;
      this.#events = events;
      forgotten.register(this, core);
    }

    /** @param {unknown} options */
    static async open(options) {
      const { settings, signal } = openOptions(options);
      const events = new Events();
      const core = new Core(instance, init, settings, events);
      const session = new Session(OPENED, core, events);
      try {
        await core.open(signal, session);
      } catch (error) {
        core.close();
        throw error;
      }
      return session;
    }

    /**
     * @param {unknown} file
     * @param {unknown} options
     */
    static async import(file, options) {
      if (typeof file !== "string") throw invalidOption("file", `must be a text, but is ${describe(file)}`);
      const { settings, signal } = openOptions(options);
      await init();
      const writer = new Writer();
      await run(instance, [], { patienceMs: 60_000 }, signal, (host) => {
        const store = storeOn(instance, settings.store);
        return sent(writer, [settings.id, file], (length) =>
          instance.call((glue) => glue.session_import(store, length, host)),
        );
      });
      return Session.open({ .../** @type {object} */ (options), store: settings.store });
    }

    get id() {
      return this.#core.settings.id;
    }

    // ------------------------------------------------------------------------------------------------------- messages

    /**
     * @param {unknown} messages
     * @param {unknown} [options]
     */
    async append(messages, options) {
      const { signal } = callOptions(options);
      const list = Array.isArray(messages) ? [...messages] : [messages];
      const texts = durable(list);
      const core = this.#core;
      return core.ask(this, {
        signal,
        begin: (glue, number, host) =>
          sent(new Writer(), [texts], (length) => glue.session_append(number, length, host)),
        take: (/** @type {number[]} */ ids) => {
          ids.forEach((id, at) => {
            core.shown.hold(id, list[at]);
          });
          return ids;
        },
      });
    }

    /**
     * @param {unknown} messages
     * @param {unknown} [options]
     */
    async sync(messages, options) {
      const { signal } = callOptions(options);
      const texts = durable(messages);
      const list = [.../** @type {object[]} */ (messages)];
      const core = this.#core;
      return core.ask(this, {
        signal,
        begin: (glue, number, host) => sent(new Writer(), [texts], (length) => glue.session_sync(number, length, host)),
        take: ({ appended, replaced, branched, branchedAt, grown }) => {
          // What is new are the last ones, and before them the one that has grown.
          const fresh = grown === null ? appended : [grown, ...appended];
          fresh.forEach((/** @type {number} */ id, /** @type {number} */ at) => {
            core.shown.hold(id, /** @type {object} */ (list[list.length - fresh.length + at]));
          });
          return { appended, replaced, ...(branched && { branchedAt }), ...(grown !== null && { grown }) };
        },
      });
    }

    view() {
      return this.#core.look((glue, number) => this.#core.shown.view(glue.session_view(number)));
    }

    meter() {
      return this.#core.look((glue, number) => glue.session_meter(number));
    }

    /** @param {unknown} [options] */
    history(options) {
      const { before, limit, signal } = callOptions(options, ["before", "limit"]);
      if (before !== undefined) wholeNumber("before", before);
      if (limit !== undefined) wholeNumber("limit", limit);
      return this.#history(before, limit, signal);
    }

    /**
     * @param {number | undefined} before
     * @param {number | undefined} limit
     * @param {AbortSignal | undefined} signal
     */
    async *#history(before, limit, signal) {
      /** @type {number | undefined} */
      let after;
      for (let last = limit; ; last = undefined) {
        const core = this.#core;
        const entries = await core.ask(this, {
          signal,
          begin: (glue, number, host) => glue.session_history(number, after, before, last, CHUNK, host),
          take: (showing) => core.shown.history(showing),
        });
        yield* entries;
        if (entries.length === 0) return;
        after = entries.at(-1)?.id;
      }
    }

    /**
     * @param {unknown} idOrQuery
     * @param {unknown} [options]
     */
    async recall(idOrQuery, options) {
      const { signal, limit = 10 } = callOptions(options, typeof idOrQuery === "string" ? ["limit"] : []);
      if (typeof idOrQuery === "string") return this.#search(idOrQuery, wholeNumber("limit", limit), signal);
      const entry = wholeNumber("idOrQuery", idOrQuery);
      const core = this.#core;
      return core.ask(this, {
        signal,
        begin: (glue, number, host) => glue.session_recall(number, entry, host),
        take: (showing) => core.shown.history(showing)[0],
      });
    }

    /**
     * @param {string} query
     * @param {number} limit
     * @param {AbortSignal | undefined} signal
     */
    #search(query, limit, signal) {
      const core = this.#core;
      return core.ask(this, {
        signal,
        begin: (glue, number, host) => glue.session_search(number, query, limit, host),
        take: ([showing, ranked]) => {
          const entries = core.shown.history(showing);
          return entries.map((entry, at) => ({ ...entry, score: ranked[at * 2], excerpt: ranked[at * 2 + 1] }));
        },
      });
    }

    get recallTool() {
      const [description, parameters] = this.#core.look((glue) => glue.recall_tool());
      return { name: "recall", description, parameters: JSON.parse(/** @type {string} */ (parameters)) };
    }

    /**
     * @param {unknown} given
     * @param {unknown} [options]
     */
    async answerRecall(given, options) {
      const { maxCharacters = 20_000, signal } = callOptions(options, ["maxCharacters"]);
      wholeNumber("maxCharacters", maxCharacters);
      const text = typeof given === "string" ? given : (JSON.stringify(given) ?? "");
      return this.#core.ask(this, {
        signal,
        begin: (glue, number, host) => glue.session_answer_recall(number, text, maxCharacters, host),
      });
    }

    // ------------------------------------------------------------------------------------------------------ compacting

    /** @param {unknown} [options] */
    async prepare(options) {
      const { wait = "auto", signal } = callOptions(options, ["wait"]);
      if (wait !== "auto" && wait !== "never") throw invalidOption("wait", 'must be "auto" or "never"');
      const { behind, ...result } = await this.#step(wait, signal);
      if (behind && wait === "never") this.#compactBehind();
      return result;
    }

    /** @param {unknown} [options] */
    async compactNow(options) {
      const { instructions, signal } = callOptions(options, ["instructions"]);
      if (instructions !== undefined && typeof instructions !== "string") {
        throw invalidOption("instructions", `must be a text, but is ${describe(instructions)}`);
      }
      const { behind: _, ...result } = await this.#step("now", signal, instructions);
      return result;
    }

    /**
     * @param {"auto" | "never" | "now"} mode
     * @param {AbortSignal | undefined} signal
     * @param {string} [instructions]
     */
    #step(mode, signal, instructions) {
      const core = this.#core;
      const more = { mode, instructions, ...core.models() };
      return core.ask(this, {
        signal,
        asks: true,
        begin: (glue, number, host) =>
          sent(new Writer(), [more], (length) => glue.session_prepare(number, length, host)),
        take: (answer) => resultOf(core, answer),
      });
    }

    /** Compacts while the host goes on, if nothing does already. */
    #compactBehind() {
      this.#behind ??= this.#step("auto", undefined)
        .then(
          () => {},
          (error) => this.#core.warn(error),
        )
        .finally(() => {
          this.#behind = undefined;
        });
    }

    /** @param {unknown} [options] */
    async plan(options) {
      const { signal } = callOptions(options);
      const core = this.#core;
      const more = core.models();
      return core.ask(this, {
        signal,
        asks: true,
        begin: (glue, number, host) => sent(new Writer(), [more], (length) => glue.session_plan(number, length, host)),
        take: (answer) => {
          const { report, patch } = completed(answer);
          return { version: patch.version, patch, report };
        },
      });
    }

    /**
     * @param {any} plan
     * @param {unknown} [options]
     */
    async apply(plan, options) {
      const { signal } = callOptions(options);
      const core = this.#core;
      const text = planText(plan);
      return core.ask(this, {
        signal,
        begin: (glue, number, host) => sent(new Writer(), [text], (length) => glue.session_apply(number, length, host)),
        take: (answer) => {
          const { behind: _, ...result } = resultOf(core, answer);
          return result;
        },
      });
    }

    /**
     * @param {unknown} [compactionId]
     * @param {unknown} [options]
     */
    async undo(compactionId, options) {
      const { signal } = callOptions(options);
      const compaction =
        compactionId === undefined || compactionId === null ? undefined : wholeNumber("compactionId", compactionId);
      return this.#core.ask(this, {
        signal,
        begin: (glue, number, host) => glue.session_undo(number, compaction, host),
      });
    }

    /** @param {unknown} [options] */
    async compactions(options) {
      const { signal } = callOptions(options);
      return this.#core.ask(this, { signal, begin: (glue, number, host) => glue.session_compactions(number, host) });
    }

    /** @param {unknown} usage @param {unknown} [options] */
    async reportUsage(usage, options) {
      const { signal } = callOptions(options);
      const tokens = inputTokensOf(usage) ?? 0;
      await this.#core.ask(this, {
        signal,
        begin: (glue, number, host) => glue.session_report_usage(number, tokens, host),
      });
    }

    // --------------------------------------------------------------------------------------------------------- entries

    /** @param {unknown} id @param {unknown} [options] */
    async pin(id, options) {
      await this.#setPin(id, true, options);
    }

    /** @param {unknown} id @param {unknown} [options] */
    async unpin(id, options) {
      await this.#setPin(id, false, options);
    }

    /** @param {unknown} id @param {boolean} pin @param {unknown} options */
    async #setPin(id, pin, options) {
      const { signal } = callOptions(options);
      const entry = wholeNumber("id", id);
      await this.#core.ask(this, {
        signal,
        begin: (glue, number, host) => glue.session_pin(number, entry, pin, host),
      });
    }

    /** @param {unknown} entryId @param {unknown} [options] */
    async branch(entryId, options) {
      const { signal } = callOptions(options);
      const entry = wholeNumber("entryId", entryId);
      await this.#core.ask(this, { signal, begin: (glue, number, host) => glue.session_branch(number, entry, host) });
    }

    // ------------------------------------------------------------------------------------------------------ life of it

    /**
     * @param {unknown} event
     * @param {unknown} listener
     */
    on(event, listener) {
      return this.#events.on(String(event), listenerOf(listener));
    }

    /** @param {unknown} [options] */
    async export(options) {
      const { signal } = callOptions(options);
      return this.#core.ask(this, { signal, begin: (glue, number, host) => glue.session_export(number, host) });
    }

    /** @param {unknown} [options] */
    async delete(options) {
      const { signal } = callOptions(options);
      const core = this.#core;
      await core.ask(this, { signal, begin: (glue, number, host) => glue.session_delete(number, host) });
      core.announce(0);
      await core.close();
    }

    async close() {
      await this.#core.close();
    }
  }

  // For `await using`, where the runtime has it.
  const { asyncDispose } = /** @type {{ asyncDispose?: symbol }} */ (Symbol);
  if (asyncDispose !== undefined)
    Object.defineProperty(Session.prototype, asyncDispose, { value: Session.prototype.close });
  return Session;
}

/**
 * Writes the input of a call.
 *
 * @template T
 * @param {Writer} writer
 * @param {readonly unknown[]} roots
 * @param {(length: number) => T} call
 */
function sent(writer, roots, call) {
  const write = () => {
    writer.roots(roots.length);
    for (const root of roots) writer.other("options", root);
  };
  return writer.send(write, call);
}

/**
 * @param {Core} core
 * @param {readonly [any, readonly any[], readonly [string, readonly any[]]]} answer
 */
function resultOf(core, [record, originals, view]) {
  const { compaction, behind, entries } = record;
  // First: the view lets go of what it does not hold.
  const before = core.shown.originals(originals);
  const messages = core.shown.view(view);
  const { report, patch } = completed(record);
  return {
    messages,
    report,
    patch: { ...patch, originals: before },
    entries,
    ...(compaction !== null && { compaction }),
    behind,
  };
}

/** @param {any} plan */
function planText(plan) {
  if (typeof plan !== "object" || plan === null || typeof plan.patch !== "object" || plan.patch === null) {
    throw invalidOption("plan", `must be what \`plan\` returned, but is ${describe(plan)}`);
  }
  const { originals: _, ...patch } = plan.patch;
  try {
    return JSON.stringify({ ...plan, patch });
  } catch (cause) {
    throw invalidOption("plan", "cannot be written as JSON (see `cause`)", { cause });
  }
}
