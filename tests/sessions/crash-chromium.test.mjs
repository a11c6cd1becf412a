// Chromium with conversations in IndexedDB, killed while it appends and compacts.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { killAll, kills } from "./support/crash-kills.mjs";
import { Reports } from "./support/crash-reports.mjs";
import { crashSite } from "./support/crash-site.mjs";

/** Chromium as root needs no sandbox; the rest keeps it from calling home. */
const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-breakpad",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A page that nobody looks at goes on at full speed.
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
];

/** What the pages of the runs report. */
const runs = new Map();

let site;
before(async () => {
  site = await crashSite((run, report) => {
    const reports = runs.get(run);
    if (report.failure === undefined) reports?.push(report);
    else reports?.end(new Error(`the page failed: ${report.failure}`));
  });
});
after(() => site?.close());

async function start(profile, conversation, undo) {
  // What is left of it names a process that is gone, and perhaps is another one by now.
  for (const name of ["SingletonLock", "SingletonSocket", "SingletonCookie"])
    await rm(join(profile, name), { force: true });
  const run = String(runs.size);
  const reports = new Reports();
  runs.set(run, reports);
  const url = `${site.url}?${new URLSearchParams({ run, conversation, undo })}`;
  const program = process.env.CHROME ?? "/usr/bin/chromium";
  const browser = spawn(program, [...ARGUMENTS, `--user-data-dir=${profile}`, url], {
    stdio: "ignore",
    detached: true,
  });
  const isGone = once(browser, "exit").then(() => reports.end(new Error("Chromium ended by itself")));
  return {
    next: () => reports.next(),
    kill: async () => {
      process.kill(-browser.pid, "SIGKILL");
      await isGone;
      await groupGone(browser.pid);
      return reports.rest();
    },
  };
}

/** Waits until no process of a group is left: until then it may write. */
async function groupGone(group) {
  while ((await livingOf(group)).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function livingOf(group) {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")));
  // After the name, which may hold anything: state, parent, group.
  return stats.filter((stat) => {
    const [state, , of] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(of) === group && state !== "Z" && state !== "X";
  });
}

test(`Chromium, killed ${kills} times, loses nothing that it kept in IndexedDB`, async (t) => {
  const profile = await mkdtemp(join(tmpdir(), "epitome-crash-"));
  await killAll(
    (conversation, undo) => start(profile, conversation, undo),
    (line) => t.diagnostic(line),
  );
  await rm(profile, { recursive: true, maxRetries: 5 });
});
