// The way back (`undo`) and the way on (`previous`), through JSON and over growing conversations.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  assistant,
  bundled,
  conversation,
  epitome,
  limitFor,
  load,
  payload,
  refuses,
  toolTurn,
  user,
} from "./support.mjs";

const { apply, countTokens, EpitomeError, fit, plan, undo, validate } = epitome;
const { ready } = await load("instance.js");

const json = (value) => JSON.parse(JSON.stringify(value));

const assertSame = (actual, expected) => {
  assert.equal(actual.length, expected.length);
  actual.forEach((message, index) => {
    assert.equal(message, expected[index], `message ${index}`);
  });
};

describe("undo", () => {
  for (const name of ["coding-agent", "customer-service", "chinese-dialogue", "mcp-agent"]) {
    test(`gives the very objects of ${name} back`, () => {
      const messages = bundled(name);
      for (const share of [0.1, 0.5]) {
        const result = fit(messages, { budget: limitFor(messages, share) });
        assertSame(undo(result), messages);
        assertSame(undo(result.messages, result.patch), messages);
      }
    });
  }

  const messages = bundled("customer-service");
  const budget = limitFor(messages, 0.1);

  test("works after everything went through JSON", () => {
    const result = fit(messages, { budget });
    assert.deepEqual(undo(json(result)), messages);
    assert.deepEqual(undo(json(result.messages), json(result.patch)), messages);
  });

  test("works after messages were appended, which stay at the end", () => {
    const result = fit(messages, { budget });
    const added = [assistant("And then?"), ...toolTurn("later", "42"), user("Go on.")];
    assertSame(undo([...result.messages, ...added], result.patch), [...messages, ...added]);
    assert.deepEqual(undo(json([...result.messages, ...added]), json(result.patch)), [...messages, ...added]);
  });

  test("works without originals in the patch when they are passed", () => {
    const { messages: view, patch } = fit(messages, { budget, patch: "edits" });
    assert.equal(patch.originals, undefined);
    assertSame(undo(view, patch, { originals: messages }), messages);
    assert.equal(refuses(() => undo(view, patch), "cannot_undo", { index: missingOf(view) }).name, "EpitomeError");
    function missingOf(kept) {
      return messages.findIndex((message) => !kept.includes(message));
    }
  });

  test("refuses a view that was changed, and originals that are others", () => {
    const { messages: view, patch } = fit(messages, { budget });
    const changed = view.with(0, { ...view[0], content: "changed" });
    assert.throws(() => undo(changed, patch), { code: "cannot_undo" });
    assert.throws(() => undo(view.slice(0, -1), patch), { code: "cannot_undo" });
    assert.throws(() => undo([], patch), { code: "cannot_undo" });
    const { originals: _, ...bare } = patch;
    const others = messages.map((message) => ({ ...message, content: "other" }));
    assert.throws(() => undo(view, bare, { originals: others }), { code: "cannot_undo" });
    assert.throws(() => undo(view, bare, { originals: messages.slice(0, 2) }), { code: "cannot_undo" });
    const tampered = { ...patch, originals: patch.originals.map((entry) => ({ ...entry, message: user("x") })) };
    assert.throws(() => undo(view, tampered), { code: "cannot_undo" });
    assertSame(undo(view, patch), messages);
  });

  test("refuses patches that were tampered with, without harm", () => {
    const { messages: view, patch } = fit(messages, { budget });
    const huge = 0xffffffff;
    for (const [what, broken] of Object.entries({
      layout: { ...patch, view: { ...patch.view, layout: [[0, huge]] } },
      "source size": { ...patch, source: { ...patch.source, messages: huge } },
      "view size": { ...patch, view: { ...patch.view, messages: huge } },
      version: { ...patch, version: 2 },
      hash: { ...patch, view: { ...patch.view, hash: "0" } },
    })) {
      assert.throws(
        () => undo(view, broken),
        (error) => ["cannot_undo", "invalid_option"].includes(error.code),
        what,
      );
      fit(messages, { budget, previous: broken });
    }
    const { memory } = ready();
    const size = memory.buffer.byteLength;
    for (const edit of [
      { kind: "hide", from: 0, to: huge, tokensBefore: 1 },
      { kind: "hide", from: 5, to: 2, tokensBefore: 1 },
      { kind: "prune", index: huge, tokensBefore: 1, tokensAfter: 0, changes: [] },
      { kind: "prune", index: 1, tokensBefore: 1, tokensAfter: 0, changes: [{ path: ["a", 7, "b"], value: "x" }] },
      { kind: "shrink", index: 3, tokensBefore: 1, tokensAfter: 0, changes: [{ path: [], value: "x" }] },
      { kind: "insert", before: huge, role: "tool", text: "x", covers: huge, tokensAfter: huge },
    ]) {
      const broken = { ...patch, edits: [edit] };
      // Either it is refused, or what comes back is as good as any other result.
      try {
        const result = fit(messages, { budget, previous: broken });
        assert.deepEqual(validate(result.messages), [], JSON.stringify(edit));
        assert.ok(result.report.after <= budget);
      } catch (error) {
        assert.equal(error.code, "invalid_option", `${JSON.stringify(edit)}: ${error}`);
      }
      assert.throws(() => apply(messages, { ...plan(messages, { budget }), patch: broken }), EpitomeError);
    }
    assert.throws(() => undo(view, { ...patch, source: { ...patch.source, messages: 60_000_000 } }), {
      code: "cannot_undo",
    });
    assert.ok(
      memory.buffer.byteLength - size < 10_000_000,
      "a number in a patch does not decide how much memory is spent",
    );
    for (const originals of [[null], [{ index: 0 }], "x", [{ index: 0, message: 5 }]]) {
      assert.throws(() => undo(view, { ...patch, originals }), { code: "cannot_undo" });
    }
  });

  test("keeps host values in originals as long as the patch is not turned into JSON", () => {
    const image = new Uint8Array([1, 2, 3]);
    const source = conversation(8).map((message) => ({ ...message, image }));
    const result = fit(source, { budget: limitFor(source, 0.2) });
    assert.ok(result.report.warnings.some((warning) => warning.code === "originals_not_json"));
    assert.equal(undo(result)[3].image, image);
  });
});

describe("a patch", () => {
  test("is plain JSON without its originals, and plans are plain JSON", () => {
    const messages = conversation(8);
    const { patch, report } = fit(messages, { budget: limitFor(messages, 0.2), patch: "edits" });
    assert.deepEqual(json(patch), patch);
    assert.deepEqual(json(report), report);
    assert.ok(patch.edits.length > 0);
    const proposal = epitome.plan(messages, { budget: limitFor(messages, 0.2) });
    assert.deepEqual(json(proposal), proposal);
    assert.equal(proposal.patch.originals, undefined);
  });

  test("lists as originals what the view does not hold, by reference", () => {
    const messages = conversation(8);
    const { messages: view, patch } = fit(messages, { budget: limitFor(messages, 0.2) });
    const missing = messages.flatMap((message, index) => (view.includes(message) ? [] : [index]));
    assert.deepEqual(
      patch.originals.map(({ index }) => index),
      missing,
    );
    for (const { index, message } of patch.originals) assert.equal(message, messages[index]);
  });
});

describe("previous", () => {
  const turn = (number) => [
    user(`Look at file ${number}.`),
    ...toolTurn(`call_${number}`, payload(`file ${number}`, 30)),
    assistant(`File ${number} is fine.`),
  ];

  test("keeps the prefix over 100 growing turns except where an edit was needed", () => {
    const messages = [{ role: "system", content: "Be brief." }];
    const window = 60_000;
    let previous;
    let view = [];
    let edits = 0;
    for (let number = 0; number < 100; number += 1) {
      messages.push(...turn(number));
      const result = fit(messages, { budget: { window }, previous });
      assert.ok(result.report.after <= result.report.limit, `turn ${number}`);
      assert.deepEqual(validate(result.messages), []);
      const common = view.findIndex(
        (message, index) => JSON.stringify(message) !== JSON.stringify(result.messages[index]),
      );
      if (JSON.stringify(result.report.edits) === JSON.stringify(previous?.edits ?? [])) {
        assert.equal(common, -1, `turn ${number} changed the prefix without an edit`);
      } else {
        edits += 1;
      }
      assert.deepEqual(result.report.warnings, []);
      previous = number % 2 ? json(result.patch) : result.patch;
      view = result.messages;
    }
    assert.ok(edits > 2 && edits < 40, `${edits} turns had edits`);
  });

  test("that belongs to other messages is ignored with a warning", () => {
    const messages = conversation(8);
    const { patch } = fit(messages, { budget: limitFor(messages, 0.3) });
    const others = messages.with(1, user("Something else."));
    const { report } = fit(others, { budget: limitFor(messages, 0.3), previous: patch });
    assert.deepEqual(
      report.warnings.map((warning) => warning.code),
      ["previous_ignored"],
    );
  });

  test("chained through JSON over appended messages stays valid and does not nest summaries", () => {
    let messages = bundled("mcp-agent");
    const tail = bundled("customer-service").slice(1);
    for (let round = 0; round < 10; round += 1) {
      const budget = limitFor(messages, 0.4);
      const result = fit(messages, { budget });
      assert.ok(result.report.after <= budget);
      assert.deepEqual(validate(result.messages), []);
      const lastUser = messages.findLast((message) => message.role === "user");
      assert.ok(result.messages.includes(lastUser));
      const added = Array.from({ length: 20 }, (_, at) => {
        const { role, content } = tail[(round * 20 + at) % tail.length];
        return { role: role === "tool" ? "user" : role, content: content ?? "..." };
      });
      messages = json([...result.messages, ...added]);
    }
    assert.ok(countTokens(messages) > 0);
  });
});
