// The one WebAssembly instance: where its module comes from, that it exists, and what happens when it traps.

import { EpitomeError } from "./errors.js";
import * as glue from "./wasm/epitome.js";

/** @import { ErrorCode } from "./index.d.ts" */

/** @typedef {{ memory: WebAssembly.Memory }} Exports */

/** @type {(() => WebAssembly.Module) | undefined} */
let load;
/** @type {WebAssembly.Module | undefined} */
let module;
/** @type {Exports | undefined} */
let exports;
/** True after a trap: the instance's memory can no longer be relied on. */
let broken = false;
/** How many calls into the instance are on the stack; above 1 when a host callback called Epitome again. */
let inside = 0;

/**
 * For runtimes that can load synchronously: the module is asked for on the first call.
 *
 * @param {() => WebAssembly.Module} loader
 */
export function provide(loader) {
  load = loader;
}

/**
 * For browsers: instantiates a compiled module.
 *
 * @param {WebAssembly.Module} compiled
 */
export async function adopt(compiled) {
  const made = /** @type {Exports} */ (await glue.default({ module_or_path: compiled }));
  module = compiled;
  exports = made;
}

/** Whether a call would find an instance or could make one. */
export function isReady() {
  return exports !== undefined || load !== undefined;
}

/** The exports of a healthy instance, made now if need be. */
export function ready() {
  if (exports !== undefined && !broken) return exports;
  if (broken && inside > 0) {
    throw internal("Epitome failed in a call that is still running; it starts afresh once that call has returned");
  }
  if (module === undefined) {
    if (load === undefined) {
      throw new EpitomeError(
        "not_initialised",
        "Epitome is not initialised: `await init()` once before calling anything else (needed in browsers only)",
      );
    }
    module = loaded(load);
  }
  if (exports === undefined) {
    exports = /** @type {Exports} */ (glue.initSync({ module }));
  } else {
    glue.reinit(module);
    // `initSync` hands out the exports of the instance that is there.
    exports = /** @type {Exports} */ (glue.initSync({ module }));
  }
  broken = false;
  return exports;
}

/** @param {() => WebAssembly.Module} load */
function loaded(load) {
  try {
    return load();
  } catch (cause) {
    throw new EpitomeError(
      "not_initialised",
      "Epitome could not load `epitome_bg.wasm`, which belongs in the folder `wasm` of this package " +
        "(a bundler for Node must leave the package external or copy that file)",
      { cause },
    );
  }
}

/**
 * Room for an input of that many bytes, with what was written before. Growing memory is the one place where an input
 * that is too large for the host shows.
 *
 * @param {number} bytes
 * @returns {{ address: number, buffer: ArrayBuffer }}
 */
export function reserve(bytes) {
  const address = call((glue) => glue.input_reserve(bytes));
  return { address, buffer: /** @type {ArrayBuffer} */ (ready().memory.buffer) };
}

/**
 * Calls into the instance. What the core reports becomes an `EpitomeError`; whatever else comes out is a trap, after
 * which the instance is dropped.
 *
 * @template T
 * @param {(functions: typeof glue) => T} run
 * @returns {T}
 */
export function call(run) {
  ready();
  inside += 1;
  let result;
  try {
    result = run(glue);
  } catch (error) {
    if (isReport(error) && !broken) throw new EpitomeError(error.code, error.message, { details: error.details });
    broken = true;
    throw internal(
      "Epitome failed unexpectedly; this is a bug in Epitome (or it ran out of memory). " +
        "The next call starts with a fresh instance",
      error,
    );
  } finally {
    inside -= 1;
  }
  // A host callback called Epitome again and that call trapped: nothing computed on that memory can be trusted.
  if (broken) throw internal("Epitome failed in a call made by a callback of this one");
  return result;
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
