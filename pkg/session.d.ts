/**
 * Everything that `epitome` exports, in one module together with what talks to models: import from here alone, and only
 * one WebAssembly module is loaded.
 *
 * @packageDocumentation
 */

export * from "./index.js";
