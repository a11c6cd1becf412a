// The WebAssembly instances: where a module comes from, that it is instantiated, and what happens when it traps.
//
// There is one per module: the main one, and `epitome/session`, which can do all that the main one can. Calls go to the
// latter once it is there, so that one is enough.

import { EpitomeError } from "./errors.js";

/** @import { ErrorCode } from "./index.d.ts" */

/** @typedef {typeof import("./wasm/epitome.js")} Glue */
/** @typedef {{ memory: WebAssembly.Memory }} Exports */
/** @typedef {{ lost(error: EpitomeError): void }} Waiting A call that waits; told when its instance is gone. */

/** @template {Glue} [G=Glue] */
export class Instance {
  /**
   * @param {G} glue
   * @param {string} file name of the module's file
   * @param {() => WebAssembly.Module} [load] for runtimes that can load synchronously; asked on the first call
   */
  constructor(glue, file, load) {
    this.glue = glue;
    /** @private */
    this.file = file;
    /** @private */
    this.load = load;
    /** @private @type {WebAssembly.Module | undefined} */
    this.module = undefined;
    /** @private @type {Exports | undefined} */
    this.exports = undefined;
    /** @private True after a trap: the instance's memory can no longer be relied on. */
    this.broken = false;
    /** @private How many calls are on the stack; above 1 when a host callback called Epitome again. */
    this.inside = 0;
    /** Calls that wait. @type {Set<Waiting>} */
    this.waiting = new Set();
  }

  /**
   * For browsers: instantiates a compiled module.
   *
   * @param {WebAssembly.Module} compiled
   */
  async adopt(compiled) {
    const made = /** @type {Exports} */ (await this.glue.default({ module_or_path: compiled }));
    this.module = compiled;
    this.exports = made;
  }

  /** Whether a call would find an instance or could make one. */
  get isReady() {
    return this.exports !== undefined || this.load !== undefined;
  }

  /** The exports of a healthy instance, made now if need be. */
  ready() {
    if (this.exports !== undefined && !this.broken) return this.exports;
    if (this.broken && this.inside > 0) {
      throw internal("Epitome failed in a call that is still running; it starts afresh once that call has returned");
    }
    if (this.module === undefined) {
      if (this.load === undefined) throw notInitialised();
      this.module = loaded(this.file, this.load);
    }
    const { module } = this;
    if (this.exports !== undefined) this.glue.reinit(module);
    // After that, `initSync` hands out the exports of the instance that is there.
    this.exports = /** @type {Exports} */ (this.glue.initSync({ module }));
    this.broken = false;
    return this.exports;
  }

  /**
   * Room for an input of that many bytes, with what was written before. Growing memory is the one place where an input
   * that is too large for the host shows.
   *
   * @param {number} bytes
   * @returns {{ address: number, buffer: ArrayBuffer }}
   */
  reserve(bytes) {
    const address = this.call((glue) => glue.input_reserve(bytes));
    return { address, buffer: /** @type {ArrayBuffer} */ (this.ready().memory.buffer) };
  }

  /**
   * Calls into the instance. What the core reports becomes an `EpitomeError`; whatever else comes out is a trap, after
   * which the instance is dropped.
   *
   * @template T
   * @param {(functions: G) => T} run
   * @returns {T}
   */
  call(run) {
    this.ready();
    this.inside += 1;
    let result;
    try {
      result = run(this.glue);
    } catch (error) {
      if (isReport(error) && !this.broken) {
        throw new EpitomeError(error.code, error.message, { details: error.details });
      }
      this.broken = true;
      const failure = internal(
        "Epitome failed unexpectedly; this is a bug in Epitome (or it ran out of memory). " +
          "The next call starts with a fresh instance",
        error,
      );
      for (const waiting of this.waiting) waiting.lost(failure);
      this.waiting.clear();
      throw failure;
    } finally {
      this.inside -= 1;
    }
    // A host callback called Epitome again and that call trapped: nothing computed on that memory can be trusted.
    if (this.broken) throw internal("Epitome failed in a call made by a callback of this one");
    return result;
  }
}

/** @type {Instance | undefined} */
let current;

/**
 * Makes an instance the one that calls go to.
 *
 * @param {Instance} instance
 * @param {{ unlessThereIsOne: boolean }} [how]
 */
export function use(instance, how) {
  if (current === undefined || !how?.unlessThereIsOne) current = instance;
}

/**
 * As `Instance.call`, on the instance in use.
 *
 * @template T
 * @param {(functions: Glue) => T} run
 * @returns {T}
 */
export function call(run) {
  return inUse().call(run);
}

/**
 * As `Instance.reserve`, on the instance in use.
 *
 * @param {number} bytes
 */
export function reserve(bytes) {
  return inUse().reserve(bytes);
}

/** The exports of the instance in use. */
export function ready() {
  return inUse().ready();
}

function inUse() {
  if (current === undefined) throw notInitialised();
  return current;
}

function notInitialised() {
  return new EpitomeError(
    "not_initialised",
    "Epitome is not initialised: `await init()` once before calling anything else (needed in browsers only)",
  );
}

/**
 * @param {string} file
 * @param {() => WebAssembly.Module} load
 */
function loaded(file, load) {
  try {
    return load();
  } catch (cause) {
    throw new EpitomeError(
      "not_initialised",
      `Epitome could not load \`${file}\`, which belongs in the folder \`wasm\` of this package ` +
        "(a bundler for Node must leave the package external or copy that file)",
      { cause },
    );
  }
}

/**
 * @param {string} message
 * @param {unknown} [cause]
 */
function internal(message, cause) {
  return new EpitomeError("internal", message, cause === undefined ? {} : { cause });
}

/**
 * The core throws plain objects; a trap is an `Error` of the engine.
 *
 * @param {unknown} error
 * @returns {error is { code: ErrorCode, message: string, details: any }}
 */
function isReport(error) {
  return typeof error === "object" && error !== null && !(error instanceof Error) && "code" in error;
}
