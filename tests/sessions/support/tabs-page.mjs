// What runs in each tab: a writer of its own, and those of its workers.

import { writerHere } from "/tests/sessions/support/tabs-here.mjs";

/** By name, how to call them. */
const writers = new Map();

globalThis.tab = {
  begin: async (name, options) => {
    const writer = await writerHere(name, options);
    writers.set(name, (method, ...rest) => writer[method](...rest));
  },
  beginWorker: async (name, options) => {
    const worker = new Worker("/tests/sessions/support/tabs-worker.mjs", { type: "module" });
    let last = 0;
    const waiting = new Map();
    worker.onmessage = ({ data: { number, value, error } }) => {
      const { resolve, reject } = waiting.get(number);
      waiting.delete(number);
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    };
    const call = (method, ...rest) =>
      new Promise((resolve, reject) => {
        last += 1;
        waiting.set(last, { resolve, reject });
        worker.onerror = ({ message }) => reject(new Error(message));
        worker.postMessage({ number: last, method, rest });
      });
    writers.set(name, call);
    await call("begin", name, options);
  },
  call: (name, method, ...rest) => writers.get(name)(method, ...rest),
};
