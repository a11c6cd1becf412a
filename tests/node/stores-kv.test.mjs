// Workers KV as it really is, which no test runtime is: late, slow to take writes, and without any comparison. What the
// store promises there, and what not.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support.mjs";

const { workersKv } = await load("stores/workers-kv.js");

const about = { createdMs: 1, updatedMs: 2, entries: 3 };
const entry = (number, text = String(number)) => ({ kind: "entry", number, text });
const batch = (conversation, expected, ...puts) => ({ conversation, expected, puts, deletes: [], about });
const everything = [{ kind: "entry", from: 0, to: 2 ** 53 }];
const numbersOf = async (store, name) => (await store.load(name, everything)).records.map(({ number }) => number);

/** A namespace; `shown` is what a reader gets, which follows `written` only when it is told to. */
function namespace({ isLate = false, refuse } = {}) {
  const written = new Map();
  const shown = new Map();
  let writes = 0;
  const show = () => {
    shown.clear();
    for (const [key, value] of written) shown.set(key, value);
  };
  const update = () => {
    if (!isLate) show();
  };
  return {
    written,
    show,
    writes: () => writes,
    async get(key) {
      const bytes = shown.get(key)?.bytes;
      return bytes === undefined ? null : new TextDecoder().decode(bytes);
    },
    async put(key, bytes, { metadata }) {
      writes += 1;
      refuse?.(writes);
      assert.ok(new TextEncoder().encode(key).length <= 512, "a key has 512 bytes at most");
      written.set(key, { bytes, metadata });
      update();
    },
    async delete(key) {
      written.delete(key);
      update();
    },
    async list({ prefix, cursor = "0" }) {
      const keys = [...shown.keys()].filter((key) => key.startsWith(prefix)).sort();
      const end = Number(cursor) + 3;
      const page = keys.slice(Number(cursor), end).map((name) => ({ name, metadata: shown.get(name).metadata }));
      return end < keys.length
        ? { keys: page, list_complete: false, cursor: String(end) }
        : { keys: page, list_complete: true };
    },
  };
}

test("who wrote reads what it wrote, however late KV shows it", async () => {
  const kv = namespace({ isLate: true });
  const store = workersKv(kv);
  assert.deepEqual(await store.commit(batch("a", 0, entry(1))), { revision: 1 });
  assert.deepEqual(await store.commit(batch("a", 1, entry(2))), { revision: 2 });
  assert.deepEqual(await numbersOf(store, "a"), [1, 2]);
  assert.deepEqual(await numbersOf(workersKv(kv), "a"), [], "elsewhere it is not there yet");
  kv.show();
  assert.deepEqual(await numbersOf(workersKv(kv), "a"), [1, 2]);
  await store.delete("a");
  assert.deepEqual(await store.load("a", everything), { revision: 0, records: [] });
  assert.deepEqual(await store.list(), []);
});

test("commits through one store are checked against each other: one wins", async () => {
  const store = workersKv(namespace({ isLate: true }));
  const outcomes = await Promise.all([1, 2, 3].map((number) => store.commit(batch("a", 0, entry(number)))));
  assert.deepEqual(outcomes, [{ revision: 1 }, { conflict: 1 }, { conflict: 1 }]);
});

test("of two isolates that do not see each other both succeed, as the documentation says", async () => {
  const kv = namespace({ isLate: true });
  const [one, other] = [workersKv(kv), workersKv(kv)];
  assert.deepEqual(await one.commit(batch("a", 0, entry(1))), { revision: 1 });
  assert.deepEqual(await other.commit(batch("a", 0, entry(2))), { revision: 1 });
  kv.show();
  assert.deepEqual(await numbersOf(workersKv(kv), "a"), [2]);
});

test("an isolate that sees the other's write is told of the conflict", async () => {
  const kv = namespace();
  const [one, other] = [workersKv(kv), workersKv(kv)];
  await one.commit(batch("a", 0, entry(1)));
  assert.deepEqual(await other.commit(batch("a", 0, entry(2))), { conflict: 1 });
});

test("a write that comes too fast waits, and one that keeps coming too fast is blocked", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const tooFast = () => {
    throw new Error("KV PUT failed: 429 Too Many Requests");
  };
  // Every wait is over as soon as it has begun.
  const patiently = async (promise) => {
    let isDone = false;
    promise.then(
      () => (isDone = true),
      () => (isDone = true),
    );
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve));
      context.mock.timers.tick(2_000);
    }
    return promise;
  };
  const once = namespace({ refuse: (write) => write === 1 && tooFast() });
  assert.deepEqual(await patiently(workersKv(once).commit(batch("a", 0, entry(1)))), { revision: 1 });
  assert.equal(once.writes(), 2);
  const always = namespace({ refuse: tooFast });
  await assert.rejects(patiently(workersKv(always).commit(batch("a", 0))), { code: "store_blocked" });
  assert.equal(always.written.size, 0);
});

test("a put that fails in another way may have been carried out", async () => {
  const refuse = () => {
    throw new Error("KV PUT failed: 500 Internal Server Error");
  };
  await assert.rejects(workersKv(namespace({ refuse })).commit(batch("a", 0)), { code: "store_lost" });
});

test("a conversation that is too large for KV is refused, and stays as it was", async () => {
  const store = workersKv(namespace());
  await store.commit(batch("a", 0, entry(1)));
  const huge = entry(2, "x".repeat(26 * 1024 * 1024));
  await assert.rejects(store.commit(batch("a", 1, huge)), { code: "store_quota" });
  assert.deepEqual(await numbersOf(store, "a"), [1]);
});

test("a list goes over the pages of KV, and on behind any name, long ones included", async () => {
  const store = workersKv(namespace(), { prefix: "p/" });
  const names = ["a", "b", "é", "～", "🙂", "c".repeat(600), "d".repeat(600), "..", "a/b"];
  for (const name of names) await store.commit(batch(name, 0));
  const all = await store.list();
  assert.deepEqual(all.map(({ conversation }) => conversation).sort(), [...names].sort());
  assert.deepEqual(all[0], { conversation: all[0].conversation, revision: 1, about });
  const { conversation: third } = all[2];
  assert.deepEqual(await store.list({ after: third, limit: 2 }), all.slice(3, 5));
});

test("values that it did not write are told from its own", async () => {
  const put = async (value) => {
    const kv = namespace();
    await kv.put("epitome/=a", new TextEncoder().encode(value), {});
    return workersKv(kv).load("a", everything);
  };
  await assert.rejects(put("{"), { code: "store_corrupted" });
  await assert.rejects(put("{}"), { code: "store_corrupted" });
  await assert.rejects(put('{"version":2}'), { code: "store_newer" });
  await assert.rejects(put('{"version":1,"name":"b","records":[]}'), { code: "store_corrupted" });
});

test("refuses what is no namespace", () => {
  assert.throws(() => workersKv({}), { code: "invalid_option", details: { option: "namespace" } });
  assert.throws(() => workersKv(namespace(), { folder: "x" }), { code: "invalid_option" });
});
