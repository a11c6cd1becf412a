// What has been read of the file of a conversation, and how it is read on.

import { storeError } from "./store-errors.js";
import { MAJOR, parsed, SUM } from "./store-file-lines.js";
import { byKind } from "./store-numbered.js";

/** @import { FileHandle } from "node:fs/promises" */
/** @import { BatchLine, FileLine, Slot } from "./store-file-lines.js" */
/** @import { Numbered } from "./store-numbered.js" */
/** @import { About, StoreKind, StoreRange, StoreRecord } from "./stores.js" */

/** Read at once, bytes. */
const CHUNK = 1 << 20;
/** Texts with less than that between them are read at once, bytes. */
const GAP = 1 << 14;
/** What a record costs beside its text when it is copied, bytes. */
const OVERHEAD = 32;

/** @typedef {(line: BatchLine, bytes: Buffer) => void} OnBatch */

export class Standing {
  revision = 0;
  /** @type {About} */
  about = { createdMs: 0, updatedMs: 0, entries: 0 };
  isSealed = false;
  /** Of all files of this form, whoever wrote it. */
  minor = 0;
  /** What the records would take in a copy, bytes. */
  live = 0;
  /** @type {string | undefined} */
  conversation = undefined;
  /** @private @type {Record<StoreKind, Numbered<Slot>>} */
  kinds = byKind();
  /** Where the first line is that has not been read. */
  end = 0;
  /** @private Where the line is that tells this file from all others. @type {{ offset: number, sum: string } | undefined} */
  mark = undefined;
  /** @private */
  isDamaged = false;

  /**
   * Whether this was read from that file.
   *
   * @param {FileHandle} handle
   */
  async isOf(handle) {
    // What was damaged may have been replaced.
    if (this.isDamaged) return false;
    if (this.mark === undefined) return this.end === 0;
    const bytes = await readAt(handle, this.mark.offset, SUM);
    return bytes.toString("latin1") === this.mark.sum && (await handle.stat()).size >= this.end;
  }

  /**
   * Reads the lines that were added. Returns the size of the file.
   *
   * @param {FileHandle} handle
   * @param {OnBatch} [onBatch] hears of the batches that count
   */
  async readOn(handle, onBatch) {
    const { size: total } = await handle.stat();
    /** @type {number | undefined} */
    let doubtful;
    for (let at = this.end, room = CHUNK; at < total && !this.isSealed; ) {
      const bytes = await readAt(handle, at, Math.min(room, total - at));
      let used = 0;
      for (let end = bytes.indexOf(10); end !== -1 && !this.isSealed; end = bytes.indexOf(10, used)) {
        doubtful = this.take(bytes.subarray(used, end), at + used, onBatch) ? undefined : at + used;
        used = end + 1;
      }
      at += used;
      this.end = at;
      if (at + bytes.length - used >= total) break;
      // A line that is longer than what was read.
      room = used === 0 ? room * 2 : CHUNK;
    }
    // A wrong sum at the very end may be right next time.
    if (doubtful !== undefined && this.end === total) this.end = doubtful;
    return total;
  }

  /**
   * @param {StoreRange} range
   * @returns {{ kind: StoreKind, number: number, slot: Slot }[]}
   */
  slots({ kind, from, to }) {
    return this.kinds[kind].within(from, to).map(([number, slot]) => ({ kind, number, slot }));
  }

  /**
   * Whether the line counts.
   *
   * @private
   * @param {Buffer} bytes
   * @param {number} offset
   * @param {OnBatch} [onBatch]
   */
  take(bytes, offset, onBatch) {
    try {
      const line = parsed(bytes, offset);
      if (line?.kind === "seal") this.isSealed = true;
      else if (line?.kind === "file") this.begin(line, offset);
      else if (line?.kind === "batch" && this.apply(line)) onBatch?.(line, bytes);
      return line !== undefined;
    } catch (error) {
      this.isDamaged = true;
      throw error;
    }
  }

  /**
   * @private
   * @param {FileLine} line
   * @param {number} offset
   */
  begin({ conversation, major, minor, sum }, offset) {
    if (this.mark !== undefined) return;
    if (major > MAJOR) {
      throw storeError(
        "newer",
        `the file has version ${major}.${minor}; this Epitome reads those below ${MAJOR + 1}.0`,
      );
    }
    this.mark = { offset, sum };
    this.minor = minor;
    this.conversation = conversation;
  }

  /**
   * Whether the batch counts.
   *
   * @private
   * @param {BatchLine} batch
   */
  apply({ expected, revision, about, deletes, puts }) {
    if (this.mark === undefined) throw storeError("corrupted", "the file has a batch before it says whose it is");
    if (expected > this.revision) {
      throw storeError("corrupted", `the batch after revision ${this.revision} is damaged`);
    }
    if (expected < this.revision) return false;
    for (const { kind, from, to } of deletes)
      for (const slot of this.kinds[kind].delete(from, to)) this.live -= cost(slot);
    for (const { kind, number, slot } of puts) {
      const before = this.kinds[kind].put(number, slot);
      this.live += cost(slot) - (before === undefined ? 0 : cost(before));
    }
    this.revision = revision;
    this.about = about;
    return true;
  }
}

/** @param {Slot} slot */
function cost({ length }) {
  return length + OVERHEAD;
}

/**
 * Up to that many bytes, fewer at the end of the file.
 *
 * @param {FileHandle} handle
 * @param {number} offset
 * @param {number} length
 */
export async function readAt(handle, offset, length) {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

/**
 * The texts in these places, as JSON strings, in their order.
 *
 * @param {FileHandle} handle
 * @param {readonly Slot[]} slots
 */
export async function readSlots(handle, slots) {
  /** @type {Buffer[]} */
  const texts = new Array(slots.length);
  const order = slots.map((_, index) => index).sort((a, b) => offsetOf(slots, a) - offsetOf(slots, b));
  for (let first = 0; first < order.length; ) {
    const start = offsetOf(slots, order[first]);
    let last = first;
    while (last + 1 < order.length && continues(slots, order, last, start)) last += 1;
    const end = Math.max(...order.slice(first, last + 1).map((index) => endOf(slots, index)));
    const bytes = await readAt(handle, start, end - start);
    for (const index of order.slice(first, last + 1)) {
      texts[index] = bytes.subarray(offsetOf(slots, index) - start, endOf(slots, index) - start);
    }
    first = last + 1;
  }
  return texts;
}

/**
 * @param {readonly Slot[]} slots
 * @param {readonly number[]} order
 * @param {number} last
 * @param {number} start
 */
function continues(slots, order, last, start) {
  const next = offsetOf(slots, order[last + 1]);
  return next - endOf(slots, order[last]) < GAP && endOf(slots, order[last + 1]) - start < CHUNK;
}

/**
 * @param {readonly Slot[]} slots
 * @param {number | undefined} index
 */
const offsetOf = (slots, index) => /** @type {Slot} */ (slots[/** @type {number} */ (index)]).offset;

/**
 * @param {readonly Slot[]} slots
 * @param {number | undefined} index
 */
const endOf = (slots, index) =>
  offsetOf(slots, index) + /** @type {Slot} */ (slots[/** @type {number} */ (index)]).length;

/**
 * @param {readonly { kind: StoreKind, number: number, slot: Slot }[]} found
 * @param {readonly Buffer[]} texts
 * @returns {StoreRecord[]}
 */
export function recordsOf(found, texts) {
  return found.map(({ kind, number, slot }, index) => {
    const text = textOf(/** @type {Buffer} */ (texts[index]), slot);
    if (text === undefined) throw storeError("corrupted", `the record ${kind} ${number} is not a text`);
    return { kind, number, text };
  });
}

/**
 * @param {Buffer} bytes
 * @param {Slot} slot
 * @returns {string | undefined}
 */
function textOf(bytes, { length }) {
  if (bytes.length !== length) return undefined;
  try {
    const text = JSON.parse(bytes.toString("utf8"));
    return typeof text === "string" ? text : undefined;
  } catch {
    return undefined;
  }
}
