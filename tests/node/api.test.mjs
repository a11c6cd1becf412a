import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import {
  assertSameObjects,
  assistant,
  bundled,
  conversation,
  epitome,
  limitFor,
  noRealConversations,
  packageFolder,
  realConversations,
  refuses,
  toolTurn,
  user,
} from "./support.mjs";

const { apply, countTokens, detectFormat, fit, init, plan, repair, undo, validate, version } = epitome;

describe("fit", () => {
  test("returns the same objects in a new array when everything fits", () => {
    const messages = conversation(3);
    const result = fit(messages, { budget: 1_000_000 });
    assert.notEqual(result.messages, messages);
    assert.equal(result.messages.length, messages.length);
    result.messages.forEach((message, index) => {
      assert.equal(message, messages[index]);
    });
    assert.equal(result.report.tier, "none");
    assert.equal(result.report.firstChangedIndex, null);
    assert.deepEqual(result.patch.originals, []);
  });

  test("meets the budget, stays valid, and leaves what it did not edit as the same object", () => {
    for (const name of ["coding-agent", "customer-service", "mcp-agent", "chinese-dialogue"]) {
      const messages = bundled(name);
      for (const share of [0.1, 0.25, 0.5]) {
        const limit = limitFor(messages, share);
        const result = fit(messages, { budget: limit });
        assert.ok(result.report.after <= limit, `${name} at ${share}: ${result.report.after} > ${limit}`);
        assert.equal(result.report.after, countTokens(result.messages));
        assert.equal(result.report.messagesAfter, result.messages.length);
        assert.deepEqual(validate(result.messages), []);
        assert.ok(assertSameObjects(result, messages) > 0);
        const lastUser = messages.findLast((message) => message.role === "user");
        assert.ok(result.messages.includes(lastUser), "the last user message is the same object");
      }
    }
  });

  test("never mutates its input", () => {
    const messages = bundled("customer-service");
    const before = JSON.stringify(messages);
    const result = fit(messages, { budget: limitFor(messages, 0.2) });
    undo(result);
    assert.equal(JSON.stringify(messages), before);
  });

  test("counts system and tools and never edits them", () => {
    const messages = conversation(4);
    const system = "Answer in one sentence. ".repeat(20);
    const tools = [{ type: "function", function: { name: "read_file", parameters: { type: "object" } } }];
    const without = fit(messages, { budget: 1_000_000 }).report;
    const { report } = fit(messages, { budget: 1_000_000, system, tools });
    assert.equal(without.overhead, 0);
    assert.ok(report.overhead > countTokens(system));
    assert.equal(report.before, without.before + report.overhead);
    const limit = without.before;
    const fitted = fit(messages, { budget: limit, system, tools }).report;
    assert.ok(fitted.after <= limit && fitted.tier !== "none");
  });

  test("takes pins as indices and as a predicate", () => {
    const messages = conversation(12);
    const pinned = 3;
    assert.equal(messages[pinned].role, "tool");
    const budget = limitFor(messages, 0.25);
    assert.ok(!fit(messages, { budget }).messages.includes(messages[pinned]), "it would be edited otherwise");
    const calls = [];
    const predicate = (message, index) => {
      calls.push([message, index]);
      return index === pinned;
    };
    for (const pin of [[pinned], predicate]) {
      const result = fit(messages, { budget, pin });
      assert.ok(result.messages.includes(messages[pinned]));
      assert.ok(result.report.after <= budget);
    }
    assert.equal(calls.length, messages.length);
    calls.forEach(([message, index], at) => {
      assert.equal(index, at);
      assert.equal(message, messages[at]);
    });
  });

  test("takes a policy", () => {
    const messages = conversation(12);
    const budget = limitFor(messages, 0.5);
    const { messages: fitted } = fit(messages, { budget, policy: { placeholder: "<gone>", preserveTailMessages: 0 } });
    assert.ok(fitted.some((message) => message.content === "<gone>"));
    const { report } = fit(messages, { budget, policy: { protectTools: ["read_file"] } });
    assert.ok(!report.edits.some((edit) => edit.kind === "prune"));
  });

  test("with a Budget object does nothing below the soft threshold and leaves room above it", () => {
    const messages = conversation(12);
    const before = countTokens(messages);
    const roomy = fit(messages, { budget: { window: before * 3, reserve: 0 } }).report;
    assert.deepEqual([roomy.tier, roomy.limit], ["none", before * 3]);
    const soft = fit(messages, { budget: { window: Math.round(before / 0.7), reserve: 0 } }).report;
    assert.equal(soft.tier, "soft");
    assert.ok(soft.after < before);
    assert.ok(
      soft.edits.every((edit) => "index" in edit && messages[edit.index].role === "tool"),
      "only tool results",
    );
    assert.equal(fit(messages, { budget: { window: before * 10 } }).report.limit, before * 8);
  });

  test("inserts a plain message, or what createMessage makes", () => {
    const messages = conversation(12);
    const budget = limitFor(messages, 0.04);
    const plain = fit(messages, { budget });
    const inserts = plain.report.edits.filter((edit) => edit.kind === "insert");
    assert.ok(inserts.length > 0);
    const summary = plain.messages[plain.report.summary.index];
    assert.deepEqual(summary, { role: inserts.at(-1).role, content: inserts.at(-1).text });
    assert.equal(summary.content, plain.report.summary.text);

    const asked = [];
    const createMessage = (role, text) => {
      asked.push({ role, text });
      return { id: "made", role, content: text };
    };
    const made = fit(messages, { budget, createMessage });
    assert.deepEqual(
      asked,
      inserts.map(({ role, text }) => ({ role, text })),
    );
    assert.equal(made.messages[made.report.summary.index].id, "made");
    assert.deepEqual(undo(made), messages);
    assert.deepEqual(JSON.parse(JSON.stringify(made.patch.view)), JSON.parse(JSON.stringify(plain.patch.view)));
  });

  test("is deterministic and idempotent", () => {
    const messages = bundled("coding-agent");
    const budget = limitFor(messages, 0.15);
    const first = fit(messages, { budget });
    assert.equal(JSON.stringify(fit(structuredClone(messages), { budget })), JSON.stringify(first));
    const second = fit(first.messages, { budget });
    assert.deepEqual(second.report.edits, []);
    second.messages.forEach((message, index) => {
      assert.equal(message, first.messages[index]);
    });
  });

  test("keeps every real conversation valid and within budget", { skip: noRealConversations }, () => {
    let fits = 0;
    let irreducible = 0;
    for (const { id, messages } of realConversations()) {
      for (const share of [0.1, 0.25, 0.5]) {
        const budget = limitFor(messages, share);
        let result;
        try {
          result = fit(messages, { budget });
        } catch (error) {
          assert.equal(error.code, "irreducible_budget", `${id} at ${share}: ${error}`);
          assert.ok(error.details.required > budget);
          irreducible += 1;
          continue;
        }
        fits += 1;
        assert.ok(result.report.after <= budget, `${id} at ${share}`);
        assert.deepEqual(validate(result.messages), [], `${id} at ${share}`);
        assertSameObjects(result, messages);
        const restored = undo(result);
        assert.equal(restored.length, messages.length);
        restored.forEach((message, index) => {
          assert.equal(message, messages[index]);
        });
      }
    }
    // How many must be so at all is computed independently in tests/real.rs.
    assert.ok(irreducible <= (fits + irreducible) * 0.05, `${irreducible} of ${fits + irreducible} are irreducible`);
  });
});

describe("plan and apply", () => {
  const messages = bundled("customer-service");
  const budget = limitFor(messages, 0.2);

  test("lead to what fit does", () => {
    const proposal = plan(messages, { budget });
    const fitted = fit(messages, { budget });
    assert.deepEqual(proposal.report, fitted.report);
    assert.deepEqual(apply(messages, proposal), fitted);
  });

  test("pass a plan through JSON", () => {
    const proposal = plan(messages, { budget });
    const copy = JSON.parse(JSON.stringify(proposal));
    assert.deepEqual(copy, proposal);
    assert.deepEqual(apply(messages, copy), apply(messages, proposal));
  });

  test("refuse a plan that was made from other messages", () => {
    const proposal = plan(messages, { budget });
    refuses(() => apply(messages.slice(1), proposal), "stale_plan");
    refuses(() => apply([...messages, user("one more")], proposal), "stale_plan");
    refuses(() => apply(messages.with(-1, user("changed")), proposal), "stale_plan");
  });

  test("refuse what is no plan", () => {
    refuses(() => apply(messages, undefined), "invalid_option", { option: "plan" });
    refuses(() => apply(messages, {}), "invalid_option", { option: "plan" });
    refuses(() => apply(messages, fit(messages, { budget }).patch), "invalid_option", { option: "plan" });
  });

  test("apply takes createMessage and patch", () => {
    const proposal = plan(messages, { budget: limitFor(messages, 0.05) });
    const result = apply(messages, proposal, {
      patch: "edits",
      createMessage: (role, content) => ({ role, content, id: 7 }),
    });
    assert.equal(result.patch.originals, undefined);
    assert.equal(result.messages[result.report.summary.index].id, 7);
  });
});

describe("validate and repair", () => {
  const orphan = { role: "tool", tool_call_id: "nobody", content: "42" };

  test("find nothing in a valid conversation", () => {
    const messages = conversation(2);
    assert.deepEqual(validate(messages), []);
    assert.deepEqual(validate(messages, { format: "openai-chat" }), []);
    const { messages: repaired, repairs } = repair(messages);
    assert.deepEqual(repairs, []);
    repaired.forEach((message, index) => {
      assert.equal(message, messages[index]);
    });
  });

  test("name the rule, the message and the field", () => {
    const [violation] = validate([user("hi"), orphan]);
    assert.equal(violation.index, 1);
    assert.equal(violation.rule, "C1");
    assert.equal(typeof violation.message, "string");
  });

  test("mend what they find and leave the neighbours as the same objects", () => {
    const [call] = toolTurn("a", "x");
    const messages = [user("hi"), orphan, call, user("and now?")];
    const { messages: repaired, repairs } = repair(messages);
    assert.ok(repairs.length >= 2);
    assert.deepEqual(validate(repaired), []);
    assert.equal(repaired[0], messages[0]);
    assert.equal(repaired.at(-1), messages.at(-1));
    const standIn = repaired.find((message) => message.tool_call_id === "a");
    assert.equal(standIn?.role, "tool");
  });

  test("fit repairs first and undo gives the broken input back", () => {
    const messages = [user("hi"), orphan, assistant("ok"), ...conversation(6).slice(1)];
    const result = fit(messages, { budget: limitFor(conversation(6), 0.3) });
    assert.ok(result.report.repairs.length > 0);
    const restored = undo(result);
    restored.forEach((message, index) => {
      assert.equal(message, messages[index]);
    });
  });
});

describe("countTokens and detectFormat", () => {
  test("count a text, a message and messages", () => {
    const messages = conversation(2);
    assert.equal(countTokens(""), 0);
    assert.ok(countTokens("Hello, world") >= 2);
    const sum = messages.reduce((total, message) => total + countTokens(message), 0);
    assert.equal(countTokens(messages), sum);
    assert.equal(countTokens([]), 0);
    assert.equal(countTokens("four", { tokens: (text) => text.length, model: "any", format: "openai-chat" }), 4);
  });

  test("detect the format, or say what it looks like", () => {
    assert.equal(detectFormat(conversation(1)), "openai-chat");
    const anthropic = [{ role: "user", content: [{ type: "tool_result", tool_use_id: "x", content: "42" }] }];
    refuses(() => detectFormat(anthropic), "unknown_format", { index: 0, looksLike: "anthropic" });
  });
});

describe("a token counter of the host", () => {
  const messages = conversation(6);

  test("is asked once per distinct text", () => {
    const asked = [];
    const tokens = (text) => {
      asked.push(text);
      return text.length;
    };
    const { report } = fit(messages, { budget: 10_000_000, tokens });
    assert.equal(new Set(asked).size, asked.length);
    assert.ok(asked.includes(messages[1].content));
    assert.equal(report.before, countTokens(messages, { tokens }));
  });

  test("decides what fits", () => {
    const tokens = (text) => Math.ceil(text.length / 2);
    const budget = Math.floor(countTokens(messages, { tokens }) / 2);
    const result = fit(messages, { budget, tokens });
    assert.ok(countTokens(result.messages, { tokens }) <= budget);
  });

  test("may count fractions, which round up", () => {
    assert.equal(countTokens("abc", { tokens: () => 1.2 }), 2);
  });

  for (const [what, answer] of [
    ["NaN", Number.NaN],
    ["a negative number", -1],
    ["an infinity", Number.POSITIVE_INFINITY],
    ["a string", "12"],
    ["nothing", undefined],
    ["a BigInt", 3n],
    ["a promise", Promise.resolve(3)],
  ]) {
    test(`that returns ${what} is refused`, () => {
      const error = refuses(() => fit(messages, { budget: 500, tokens: () => answer }), "invalid_option", {
        option: "tokens",
      });
      assert.match(error.message, /tokens/);
      refuses(() => countTokens("text", { tokens: () => answer }), "invalid_option", { option: "tokens" });
    });
  }

  test("that throws is refused with what it threw as the cause", () => {
    const thrown = new Error("no such model");
    let asked = 0;
    const tokens = () => {
      asked += 1;
      if (asked === 3) throw thrown;
      return 1;
    };
    const error = refuses(() => fit(messages, { budget: 500, tokens }), "invalid_option", { option: "tokens" });
    assert.equal(error.cause, thrown);
    assert.equal(asked, 3, "it is not asked again after it threw");
  });

  test("may call Epitome itself", () => {
    const inner = conversation(3, 2000);
    const expected = fit(messages, { budget: limitFor(messages, 0.3) });
    let calls = 0;
    const tokens = (text) => {
      calls += 1;
      if (calls % 5 === 0) {
        const nested = fit(inner, { budget: limitFor(inner, 0.2) });
        assert.ok(nested.report.after <= nested.report.limit);
      }
      return countTokens(text);
    };
    assert.deepEqual(fit(messages, { budget: limitFor(messages, 0.3), tokens }), expected);
    assert.ok(calls > 5);
  });

  test("may fail inside a nested call without harm to the outer one", () => {
    const tokens = (text) => {
      assert.throws(() => fit(5, { budget: 1 }));
      assert.throws(() => countTokens("x", { tokens: () => Number.NaN }));
      return countTokens(text);
    };
    assert.equal(countTokens(messages, { tokens }), countTokens(messages));
  });
});

describe("the package", () => {
  test("says its version", () => {
    assert.equal(version, JSON.parse(readFileSync(`${packageFolder}/package.json`, "utf8")).version);
  });

  test("has an init that does nothing in Node, however often it is called", async () => {
    assert.equal(await init(), undefined);
    await Promise.all([init(), init(), init()]);
    assert.ok(countTokens("text") > 0);
  });
});
