// Stores that a host writes, and everything that can be wrong with one: the core hears of it in its own words.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { instance, loadBeside, onStore, skip, storeOn } from "./stores-support.mjs";

const { memory, indexedDb, EpitomeError } = await loadBeside("session.node.js");
const { run } = await loadBeside("task.js");

/** A store in memory of which some functions are others. */
const storeWith = (functions) => Object.assign(memory(), functions);
const plain = (functions) => ({ ...bound(memory()), ...functions });
const bound = (store) =>
  Object.fromEntries(["load", "list", "commit", "delete", "close"].map((name) => [name, store[name].bind(store)]));

/** What a case says that needs the function: it reads, or writes, and tells of the error. */
const CASES = { load: "no ranges read the revision alone", commit: "an empty batch counts too" };
const reads = "texts come back to the byte";

/** What a call of a store fails with, as code and message. */
async function failureOf(call, functions, name = CASES[call]) {
  const store = storeWith(functions);
  if (call === "list" || call === "delete") {
    const rest = call === "list" ? [undefined, 10] : ["a"];
    try {
      await onStore(`store_${call}`, store, ...rest);
    } catch (error) {
      assert.ok(error instanceof EpitomeError);
      return { code: error.code, message: error.message, details: error.details };
    }
    assert.fail("nothing was thrown");
  }
  const verdict = await onStore("store_contract", store, name);
  const [, message, code] = /: (.*) \((store_\w+)\)/s.exec(verdict) ?? assert.fail(`no error in: ${verdict}`);
  return { code, message };
}

const about = { createdMs: 0, updatedMs: 0, entries: 0 };
const secret = "a word of the conversation";

describe("what a store of the host answers is checked", { skip }, () => {
  const record = { kind: "entry", number: 0, text: secret };
  for (const [what, answer, code, message] of [
    ["nothing", undefined, "store_failed", /`revision`/],
    ["a text", "records", "store_failed", /`revision`/],
    ["no revision", { records: [] }, "store_failed", /`revision` must be a whole number/],
    ["half a revision", { revision: 1.5, records: [] }, "store_failed", /1\.5/],
    ["a negative revision", { revision: -1, records: [] }, "store_failed", /-1/],
    ["no records", { revision: 1 }, "store_failed", /`records` must be an array/],
    ["records without a conversation", { revision: 0, records: [record] }, "store_corrupted", /revision 0/],
    ["a record that is none", { revision: 1, records: [null] }, "store_corrupted", /records\[0\]\.kind/],
    ["an unknown kind", { revision: 1, records: [{ ...record, kind: "note" }] }, "store_corrupted", /\.kind/],
    ["a number that is a text", { revision: 1, records: [{ ...record, number: "0" }] }, "store_corrupted", /\.number/],
    ["a number beyond 2^53", { revision: 1, records: [{ ...record, number: 2 ** 53 }] }, "store_corrupted", /\.number/],
    ["no text", { revision: 1, records: [{ ...record, text: undefined }] }, "store_corrupted", /entry 0/],
    ["bytes for a text", { revision: 1, records: [{ ...record, text: new Uint8Array(3) }] }, "store_corrupted", /text/],
    ["half a character", { revision: 1, records: [{ ...record, text: "\ud800" }] }, "store_corrupted", /well-formed/],
    ["a record twice", { revision: 1, records: [record, record] }, "store_corrupted", /not in its place/],
    [
      "records out of order",
      { revision: 1, records: [{ ...record, number: 2 }, record] },
      "store_corrupted",
      /not in its place/,
    ],
  ]) {
    test(`load: ${what}`, async () => {
      const failure = await failureOf("load", { load: async () => answer }, reads);
      assert.equal(failure.code, code);
      assert.match(failure.message, message);
      assert.doesNotMatch(failure.message, new RegExp(secret));
    });
  }

  test("load: a record that was not asked for", async () => {
    const load = async () => ({ revision: 1, records: [record] });
    assert.equal((await failureOf("load", { load })).code, "store_corrupted");
  });

  for (const [what, answer] of [
    ["nothing", undefined],
    ["the wrong revision", { revision: 7 }],
    ["a revision that is a text", { revision: "1" }],
    ["both", { revision: 1, conflict: 3 }],
    ["a conflict with the revision that was expected", { conflict: 0 }],
    ["a conflict without a revision", { conflict: true }],
  ]) {
    test(`commit: ${what}`, async () => {
      const failure = await failureOf("commit", { commit: async () => answer });
      assert.equal(failure.code, "store_failed");
      assert.match(failure.message, /must answer with/);
    });
  }

  for (const [what, answer] of [
    ["no list", {}],
    ["more than was asked for", Array.from({ length: 11 }, () => ({ conversation: "a", revision: 1, about }))],
    ["a name that is none", [{ conversation: 5, revision: 1, about }]],
    ["half a character", [{ conversation: "\udc00", revision: 1, about }]],
    ["no revision", [{ conversation: "a", about }]],
    ["nothing about it", [{ conversation: "a", revision: 1 }]],
    ["no time", [{ conversation: "a", revision: 1, about: { ...about, createdMs: Number.NaN } }]],
    ["half a message", [{ conversation: "a", revision: 1, about: { ...about, entries: 0.5 } }]],
  ]) {
    test(`list: ${what}`, async () => {
      assert.equal((await failureOf("list", { list: async () => answer })).code, "store_failed");
    });
  }
});

describe("what a store of the host throws is sorted", { skip }, () => {
  const coded = (code) => Object.assign(new Error("it says"), { code });
  for (const [what, error, ofReading, ofWriting = ofReading] of [
    ["an error", new Error("it says"), "store_failed", "store_lost"],
    ["a text", "it says", "store_failed", "store_lost"],
    ["nothing", undefined, "store_failed", "store_lost"],
    ["an AbortError that nobody asked for", new DOMException("it says", "AbortError"), "store_failed", "store_lost"],
    ["an EpitomeError", skip || new EpitomeError("store_evicted", "it says"), "store_evicted"],
    ["an object with a code", { code: "store_blocked", message: "it says" }, "store_blocked"],
    ["a failure that says that nothing was written", coded("store_failed"), "store_failed"],
    ["a full disk in a browser", new DOMException("it says", "QuotaExceededError"), "store_quota"],
    ["a full disk", coded("ENOSPC"), "store_quota"],
    ["a full account", coded("EDQUOT"), "store_quota"],
    ["no permission", coded("EACCES"), "store_unavailable"],
    ["no folder", coded("ENOENT"), "store_unavailable"],
    ["an opaque origin", new DOMException("it says", "SecurityError"), "store_unavailable"],
    ["a code of something else", coded("provider_auth"), "store_failed", "store_lost"],
  ]) {
    test(what, async () => {
      const failing = async () => {
        throw error;
      };
      for (const [call, code] of [
        ["load", ofReading],
        ["list", ofReading],
        ["commit", ofWriting],
        ["delete", ofWriting],
      ]) {
        const failure = await failureOf(call, { [call]: failing });
        assert.equal(failure.code, code, call);
        if (error !== undefined) assert.match(failure.message, /it says/);
      }
    });
  }

  test("an object that cannot be read", async () => {
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error("no");
        },
      },
    );
    const list = async () => {
      throw hostile;
    };
    assert.deepEqual((await failureOf("list", { list })).code, "store_failed");
  });

  test("a function that throws instead of rejecting, and one that is missing", async () => {
    const list = () => {
      throw new Error("at once");
    };
    assert.match((await failureOf("list", { list })).message, /at once/);
    assert.equal((await failureOf("list", { list: undefined })).code, "store_failed");
  });

  test("a conflict comes with its revision, however it is said", async () => {
    const error = new EpitomeError("store_conflict", "late", { details: { revision: 9 } });
    const commits = [async () => ({ conflict: 9 }), () => Promise.reject(error)];
    for (const commit of commits) {
      const { code, message } = await failureOf("commit", { commit });
      assert.equal(code, "store_conflict");
      assert.match(message, /revision 9/);
    }
  });

  test("errors that reach the host have their details", async () => {
    const remove = () => Promise.reject(new EpitomeError("store_conflict", "late", { details: { revision: 9 } }));
    assert.deepEqual((await failureOf("delete", { delete: remove })).details, { revision: 9 });
  });
});

describe("a store of the host that does not answer", { skip }, () => {
  const never = () => new Promise(() => {});
  const patient = (store, name, ...rest) => {
    const begin = (host) =>
      instance.call((glue) => glue[name](storeOn(instance, store, { patienceMs: 10 }), ...rest, host));
    return run(instance, [], { patienceMs: 1_000 }, undefined, begin);
  };

  test("is given up after a while: what it read failed, what it wrote may be there", async () => {
    let signal;
    const list = (_, options) => {
      signal = options.signal;
      return never();
    };
    await assert.rejects(patient(plain({ list }), "store_list", undefined, 1), {
      code: "store_failed",
      message: /no answer within 10 ms/,
    });
    assert.ok(signal.aborted);
    await assert.rejects(patient(plain({ delete: never }), "store_delete", "a"), { code: "store_lost" });
    assert.equal(instance.waiting.size, 0);
  });

  test("is told when nobody waits any more, and its late answer hurts nobody", async () => {
    const controller = new AbortController();
    let answer;
    let signal;
    const list = (_, options) => {
      signal = options.signal;
      return new Promise((resolve) => {
        answer = resolve;
      });
    };
    const store = plain({ list });
    const begin = (host) => instance.call((glue) => glue.store_list(storeOn(instance, store), undefined, 1, host));
    const listing = run(instance, [], { patienceMs: 1_000 }, controller.signal, begin);
    controller.abort();
    await assert.rejects(listing, { code: "aborted" });
    assert.ok(signal.aborted);
    answer([]);
    await sleep(0);
    assert.equal(instance.waiting.size, 0);
    assert.equal(
      instance.call((glue) => glue.task_count()),
      0,
    );
  });

  test("survives a trap of the module, and is there for the next instance", async () => {
    let answer;
    const list = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const store = plain({ list });
    const listing = onStore("store_list", store, undefined, 1);
    const number = storeOn(instance, store);
    const { error } = console;
    console.error = () => {};
    assert.throws(() => instance.call((glue) => glue.trap()), { code: "internal" });
    console.error = error;
    await assert.rejects(listing, { code: "internal" });
    // Nothing of the instance that is gone is called any more: the next one would not know what is meant.
    const complaints = [];
    const complain = (reason) => complaints.push(reason);
    process.on("unhandledRejection", complain);
    instance.call((glue) => glue.task_count());
    answer([]);
    await sleep(10);
    process.off("unhandledRejection", complain);
    assert.deepEqual(complaints, []);
    assert.equal(instance.waiting.size, 0);
    const counted = () => instance.call((glue) => glue.store_count());
    assert.equal(counted(), 0, "the new instance knows no store");
    const again = onStore("store_list", store, undefined, 1);
    answer([{ conversation: "a", revision: 1, about }]);
    assert.deepEqual([...(await again)], ["a", 1, 0, 0, 0]);
    assert.equal(counted(), 1);
    assert.equal(typeof number, "number");
  });
});

describe("stores and their numbers", { skip }, () => {
  test("a store has one number, however often it is used", () => {
    const [one, other] = [memory(), memory()];
    assert.equal(storeOn(instance, one), storeOn(instance, one));
    assert.notEqual(storeOn(instance, one), storeOn(instance, other));
  });

  test("a number that was forgotten is that of a closed store", async () => {
    const store = memory();
    const number = storeOn(instance, store);
    instance.call((glue) => glue.store_forget(number));
    await assert.rejects(onStore("store_list", store, undefined, 1), { code: "store_closed" });
  });

  test("closing goes through to the host's store, once", async () => {
    let closed = 0;
    const close = async () => {
      closed += 1;
    };
    const store = plain({ close });
    await onStore("store_close", store);
    await onStore("store_close", store);
    assert.equal(closed, 1);
    await assert.rejects(onStore("store_list", store, undefined, 1), { code: "store_closed" });
  });
});

describe("memory(), asked by the host itself", { skip }, () => {
  const batch = (conversation) => ({ conversation, expected: 0, puts: [], deletes: [], about });

  test("lists, deletes and closes", async () => {
    const store = memory();
    for (const name of ["b", "a", "c"]) await store.commit(batch(name));
    assert.deepEqual(
      (await store.list()).map(({ conversation }) => conversation),
      ["a", "b", "c"],
    );
    assert.deepEqual(await store.list({ after: "a", limit: 1 }), [{ conversation: "b", revision: 1, about }]);
    await store.delete("b");
    await store.delete("never there");
    assert.equal((await store.list()).length, 2);
    await store.close();
    await store.close();
    for (const call of [() => store.list(), () => store.delete("a"), () => store.commit(batch("a"))]) {
      await assert.rejects(call, { code: "store_closed" });
    }
  });

  test("gives up when the host does, and refuses what makes no sense", async () => {
    const store = memory();
    await assert.rejects(store.list({ signal: AbortSignal.abort() }), { code: "aborted", name: "AbortError" });
    await assert.rejects(store.list({}, { signal: AbortSignal.abort() }), { code: "aborted" });
    await assert.rejects(store.delete("a", { signal: AbortSignal.abort() }), { code: "aborted" });
    for (const [page, option] of [
      [{ limit: -1 }, "limit"],
      [{ limit: "5" }, "limit"],
      [{ after: 5 }, "after"],
    ]) {
      await assert.rejects(store.list(page), { code: "invalid_option", details: { option } });
    }
    await assert.rejects(store.delete(5), { code: "invalid_option", details: { option: "conversation" } });
  });
});

test("without IndexedDB, its store says which others there are", { skip }, async () => {
  const store = indexedDb();
  await assert.rejects(store.list(), { code: "store_unavailable", message: /node-fs.*durable-object/ });
  await store.close();
});
