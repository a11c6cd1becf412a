// Cold start: a new Node process up to the result of `fit` on a 200-message conversation, beside a process that only
// imports another package (default `ai`, the AI SDK). Interleaved; milliseconds of the whole process.
//
//   node benches/border/cold.mjs [folder of a project in which `ai` is installed] [package to import there]

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const root = resolve(import.meta.dirname, "../..");
const [project, other = "ai"] = process.argv.slice(2);
const ROUNDS = 25;

const entry = pathToFileURL(join(root, "pkg/index.node.js")).href;
const source = JSON.parse(readFileSync(join(root, "tests/data/coding-agent.json"), "utf8"));
const { repair } = await import(entry);
// Mended here, not there: where the conversation is cut, a call may lack its answer.
const { messages } = repair(Array.from({ length: 200 }, (_, index) => source[index % source.length]));
const file = join(tmpdir(), `epitome-cold-${process.pid}.json`);
writeFileSync(file, JSON.stringify(messages));

const fit = `
  import { readFileSync } from "node:fs";
  import { fit } from ${JSON.stringify(entry)};
  const messages = JSON.parse(readFileSync(${JSON.stringify(file)}, "utf8"));
  const { report } = fit(messages, { budget: 20_000 });
  if (report.after > 20_000) process.exit(1);
`;
const ways = { "node alone": "", "epitome: import and fit 200 messages": fit };
if (project) ways[`import "${other}" alone`] = `await import(${JSON.stringify(other)});`;

const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [name, code] of Object.entries(ways)) {
    const start = performance.now();
    const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
      cwd: project ?? root,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
    times[name].push(performance.now() - start);
  }
}
console.log(`Node ${process.version}, ${ROUNDS} rounds, ms\n\n| process | min | median |\n|---|--:|--:|`);
for (const [name, list] of Object.entries(times)) {
  const sorted = list.sort((a, b) => a - b);
  console.log(`| ${name} | ${sorted[0].toFixed(1)} | ${sorted[sorted.length >> 1].toFixed(1)} |`);
}
