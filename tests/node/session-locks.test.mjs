// Where there are Web Locks, whoever compacts a shared conversation holds one. (Node.js 20 has none, so here is a stand-in.)

import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";

import { deferred, memory, Session, talk, watched, withCode } from "./session-support.mjs";
import { user } from "./support.mjs";

/** As much of a LockManager as is asked for: exclusive locks in the order of the requests. */
class Locks {
  held = new Map();
  waiting = [];
  requested = [];

  request(name, { signal }, held) {
    this.requested.push(name);
    return new Promise((resolve, reject) => {
      const request = { name, held, resolve, reject };
      signal.addEventListener("abort", () => {
        if (!this.waiting.includes(request)) return;
        this.waiting = this.waiting.filter((other) => other !== request);
        reject(signal.reason);
      });
      this.waiting.push(request);
      this.grant();
    });
  }

  grant() {
    const next = this.waiting.find(({ name }) => !this.held.has(name));
    if (next === undefined) return;
    this.waiting = this.waiting.filter((other) => other !== next);
    this.held.set(next.name, next);
    queueMicrotask(async () => {
      const value = await next.held();
      this.held.delete(next.name);
      next.resolve(value);
      this.grant();
    });
    this.grant();
  }

  /** Takes a lock by force from whoever holds it. */
  steal(name) {
    const victim = this.held.get(name);
    this.held.set(name, "stolen");
    victim?.reject(new DOMException("stolen", "AbortError"));
  }
}

const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
let locks;
const install = () => {
  locks = new Locks();
  Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true, writable: true });
};
after(() => {
  if (before === undefined) delete globalThis.navigator;
  else Object.defineProperty(globalThis, "navigator", before);
});
let sessions = [];
afterEach(async () => {
  await Promise.all(sessions.map((session) => session.close()));
  sessions = [];
  assert.deepEqual(locks.waiting, [], "nobody waits for a lock any more");
  assert.deepEqual(
    [...locks.held.values()].filter((holder) => holder !== "stolen"),
    [],
    "nor holds one",
  );
});

const NAME = "epitome:locks-test:chat";
const full = [...talk(20), user("And now?")];
const tick = () => new Promise((resolve) => setImmediate(resolve));
async function open(kept, provider) {
  const store = Object.assign(watched(kept), { shared: "locks-test" });
  const session = await Session.open({ id: "chat", budget: { window: 2_000 }, store, provider });
  sessions.push(session);
  return session;
}

test("one compacts at a time, and the other takes over what it made", async () => {
  install();
  const kept = memory();
  const gate = deferred();
  let asked = 0;
  const provider = async () => {
    asked += 1;
    await gate.promise;
    return "1. User Intent: to ask questions.";
  };
  const [a, b] = [await open(kept, provider), await open(kept, provider)];
  await a.append(full);
  const first = a.prepare();
  while (asked === 0) await tick();
  const second = b.prepare();
  while (locks.waiting.length === 0) await tick();
  const before = asked;
  assert.ok(locks.requested.every((name) => name === NAME));
  for (let i = 0; i < 10; i += 1) await tick();
  assert.equal(asked, before, "the other waits");
  gate.resolve();
  assert.equal((await first).compaction, 0);
  assert.equal((await second).compaction, undefined);
  assert.deepEqual(b.view(), a.view());
  assert.equal((await b.compactions()).length, 1);
});

test("an abort, or `close`, gives up the lock and the wish for it", async () => {
  install();
  const kept = memory();
  const provider = () => new Promise(() => {});
  const [a, b] = [await open(kept, provider), await open(kept, provider)];
  await a.append(full);
  const [stopA, stopB] = [new AbortController(), new AbortController()];
  const holding = a.prepare({ signal: stopA.signal });
  while (locks.held.size === 0) await tick();
  const waiting = b.prepare({ signal: stopB.signal });
  while (locks.waiting.length === 0) await tick();
  stopB.abort();
  await assert.rejects(waiting, withCode("aborted"));
  assert.equal(locks.waiting.length, 0);
  stopA.abort();
  await assert.rejects(holding, withCode("aborted"));
  while (locks.held.size > 0) await tick();
  const again = a.prepare();
  while (locks.held.size === 0) await tick();
  await Promise.all([assert.rejects(again, withCode("closed")), a.close()]);
  while (locks.held.size > 0) await tick();
});

test("a lock that is stolen or refused holds nobody up", async () => {
  install();
  const kept = memory();
  const gate = deferred();
  let asked = 0;
  const a = await open(kept, async () => {
    asked += 1;
    await gate.promise;
    return "1. User Intent: to ask questions.";
  });
  await a.append(full);
  const preparing = a.prepare();
  while (asked === 0) await tick();
  locks.steal(NAME);
  gate.resolve();
  assert.equal((await preparing).compaction, 0);
  locks.request = () => {
    throw new DOMException("not here", "SecurityError");
  };
  assert.equal((await a.compactNow()).compaction, 1);
});

test("a store that nobody shares needs no lock", async () => {
  install();
  const session = await Session.open({ id: "chat", budget: { window: 2_000 } });
  sessions.push(session);
  await session.append(full);
  assert.equal((await session.prepare()).compaction, 0);
  assert.deepEqual(locks.requested, []);
});
