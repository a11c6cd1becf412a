// The entry for browsers and everything else that loads the module over the network.

import { Instance, use } from "./instance.js";
import { lazily } from "./lazy.js";
import { initOf } from "./load.web.js";
import { operateOnceLoaded } from "./store-indexed-db.js";
import * as glue from "./wasm/epitome.js";

const instance = new Instance(glue, "epitome_bg.wasm");
use(instance, { unlessThereIsOne: true });

export const init = initOf(
  instance,
  // The literal is what bundlers look for in order to ship the file.
  () => new URL("./wasm/epitome_bg.wasm", import.meta.url),
  () => {},
);

const session = () => import("./session.web.js");

export const compact = lazily(session);
operateOnceLoaded(session);

export * from "./shell.js";
export * from "./stores.js";
