// Chromium with conversations in IndexedDB, killed while it appends and compacts.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { inTime, Known, killAll, kills, pause } from "./support/crash-kills.mjs";
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
  "--enable-logging=stderr",
];

/**
 * What Chromium says when it has found that its files of an origin are damaged, and deleted them all. It damages them
 * itself, see `pkg/store-indexed-db-log.js`. That keeps it from going on behind half a record for long, but not if it is
 * killed again at once, and not in the file that says which others there are.
 */
const DELETED = /IndexedDB recovering from a corrupted \(and deleted\) database/;

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

/** A folder for what Chromium keeps, and what it has said of that. */
class Profile {
  heard = "";

  static async make() {
    const profile = new Profile();
    profile.folder = await mkdtemp(join(tmpdir(), "epitome-crash-"));
    return profile;
  }

  async start(conversation, undo) {
    // What is left of it names a process that is gone, and perhaps is another one by now.
    for (const name of ["Lock", "Socket", "Cookie"]) await rm(join(this.folder, `Singleton${name}`), { force: true });
    const run = String(runs.size);
    const reports = new Reports();
    runs.set(run, reports);
    const url = `${site.url}?${new URLSearchParams({ run, conversation, undo })}`;
    const browser = spawn(
      process.env.CHROME ?? "/usr/bin/chromium",
      [...ARGUMENTS, `--user-data-dir=${this.folder}`, url],
      { stdio: ["ignore", "ignore", "pipe"], detached: true },
    );
    browser.stderr.setEncoding("utf8").on("data", (text) => {
      this.heard += text;
    });
    const isGone = once(browser, "close").then(() => reports.end(new Error("Chromium ended by itself")));
    return {
      next: () => reports.next(),
      kill: async () => {
        process.kill(-browser.pid, "SIGKILL");
        await isGone;
        await groupGone(browser.pid);
        return reports.rest();
      },
      hasDeleted: () => this.hasDeleted(),
    };
  }

  /** Whether Chromium has said so since it was asked last; that may come later than the page's report. */
  async hasDeleted() {
    for (const end = performance.now() + 5_000; performance.now() < end; await pause(20)) {
      if (!DELETED.test(this.heard)) continue;
      this.heard = "";
      return true;
    }
    return false;
  }

  /** The log of LevelDB that is written to. */
  async log() {
    const all = join(this.folder, "Default/IndexedDB");
    const folder = (await readdir(all)).find((name) => name.endsWith(".leveldb"));
    const logs = (await readdir(join(all, folder))).filter((name) => name.endsWith(".log")).sort();
    return join(all, folder, logs.at(-1));
  }

  remove() {
    return rm(this.folder, { recursive: true, maxRetries: 5 });
  }
}

/** Waits until no process of a group is left: until then it may write. */
async function groupGone(group) {
  while ((await livingOf(group)).length > 0) await pause(5);
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
  const profile = await Profile.make();
  const { deleted } = await killAll(
    (conversation, undo) => profile.start(conversation, undo),
    (line) => t.diagnostic(line),
  );
  t.diagnostic(`${deleted} times Chromium has damaged its files, and deleted them`);
  assert.ok(deleted <= 1 + kills / 50, `that should be rare, but happened ${deleted} times`);
  await profile.remove();
});

test("Chromium, killed in the midst of a record, loses nothing the next time and the time after that", async (t) => {
  const profile = await Profile.make();
  const known = new Known();
  const appended = async (last) => {
    const run = await profile.start("conversation 0", "none");
    let rest;
    try {
      await known.looked(await inTime(run.next()), run);
      for (let left = 6; left > 0; left -= 1) known.take(await inTime(run.next()));
      await last?.();
    } finally {
      rest = await run.kill();
    }
    for (const report of rest) known.take(report);
  };
  await appended();
  const log = await profile.log();
  // The head of a record of 100 bytes, none of which was written: sum, length, type.
  await appendFile(log, Buffer.from([1, 2, 3, 4, 100, 0, 1]));
  // What follows it in the same file would be lost with it, as soon as somebody reads that file again.
  await appended(() => gone(log));
  await appended();
  assert.equal(known.totals.deleted, 0);
  t.diagnostic(`${known.state.entries} messages`);
  await profile.remove();
});

/** Waits until a log is not there any more. Chromium leaves it behind in any case when it has 4 MB, which is too late. */
async function gone(log) {
  for (;;) {
    const found = await stat(log).catch(() => undefined);
    if (found === undefined) return;
    assert.ok(found.size < 1_000_000, "it goes on in the log with half a record in it");
    await pause(5);
  }
}
