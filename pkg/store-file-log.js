// The file of one conversation: reading, committing, copying and deleting, as `docs/stores.md` describes them.

import { constants } from "node:fs";
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";

import { KINDS, storeError, storeErrorOf } from "./store-errors.js";
import { batchLine, fileLine, random, SPOILER, sealLine } from "./store-file-lines.js";
import { Lock, PATIENCE, pause } from "./store-file-lock.js";
import { readSlots, recordsOf, Standing } from "./store-file-standing.js";

/** @import { FileHandle } from "node:fs/promises" */
/** @import { Written } from "./store-file-lines.js" */
/** @import { OnBatch } from "./store-file-standing.js" */
/** @import { StoreBatch, StoreRange } from "./stores.js" */

const { O_APPEND, O_CREAT, O_RDWR } = constants;

/** A smaller file is never copied, bytes. */
const WORTHWHILE = 256 * 1024;
/** Texts of one batch of a copy, bytes. */
const GROUP = 1 << 20;

export class Log {
  /**
   * @param {string} base path of its files, up to the first dot
   * @param {string} conversation
   */
  constructor(base, conversation) {
    /** @private */
    this.base = base;
    /** @private */
    this.path = `${base}.log`;
    /** @private */
    this.conversation = conversation;
    /** @private */
    this.standing = new Standing();
    /** @private The last call. @type {Promise<unknown>} */
    this.last = Promise.resolve();
    /** How many calls are under way. */
    this.calls = 0;
  }

  /** @param {readonly StoreRange[]} ranges */
  load(ranges) {
    return this.inTurn(() =>
      this.opened({ creates: false }, async (handle) => {
        if (handle === undefined) return { revision: 0, records: [] };
        await this.refresh(handle);
        const found = ranges.flatMap((range) => this.standing.slots(range));
        const texts = await readSlots(
          handle,
          found.map(({ slot }) => slot),
        );
        return { revision: this.standing.revision, records: recordsOf(found, texts) };
      }),
    );
  }

  /** @param {StoreBatch} batch */
  commit(batch) {
    return this.inTurn(async () => {
      for (const end = Date.now() + PATIENCE; ; ) {
        const outcome = await this.opened({ creates: batch.expected === 0 }, (handle) => this.attempt(handle, batch));
        if (outcome !== undefined) {
          if (this.isWasteful) await this.copy().catch(() => {});
          return outcome;
        }
        if (Date.now() > end) throw storeError("blocked", "commit: the conversation is being copied by somebody else");
        if (this.standing.isSealed && !(await this.copy())) await pause();
      }
    });
  }

  delete() {
    return this.inTurn(async () => {
      const lock = new Lock(this.base);
      try {
        await lock.wait("delete");
      } catch (error) {
        // Where there is no folder, there is nothing to delete.
        if (/** @type {any} */ (error).code === "ENOENT") return;
        throw error;
      }
      try {
        await this.removeAll();
      } finally {
        await lock.giveBack();
      }
    });
  }

  /**
   * One call after the other: they share what has been read.
   *
   * @private
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  inTurn(work) {
    this.calls += 1;
    const turn = this.last.then(work, work).finally(() => {
      this.calls -= 1;
    });
    this.last = turn;
    return turn;
  }

  /**
   * Works on the file as it is now; without one if there is none.
   *
   * @private
   * @template T
   * @param {{ creates: boolean }} how
   * @param {(handle: FileHandle | undefined) => Promise<T>} work
   * @returns {Promise<T>}
   */
  async opened({ creates }, work) {
    const handle = await this.handle(creates);
    if (handle === undefined) this.standing = new Standing();
    try {
      return await work(handle);
    } finally {
      await handle?.close();
    }
  }

  /**
   * @private
   * @param {boolean} creates
   */
  async handle(creates) {
    const flags = O_RDWR | O_APPEND | (creates ? O_CREAT : 0);
    try {
      return await open(this.path, flags, 0o600);
    } catch (error) {
      if (/** @type {any} */ (error).code !== "ENOENT") throw error;
    }
    if (!creates) return undefined;
    const made = await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    if (made !== undefined) await syncFolder(dirname(made));
    return open(this.path, flags, 0o600);
  }

  /**
   * @private
   * @param {FileHandle} handle
   * @param {OnBatch} [onBatch]
   */
  async refresh(handle, onBatch) {
    if (!(await this.standing.isOf(handle))) this.standing = new Standing();
    const size = await this.standing.readOn(handle, onBatch);
    const { conversation } = this.standing;
    if (conversation !== undefined && conversation !== this.conversation) {
      throw storeError("corrupted", "the file is that of another conversation");
    }
    return size;
  }

  /**
   * Writes a batch, and finds out what came of it; nothing, if it has to be tried again.
   *
   * @private
   * @param {FileHandle | undefined} handle
   * @param {StoreBatch} batch
   */
  async attempt(handle, batch) {
    if (handle === undefined) return { conflict: 0 };
    const size = await this.refresh(handle);
    const { revision, isSealed, conversation } = this.standing;
    if (isSealed) return undefined;
    if (revision !== batch.expected) return { conflict: revision };
    const mark = { revision: revision + 1, stamp: random() };
    const first = conversation === undefined ? fileLine(this.conversation) : Buffer.alloc(0);
    const at = size + SPOILER.length + first.length;
    const written = { ...batch, puts: batch.puts.map((record) => ({ ...record, bytes: jsonOf(record.text) })) };
    await append(handle, Buffer.concat([SPOILER, first, batchLine(written, { ...mark, at })]));
    try {
      await handle.sync();
      if (revision === 0) await syncFolder(dirname(this.path));
      return await this.verdict(handle, mark);
    } catch (cause) {
      throw storeError("lost", `commit: ${/** @type {Error} */ (cause).message}`, { cause });
    }
  }

  /**
   * Who made a revision.
   *
   * @private
   * @param {FileHandle} handle
   * @param {{ revision: number, stamp: string }} mark
   */
  async verdict(handle, { revision, stamp }) {
    /** @type {string | undefined} */
    let winner;
    await this.refresh(handle, (batch) => {
      if (batch.revision === revision) winner = batch.stamp;
    });
    if (winner === stamp) return { revision };
    return winner === undefined ? undefined : { conflict: this.standing.revision };
  }

  /** @private */
  get isWasteful() {
    const { end, live } = this.standing;
    return end > WORTHWHILE && live < end / 2;
  }

  /**
   * Puts a copy without what was replaced or deleted in the place of the file. Returns whether it could.
   *
   * @private
   */
  async copy() {
    const lock = new Lock(this.base);
    if (!(await lock.take())) return false;
    const path = `${this.base}.${random()}.tmp`;
    try {
      return await this.opened({ creates: false }, async (handle) => {
        if (handle === undefined) return true;
        await this.refresh(handle);
        if (this.standing.minor > 0) return false;
        await this.copyTo(path, handle);
        if (!this.standing.isSealed || !(await lock.isOurs())) return false;
        await rename(path, this.path);
        this.standing = new Standing();
        await syncFolder(dirname(this.path));
        return true;
      });
    } finally {
      await rm(path, { force: true });
      await lock.giveBack();
    }
  }

  /**
   * @private
   * @param {string} path
   * @param {FileHandle} handle
   */
  async copyTo(path, handle) {
    const copy = await open(path, "wx", 0o600);
    try {
      await this.writeCopy(copy, handle);
      if (!this.standing.isSealed) {
        await append(handle, Buffer.concat([SPOILER, sealLine()]));
        /** @type {Buffer[]} */
        const since = [];
        await this.refresh(handle, (_, bytes) => since.push(Buffer.from(bytes), Buffer.from("\n")));
        await copy.appendFile(Buffer.concat(since));
      }
      await copy.sync();
    } finally {
      await copy.close();
    }
  }

  /**
   * @private
   * @param {FileHandle} copy
   * @param {FileHandle} handle
   */
  async writeCopy(copy, handle) {
    const { revision, about } = this.standing;
    const file = fileLine(this.conversation);
    await copy.appendFile(file);
    let at = file.length;
    const groups = this.groups(revision);
    for (const [index, found] of groups.entries()) {
      const slots = found.map(({ slot }) => slot);
      const texts = await readSlots(handle, slots);
      const puts = found.map(({ kind, number }, at) => ({ kind, number, bytes: /** @type {Buffer} */ (texts[at]) }));
      const of = revision - groups.length + 1 + index;
      const expected = index === 0 ? 0 : of - 1;
      const line = batchLine({ expected, about, deletes: [], puts }, { revision: of, stamp: random(), at });
      await copy.appendFile(line);
      at += line.length;
    }
  }

  /**
   * All records, in as many groups as there are at most.
   *
   * @private
   * @param {number} most
   */
  groups(most) {
    /** @type {ReturnType<Standing["slots"]>[]} */
    const groups = most === 0 ? [] : [[]];
    let size = 0;
    for (const kind of KINDS) {
      for (const found of this.standing.slots({ kind, from: 0, to: 2 ** 53 })) {
        if (size >= GROUP && groups.length < most) {
          groups.push([]);
          size = 0;
        }
        groups.at(-1)?.push(found);
        size += found.slot.length;
      }
    }
    return groups;
  }

  /** @private */
  async removeAll() {
    const folder = dirname(this.path);
    await rm(this.path, { force: true });
    for (const name of await readdir(folder)) {
      if (name.startsWith(`${basename(this.base)}.`) && name.endsWith(".tmp")) {
        await rm(`${folder}/${name}`, { force: true });
      }
    }
    await syncFolder(folder);
    this.standing = new Standing();
  }
}

/** @param {string} text */
function jsonOf(text) {
  return Buffer.from(JSON.stringify(text));
}

/**
 * Adds to a file, in one write if the system lets it be one.
 *
 * @param {FileHandle} handle
 * @param {Buffer} bytes
 */
async function append(handle, bytes) {
  try {
    for (let done = 0; done < bytes.length; ) done += (await handle.write(bytes, done)).bytesWritten;
  } catch (error) {
    throw storeErrorOf(error, { call: "commit", writes: true });
  }
}

/** @param {string} folder */
async function syncFolder(folder) {
  // Windows opens no folders; there, a file that was synced is in its folder.
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  await handle.sync().finally(() => handle.close());
}
