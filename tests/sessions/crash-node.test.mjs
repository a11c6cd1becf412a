// Node.js with conversations in files, killed while it appends and compacts.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { killAll, kills } from "./support/crash-kills.mjs";
import { Reports } from "./support/crash-reports.mjs";

const program = join(import.meta.dirname, "support/crash-node.mjs");

async function start(folder, conversation, undo) {
  const child = spawn(process.execPath, [program, folder, conversation, undo], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const reports = new Reports();
  createInterface({ input: child.stdout }).on("line", (line) => {
    // Only the last line can be cut off, and then it was not reported.
    const report = parsed(line);
    if (report !== undefined) reports.push(report);
  });
  const isClosed = once(child, "close").then(() => reports.end(new Error("the program ended by itself")));
  return {
    next: () => reports.next(),
    kill: async () => {
      child.kill("SIGKILL");
      await isClosed;
      return reports.rest();
    },
  };
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** How many files have been put in the place of another. */
async function replacedIn(folder, seen) {
  let replaced = 0;
  for (const name of await readdir(folder).catch(() => [])) {
    const { ino } = await stat(join(folder, name));
    if (!name.endsWith(".log")) continue;
    if (seen.has(name) && seen.get(name) !== ino) replaced += 1;
    seen.set(name, ino);
  }
  return replaced;
}

test(`Node.js, killed ${kills} times, loses nothing that it kept in files`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "epitome-crash-"));
  const seen = new Map();
  let replaced = 0;
  await killAll(
    async (conversation, undo) => {
      replaced += await replacedIn(folder, seen);
      return start(folder, conversation, undo);
    },
    (line) => t.diagnostic(line),
  );
  t.diagnostic(`after ${replaced} of the kills, a copy had taken the place of the file`);
  await rm(folder, { recursive: true });
});
