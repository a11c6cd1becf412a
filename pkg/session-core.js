// The shell's half of a session: which session of the module it is, the calls under way, and how it ends.
//
// The module may trap; then the session it had is gone, and the next call opens it anew from its store.

import { forgetter } from "./asking.js";
import { Counter } from "./calls.js";
import { Channel } from "./channel.js";
import { EpitomeError } from "./errors.js";
import { innerOf } from "./provider.js";
import { SessionBridge } from "./session-bridge.js";
import { closedError } from "./session-options.js";
import { Shown } from "./session-shown.js";
import { storeOn } from "./store-bridge.js";
import { aborted, Task } from "./task.js";
import { Writer } from "./wire.js";

/** @import { Inner } from "./provider.js" */
/** @import { Events } from "./session-events.js" */
/** @import { Settings } from "./session-options.js" */
/** @import { SessionInstance } from "./task.js" */

/** @typedef {SessionInstance["glue"]} Glue */
/**
 * @template T
 * @typedef {object} Asked
 * @property {(glue: Glue, number: number, host: Task) => number} begin
 * @property {(answer: any) => T} [take] makes the result, at once: what the core has told may be changed by the next call
 * @property {AbortSignal | undefined} [signal]
 * @property {boolean} [asks] whether models may be asked
 */

/** How long a call may wait before it counts as forgotten, ms: others may be before it, each with many requests. */
const PATIENCE = 3_600_000;

export class Core {
  /**
   * @param {SessionInstance} instance
   * @param {() => Promise<void>} init
   * @param {Settings} settings
   * @param {Events} events
   */
  constructor(instance, init, settings, events) {
    this.instance = instance;
    this.settings = settings;
    this.shown = new Shown();
    this.isClosed = false;
    /** @private */
    this.init = init;
    // Held by the session alone: what listens may hold that session.
    /** @private @type {WeakRef<Events>} */
    this.events = new WeakRef(events);
    /** @private */
    this.inner = settings.models.providers.map(innerOf);
    /** @private @type {{ exports: object, number: number, counter: Counter } | undefined} */
    this.handle = undefined;
    /** @private @type {Promise<void> | undefined} */
    this.opening = undefined;
    /** @private Ends what goes on behind calls. */
    this.ending = new AbortController();
    /** @private Calls under way, and whose they are: nobody else may hold that session. @type {Map<Task, object>} */
    this.tasks = new Map();
    /** @private @type {Set<Promise<unknown>>} */
    this.results = new Set();
    /** @private @type {Promise<void> | undefined} */
    this.closing = undefined;
    /**
     * What the core tells. It only takes notes, and holds nothing but this: the module holds it for as long as the session.
     *
     * @private
     * @param {{ type: string, status?: string, revision?: number, local?: boolean }} event
     */
    this.heard = ({ type, ...event }) => {
      if (type === "changed" && event.local === true) this.announce(Number(event.revision));
      this.emit(type, type === "status" ? event.status : event);
    };
    /** @private Whether a look at what others have written is under way. */
    this.isLooking = false;
    /** @private */
    this.channel = new Channel(settings.store, settings.shared, (news) => this.hear(news));
    const forget = forgetterOf(instance);
    for (const provider of settings.models.providers) forget?.(provider);
  }

  // ------------------------------------------------------------------------------------------------------------ opening

  /**
   * @param {AbortSignal | undefined} signal
   * @param {object} owner
   */
  async open(signal, owner) {
    if (this.isClosed) throw closedError();
    if (signal?.aborted) throw aborted(signal);
    if (this.isOpen()) return;
    this.opening ??= this.begun(owner).finally(() => {
      this.opening = undefined;
    });
    await unlessAborted(this.opening, signal);
    if (this.isClosed) throw closedError();
  }

  /** Whether the module has the session. */
  isOpen() {
    return this.handle !== undefined && this.handle.exports === this.instance.ready();
  }

  /**
   * @private
   * @param {object} owner
   */
  async begun(owner) {
    await this.init();
    if (this.isClosed) throw closedError();
    const counter = new Counter(this.settings.tokens);
    const begin = (/** @type {Task} */ host) => this.send(counter, host);
    const take = (/** @type {number} */ number) => {
      this.handle = { exports: this.instance.ready(), number, counter };
      // Nothing of what an earlier one knew.
      this.shown = new Shown();
    };
    await this.run(begin, { take, counter, signal: this.ending.signal, providers: [], owner });
  }

  /**
   * @private
   * @param {Counter} counter
   * @param {Task} host
   */
  send(counter, host) {
    const { settings, instance } = this;
    const store = storeOn(instance, settings.store);
    const lock = settings.shared === undefined ? undefined : `epitome:${settings.shared}:${settings.id}`;
    const bridge = new SessionBridge(instance, lock, this.heard);
    const writer = new Writer();
    return writer.send(
      () => {
        writer.roots(4);
        writer.other("options", settings.fit);
        writer.other("options", { ...settings.more, store });
        writer.other("system", settings.system);
        writer.other("tools", settings.tools);
      },
      (length) => instance.call((glue) => glue.session_open(length, counter.host, bridge, host)),
    );
  }

  // ------------------------------------------------------------------------------------------------------------ calling

  /**
   * One call, from its beginning to its result.
   *
   * @template T
   * @param {object} owner
   * @param {Asked<T>} asked
   * @returns {Promise<T>}
   */
  async ask(owner, { begin, take = (answer) => answer, signal, asks = false }) {
    await this.open(signal, owner);
    // It may have been closed since that was settled.
    if (this.handle === undefined) throw closedError();
    const { number, counter } = this.handle;
    const { instance, inner } = this;
    return this.run((host) => instance.call((glue) => begin(glue, number, host)), {
      take,
      counter,
      signal,
      providers: asks ? inner : [],
      owner,
    });
  }

  /**
   * Looks at what the module has in memory.
   *
   * @template T
   * @param {(glue: Glue, number: number) => T} look
   * @returns {T}
   */
  look(look) {
    if (this.isClosed) throw closedError();
    if (!this.isOpen()) {
      throw new EpitomeError(
        "internal",
        "Epitome has failed since the session was opened; any call that returns a promise opens it anew from its store",
      );
    }
    const { number, counter } = /** @type {NonNullable<typeof this.handle>} */ (this.handle);
    return counter.use(() => this.instance.call((glue) => look(glue, number)));
  }

  /** What the core gets of the providers, for a call that may ask them. */
  models() {
    const { models, hooks, timeoutMs } = this.settings;
    const providers = this.inner.map(({ record }) => record);
    return { ...models.lists, providers, timeoutMs, redacts: hooks.redact !== undefined };
  }

  /**
   * @private
   * @template T
   * @param {(host: Task) => number} begin
   * @param {{ take: (answer: any) => T, counter: Counter, signal: AbortSignal | undefined, providers: readonly Inner[], owner: object }} how
   * @returns {Promise<T>}
   */
  run(begin, { take, counter, signal, providers, owner }) {
    const hooks = { ...this.settings.hooks, patienceMs: PATIENCE };
    /** @type {Promise<T>} */
    const result = new Promise((resolve, reject) => {
      const refuse = (/** @type {unknown} */ error) => {
        this.tasks.delete(task);
        reject(this.explained(error, counter));
      };
      const task = new Task(
        this.instance,
        providers,
        hooks,
        (answer) => {
          this.tasks.delete(task);
          try {
            resolve(take(answer));
          } catch (error) {
            refuse(error);
          }
        },
        refuse,
      );
      this.tasks.set(task, owner);
      task.start(begin, signal);
    });
    this.results.add(result);
    const over = () => void this.results.delete(result);
    result.then(over, over);
    return result;
  }

  /**
   * What a call failed with, in the words that say most.
   *
   * @private
   * @param {unknown} error
   * @param {Counter} counter
   */
  explained(error, counter) {
    // What the core told at last may not have arrived.
    this.lookAgain();
    if (counter.failure !== undefined) {
      // Sizes that it counted cannot be relied on.
      if (this.handle?.counter === counter) this.free();
      try {
        counter.explain(error);
      } catch (explained) {
        return explained;
      }
    }
    if (this.isClosed && error instanceof EpitomeError && error.code === "aborted" && error.cause === ENDED) {
      return closedError();
    }
    return error;
  }

  /** @private */
  lookAgain() {
    const { handle, instance } = this;
    try {
      if (handle !== undefined && this.isOpen()) instance.call((glue) => glue.session_let_go(handle.number));
    } catch {
      // It trapped: then there is nothing to let go of.
    }
  }

  // ------------------------------------------------------------------------------------------------------------- events

  /**
   * @param {string} name
   * @param {unknown} event
   */
  emit(name, event) {
    if (!this.isClosed) this.events.deref()?.emit(name, event);
  }

  /**
   * Tells the other sessions of the conversation.
   *
   * @param {number} revision
   */
  announce(revision) {
    this.channel.tell({ conversation: this.settings.id, revision });
  }

  /**
   * Another session has written, or deleted (revision 0).
   *
   * @private
   * @param {{ conversation: string, revision: number }} news
   */
  hear({ conversation, revision }) {
    if (this.isClosed || conversation !== this.settings.id) return;
    const { handle, instance } = this;
    try {
      if (handle === undefined || !this.isOpen()) return;
      const known = instance.call((glue) => glue.session_revision(handle.number));
      if (revision !== 0 && revision <= known) return;
      instance.call((glue) => glue.session_mark_stale(handle.number));
    } catch {
      // The next call says what is wrong.
      return;
    }
    this.refresh();
  }

  /** @private */
  async refresh() {
    // Whoever looks sees everything, so one waits at most.
    if (this.isLooking) return;
    this.isLooking = true;
    try {
      await this.ask(this, {
        begin: (glue, number, host) => {
          this.isLooking = false;
          return glue.session_refresh(number, host);
        },
      });
    } catch (error) {
      this.warn(error);
    } finally {
      this.isLooking = false;
    }
  }

  /**
   * What went wrong behind the host's back.
   *
   * @param {unknown} error
   */
  warn(error) {
    const { code, message } = error instanceof EpitomeError ? error : { code: "internal", message: String(error) };
    this.emit("warning", { code, message });
  }

  // ------------------------------------------------------------------------------------------------------------- ending

  /** @returns {Promise<void>} settles when nothing is under way any more */
  close() {
    this.closing ??= this.closed();
    return this.closing;
  }

  /** @private */
  async closed() {
    this.isClosed = true;
    this.channel.close();
    this.events.deref()?.clear();
    this.ending.abort(ENDED);
    this.free();
    // Each finds that the session is closed, unless it waits for the store just then.
    for (const task of this.tasks.keys()) task.wake();
    while (this.results.size > 0) await Promise.allSettled([...this.results]);
  }

  /** @private */
  free() {
    const { handle, instance } = this;
    this.handle = undefined;
    try {
      if (handle?.exports === instance.ready()) instance.call((glue) => glue.session_close(handle.number));
    } catch {
      // It trapped: then there is nothing to free.
    }
  }
}

/** A registry that nobody holds forgets nothing. @type {WeakMap<SessionInstance, ReturnType<typeof forgetter>>} */
const forgetters = new WeakMap();

/** @param {SessionInstance} instance */
function forgetterOf(instance) {
  if (!forgetters.has(instance)) forgetters.set(instance, forgetter(instance));
  return forgetters.get(instance);
}

/** Why what goes on behind calls ends. */
const ENDED = Symbol("closed");

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
function unlessAborted(promise, signal) {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(aborted(signal));
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
