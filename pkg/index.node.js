// The entry for Node.js, Deno and Bun. The module is read and compiled on the first call, not on import.

import { readFileSync } from "node:fs";
import { provide } from "./instance.js";

provide(() => new WebAssembly.Module(readFileSync(new URL("./wasm/epitome_bg.wasm", import.meta.url))));

/** Nothing to do here; browsers need it. */
export async function init() {}

export * from "./shell.js";
