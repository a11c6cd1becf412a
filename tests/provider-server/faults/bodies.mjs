// Faults of connections and bodies: what comes late, in part, in another form, or without end.

import { constants, createGzip, gzipSync } from "node:zlib";

import { byteLength } from "../exchange.mjs";

/** How much too much is sent, in pieces of this many characters. */
const hugeSize = 50 * 1024 * 1024;
const pieceSize = 64 * 1024;

/** How long a client has to read what was sent before a reset, which would take it away. */
const beforeReset = 30;

/** The first half of a body: of its events when it is a stream, else of its bytes. */
function half({ pieces, streamed }) {
  if (streamed) return pieces.slice(0, Math.ceil(pieces.length / 2));
  const body = Buffer.from(pieces[0]);
  return [body.subarray(0, body.length / 2)];
}

/** Sends a body that is to be twice as long, half of it. */
async function sendHalf(exchange) {
  const reply = exchange.reply();
  exchange.head(reply, { "content-length": byteLength(reply.pieces) });
  await exchange.write(half(reply));
}

async function slowBody(exchange) {
  const reply = exchange.reply();
  exchange.head(reply);
  const body = Buffer.concat(reply.pieces.map((piece) => Buffer.from(piece)));
  for (let at = 0; !exchange.over; at++) {
    exchange.res.write(at < body.length ? body.subarray(at, at + 1) : " ");
    await exchange.pause(1_000);
  }
}

/** A head that promises chunks, and then something else. */
async function garbage(exchange) {
  const reply = exchange.reply();
  const headers = { ...exchange.commonHeaders, ...reply.headers, "transfer-encoding": "chunked" };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const first = Buffer.concat(half(reply).map((piece) => Buffer.from(piece)));
  const { socket } = exchange.res;
  socket.write(`HTTP/1.1 200 OK\r\n${lines.join("")}\r\n${first.length.toString(16)}\r\n`);
  socket.write(first);
  socket.write("\r\nno size at all\r\n\u0000\u0001\u0002\r\n\r\n");
  exchange.close();
}

/** The same bytes in every run, of no meaning. */
function noise(size) {
  const bytes = Buffer.alloc(size);
  let state = 0x9e3779b9;
  for (let at = 0; at < size; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
  return bytes;
}

async function gzipped(exchange) {
  const reply = exchange.reply();
  if (!reply.streamed) {
    const pieces = [gzipSync(reply.pieces[0])];
    return exchange.send({ ...reply, headers: { ...reply.headers, "content-encoding": "gzip" }, pieces });
  }
  exchange.head(reply, { "content-encoding": "gzip" });
  const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH });
  gzip.pipe(exchange.res);
  for (const piece of reply.pieces) gzip.write(piece);
  gzip.end();
  await exchange.untilGone();
}

function* endless(before = "", after = "") {
  const piece = "All work and no play. ".repeat(pieceSize / 16).slice(0, pieceSize);
  yield before;
  for (let sent = 0; sent < hugeSize; sent += pieceSize) yield piece;
  yield after;
}

/** A body around a text that has no end. */
function around(value, mark) {
  const [before, after] = JSON.stringify(value).split(mark);
  return endless(before, after);
}

const mark = "HERE";

async function huge(exchange) {
  const reply = exchange.reply({ text: mark });
  exchange.head(reply);
  const [before, after] = reply.streamed ? [reply.pieces.slice(0, -1), reply.pieces.at(-1)] : [[], ""];
  if (reply.streamed) {
    const event = reply.pieces.find((piece) => piece.includes(mark));
    await exchange.write(before);
    for (let sent = 0; sent < hugeSize && !exchange.over; sent += pieceSize) {
      await exchange.write([event.replace(mark, "x".repeat(pieceSize))]);
    }
    await exchange.write([after]);
  } else {
    await exchange.write(around(JSON.parse(reply.pieces[0]), mark));
  }
  exchange.res.end();
}

async function hugeError(exchange) {
  const reply = exchange.failure({ status: 500, message: mark });
  exchange.head(reply);
  await exchange.write(around(JSON.parse(reply.pieces[0]), mark));
  exchange.res.end();
}

export const bodyFaults = {
  "slow-headers": (exchange) => exchange.untilGone(),
  "slow-body": slowBody,
  stall: async (exchange) => {
    const reply = exchange.reply();
    exchange.head(reply);
    await exchange.write(half(reply));
    await exchange.untilGone();
  },
  "half-closed": async (exchange) => {
    await sendHalf(exchange);
    exchange.close();
  },
  "reset-mid": async (exchange) => {
    await sendHalf(exchange);
    await exchange.pause(beforeReset);
    exchange.close("reset");
  },
  reset: async (exchange) => exchange.close("reset"),
  garbage,
  random: (exchange) => exchange.send({ ...exchange.reply(), pieces: [noise(4_096)] }),
  "wrong-type": (exchange) => exchange.send({ ...exchange.reply(), headers: { "content-type": "text/plain" } }),
  "wrong-json": (exchange) => exchange.send(exchange.json(200, { status: "ok", data: [1, 2, 3], note: null })),
  gzip: gzipped,
  "bad-gzip": (exchange) => {
    const reply = exchange.reply();
    return exchange.send({ ...reply, headers: { ...reply.headers, "content-encoding": "gzip" } });
  },
  huge,
  "huge-error": hugeError,
};
