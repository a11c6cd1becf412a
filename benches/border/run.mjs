// Measures the ways across the JavaScript border, side by side in one process and interleaved.
//
//   cargo xtask build --features border-bench --out target/border-pkg
//   node benches/border/run.mjs [target/border-pkg]
//
// Inward: from host objects to the core's tree. Outward: from the core's records to host objects. Times are in
// milliseconds; the result belongs into docs/border.md.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const root = resolve(import.meta.dirname, "../..");
const folder = resolve(process.argv[2] ?? `${root}/target/border-pkg`);
const load = (file) => import(pathToFileURL(`${folder}/${file}`).href);

await load("index.node.js");
const { call, reserve } = await load("instance.js");
const { Writer } = await load("wire.js");

const ROUNDS = 21;

/** Real conversations where they are at hand, else made ones of the same make. */
function conversation(bytes) {
  const messages = [];
  let size = 0;
  for (;;) {
    for (const message of corpus()) {
      if (size >= bytes) return messages;
      // A clone, so that a later round finds no object twice.
      messages.push(structuredClone(message));
      size += JSON.stringify(message).length + 1;
    }
  }
}

let kept;
function corpus() {
  const data = resolve(root, "../shared/data/dev");
  kept ??= existsSync(data)
    ? readdirSync(data)
        .filter((file) => file.endsWith(".jsonl"))
        .flatMap((file) => readFileSync(`${data}/${file}`, "utf8").trim().split("\n"))
        .flatMap((line) => JSON.parse(line).messages)
    : readdirSync(`${root}/tests/data`)
        .filter((file) => file.endsWith(".json"))
        .flatMap((file) => {
          const json = JSON.parse(readFileSync(`${root}/tests/data/${file}`, "utf8"));
          return Array.isArray(json) ? json : json.messages;
        });
  return kept;
}

const encoder = new TextEncoder();

const inward = {
  "flat wire": (messages) =>
    new Writer().send(
      (writer) => writer.messages(messages),
      (length) => call((glue) => glue.bench_in_wire(length)),
    ),
  "JSON text": (messages) => {
    const text = JSON.stringify(messages);
    // As much as a text can take: encoding in pieces would only make this way slower.
    const { address, buffer } = reserve(text.length * 3);
    const { written } = encoder.encodeInto(text, new Uint8Array(buffer, address, text.length * 3));
    return call((glue) => glue.bench_in_json(written));
  },
  "serde-wasm-bindgen": (messages) => call((glue) => glue.bench_in_serde(messages)),
};

const outward = {
  "JSON text": (edits) => call((glue) => glue.bench_out_json(edits)),
  "serde-wasm-bindgen": (edits) => call((glue) => glue.bench_out_serde(edits)),
};

function measure(ways, input, repeat = 1) {
  const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, way] of Object.entries(ways)) {
      const start = performance.now();
      for (let i = 0; i < repeat; i += 1) way(input);
      times[name].push((performance.now() - start) / repeat);
    }
  }
  return Object.entries(times).map(([name, list]) => {
    const sorted = list.slice(1).sort((a, b) => a - b);
    return { way: name, first: list[0], min: sorted[0], median: sorted[sorted.length >> 1] };
  });
}

function table(title, rows) {
  console.log(`\n${title}\n\n| way | first | min | median |\n|---|--:|--:|--:|`);
  const cell = (time) => (time < 0.1 ? time.toFixed(4) : time.toFixed(2));
  for (const { way, first, min, median } of rows) {
    console.log(`| ${way} | ${cell(first)} | ${cell(min)} | ${cell(median)} |`);
  }
}

console.log(`Node ${process.version}, ${ROUNDS} rounds, ms`);
for (const megabytes of [1, 10]) {
  const messages = conversation(megabytes * 1e6);
  const counts = Object.values(inward).map((way) => way(messages));
  if (new Set(counts).size !== 1) throw new Error(`the ways do not read the same: ${counts}`);
  table(`Inward, ${megabytes} MB, ${messages.length} messages`, measure(inward, messages));
}
for (const edits of [0, 10, 100, 10_000]) {
  const answers = Object.values(outward).map((way) => JSON.stringify(way(edits)));
  if (new Set(answers).size !== 1) throw new Error("the ways do not say the same");
  table(`Outward, ${edits} edits`, measure(outward, edits, edits > 100 ? 1 : 50));
}
