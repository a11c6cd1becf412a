// Who copies or deletes the file of a conversation. Nothing that is acknowledged depends on it.

import { open, readFile, readlink, rename, rm, stat } from "node:fs/promises";

import { storeError } from "./store-errors.js";
import { random } from "./store-file-lines.js";

/** How long somebody may be waited for, ms. */
export const PATIENCE = 5_000;
/** Between two looks, ms. */
const PAUSE = 20;
/** After that a lock is nobody's, ms. */
const ABANDONED = 30_000;

/** @type {Promise<string> | undefined} */
let place;

/** Where numbers of processes mean the same; empty where that is not known. */
function ourPlace() {
  place ??= (async () => {
    try {
      const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
      return `${boot.trimEnd()} ${await readlink("/proc/self/ns/pid")}`;
    } catch {
      return "";
    }
  })();
  return place;
}

/** The lock of one conversation. */
export class Lock {
  /** @param {string} base path of the files of the conversation, up to the first dot */
  constructor(base) {
    /** @private */
    this.base = base;
    /** @private */
    this.path = `${base}.lock`;
    /** @private */
    this.token = "";
  }

  /** Whether it is ours from now on. */
  async take() {
    const token = random();
    const content = JSON.stringify({ pid: process.pid, place: await ourPlace(), token });
    if (!(await created(this.path, content))) {
      if (!(await this.isAbandoned())) return false;
      await this.clear();
      if (!(await created(this.path, content))) return false;
    }
    this.token = token;
    return true;
  }

  /**
   * Takes it as soon as nobody else has it.
   *
   * @param {string} call
   */
  async wait(call) {
    for (const end = Date.now() + PATIENCE; !(await this.take()); await pause()) {
      if (Date.now() > end)
        throw storeError("blocked", `${call}: somebody else is copying or deleting the conversation`);
    }
  }

  async isOurs() {
    return (await this.holder())?.token === this.token;
  }

  async giveBack() {
    if (await this.isOurs()) await rm(this.path, { force: true });
  }

  /** @private */
  async holder() {
    try {
      return JSON.parse(await readFile(this.path, "utf8"));
    } catch {
      return undefined;
    }
  }

  /** @private */
  async isAbandoned() {
    const holder = await this.holder();
    const ours = await ourPlace();
    if (ours !== "" && holder?.place === ours && !(await exists(`/proc/${Number(holder.pid)}`))) return true;
    const { mtimeMs } = (await stat(this.path).catch(() => undefined)) ?? { mtimeMs: Date.now() };
    return Date.now() - mtimeMs > ABANDONED;
  }

  /** @private */
  async clear() {
    const aside = `${this.base}.${random()}.tmp`;
    try {
      await rename(this.path, aside);
      await rm(aside, { force: true });
    } catch (error) {
      // Somebody else was faster.
      if (/** @type {any} */ (error).code !== "ENOENT") throw error;
    }
  }
}

export const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE));

/**
 * Whether a file was created that did not exist.
 *
 * @param {string} path
 * @param {string} content
 */
async function created(path, content) {
  try {
    const file = await open(path, "wx", 0o600);
    await file.writeFile(content).finally(() => file.close());
    return true;
  } catch (error) {
    if (/** @type {any} */ (error).code === "EEXIST") return false;
    throw error;
  }
}

/** @param {string} path */
async function exists(path) {
  return stat(path).then(
    () => true,
    (error) => error.code !== "ENOENT",
  );
}
