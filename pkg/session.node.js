// `epitome/session` for Node.js, Deno and Bun.

import { compactOn } from "./compact.js";
import { sessionOn } from "./session-class.js";
import { instance } from "./session-instance.node.js";
import { operateOn } from "./store-operations.js";

/** Nothing to do here; browsers need it. */
export async function init() {}

export const compact = compactOn(instance);
operateOn(instance, init);

export const Session = sessionOn(instance, init);

export * from "./shell.js";
export * from "./stores.js";
