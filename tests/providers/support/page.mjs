// What runs in the page: the matrix, with the package's entry for browsers.

import { cells, runCells, sample } from "/tests/provider-server/matrix.mjs";
import { watchTimers } from "/tests/providers/support/timers.mjs";

const timers = watchTimers();
const epitome = await import("/package/index.web.js");
const names = ["openai", "anthropic", "gemini", "ollama"];
const modules = await Promise.all(names.map((name) => import(`/package/providers/${name}.js`)));
const providers = Object.assign({}, ...modules);
await epitome.init();

/** Connections to one server that a browser opens at the same time. */
const connections = 6;

globalThis.matrix = {
  /** Runs all cells, or the sample, see `Bench`. */
  run: (server, throws) =>
    runCells(throws ? cells : sample, { epitome, providers, server, throws, runtime: "chromium" }, connections),
  timers: () => ({ live: timers.live(), made: timers.made() }),
};
