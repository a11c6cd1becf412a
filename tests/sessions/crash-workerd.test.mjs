// workerd with conversations in the storage of Durable Objects, killed while it appends and compacts.

import { readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Miniflare } from "miniflare";

import { root } from "../node/support.mjs";
import { packageModules } from "../workerd/modules.mjs";
import { killAll, kills } from "./support/crash-kills.mjs";
import { Reports } from "./support/crash-reports.mjs";

const own = ["crash-object.mjs", "crash-work.mjs", "crash-script.mjs"].map((name) => `tests/sessions/support/${name}`);
const modules = [
  ...[...own, "tests/providers/support/random.mjs"].map((path) => ({
    type: "ESModule",
    path,
    contents: readFileSync(join(root, path), "utf8"),
  })),
  ...packageModules(),
];

async function start(folder, conversation, undo) {
  const others = await ours();
  const miniflare = new Miniflare({
    compatibilityDate: "2025-09-01",
    modules,
    durableObjects: { CONVERSATIONS: { className: "Conversation", useSQLite: true } },
    durableObjectsPersist: folder,
  });
  await miniflare.ready;
  const [pid, ...more] = (await ours()).filter((one) => !others.includes(one));
  if (pid === undefined || more.length > 0) throw new Error("it is not clear which process is workerd");
  const reports = new Reports();
  const isOver = talk(miniflare, reports, conversation, undo).catch((error) => reports.end(error));
  return {
    next: () => reports.next(),
    kill: async () => {
      process.kill(pid, "SIGKILL");
      await isOver;
      await miniflare.dispose();
      return reports.rest();
    },
  };
}

/** Asks for one step after the other. */
async function talk(miniflare, reports, conversation, undo) {
  const ask = async (body) => {
    const init = { method: "POST", body: JSON.stringify({ conversation, ...body }) };
    const report = await (await miniflare.dispatchFetch("http://worker/", init)).json();
    if (report.failure !== undefined) throw new Error(`the Worker failed: ${report.failure}`);
    reports.push(report);
  };
  await ask({ undo });
  for (;;) await ask({});
}

/** The processes of workerd that are ours. */
async function ours() {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")));
  // Number, (name), state, parent.
  const parsed = stats.map((stat) => /^(\d+) \((.*)\) \S (\d+) /s.exec(stat));
  return parsed.flatMap((of) => (of?.[2] === "workerd" && Number(of[3]) === process.pid ? [Number(of[1])] : []));
}

test(`workerd, killed ${kills} times, loses nothing that a Durable Object kept`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "epitome-crash-"));
  await killAll(
    (conversation, undo) => start(folder, conversation, undo),
    (line) => t.diagnostic(line),
  );
  await rm(folder, { recursive: true });
});
