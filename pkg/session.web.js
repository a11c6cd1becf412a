// `epitome/session` for browsers and everything else that loads the module over the network.

import { compactOn } from "./compact.js";
import { Instance, use } from "./instance.js";
import { initOf } from "./load.web.js";
import { sessionOn } from "./session-class.js";
import { operateOn } from "./store-operations.js";
import * as glue from "./wasm/session.js";

const instance = new Instance(glue, "session_bg.wasm");
use(instance, { unlessThereIsOne: true });

export const init = initOf(
  instance,
  // The literal is what bundlers look for in order to ship the file.
  () => new URL("./wasm/session_bg.wasm", import.meta.url),
  // From now on, so that whoever has the main module goes on with that until this one is there.
  () => use(instance),
);

export const compact = compactOn(instance);
operateOn(instance, init);

export const Session = sessionOn(instance, init);

export * from "./shell.js";
export * from "./stores.js";
