// Sessions over IndexedDB beside plain storage of messages with Dexie, in one page of Chromium, in turns.
//
//   cargo xtask build && node benches/sessions/run.mjs [--sizes 0,1000,10000,100000] [--rounds 10] [--appends 50] [--stored 20000]
//
// `CHROME` names the browser. Prints tables for docs/sessions-benchmarks.md; the largest size takes minutes.

import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { chromium } from "playwright-core";

import { site } from "../../tests/sessions/support/tabs-site.mjs";

const { values } = parseArgs({
  options: {
    sizes: { type: "string", default: "0,1000,10000,100000" },
    rounds: { type: "string", default: "10" },
    appends: { type: "string", default: "50" },
    stored: { type: "string", default: "20000" },
  },
});
const sizes = values.sizes.split(",").map(Number);
const [rounds, appends] = [Number(values.rounds), Number(values.appends)];

const root = resolve(import.meta.dirname, "../..");
const serve = () => site("/benches/sessions/page.mjs", { dexie: join(root, "node_modules/dexie/dist") });

/** A browser with a profile of its own. Not a private window: there nothing would reach the disk. */
async function withBrowser(work) {
  const profile = mkdtempSync(join(tmpdir(), "epitome-bench-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROME ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"],
  });
  try {
    return await work(browser, profile);
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** A page of the bench: how to call it. */
async function opened(browser, url) {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(error));
  page.on("console", (message) => console.error(message.text()));
  page.setDefaultTimeout(0);
  await page.goto(url);
  await page.waitForFunction(() => globalThis.bench !== undefined);
  const call = (name, ...rest) => page.evaluate(([name, ...rest]) => globalThis.bench[name](...rest), [name, ...rest]);
  return { page, call };
}

let call;
let devtools;
const found = [];
const served = await serve();
await withBrowser(async (browser) => {
  const own = await opened(browser, served.url);
  call = own.call;
  devtools = await browser.newCDPSession(own.page);
  await call("warm");
  await call("open");
  for (const size of sizes) found.push(await measured(size));
});
await served.close();
const stored = await storage(Number(values.stored));
print();

/** Bytes on the disk after filling, each in an origin of its own, once the browser has ended. */
async function storage(size) {
  const bytes = {};
  await withBrowser(async (browser, profile) => {
    const first = await serve();
    const { call } = await opened(browser, first.url);
    const names = await call("names");
    bytes["the messages as JSON"] = await call("characters", size);
    await first.close();
    const ports = {};
    for (const name of names) {
      console.error(`${size} messages for ${name}`);
      const served = await serve();
      const { call, page } = await opened(browser, served.url);
      await call("fillOne", name, size);
      await page.close();
      ports[name] = new URL(served.url).port;
      await served.close();
    }
    await browser.close();
    for (const name of names) bytes[name] = sizeOf(join(profile, "Default/IndexedDB"), `_${ports[name]}.indexeddb`);
  });
  return { size, bytes };
}

/** Bytes of the files below a folder whose paths contain a text. */
function sizeOf(folder, text) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && join(entry.parentPath, entry.name).includes(text))
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

async function measured(size) {
  console.error(`${size} messages`);
  const filling = await call("fill", size);
  const appending = [];
  for (let round = 0; round < rounds; round += 1) appending.push(await call("append", appends));
  const meter = await call("meter");
  await call("compact");
  const reading = [];
  for (let round = 0; round < rounds; round += 1) reading.push(await call("read"));
  const counted = await call("count");
  const heaps = {};
  for (const key of Object.keys(counted)) {
    const [who, how, what] = key.split(" ");
    const name = `${who} ${how}`;
    if (how === "relaxed" || how === "strict") heaps[key] = await heap(name, what);
  }
  await call("open");
  const at = await call("size");
  return { size, at, filling, appending, reading, counted, heaps, meter };
}

/** Bytes of the heap, and of WebAssembly, that holding what was read takes. */
async function heap(name, what) {
  const before = await heapUsed();
  const wasm = await call("hold", name, what);
  const bytes = (await heapUsed()) - before;
  await call("release", name);
  return { bytes, wasm };
}

async function heapUsed() {
  await devtools.send("HeapProfiler.collectGarbage");
  const { usedSize } = await devtools.send("Runtime.getHeapUsage");
  return usedSize;
}

// ------------------------------------------------------------------------------------------------------------- printing

function least(list) {
  return Math.min(...list);
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function table(title, columns, rows) {
  console.log(`\n${title}\n`);
  console.log(`| | ${columns.join(" | ")} |`);
  console.log(`|---|${columns.map(() => "--:").join("|")}|`);
  for (const [name, ...cells] of rows) console.log(`| ${name} | ${cells.join(" | ")} |`);
}

function print() {
  const ms = (number) => number.toFixed(number < 10 ? 2 : 1);
  const both = (list) => `${ms(least(list))} / ${ms(median(list))}`;
  const columns = found.map(({ at }) => `${at}`);
  const rowsOf = (names, cell) => names.map((name) => [name, ...found.map((one) => cell(one, name))]);
  const names = Object.keys(found[0].filling).sort();
  const reads = Object.keys(found[0].counted).sort();
  table(
    "Append of one message, ms (min / median of rounds)",
    columns,
    rowsOf(names, ({ appending }, name) => both(appending.map((round) => round[name]))),
  );
  table(
    "Open to messages, ms (min / median of rounds)",
    columns,
    rowsOf(reads, ({ reading }, name) => both(reading.map((round) => round[name]))),
  );
  table(
    "Records read / keys read / messages",
    columns,
    rowsOf(reads, ({ counted }, name) => `${counted[name].values} / ${counted[name].keys} / ${counted[name].messages}`),
  );
  table(
    "Filling in batches of 500, ms per message",
    columns,
    rowsOf(names, ({ filling }, name, at = found.findIndex(({ filling: one }) => one === filling)) => {
      const many = found[at].size - (found[at - 1]?.at ?? 0);
      return many > 0 ? (filling[name] / many).toFixed(3) : "";
    }),
  );
  table(
    `On the disk after ${stored.size} messages`,
    ["MB", "bytes per message"],
    Object.entries(stored.bytes).map(([name, bytes]) => [
      name,
      (bytes / 1e6).toFixed(1),
      Math.round(bytes / stored.size),
    ]),
  );
  table(
    "JavaScript heap that what was read takes, MB",
    columns,
    rowsOf(Object.keys(found[0].heaps).sort(), ({ heaps }, name) => {
      return (heaps[name].bytes / 1e6).toFixed(2);
    }),
  );
  const wasm = found.map(({ heaps }) => (Object.values(heaps)[0].wasm / 1e6).toFixed(1));
  console.log(`\nMemory of the module, MB: ${wasm.join(", ")}`);
  console.log(
    `\nview before compacting: ${found.map(({ meter }) => `${meter.messages} messages, ${meter.tokens} tokens`).join("; ")}`,
  );
}
