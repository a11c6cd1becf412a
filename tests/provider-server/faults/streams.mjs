// Faults of streams. A request that asks for no stream gets the right answer.

const streamed = (act) => async (exchange) => {
  const reply = exchange.reply();
  return reply.streamed ? act(exchange, reply) : exchange.send(reply);
};

const sending = (pieces) => streamed((exchange, reply) => exchange.send({ ...reply, pieces: pieces(reply, exchange) }));

const middle = ({ pieces }) => Math.floor(pieces.length / 2);

/** The first half of the events, and half of the next. */
function cut(reply) {
  const event = Buffer.from(reply.pieces[middle(reply)]);
  return [...reply.pieces.slice(0, middle(reply)), event.subarray(0, event.length / 2)];
}

/** Every byte for itself, so that characters and events come apart. */
const split = streamed(async (exchange, reply) => {
  exchange.head(reply);
  for (const byte of Buffer.from(reply.pieces.join(""))) {
    if (exchange.over) return;
    await exchange.write([Buffer.of(byte)]);
    await new Promise(setImmediate);
  }
  exchange.res.end();
});

export const streamFaults = {
  "sse-cut": sending(cut),
  "sse-dup": sending(({ pieces }) => pieces.flatMap((piece) => [piece, piece])),
  "sse-split": split,
  "sse-error": sending((reply, { format }) => [...reply.pieces.slice(0, middle(reply)), format.errorFrame()]),
  "sse-no-end": sending(({ pieces, tail }) => pieces.slice(0, tail)),
};
