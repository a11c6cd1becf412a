// From the start of a fresh process to the first result, beside merely importing other packages.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { conversation } from "./conversation.mjs";

const folder = import.meta.dirname;
const epitome = pathToFileURL(resolve(folder, "../../pkg/index.node.js")).href;
/** Wall and processor milliseconds since the process started, as the process itself sees them. */
const SAY =
  "const wall = performance.now(), { user, system } = process.cpuUsage();" +
  "process.stdout.write(JSON.stringify([wall, (user + system) / 1000]));";

function programs(file) {
  return [
    ["nothing at all", SAY],
    [
      "epitome: import, read and parse 200 messages, `fit`",
      `import { readFileSync } from "node:fs"; import { fit } from ${JSON.stringify(epitome)};
       const { messages } = fit(JSON.parse(readFileSync(${JSON.stringify(file)}, "utf8")), { budget: 8000 });
       if (messages.length < 2) throw new Error("no result"); ${SAY}`,
    ],
    ['AI SDK: `import "ai"` alone', `await import("ai"); ${SAY}`],
    ['LangChain: `import "@langchain/core/messages"` alone', `await import("@langchain/core/messages"); ${SAY}`],
    ['Mastra: `import "@mastra/core/processors"` alone', `await import("@mastra/core/processors"); ${SAY}`],
  ];
}

function once(code) {
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", code], { cwd: folder, encoding: "utf8" });
  if (child.status !== 0) throw new Error(child.stderr);
  return JSON.parse(child.stdout);
}

/** Runs every program `runs` times, in turns, after one untimed turn that fills the file cache. */
export function coldStart(runs) {
  const scratch = mkdtempSync(join(tmpdir(), "epitome-bench-"));
  try {
    const file = join(scratch, "conversation.json");
    writeFileSync(file, JSON.stringify(conversation(200)));
    const rows = programs(file).map(([name, code]) => ({ name, code, walls: [], cpus: [] }));
    for (const { code } of rows) once(code);
    for (let run = 0; run < runs; run += 1) {
      for (const { code, walls, cpus } of rows) {
        const [wall, cpu] = once(code);
        walls.push(wall);
        cpus.push(cpu);
      }
    }
    console.log(`\n## Cold start: milliseconds from the start of the process, ${runs} runs in turns\n`);
    console.log("| | wall min | wall median | CPU min | CPU median |\n|---|--:|--:|--:|--:|");
    for (const { name, walls, cpus } of rows) {
      const cells = [walls, cpus].flatMap((times) => {
        const sorted = times.toSorted((a, b) => a - b);
        return [sorted[0], sorted[sorted.length >> 1]].map((time) => time.toFixed(0));
      });
      console.log(`| ${name} | ${cells.join(" | ")} |`);
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
