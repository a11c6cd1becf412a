// A writer in a worker, called by its tab.

import { writerHere } from "/tests/sessions/support/tabs-here.mjs";

let writer;

addEventListener("message", async ({ data: { number, method, rest } }) => {
  try {
    if (method === "begin") writer = await writerHere(...rest);
    postMessage({ number, value: method === "begin" ? undefined : await writer[method](...rest) });
  } catch (error) {
    postMessage({ number, error: String(error?.stack ?? error) });
  }
});
