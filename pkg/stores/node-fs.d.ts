import type { Instance } from "../providers/index.js";
import type { ReadyStore } from "../stores.js";

/**
 * Conversations in a folder, for Node.js, Deno and Bun; the folder is created when it is first written to. What was
 * acknowledged is on the disk (`fsync`) and survives a crash or a loss of power as a whole; several processes of one
 * machine may use the folder at the same time, also Rust programs with the `FileStore` of the crate. The folder has to be
 * on a local disk. What is in its files is written down in `docs/stores.md`; texts are not encrypted.
 *
 * @example
 * ```ts
 * import { nodeFs } from "epitome/stores/node-fs";
 * const store = nodeFs("./conversations");
 * ```
 */
export function nodeFs(folder: string | Instance<"URL">): ReadyStore;
