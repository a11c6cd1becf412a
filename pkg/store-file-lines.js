// The lines of a conversation's file, as `docs/stores.md` describes them.

import { createHash, randomBytes } from "node:crypto";

import { isCount, KINDS, storeError } from "./store-errors.js";

/** @import { About, StoreKind, StoreRange } from "./stores.js" */

/** @typedef {{ offset: number, length: number }} Slot where a text is in the file */
/** @typedef {{ kind: StoreKind, number: number, slot: Slot }} Put */
/** @typedef {{ kind: StoreKind, number: number, bytes: Buffer }} Written a record with its text as a JSON string */
/** @typedef {{ kind: "file", conversation: string, major: number, minor: number, sum: string }} FileLine */
/** @typedef {{ kind: "batch", expected: number, revision: number, stamp: string, at: number, about: About, deletes: StoreRange[], puts: Put[] }} BatchLine */
/** @typedef {FileLine | BatchLine | { kind: "seal" } | { kind: "unknown" }} Line */

/** Of what is written here; a greater one was written by a newer version of Epitome. */
export const MAJOR = 1;
/** Bytes of a sum. */
export const SUM = 16;

/** Spoils whatever a write before left unfinished. */
export const SPOILER = Buffer.from("-\n");

export const random = () => randomBytes(8).toString("hex");

/** @param {string} conversation */
export function fileLine(conversation) {
  return line({ kind: "file", format: "epitome-conversation", major: MAJOR, minor: 0, conversation, token: random() });
}

/**
 * @param {{ expected: number, about: About, deletes: readonly StoreRange[], puts: readonly Written[] }} batch
 * @param {{ revision: number, stamp: string, at: number }} mark
 */
export function batchLine({ expected, about, deletes, puts }, { revision, stamp, at }) {
  const { createdMs, updatedMs, entries } = about;
  const head = {
    kind: "batch",
    expected,
    revision,
    stamp,
    at,
    about: { createdMs, updatedMs, entries },
    deletes: deletes.map(({ kind, from, to }) => [kind, from, to]),
    puts: puts.map(({ kind, number, bytes }) => [kind, number, bytes.length]),
  };
  return line(
    head,
    puts.map(({ bytes }) => bytes),
  );
}

export const sealLine = () => line({ kind: "seal" });

/**
 * @param {object} head
 * @param {Buffer[]} [texts]
 */
function line(head, texts = []) {
  const written = Buffer.from(JSON.stringify(head));
  const body = Buffer.concat([Buffer.from(`${written.length} `), written, ...texts]);
  return Buffer.concat([Buffer.from(`${sumOf(body)} `), body, Buffer.from("\n")]);
}

/** @param {Uint8Array} bytes */
function sumOf(bytes) {
  return createHash("sha256").update(bytes).digest("hex").slice(0, SUM);
}

/**
 * What a line says; `undefined` for one that does not count.
 *
 * @param {Buffer} bytes without the line feed
 * @param {number} offset of the line in the file
 * @returns {Line | undefined}
 */
export function parsed(bytes, offset) {
  const sum = bytes.toString("latin1", 0, SUM);
  if (bytes[SUM] !== 0x20 || sum !== sumOf(bytes.subarray(SUM + 1))) return undefined;
  const space = bytes.indexOf(0x20, SUM + 1);
  const digits = bytes.toString("latin1", SUM + 1, space);
  if (space === -1 || !/^\d{1,15}$/.test(digits)) throw odd(offset);
  const end = space + 1 + Number(digits);
  const head = parsedJson(bytes.subarray(space + 1, end), offset);
  const texts = { offset: offset + end, length: bytes.length - end };
  if (head?.kind === "file") return fileOf(head, sum, offset);
  if (head?.kind === "batch") return batchOf(head, texts, offset);
  return { kind: head?.kind === "seal" ? "seal" : "unknown" };
}

/**
 * @param {Buffer} bytes
 * @param {number} offset
 */
function parsedJson(bytes, offset) {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    throw odd(offset);
  }
}

/**
 * @param {any} head
 * @param {string} sum
 * @param {number} offset
 * @returns {FileLine}
 */
function fileOf({ conversation, major, minor }, sum, offset) {
  if (!isCount(major) || !isCount(minor) || (major <= MAJOR && typeof conversation !== "string")) throw odd(offset);
  return { kind: "file", conversation, major, minor, sum };
}

/**
 * @param {any} head
 * @param {Slot} texts
 * @param {number} offset
 * @returns {BatchLine}
 */
function batchOf({ expected, revision, stamp, at, about, deletes, puts }, texts, offset) {
  const { entries } = Object(about);
  // What is no number (`NaN`) is `null` in JSON.
  const [createdMs, updatedMs] = [about?.createdMs ?? 0, about?.updatedMs ?? 0];
  const isSound =
    [expected, revision, entries].every(isCount) &&
    revision > expected &&
    [createdMs, updatedMs].every(Number.isFinite) &&
    [deletes, puts].every((list) => Array.isArray(list) && list.every(isTriple));
  if (!isSound) throw odd(offset);
  let end = texts.offset;
  const slots = puts.map((/** @type {[StoreKind, number, number]} */ [kind, number, length]) => {
    end += length;
    return { kind, number, slot: { offset: end - length, length } };
  });
  if (end !== texts.offset + texts.length) throw odd(offset);
  const ranges = deletes.map((/** @type {[StoreKind, number, number]} */ [kind, from, to]) => ({ kind, from, to }));
  return {
    kind: "batch",
    expected,
    revision,
    stamp,
    at,
    about: { createdMs, updatedMs, entries },
    deletes: ranges,
    puts: slots,
  };
}

/** @param {unknown} item */
function isTriple(item) {
  if (!Array.isArray(item) || item.length !== 3 || !KINDS.includes(item[0])) return false;
  // Beyond the last number there is 2^53, which is no safe integer.
  return [item[1], item[2]].every((number) => isCount(number) || number === 2 ** 53);
}

/** @param {number} offset */
function odd(offset) {
  return storeError("corrupted", `the line at byte ${offset} has a right sum, but not the right form`);
}
