// Conversations in a folder, for Node.js, Deno and Bun. The form is that of the Rust `FileStore` (`docs/stores.md`).

import { createHash } from "node:crypto";
import { open, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { describe, EpitomeError, invalidOption } from "../errors.js";
import { checkName, checkSignal, closed, pageOf, storeErrorOf } from "../store-errors.js";
import { glance } from "../store-file-glance.js";
import { Log } from "../store-file-log.js";

/** @import { ListedConversation, ListPage, StoreBatch, StoreCallOptions, StoreRange } from "../stores.js" */

/** How many conversations are remembered that nobody uses at the moment. */
const REMEMBERED = 64;

/** @param {string | URL} folder */
export function nodeFs(folder) {
  if (folder instanceof URL) return new NodeFsStore(fileURLToPath(folder));
  if (typeof folder === "string" && folder !== "") return new NodeFsStore(resolve(folder));
  throw invalidOption("folder", `must be a path or a file URL, but is ${folder === "" ? "empty" : describe(folder)}`);
}

class NodeFsStore {
  /** @param {string} folder */
  constructor(folder) {
    /** @private */
    this.folder = folder;
    /** @private By name, the one used last at the end. @type {Map<string, Log>} */
    this.logs = new Map();
    /** @private */
    this.isClosed = false;
  }

  /**
   * @param {string} conversation
   * @param {readonly StoreRange[]} ranges
   * @param {StoreCallOptions} [options]
   */
  async load(conversation, ranges, options) {
    return this.run("load", options, () => this.log(conversation).load(ranges));
  }

  /**
   * @param {ListPage & StoreCallOptions} [page]
   * @param {StoreCallOptions} [options]
   */
  async list(page, options) {
    const { after, limit, signal } = pageOf(page, options);
    return this.run("list", { signal }, async () => {
      const first = after === undefined ? "" : `${keyOf(after)}.log`;
      /** @type {ListedConversation[]} */
      const listed = [];
      for (const name of await this.names()) {
        if (listed.length >= limit) break;
        const line = name > first ? await this.told(join(this.folder, name)) : undefined;
        if (line !== undefined && name === `${keyOf(line.conversation)}.log`) listed.push(line);
      }
      return listed;
    });
  }

  /**
   * @param {StoreBatch} batch
   * @param {StoreCallOptions} [options]
   */
  async commit(batch, options) {
    return this.run("commit", options, () => this.log(batch.conversation).commit(batch));
  }

  /**
   * @param {string} conversation
   * @param {StoreCallOptions} [options]
   */
  async delete(conversation, options) {
    checkName("conversation", conversation);
    await this.run("delete", options, () => this.log(conversation).delete());
  }

  async close() {
    this.isClosed = true;
    this.logs.clear();
  }

  /**
   * @private
   * @template T
   * @param {string} call
   * @param {StoreCallOptions | undefined} options
   * @param {() => Promise<T>} work
   */
  async run(call, { signal } = {}, work) {
    checkSignal(signal);
    if (this.isClosed) throw closed();
    try {
      return await work();
    } catch (error) {
      throw error instanceof EpitomeError ? error : storeErrorOf(error, { call, writes: false });
    }
  }

  /**
   * @private
   * @param {string} conversation
   */
  log(conversation) {
    const log = this.logs.get(conversation) ?? new Log(join(this.folder, keyOf(conversation)), conversation);
    this.logs.delete(conversation);
    this.logs.set(conversation, log);
    for (const [name, { calls }] of this.logs) {
      if (this.logs.size <= REMEMBERED) break;
      if (calls === 0 && name !== conversation) this.logs.delete(name);
    }
    return log;
  }

  /** @private */
  async names() {
    try {
      return (await readdir(this.folder)).filter((name) => /^[0-9a-f]{64}\.log$/.test(name)).sort();
    } catch (error) {
      if (/** @type {any} */ (error).code === "ENOENT") return [];
      throw error;
    }
  }

  /**
   * @private
   * @param {string} path
   */
  async told(path) {
    try {
      const handle = await open(path, "r");
      return await glance(handle).finally(() => handle.close());
    } catch (error) {
      // It was deleted meanwhile.
      if (/** @type {any} */ (error).code === "ENOENT") return undefined;
      throw error;
    }
  }
}

/** @param {string} conversation */
function keyOf(conversation) {
  return createHash("sha256").update(conversation, "utf8").digest("hex");
}
