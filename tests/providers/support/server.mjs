// The provider server of a test file, and what has to hold about it after all that was asked.

import assert from "node:assert/strict";

import { spawnServer } from "../../provider-server/server.mjs";

/** Longest wait for the server to see that a client is gone, milliseconds. */
const patience = 10_000;

/** A provider server in a process of its own: `{ url, stats(), log(), settled(), close() }`. */
export async function providerServer() {
  const server = await spawnServer();
  const control = async (path) => (await fetch(server.url + path)).json();
  const stats = () => control("/_stats");
  const log = async () => (await control("/_log")).filter(({ method }) => method === "POST");
  return { ...server, stats, log, settled: () => settled(stats, log) };
}

/** Waits until no request is open any more. */
async function settled(stats, log) {
  for (const end = performance.now() + patience; performance.now() < end; await pause(20)) {
    if ((await stats()).running === 0) return;
  }
  const open = (await log()).filter(({ running }) => running).map(({ path }) => path);
  assert.deepEqual(open, [], "requests are open, although nobody waits for them");
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
