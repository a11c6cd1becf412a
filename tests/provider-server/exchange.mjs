// One request and what is sent in return. Faults are written in terms of this.

import { once } from "node:events";

import { tokens } from "./checks.mjs";
import { answerTo, clip } from "./text.mjs";

export const cors = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "*",
  // The star does not stand for `authorization`.
  "access-control-allow-headers": "*, authorization",
  "access-control-expose-headers": "*",
  "access-control-max-age": "600",
};

/**
 * @typedef {object} Reply what would be sent if all went well
 * @property {number} status
 * @property {Record<string, string>} headers
 * @property {(string | Buffer)[]} pieces the body; a stream has one for each event
 * @property {number} tail index of the first piece that says that a stream is complete
 * @property {boolean} streamed
 */

export class Exchange {
  #gone;

  constructor({ req, res, path, rest, query, log }) {
    Object.assign(this, { req, res, path, rest, query, log, headers: req.headers });
    this.id = req.headers["x-test-id"] ?? null;
    this.commonHeaders = cors;
    /** Whether the connection is closed, by whomever. */
    this.over = false;
    /** Whether it was the server that closed it. */
    this.cut = false;
    this.#gone = new Promise((resolve) => {
      res.once("close", () => {
        this.over = true;
        resolve();
      });
    });
  }

  /**
   * The right answer, with what a fault changes of it.
   * @returns {Reply}
   */
  reply(changes = {}) {
    const answer = this.#answer(changes);
    if (this.asked.stream) return this.#streamReply(answer);
    return this.json(200, this.format.whole(answer, this.asked));
  }

  #answer({ text, stop, readShare = 1, thinks = false, pieces }) {
    const forced = this.headers["x-test-answer"];
    let said = text ?? (forced === undefined ? answerTo(this.asked.prompt) : fromBase64(forced));
    let ends = stop ?? "end";
    if (stop === "length") said = clip(said, Math.ceil(said.length / 2));
    const { maxTokens = Number.POSITIVE_INFINITY } = this.asked;
    if (tokens(said) > maxTokens) {
      said = clip(said, maxTokens * 4);
      ends = "length";
    }
    const input = Math.floor(this.asked.inputTokens * readShare);
    return {
      id: `test${String(this.log.total).padStart(8, "0")}`,
      model: this.asked.model,
      text: said,
      pieces: pieces ?? inPieces(said),
      stop: ends,
      thinks,
      usage: { input, output: tokens(said) },
    };
  }

  #streamReply(answer) {
    const pieces = [];
    let tail;
    for (const { frame, tail: last } of this.format.stream(answer, this.asked)) {
      if (last) tail ??= pieces.length;
      pieces.push(frame);
    }
    const type = this.asked.asArray ? "application/json; charset=UTF-8" : this.format.streamType;
    return { status: 200, headers: { "content-type": type }, pieces, tail, streamed: true };
  }

  /** @returns {Reply} */
  json(status, value) {
    return this.text(status, JSON.stringify(value), "application/json");
  }

  /** @returns {Reply} */
  text(status, text, type = "text/plain; charset=utf-8") {
    return { status, headers: { "content-type": type }, pieces: [text], tail: 1, streamed: false };
  }

  /** The vendor's error for a status. @returns {Reply} */
  failure(about, headers = {}) {
    const reply = this.json(about.status, this.format.error(about));
    return { ...reply, headers: { ...reply.headers, ...headers } };
  }

  /** Sends all of a reply. */
  async send(reply) {
    this.head(reply, reply.streamed ? {} : { "content-length": byteLength(reply.pieces) });
    await this.write(reply.pieces);
    this.res.end();
  }

  /** Sends status and headers. */
  head({ status, headers }, more = {}) {
    this.res.writeHead(status, { "x-request-id": "req_test", ...this.commonHeaders, ...headers, ...more });
    this.res.flushHeaders();
  }

  /** Sends pieces of a body, as fast as the client takes them. */
  async write(pieces) {
    for (const piece of pieces) {
      if (this.over) return;
      if (!this.res.write(piece)) await Promise.race([once(this.res, "drain").catch(() => {}), this.#gone]);
    }
  }

  /** Waits for the client to go. */
  untilGone() {
    return this.#gone;
  }

  /** Waits, but not for longer than the client. */
  async pause(ms) {
    let timer;
    await Promise.race([
      this.#gone,
      new Promise((resolve) => {
        timer = setTimeout(resolve, ms);
      }),
    ]);
    clearTimeout(timer);
  }

  /** Closes the connection: with a reset, or as if nothing more had to be said. */
  close(how) {
    this.cut = true;
    const { socket } = this.res;
    if (how === "reset") socket?.resetAndDestroy();
    else socket?.end();
  }
}

/** The text in up to 60 pieces, none of which splits a character. */
function inPieces(text) {
  const characters = [...text];
  const size = Math.max(12, Math.ceil(characters.length / 60));
  const pieces = [];
  for (let at = 0; at < characters.length; at += size) pieces.push(characters.slice(at, at + size).join(""));
  return pieces;
}

const fromBase64 = (text) => Buffer.from(text, "base64").toString("utf8");

export const byteLength = (pieces) => pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
