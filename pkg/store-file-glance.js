// What there is to tell of a conversation, without reading all of its file.

import { parsed } from "./store-file-lines.js";
import { readAt, Standing } from "./store-file-standing.js";

/** @import { FileHandle } from "node:fs/promises" */
/** @import { BatchLine, FileLine } from "./store-file-lines.js" */
/** @import { ListedConversation } from "./stores.js" */

/** Bytes at either end in which the first and the last line almost always are. */
const WINDOW = 1 << 14;

/**
 * @param {FileHandle} handle
 * @returns {Promise<ListedConversation | undefined>} nothing if it does not exist after all
 */
export async function glance(handle) {
  const [file, last] = [await firstLine(handle), await lastLine(handle)];
  if (file !== undefined && last !== undefined) {
    return { conversation: file.conversation, revision: last.revision, about: last.about };
  }
  const standing = new Standing();
  try {
    await standing.readOn(handle);
  } catch (error) {
    // One that is damaged is told of as far as it can be read; opening it says what is wrong.
    if (/** @type {any} */ (error).code !== "store_corrupted") throw error;
  }
  const { conversation, revision, about } = standing;
  return conversation === undefined || revision === 0 ? undefined : { conversation, revision, about };
}

/**
 * The line that says whose file it is, if it is where it usually is: behind what spoils.
 *
 * @param {FileHandle} handle
 * @returns {Promise<FileLine | undefined>}
 */
async function firstLine(handle) {
  const bytes = await readAt(handle, 0, WINDOW);
  for (let start = 0, end = bytes.indexOf(10); end !== -1; start = end + 1, end = bytes.indexOf(10, start)) {
    const line = parsed(bytes.subarray(start, end), start);
    if (line !== undefined) return line.kind === "file" && line.major === 1 ? line : undefined;
  }
  return undefined;
}

/**
 * The last line, if it is a batch that has won.
 *
 * @param {FileHandle} handle
 * @returns {Promise<BatchLine | undefined>}
 */
async function lastLine(handle) {
  const { size } = await handle.stat();
  for (let window = WINDOW; ; window *= 8) {
    const from = Math.max(0, size - window);
    const bytes = await readAt(handle, from, size - from);
    if (bytes.length !== size - from || bytes.at(-1) !== 10) return undefined;
    const start = bytes.lastIndexOf(10, -2) + 1;
    if (start === 0 && from > 0) continue;
    const line = parsed(bytes.subarray(start, -1), from + start);
    return line?.kind === "batch" && line.at === from + start ? line : undefined;
  }
}
