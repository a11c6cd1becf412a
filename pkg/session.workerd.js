// `epitome/session` for Cloudflare Workers.

import { compactOn } from "./compact.js";
import { Instance, use } from "./instance.js";
import { sessionOn } from "./session-class.js";
import { operateOn } from "./store-operations.js";
import * as glue from "./wasm/session.js";
import module from "./wasm/session_bg.wasm";

const instance = new Instance(glue, "session_bg.wasm", () => module);
use(instance);

/** Nothing to do here; browsers need it. */
export async function init() {}

export const compact = compactOn(instance);
operateOn(instance, init);

export const Session = sessionOn(instance, init);

export * from "./shell.js";
export * from "./stores.js";
