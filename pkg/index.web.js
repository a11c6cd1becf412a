// The entry for browsers and everything else that loads the module over the network.

import { Instance, use } from "./instance.js";
import { lazily } from "./lazy.js";
import { initOf } from "./load.web.js";
import * as glue from "./wasm/epitome.js";

const instance = new Instance(glue, "epitome_bg.wasm");
use(instance, { unlessThereIsOne: true });

export const init = initOf(
  instance,
  // The literal is what bundlers look for in order to ship the file.
  () => new URL("./wasm/epitome_bg.wasm", import.meta.url),
  () => {},
);

export const compact = lazily(() => import("./session.web.js"));

export * from "./shell.js";
