// The instance of `epitome/session` for Node.js, Deno and Bun.

import { readFileSync } from "node:fs";
import { Instance, use } from "./instance.js";
import * as glue from "./wasm/session.js";

const load = () => new WebAssembly.Module(readFileSync(new URL("./wasm/session_bg.wasm", import.meta.url)));

export const instance = new Instance(glue, "session_bg.wasm", load);
use(instance);
