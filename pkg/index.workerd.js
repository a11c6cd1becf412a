// The entry for Cloudflare Workers, where a module must be imported: compiling bytes is forbidden. It is instantiated on
// the first call.

import { provide } from "./instance.js";
import module from "./wasm/epitome_bg.wasm";

provide(() => module);

/** Nothing to do here; browsers need it. */
export async function init() {}

export * from "./shell.js";
