// The entry for Node.js, Deno and Bun. The module is read and compiled on the first call, not on import.

import { readFileSync } from "node:fs";
import { Instance, use } from "./instance.js";
import { lazily } from "./lazy.js";
import { operateOnceLoaded } from "./store-indexed-db.js";
import * as glue from "./wasm/epitome.js";

const load = () => new WebAssembly.Module(readFileSync(new URL("./wasm/epitome_bg.wasm", import.meta.url)));
use(new Instance(glue, "epitome_bg.wasm", load), { unlessThereIsOne: true });

/** Nothing to do here; browsers need it. */
export async function init() {}

const session = () => import("./session.node.js");

export const compact = lazily(session);
operateOnceLoaded(session);

export * from "./shell.js";
export * from "./stores.js";
