// The entry for Cloudflare Workers, where a module must be imported: compiling bytes is forbidden. It is instantiated on
// the first call.

import { Instance, use } from "./instance.js";
import { lazily } from "./lazy.js";
import { operateOnceLoaded } from "./store-indexed-db.js";
import * as glue from "./wasm/epitome.js";
import module from "./wasm/epitome_bg.wasm";

use(new Instance(glue, "epitome_bg.wasm", () => module), { unlessThereIsOne: true });

/** Nothing to do here; browsers need it. */
export async function init() {}

const session = () => import("./session.workerd.js");

export const compact = lazily(session);
operateOnceLoaded(session);

export * from "./shell.js";
export * from "./stores.js";
