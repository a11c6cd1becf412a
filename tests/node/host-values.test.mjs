// Messages are objects of the host: whatever they hold comes back as the same reference, and nothing is read twice.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runInNewContext } from "node:vm";

import { assistant, conversation, epitome, limitFor, load, payload, refuses, user } from "./support.mjs";

const { countTokens, fit, repair, undo, validate } = epitome;

/** A conversation whose first tool result carries `extra`; at this budget that result is pruned. */
function pruned(extra, budgetShare = 0.5) {
  const messages = conversation(8);
  Object.defineProperties(messages[3], Object.getOwnPropertyDescriptors(extra));
  const result = fit(messages, { budget: limitFor(messages, budgetShare), policy: { preserveTailMessages: 0 } });
  const edit = result.report.edits.find((entry) => entry.index === 3);
  assert.ok(edit, "the message was edited");
  const copy = result.messages.find((message) => message.tool_call_id === "call_0");
  assert.notEqual(copy, messages[3]);
  return { messages, result, original: messages[3], copy };
}

class Custom {
  constructor() {
    this.role = "nobody";
  }
}

const hostValues = {
  "a Uint8Array": new Uint8Array([1, 2, 3]),
  "a Buffer": Buffer.from("bytes"),
  "a DataView": new DataView(new ArrayBuffer(4)),
  "an ArrayBuffer": new ArrayBuffer(8),
  "a SharedArrayBuffer": new SharedArrayBuffer(8),
  "a Blob": new Blob(["data"]),
  "a URL": new URL("https://example.org/a?b=c"),
  "a Date": new Date(0),
  "an invalid Date": new Date(Number.NaN),
  "a BigInt": 123n,
  "a function": () => 1,
  "a symbol": Symbol("s"),
  "a Map": new Map([["k", "v"]]),
  "a Set": new Set([1]),
  "a class instance": new Custom(),
  "an Error": new Error("no"),
  "a RegExp": /x/g,
  "a Promise": Promise.resolve(1),
  "a boxed string": new String("boxed"),
  "an object with a null prototype": Object.assign(Object.create(null), { a: 1 }),
  "an object of another realm": runInNewContext("({ a: [1, { b: 2 }] })"),
  NaN: Number.NaN,
  "an infinity": Number.NEGATIVE_INFINITY,
  "negative zero": -0,
  undefined: undefined,
  "a lone surrogate": "a\ud800b",
};

describe("host values", () => {
  for (const [name, value] of Object.entries(hostValues)) {
    test(`${name} comes back as the same reference in kept and in edited messages`, () => {
      const extra = { meta: value, nested: { list: [value], deep: { value } } };
      const kept = [user("hello"), { ...assistant("hi"), ...extra }, user("bye")];
      const same = fit(kept, { budget: 1_000 });
      assert.equal(same.messages[1], kept[1]);

      const { original, copy } = pruned(extra);
      assert.ok(Object.is(copy.meta, value));
      assert.equal(copy.nested, original.nested);
      assert.ok(Object.is(copy.nested.deep.value, value));
    });
  }

  test("are never stringified: neither toJSON nor toString of a host value runs", () => {
    const boom = () => assert.fail("it ran");
    class Loud {
      toJSON = boom;
      toString = boom;
      [Symbol.toPrimitive] = boom;
      get [Symbol.toStringTag]() {
        return "Loud";
      }
    }
    const loud = new Loud();
    const plain = { toJSON: boom, toString: boom };
    const messages = [{ ...user("a"), loud, plain }];
    assert.equal(fit(messages, { budget: 1_000 }).messages[0], messages[0]);
  });

  test("in a field that is read are refused with the field's name", () => {
    refuses(() => fit([user(new Uint8Array(3))], { budget: 99 }), "invalid_input", { index: 0, field: "content" });
    refuses(() => fit([user("a"), user(12n)], { budget: 99 }), "invalid_input", { index: 1, field: "content" });
    refuses(() => fit([{ role: new Date(), content: "x" }], { budget: 99 }), "invalid_input", {
      index: 0,
      field: "role",
    });
  });

  test("in originals are reported, since undo needs them after JSON", () => {
    const { result } = pruned({ when: new Date(0) });
    const warnings = result.report.warnings.filter((warning) => warning.code === "originals_not_json");
    assert.deepEqual(
      warnings.map((warning) => warning.index),
      [3],
    );
    assert.deepEqual(undo(result)[3].when, new Date(0));
    assert.ok(
      !pruned({ when: "1970" }).result.report.warnings.some((warning) => warning.code === "originals_not_json"),
    );
  });

  test("in messages that are kept are not reported", () => {
    const messages = conversation(8);
    messages[0].when = new Date(0);
    const { report } = fit(messages, { budget: limitFor(messages, 0.5) });
    assert.ok(report.edits.length > 0);
    assert.deepEqual(report.warnings, []);
  });
});

describe("reading", () => {
  test("a getter runs once, in kept, in edited and in hidden messages", () => {
    const messages = conversation(10);
    const reads = new Map();
    messages.forEach((message, index) => {
      for (const [key, value] of Object.entries(message)) {
        Object.defineProperty(message, key, {
          configurable: true,
          enumerable: true,
          get() {
            const name = `${index}.${key}`;
            reads.set(name, (reads.get(name) ?? 0) + 1);
            return value;
          },
        });
      }
    });
    const budget = 400;
    const { report } = fit(messages, { budget, policy: { preserveTailMessages: 2 } });
    assert.deepEqual(new Set(report.edits.map((edit) => edit.kind)).has("hide"), true);
    assert.ok(reads.size > 20);
    for (const [name, count] of reads) assert.equal(count, 1, name);
  });

  test("a getter on the way to an edit runs once, too, and the copy gets the value that was read", () => {
    const messages = conversation(8);
    const text = messages[3].content;
    let reads = 0;
    Object.defineProperty(messages[3], "content", {
      configurable: true,
      enumerable: true,
      get() {
        reads += 1;
        // Another array each time, as a reactive framework may give.
        return [{ type: "text", text, read: reads }];
      },
    });
    const tail = { preserveTailMessages: 0 };
    const result = fit(messages, {
      budget: limitFor(messages.with(3, { ...messages[3], content: text }), 0.5),
      policy: tail,
    });
    reads = 0;
    const again = fit(messages, { budget: result.report.limit, policy: tail });
    assert.ok(again.report.edits.some((edit) => edit.index === 3));
    assert.equal(reads, 1);
  });

  test("an accessor of an edited message stays an accessor", () => {
    const extra = {
      get later() {
        return `${this.tool_call_id}!`;
      },
    };
    const { copy } = pruned(extra);
    assert.equal(typeof Object.getOwnPropertyDescriptor(copy, "later").get, "function");
    assert.equal(copy.later, "call_0!");
  });

  test("symbols, hidden fields, key order and read-only fields survive an edit", () => {
    const secret = Symbol("secret");
    const extra = Object.defineProperties(
      { [secret]: 1, z: 1 },
      {
        hidden: { value: 2, enumerable: false },
        fixed: { value: 3, enumerable: true, writable: false, configurable: false },
      },
    );
    const { original, copy } = pruned(extra);
    assert.equal(copy[secret], 1);
    const { content: _, ...others } = Object.getOwnPropertyDescriptors(original);
    const { content: __, ...copied } = Object.getOwnPropertyDescriptors(copy);
    assert.deepEqual(copied, others);
    assert.deepEqual(Reflect.ownKeys(copy), Reflect.ownKeys(original));
  });

  test("a field named __proto__ is a field", () => {
    const extra = JSON.parse('{"__proto__":{"role":"system"},"x":1}');
    const { original, copy } = pruned(extra);
    assert.equal(Object.getPrototypeOf(copy), Object.prototype);
    assert.equal(
      Object.getOwnPropertyDescriptor(copy, "__proto__").value,
      Object.getOwnPropertyDescriptor(original, "__proto__").value,
    );
  });

  test("frozen messages work, kept and edited", () => {
    const freeze = (value) => {
      if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
      return value;
    };
    const messages = freeze(conversation(8));
    const result = fit(messages, { budget: limitFor(messages, 0.3) });
    assert.ok(result.report.edits.length > 0);
    assert.deepEqual(undo(result), messages);
  });

  test("proxies work, as reactive frameworks use them", () => {
    const proxies = new WeakMap();
    const reactive = (target) => {
      if (typeof target !== "object" || target === null) return target;
      const known = proxies.get(target);
      if (known) return known;
      const proxy = new Proxy(target, { get: (object, key, receiver) => reactive(Reflect.get(object, key, receiver)) });
      proxies.set(target, proxy);
      return proxy;
    };
    const source = conversation(8);
    const messages = reactive(source);
    const budget = limitFor(source, 0.3);
    const result = fit(messages, { budget });
    assert.deepEqual(result.report, fit(source, { budget }).report);
    assert.equal(result.messages[0], messages[0]);
    assert.deepEqual(undo(result), source);
  });

  test("messages of another realm work", () => {
    const messages = runInNewContext("JSON.parse(text)", { text: JSON.stringify(conversation(8)) });
    const result = fit(messages, { budget: limitFor(conversation(8), 0.3) });
    assert.ok(result.report.edits.length > 0);
    assert.equal(result.messages[0], messages[0]);
    assert.ok(result.messages[result.report.summary?.index ?? 0]);
  });

  test("a getter may call Epitome while the messages are read", () => {
    const messages = conversation(8);
    const expected = fit(structuredClone(messages), { budget: limitFor(messages, 0.3) });
    const inner = conversation(20, 400);
    const { content } = messages[3];
    Object.defineProperty(messages[3], "content", {
      configurable: true,
      enumerable: true,
      get() {
        assert.deepEqual(validate(inner), []);
        assert.ok(countTokens(inner) > 0);
        assert.throws(() => fit([1], { budget: 3 }));
        return content;
      },
    });
    assert.equal(JSON.stringify(fit(messages, { budget: expected.report.limit })), JSON.stringify(expected));
  });

  test("holes and undefined read as null in lists and as absent in objects", () => {
    // biome-ignore lint/suspicious/noSparseArray: that is what is tested
    const holes = [1, , undefined, null];
    const messages = [{ ...user("a"), holes, gone: undefined }];
    assert.equal(fit(messages, { budget: 99 }).messages[0], messages[0]);
    const content = { ...user("text"), name: undefined, tool_calls: undefined };
    assert.deepEqual(validate([content]), []);
    // biome-ignore lint/suspicious/noSparseArray: that is what is tested
    refuses(() => fit([user("a"), , user("b")], { budget: 99 }), "invalid_input", { index: 1 });
  });

  test("lone surrogates in what is kept stay, and count like a replacement character", () => {
    const messages = [user("a\ud800b\udc00")];
    const { messages: kept } = fit(messages, { budget: 99 });
    assert.equal(kept[0].content, "a\ud800b\udc00");
    assert.equal(countTokens("a\ud800b"), countTokens("a\ufffdb"));
  });

  test("texts of every length and script cross the border whole", async () => {
    const { Writer } = await load("wire.js");
    assert.equal(typeof Writer, "function");
    const alphabets = ["abc", "é", "語", "😀", "a\ud800", "\udc00語", "a😀é語"];
    for (const alphabet of alphabets) {
      for (const length of [0, 1, 7, 23, 24, 25, 100, 1_000, 65_535, 65_536, 200_001]) {
        const text = alphabet.repeat(Math.ceil(length / alphabet.length)).slice(0, length);
        let seen = "";
        countTokens(text, {
          tokens: (crossed) => {
            seen = crossed;
            return 1;
          },
        });
        assert.equal(seen, text.toWellFormed(), `${JSON.stringify(alphabet)} x ${length}`);
      }
    }
  });

  test("a field of 10,000 levels that is only echoed comes back the same", () => {
    let deep = { end: true };
    for (let level = 0; level < 10_000; level += 1) deep = level % 2 ? [deep] : { deep };
    const messages = [{ ...user("hello"), deep }, assistant("hi")];
    assert.equal(fit(messages, { budget: 99 }).messages[0], messages[0]);
    const { copy, original } = pruned({ deep });
    assert.equal(copy.deep, original.deep);
  });
});

describe("class instances", () => {
  class Message {
    #secret = 1;
    constructor(role, fields) {
      this.role = role;
      Object.assign(this, fields);
    }
    reveal() {
      return this.#secret;
    }
  }
  const instances = (turns) => conversation(turns).map(({ role, ...fields }) => new Message(role, fields));

  test("are read and returned as they are", () => {
    const messages = instances(2);
    const result = fit(messages, { budget: 1_000_000 });
    result.messages.forEach((message, index) => {
      assert.equal(message, messages[index]);
    });
  });

  test("keep their prototype when edited", () => {
    const messages = instances(8);
    const { messages: fitted, report } = fit(messages, { budget: limitFor(conversation(8), 0.5) });
    assert.ok(report.edits.some((edit) => edit.kind === "prune"));
    assert.ok(fitted.every((message) => message instanceof Message));
  });

  test("need createMessage when a summary has to be inserted", () => {
    const messages = instances(12);
    const budget = limitFor(conversation(12), 0.04);
    refuses(() => fit(messages, { budget }), "needs_create_message");
    const result = fit(messages, { budget, createMessage: (role, content) => new Message(role, { content }) });
    assert.ok(result.report.summary);
    assert.equal(result.messages[result.report.summary.index].reveal(), 1);
    assert.ok(result.messages.every((message) => message instanceof Message));
    const restored = undo(result);
    restored.forEach((message, index) => {
      assert.equal(message, messages[index]);
    });
  });

  test("need none among plain objects", () => {
    const messages = instances(12);
    messages[0] = { ...messages[0] };
    const result = fit(messages, { budget: limitFor(conversation(12), 0.04) });
    assert.equal(Object.getPrototypeOf(result.messages[result.report.summary.index]), Object.prototype);
  });

  test("get stand-ins of their kind, with the call's id", () => {
    const call = {
      content: null,
      tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: "{}" } }],
    };
    const messages = [
      new Message("user", { content: "x" }),
      new Message("assistant", call),
      new Message("user", { content: "y" }),
    ];
    refuses(() => repair(messages), "needs_create_message");
    const { messages: repaired } = repair(messages, {
      createMessage: (role, content) => new Message(role, { content }),
    });
    const standIn = repaired.find((message) => message.role === "tool");
    assert.ok(standIn instanceof Message);
    assert.equal(standIn.tool_call_id, "a");
    assert.deepEqual(validate(repaired), []);
  });

  test("are refused from createMessage when they are none", () => {
    const messages = conversation(12);
    const budget = limitFor(messages, 0.04);
    for (const answer of [undefined, null, "text", []]) {
      refuses(() => fit(messages, { budget, createMessage: () => answer }), "invalid_option", {
        option: "createMessage",
      });
    }
    const thrown = new Error("no");
    const error = refuses(
      () =>
        fit(messages, {
          budget,
          createMessage: () => {
            throw thrown;
          },
        }),
      "invalid_option",
      { option: "createMessage" },
    );
    assert.equal(error.cause, thrown);
  });
});

describe("memory", () => {
  test("of the module does not grow to three times a large text", async () => {
    const { ready } = await load("instance.js");
    const text = payload("large", 200_000);
    countTokens("warm");
    const before = ready().memory.buffer.byteLength;
    assert.ok(countTokens(text) > 1_000_000);
    const grown = ready().memory.buffer.byteLength - before;
    assert.ok(grown < text.length * 2.6, `${grown} bytes for a text of ${text.length}`);
  });

  test("of the module stays where it is over many calls", async () => {
    const { ready } = await load("instance.js");
    const messages = conversation(50);
    const budget = limitFor(messages, 0.2);
    const call = () => undo(fit(messages, { budget, tokens: (text) => text.length >> 2 }));
    for (let i = 0; i < 20; i += 1) call();
    const before = ready().memory.buffer.byteLength;
    for (let i = 0; i < 200; i += 1) call();
    assert.equal(ready().memory.buffer.byteLength, before);
  });
});
