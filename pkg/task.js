// The shell's half of a call that waits (`src/wasm/session`): it lets the task go on when something has happened, and
// gives it timers, requests and answers in a form that cannot hurt it.

import { describe, EpitomeError, invalidOption } from "./errors.js";
import { Reading } from "./reading.js";
import { failed, isOurs, rejectionOf } from "./rejection.js";

/** @import { Instance } from "./instance.js" */
/** @import { ProgressEvent } from "./index.d.ts" */
/** @import { Inner } from "./provider.js" */
/** @import { Rejection } from "./rejection.js" */

/** @typedef {Instance<typeof import("./wasm/session.js")>} SessionInstance */
/** @typedef {{ onProgress?: (event: ProgressEvent) => void, redact?: (text: string) => string, shown?: (messages: number) => (string | null)[], patienceMs: number }} Hooks */

/** Longest wait that a timer can be set for, ms. */
const LONGEST = 2 ** 31 - 1;
/** What a task may be late for, ms. */
const GRACE = 60_000;

/**
 * Runs a task to its end.
 *
 * @param {SessionInstance} instance
 * @param {readonly Inner[]} providers
 * @param {Hooks} hooks
 * @param {AbortSignal | undefined} signal
 * @param {(host: Task) => number} begin
 * @returns {Promise<any>}
 */
export function run(instance, providers, hooks, signal, begin) {
  for (const waiting of instance.waiting) if (waiting instanceof Task) waiting.sweep();
  return new Promise((resolve, reject) => {
    const task = new Task(instance, providers, hooks, resolve, reject);
    task.start(begin, signal);
  });
}

export class Task {
  /**
   * @param {SessionInstance} instance
   * @param {readonly Inner[]} providers
   * @param {Hooks} hooks
   * @param {(value: any) => void} resolve
   * @param {(error: unknown) => void} reject
   */
  constructor(instance, providers, hooks, resolve, reject) {
    this.instance = instance;
    this.providers = providers;
    this.hooks = hooks;
    this.resolve = resolve;
    this.reject = reject;
    /** @type {Set<Scope>} */
    this.scopes = new Set();
    /** What a function of the host rejected with, the first. @type {{ cause: unknown } | undefined} */
    this.cause = undefined;
    /** @private What a hook of the host threw. @type {EpitomeError | undefined} */
    this.failure = undefined;
    /** @private */
    this.number = 0;
    /** @private */
    this.lastPoll = Date.now();
    /** @private */
    this.isWaking = false;
    /** @private */
    this.isOver = false;
  }

  /**
   * @param {(host: Task) => number} begin
   * @param {AbortSignal | undefined} signal
   */
  start(begin, signal) {
    if (signal?.aborted) return this.reject(aborted(signal));
    try {
      this.number = begin(this);
    } catch (error) {
      return this.reject(error);
    }
    this.instance.waiting.add(this);
    const abort = () => this.end(() => this.reject(aborted(signal)));
    signal?.addEventListener("abort", abort, { once: true });
    /** @private */
    this.listening = () => signal?.removeEventListener("abort", abort);
    this.poll();
  }

  /**
   * Forgets a task that nothing has happened to for longer than it ever waits: in workerd, that of a request whose client
   * has gone. Its promises and timers are dead, and so is everybody who could hear of it.
   */
  sweep() {
    if (!(Date.now() - this.lastPoll > this.hooks.patienceMs + GRACE)) return;
    for (const scope of this.scopes) scope.forget();
    this.end(() => {});
  }

  /** @private */
  poll() {
    if (this.isOver) return;
    this.lastPoll = Date.now();
    let answer;
    try {
      answer = this.instance.call((glue) => glue.task_poll(this.number));
    } catch (error) {
      return this.end(() => this.reject(this.explained(error)));
    }
    if (this.failure !== undefined) return this.end(() => this.reject(this.failure));
    if (answer !== undefined) this.end(() => this.resolve(answer[0]));
  }

  /**
   * @private
   * @param {() => void} settle
   */
  end(settle) {
    if (this.isOver) return;
    this.isOver = true;
    this.listening?.();
    this.instance.waiting.delete(this);
    try {
      this.instance.call((glue) => glue.task_drop(this.number));
    } catch {
      // It trapped: there is no task any more.
    }
    for (const scope of this.scopes) scope.close();
    settle();
  }

  /**
   * The instance is gone, and nothing may call into it again.
   *
   * @param {EpitomeError} error
   */
  lost(error) {
    if (this.isOver) return;
    this.isOver = true;
    this.listening?.();
    for (const scope of this.scopes) scope.forget();
    this.reject(error);
  }

  /**
   * @private
   * @param {unknown} error
   */
  explained(error) {
    if (!(error instanceof EpitomeError) || this.cause === undefined) return error;
    if (error.code !== "aborted" && !error.code.startsWith("provider_")) return error;
    return new EpitomeError(error.code, error.message, { details: error.details, cause: this.cause.cause });
  }

  // What the core calls; none of these throws.

  wake() {
    if (this.isWaking || this.isOver) return;
    this.isWaking = true;
    queueMicrotask(() => {
      this.isWaking = false;
      this.poll();
    });
  }

  now() {
    return Date.now();
  }

  random() {
    return Math.random();
  }

  /** @param {ProgressEvent} event */
  progress(event) {
    const { onProgress } = this.hooks;
    if (onProgress === undefined || this.failure !== undefined || this.isOver) return;
    try {
      onProgress(event);
    } catch (cause) {
      this.failure = invalidOption("onProgress", "threw an error (see `cause`)", { cause });
    }
  }

  /** @param {string} text */
  redact(text) {
    const { redact } = this.hooks;
    if (redact === undefined || this.failure !== undefined) return "";
    try {
      const redacted = redact(text);
      if (typeof redacted === "string") return redacted;
      this.failure = invalidOption("redact", `must return a string, but returned ${describe(redacted)}`);
    } catch (cause) {
      this.failure = invalidOption("redact", "threw an error (see `cause`)", { cause });
    }
    return "";
  }

  /** @param {number} messages */
  shown(messages) {
    return this.hooks.shown?.(messages) ?? [null, null];
  }

  scope() {
    const scope = new Scope(this);
    // What goes on within a call that has already ended gets no timers any more.
    if (this.isOver) scope.forget();
    return scope;
  }
}

/** Timers, one abort controller, and at most one promise that is awaited. */
class Scope {
  /** @param {Task} task */
  constructor(task) {
    this.task = task;
    task.scopes.add(this);
    this.controller = new AbortController();
    /** @private @type {Set<ReturnType<typeof setTimeout>>} */
    this.timers = new Set();
    /** @private Settles the promise that is awaited. @type {((rejection: Rejection) => void) | undefined} */
    this.pending = undefined;
    /** @private @type {Rejection | undefined} */
    this.over = undefined;
    /** @private Nobody is there to hear of anything. */
    this.isForgotten = false;
    /** @private @type {Inner | undefined} */
    this.provider = undefined;
    /** @private @type {Reading | undefined} */
    this.reading = undefined;
    /** @private @type {Request | undefined} */
    this.request = undefined;
  }

  get signal() {
    return this.controller.signal;
  }

  /** @param {number} ms */
  limit(ms) {
    this.after(ms, () => this.stop(failed("timeout", `no answer within ${ms} ms`)));
  }

  /** @param {number} ms */
  sleep(ms) {
    return this.bound(() => new Promise((resolve) => this.after(ms, () => resolve(undefined))), "error");
  }

  /** @param {number} at */
  headers(at) {
    return this.bound(async () => {
      const { headers } = this.asked(at);
      return headers === undefined ? [] : await headers(this.signal);
    }, "option");
  }

  /**
   * @param {number} at
   * @param {string} url
   * @param {string[]} flat names and values in turn
   * @param {string} body
   */
  fetch(at, url, flat, body) {
    return this.bound(
      async () => {
        const { fetch } = this.asked(at);
        const headers = Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1]]] : [])));
        const init = { method: "POST", headers, body, redirect: "manual", signal: this.signal };
        return this.answered(await /** @type {Function} */ (fetch)(url, init));
      },
      "network",
      url,
    );
  }

  /**
   * @param {string} url
   * @param {Request} request
   * @param {unknown} promise
   * @param {boolean} threw
   */
  sent(url, request, promise, threw) {
    // In Node.js a request that was collected can no longer be aborted, so it is held as long as it may have to be.
    this.request = request;
    return this.bound(
      async () => {
        if (threw) throw promise;
        return this.answered(await promise);
      },
      "network",
      url,
    );
  }

  /**
   * @param {Reading} reading
   * @param {number} stall
   */
  read(reading, stall) {
    return this.bound(async () => {
      const timer = this.after(stall, () => this.stop(failed("stall", `the answer came to a halt for ${stall} ms`)));
      const bytes = await reading.next();
      if (timer !== undefined) this.timers.delete(timer);
      clearTimeout(timer);
      return bytes;
    }, "network");
  }

  /**
   * @param {number} at
   * @param {unknown} request
   */
  complete(at, request) {
    return this.bound(async () => {
      const { complete } = this.asked(at);
      try {
        return replyOf(await /** @type {Function} */ (complete)(request, { signal: this.signal }));
      } catch (cause) {
        if (!this.signal.aborted && !isOurs(cause)) this.task.cause ??= { cause };
        throw cause;
      }
    }, "error");
  }

  /** Nobody waits any more. */
  close() {
    this.stop(failed("closed", "nobody waits any more"));
    this.task.scopes.delete(this);
    this.provider?.scopes.delete(this);
  }

  /** The provider is at its end. */
  dispose() {
    this.stop(disposed());
    this.close();
  }

  /** As `close`, without a word to the core. */
  forget() {
    this.isForgotten = true;
    this.close();
  }

  /** @param {Rejection} rejection */
  stop(rejection) {
    if (this.over !== undefined) return;
    this.over = rejection;
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.pending?.(rejection);
    try {
      this.controller.abort();
      this.reading?.cancel();
    } catch {
      // In workerd they belong to another request, which ends them.
    }
    this.request = undefined;
  }

  /**
   * A promise that settles when `start` does, or when this scope ends; it rejects with a `Rejection` only.
   *
   * @private
   * @param {() => Promise<unknown>} start
   * @param {"error" | "network" | "option"} kind what a failure is, unless it says so itself
   * @param {string} [url]
   */
  bound(start, kind, url) {
    return new Promise((resolve, reject) => {
      /** @param {Rejection} rejection */
      const refuse = (rejection) => {
        if (!this.isForgotten) reject(rejection);
      };
      if (this.over !== undefined) return refuse(this.over);
      this.pending = refuse;
      start().then(
        (value) => {
          if (!this.isForgotten) resolve(value);
        },
        (error) => refuse(rejectionOf(error, kind, url)),
      );
    });
  }

  /**
   * @private
   * @param {number} ms
   * @param {() => void} then
   */
  after(ms, then) {
    if (this.over !== undefined) return undefined;
    const timer = setTimeout(
      () => {
        this.timers.delete(timer);
        then();
      },
      Math.min(ms, LONGEST),
    );
    this.timers.add(timer);
    return timer;
  }

  /**
   * The provider that this scope is for.
   *
   * @private
   * @param {number} at
   */
  asked(at) {
    const provider = /** @type {Inner} */ (this.task.providers[at]);
    if (provider.isDisposed) throw disposed();
    this.provider = provider;
    provider.scopes.add(this);
    return provider;
  }

  /**
   * @private
   * @param {unknown} response
   */
  answered(response) {
    this.reading = new Reading(response);
    return this.reading;
  }
}

/**
 * The answer of a function of the host.
 *
 * @param {any} answer
 */
function replyOf(answer) {
  if (typeof answer === "string") return { text: answer, inputTokens: -1, outputTokens: -1, stop: "end" };
  const text = answer?.text;
  if (typeof text !== "string") {
    const what = typeof answer === "object" && answer !== null ? "an object without `text`" : describe(answer);
    throw failed("malformed", `the provider function returned ${what}; it must return a text or { text, usage? }`);
  }
  const count = (/** @type {unknown} */ tokens) => (typeof tokens === "number" && tokens >= 0 ? tokens : -1);
  const { usage, stop } = answer;
  return { text, inputTokens: count(usage?.inputTokens), outputTokens: count(usage?.outputTokens), stop: String(stop) };
}

// Not to be tried again, and nothing that the service is to blame for.
const disposed = () => failed("option", "the provider has been disposed of");

/** @param {AbortSignal | undefined} signal */
export function aborted(signal) {
  return new EpitomeError("aborted", "aborted", { cause: signal?.reason });
}
