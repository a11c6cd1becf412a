// What the tests of sessions share.

import { load } from "./support.mjs";

export const { EpitomeError, Session, memory } = await load("session.node.js");
export const { instance } = await load("session-instance.node.js");

/** A window so small that a few turns fill it. */
export const small = { window: 2_000 };

/** Messages of `turns` turns, each of about 160 tokens. */
export function talk(turns, from = 0) {
  return Array.from({ length: turns }, (_, turn) => [
    { role: "user", content: `Question ${turn + from}: ${"what about it ".repeat(20)}` },
    { role: "assistant", content: `Answer ${turn + from}: ${"that is the way it is ".repeat(15)}` },
  ]).flat();
}

/** Counts the calls of a store, and can hold them up, fail them, or tell of them. */
export function watched(store = memory()) {
  const calls = { load: 0, commit: 0, list: 0, delete: 0, close: 0 };
  const watcher = { store, calls, before: undefined, after: undefined, underWay: 0 };
  const through =
    (name) =>
    async (...args) => {
      calls[name] += 1;
      watcher.underWay += 1;
      try {
        await watcher.before?.(name, ...args);
        const answer = await store[name](...args);
        await watcher.after?.(name, ...args);
        return answer;
      } finally {
        watcher.underWay -= 1;
      }
    };
  for (const name of Object.keys(calls)) watcher[name] = through(name);
  return watcher;
}

/** A promise and how to settle it. */
export function deferred() {
  let resolve;
  let reject;
  const promise = new Promise((yes, no) => {
    [resolve, reject] = [yes, no];
  });
  return { promise, resolve, reject };
}

export const collect = async (iterable) => {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
};

/** The next event of a session of that name. */
export const once = (session, name) =>
  new Promise((resolve) => {
    const off = session.on(name, (event) => {
      off();
      resolve(event);
    });
  });

/** For `assert.rejects`: an error of ours with this code. */
export const withCode = (code) => (error) => {
  if (!(error instanceof EpitomeError)) throw error;
  if (error.code !== code) throw new Error(`expected ${code}, got ${error.code}: ${error.message}`);
  return true;
};

/** What the module and the shell still hold. */
export const held = () => ({
  sessions: instance.call((glue) => glue.session_count()),
  tasks: instance.call((glue) => glue.task_count()),
  waiting: instance.waiting.size,
});
