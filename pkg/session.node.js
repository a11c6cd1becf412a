// `epitome/session` for Node.js, Deno and Bun.

import { compactOn } from "./compact.js";
import { instance } from "./session-instance.node.js";

/** Nothing to do here; browsers need it. */
export async function init() {}

export const compact = compactOn(instance);

export * from "./shell.js";
