// Node.js with conversations in files, killed while it appends and compacts.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
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

test(`Node.js, killed ${kills} times, loses nothing that it kept in files`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "epitome-crash-"));
  await killAll(
    (conversation, undo) => start(folder, conversation, undo),
    (line) => t.diagnostic(line),
  );
  await rm(folder, { recursive: true });
});
