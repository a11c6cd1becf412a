// The terminal: spawned as users run it.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { spawnServer } from "../provider-server/server.mjs";
import { conversation, epitome, limitFor, packageFolder, payload, root, user } from "./support.mjs";

const { countTokens, fit, validate } = epitome;

const bin = join(packageFolder, "bin/epitome.js");
const demo = join(root, "tests/data/customer-service.json");
const folder = mkdtempSync(join(tmpdir(), "epitome-cli-"));
after(() => rmSync(folder, { recursive: true }));

/** Runs the command; its answer as text and, line by line, as JSON. */
function run(args, input = "", env = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], {
    input,
    encoding: "utf8",
    env: { ...process.env, ...env },
    maxBuffer: 1 << 28,
  });
  assert.doesNotMatch(stderr, /^\s+at /m, "no stack trace");
  return {
    status,
    stdout,
    stderr,
    json: () =>
      stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
  };
}

function file(name, content) {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content));
  return path;
}

describe("epitome compact", () => {
  const agent = join(root, "tests/data/coding-agent.json");
  const small = ["compact", "--budget", "6%"];
  let server;
  before(async () => {
    // A process of its own: `run` blocks this one.
    server = await spawnServer();
  });
  after(() => server.close());
  const asking = (fault, ...more) => [...small, "--provider", `${server.url}/${fault}/v1`, "--model", "test", ...more];
  const key = { EPITOME_API_KEY: "test-key" };

  test("asks a model for the summaries", () => {
    const { status, stdout } = run([...asking("ok"), agent], "", key);
    assert.equal(status, 0);
    assert.match(stdout, /\d+ requests to the model: [\d,]+ tokens read, [\d,]+ written/);
    const [{ messages, report }] = run([...asking("ok"), "--json", agent], "", key).json();
    assert.ok(report.models.requests > 3);
    assert.ok(report.after <= report.limit);
    assert.deepEqual(validate(messages), []);
  });

  for (const [api, path] of [
    ["openai-responses", "/v1"],
    ["anthropic", ""],
    ["gemini", "/v1beta"],
    ["ollama", ""],
  ]) {
    test(`speaks ${api}`, () => {
      const address = ["--provider", `${server.url}/ok${path}`, "--model", "test", "--api", api];
      const [{ report }] = run([...small, ...address, "--json", agent], "", key).json();
      assert.ok(report.models.requests > 3 && report.models.outputTokens > 0);
      assert.deepEqual(
        report.warnings.filter(({ code }) => code.startsWith("provider_")),
        [],
      );
    });
  }

  test("says in the end what was wrong with the model, and answers all the same", () => {
    const { status, stdout } = run([...asking("s401"), agent], "", key);
    assert.equal(status, 0);
    assert.match(stdout, /note: the key is missing or wrong \(status 401\)/);
    const gone = run([...small, "--provider", "http://127.0.0.1:9/v1", "--model", "m", "--timeout", "5", agent]);
    assert.match(gone.stdout, /note: no connection to http:\/\/127\.0\.0\.1:9/);
  });

  test("is fit without a provider", () => {
    const [, ...rest] = small;
    assert.equal(run([...small, "--json", agent]).stdout, run(["fit", ...rest, "--json", agent]).stdout);
  });

  test("takes the key from the environment alone", () => {
    const other = run([...asking("ok", "--key-env", "MY_KEY"), agent], "", { MY_KEY: "test-key" });
    assert.doesNotMatch(other.stdout, /note: the key/);
    assert.match(
      run([...asking("ok"), agent], "", { EPITOME_API_KEY: "" }).stdout,
      /note: the key is missing or wrong/,
    );
  });

  test("explains wrong usage", () => {
    for (const [args, pattern] of [
      [[...small, "--provider", "http://x/v1", agent], /--provider needs --model/],
      [[...small, "--model", "m", agent], /--model needs --provider/],
      [[...small, "--provider", "x y", "--model", "m", agent], /--provider: is not an address: "x y"/],
      [asking("ok", "--api", "cohere", agent), /--api cohere: must be one of openai-chat/],
      [asking("ok", "--key-env", "NO_SUCH_KEY", agent), /--key-env NO_SUCH_KEY: there is no such variable/],
      [asking("ok", "--window", "big", agent), /--window big/],
      [["fit", "--budget", "9", "--provider", "http://x", agent], /--provider belongs to compact/],
    ]) {
      const { status, stderr } = run(args);
      assert.equal(status, 2, stderr);
      assert.match(stderr, pattern);
    }
  });
});

describe("epitome fit", () => {
  test("prints a table by default", () => {
    const { status, stdout } = run(["fit", "--budget", "25%", demo]);
    assert.equal(status, 0);
    assert.match(stdout, /customer-service\.json/);
    assert.match(stdout, /role +before +after/);
    for (const fate of ["kept", "pruned"]) assert.match(stdout, new RegExp(`\\b${fate}\\b`));
    assert.match(stdout, /[\d,]+ -> [\d,]+ tokens \(\d+ % of the limit [\d,]+\)/);
    assert.ok(!stdout.includes("\u001b"), "no colours where there is no terminal");
  });

  test("shows hidden runs and the summary that stands for them, and folds long runs", () => {
    const { stdout } = run(["fit", "--budget", "5%", file("short.json", conversation(12))]);
    assert.match(stdout, /hidden/);
    assert.match(stdout, /\+ +user +summary/);
    assert.match(stdout, /\d+ summary/);
    const long = run(["fit", "--budget", "10%", file("long.json", conversation(60, 10))]).stdout;
    assert.match(long, /\d+-\d+ +\d+ messages/);
    assert.match(long, /\.\.\. +\d+ messages .*\d+ kept, .*\d+ hidden/);
    assert.ok(long.split("\n").length < 60);
  });

  test("prints what the API returns with --json", () => {
    const messages = JSON.parse(readFileSync(demo, "utf8"));
    const budget = limitFor(messages, 0.25);
    for (const args of [["--budget", `${budget}`], ["--budget=25%"]]) {
      const { status, json } = run(["fit", "--json", ...args, demo]);
      assert.equal(status, 0);
      const expected = fit(messages, { budget });
      assert.deepEqual(json(), [{ messages: expected.messages, report: expected.report }]);
    }
  });

  test("reads standard input, with and without `-`", () => {
    const input = JSON.stringify(conversation(4));
    const [expected] = run(["fit", "--json", "--budget", "500", file("four.json", input)]).json();
    for (const args of [[], ["-"]])
      assert.deepEqual(run(["fit", "--json", "--budget", "500", ...args], input).json(), [expected]);
  });

  test("reads an object with messages, system and tools", () => {
    const messages = conversation(4);
    const system = "Be kind. ".repeat(30);
    const tools = [{ type: "function", function: { name: "read_file" } }];
    const [{ report }] = run([
      "fit",
      "--json",
      "--budget",
      "900",
      file("object.json", { messages, system, tools, id: 7 }),
    ]).json();
    assert.deepEqual(report, fit(messages, { budget: 900, system, tools }).report);
  });

  test("reads JSON Lines of messages and of conversations", () => {
    const messages = conversation(3);
    const lines = messages.map((message) => JSON.stringify(message)).join("\n");
    const [one] = run(["fit", "--json", "--budget", "400", file("messages.jsonl", lines)]).json();
    assert.deepEqual(one.messages, fit(messages, { budget: 400 }).messages);
    const several = [conversation(3), conversation(4)].map((list) => JSON.stringify({ messages: list })).join("\n");
    assert.equal(run(["fit", "--json", "--budget", "400", file("several.jsonl", several)]).json().length, 2);
  });

  test("keeps pinned messages", () => {
    const messages = conversation(8);
    const path = file("pins.json", messages);
    const [{ messages: fitted }] = run(["fit", "--json", "--budget", "30%", "--pin", "3,7", path]).json();
    for (const index of [3, 7]) assert.ok(fitted.some((message) => message.content === messages[index].content));
  });

  test("writes untouched messages byte for byte", () => {
    const big = JSON.stringify(payload("big", 300));
    const deep = `${"[".repeat(10_000)}${"]".repeat(10_000)}`;
    const odd = [
      '{"role":"system","content":"s","n":1e2,"big":12345678901234567890,"neg":-0.0,"exp":1E+400}',
      String.raw`{ "content" : "escaped \u0041\/\ud800 \ud83d\ude00" , "role" : "user", "a":1, "a":2, "__proto__": {"x": 1} }`,
      '{"tool_calls":[{"function":{"arguments":"{\\"q\\": 1.50}","name":"f"},"id":"1","type":"function"}],"role":"assistant","content":null}',
      `{"role":"tool","z":1.0,"tool_call_id":"1","content":${big},"deep":${deep},"after":"\\u0061"}`,
      '{"role":"assistant","content":"a","deep":[[[{"k":[1.10,{}]}]]]}',
      '{"role":"user","content":"b","last":1.0}',
    ];
    const text = `\n[ ${odd.join(" ,\n")}\t]\n`;
    const { status, stdout, stderr } = run(["fit", "--json", "--budget", "300", file("odd.json", text)]);
    assert.equal(status, 0, stderr);
    for (const index of [0, 1, 2, 4, 5]) assert.ok(stdout.includes(odd[index]), `message ${index} is there as it was`);
    // The edited one keeps every other byte.
    const [before, behind] = odd[3].split(big);
    assert.ok(stdout.includes(before), "what stands before the edit");
    assert.ok(stdout.includes(behind), "what stands behind the edit");
    assert.ok(!stdout.includes(big));
    JSON.parse(stdout);
  });

  test("exits with 3 when the budget cannot be met", () => {
    const path = file("irreducible.json", [user("word ".repeat(500))]);
    const human = run(["fit", "--budget", "20", path]);
    assert.equal(human.status, 3);
    assert.match(human.stderr, /cannot be met.*\(irreducible_budget\)/);
    const machine = run(["fit", "--json", "--budget", "20", path]);
    assert.equal(machine.status, 3);
    assert.equal(machine.json()[0].error.code, "irreducible_budget");
    assert.equal(machine.json()[0].error.details.limit, 20);
  });

  test("does not pass on control characters of messages to the terminal", () => {
    const evil = "\u001b[2J\u001b]0;owned\u0007 text \u202e reversed";
    const messages = [user(evil), { role: "assistant", content: "ok" }, user("x")];
    const { stdout } = run(["fit", "--budget", "100", file("evil.json", messages)]);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is tested
    assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f\u202e]/);
  });
});

describe("epitome fit --jsonl", () => {
  const line = (turns, extra = {}) =>
    JSON.stringify({ id: "x", tokenizer: "o200k_base", messages: conversation(turns), ...extra });

  test("answers each line in order, failures in their place, with the highest exit code", () => {
    const lines = [
      line(4, { budget_tokens: 600, goal: "find it" }),
      "{broken",
      line(2, { budget_tokens: 0 }),
      "",
      line(3, { budget_tokens: 5 }),
      line(2),
      line(2, { budget_tokens: "600" }),
      '{"messages": 5, "budget_tokens": 9}',
      line(1, { budget_tokens: 100_000 }),
    ].join("\n");
    const { status, json } = run(["fit", "--jsonl"], lines);
    const answers = json();
    const codes = answers.map((answer) => answer.error?.code);
    assert.deepEqual(codes, [
      undefined,
      "invalid_input",
      "invalid_option",
      "irreducible_budget",
      "invalid_option",
      "invalid_option",
      "invalid_input",
      undefined,
    ]);
    assert.equal(status, 3);
    assert.deepEqual(answers[0].messages, fit(conversation(4), { budget: 600 }).messages);
    assert.deepEqual(answers.at(-1).messages, conversation(1));
    assert.deepEqual(Object.keys(answers[0]), ["messages", "report"]);
    assert.equal(answers[3].error.details.limit, 5);
    assert.equal(run(["fit", "--jsonl"], line(1, { budget_tokens: 100_000 })).status, 0);
    assert.equal(run(["fit", "--jsonl"], "{broken").status, 1);
  });

  test("uses --budget for lines that have none of their own", () => {
    const [{ report }] = run(["fit", "--jsonl", "--budget", "50%"], line(6)).json();
    assert.equal(report.limit, limitFor(conversation(6), 0.5));
    assert.equal(
      run(["fit", "--jsonl", "--budget", "50%"], line(6, { budget_tokens: 777 })).json()[0].report.limit,
      777,
    );
  });

  test("answers a line before the next one arrives, and takes lines in any pieces", async () => {
    const child = spawn(process.execPath, [bin, "fit", "--jsonl"], { stdio: ["pipe", "pipe", "inherit"] });
    const answers = child.stdout.setEncoding("utf8")[Symbol.asyncIterator]();
    for (let round = 0; round < 3; round += 1) {
      const text = Buffer.from(`${JSON.stringify({ messages: [user(`é語😀 ${round}`)], budget_tokens: 99 })}\r\n`);
      for (const byte of text) {
        child.stdin.write(Buffer.of(byte));
        if (byte > 127) await new Promise((resolve) => setImmediate(resolve));
      }
      const { value } = await answers.next();
      assert.equal(JSON.parse(value).messages[0].content, `é語😀 ${round}`);
    }
    child.stdin.end();
    const [code] = await new Promise((resolve) => child.on("close", (...args) => resolve(args)));
    assert.equal(code, 0);
  });

  test("does not hold the stream in memory", async () => {
    // 200 MB through a process that may use 120 MB of heap.
    const text = `${JSON.stringify({ messages: conversation(100, 300), budget_tokens: 5_000 })}\n`;
    const count = Math.ceil(200e6 / text.length);
    const child = spawn(process.execPath, ["--max-old-space-size=120", bin, "fit", "--jsonl"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const feeding = (async () => {
      for (let i = 0; i < count; i += 1) {
        if (!child.stdin.write(text)) await new Promise((resolve) => child.stdin.once("drain", resolve));
      }
      child.stdin.end();
    })();
    let lines = 0;
    for await (const chunk of child.stdout) for (const byte of chunk) lines += byte === 10 ? 1 : 0;
    await feeding;
    assert.equal(lines, count);
  });

  test("stops quietly when nobody reads on", async () => {
    const child = spawn(process.execPath, [bin, "fit", "--jsonl"], { stdio: ["pipe", "pipe", "pipe"] });
    child.stdin.on("error", () => {});
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    const closed = new Promise((resolve) => child.on("close", resolve));
    child.stdout.destroy();
    const text = `${line(50, { budget_tokens: 50_000 })}\n`;
    for (let i = 0; i < 20; i += 1) child.stdin.write(text);
    child.stdin.end();
    assert.equal(await closed, 0);
    assert.equal(stderr, "");
  });
});

describe("epitome validate and count", () => {
  const broken = [user("a"), { role: "tool", tool_call_id: "none", content: "42" }];

  test("list violations and exit with 1", () => {
    const path = file("broken.json", broken);
    const human = run(["validate", path]);
    assert.equal(human.status, 1);
    assert.match(human.stdout, /broken\.json: message 1.*\(C1\)/);
    const machine = run(["validate", "--json", path]);
    assert.deepEqual(machine.json(), [{ violations: validate(broken) }]);
    assert.equal(machine.status, 1);
    const fine = run(["validate", demo]);
    assert.deepEqual([fine.status, fine.stdout.includes("valid")], [0, true]);
  });

  test("count what the API counts", () => {
    const messages = JSON.parse(readFileSync(demo, "utf8"));
    const tokens = countTokens(messages);
    assert.equal(run(["count"], JSON.stringify(messages)).stdout, `${tokens}\n`);
    assert.equal(run(["count", demo]).stdout, `${tokens}\t${demo}\n`);
    assert.deepEqual(run(["count", "--json", demo]).json(), [{ tokens, messages: messages.length, overhead: 0 }]);
  });

  test("stream with --jsonl", () => {
    const lines = [broken, conversation(1)].map((messages) => JSON.stringify({ messages })).join("\n");
    const { status, json } = run(["validate", "--jsonl"], lines);
    assert.equal(status, 1);
    assert.deepEqual(
      json().map(({ violations }) => violations.length),
      [1, 0],
    );
    assert.equal(run(["count", "--jsonl"], lines).json()[1].tokens, countTokens(conversation(1)));
  });
});

describe("bad input", () => {
  for (const [what, content, message] of [
    ["no JSON", "hello", /not JSON/],
    ["an empty file", "", /not JSON/],
    ["a number", "5", /neither an array/],
    ["an object without messages", '{"a":1}', /neither an array/],
    ["a broken third line", '{"messages":[]}\n{"messages":[]}\n{"messages":[', /line 3 is not JSON/],
    ["an unknown role", '[{"role":"wizard","content":"x"}]', /message 0: `role` is "wizard"/],
    ["a number among messages", '[{"role":"user","content":"x"}, 7]', /message 1/],
    ["bytes that are not UTF-8", Buffer.from([0x5b, 0xff, 0x5d]), /not UTF-8/],
  ]) {
    test(`${what} is refused with exit code 1`, () => {
      const path = file("bad.json", content);
      for (const args of [["fit", "--budget", "99"], ["count"], ["validate"]]) {
        const { status, stderr } = run([...args, path]);
        assert.equal(status, 1);
        assert.match(stderr, message);
        assert.match(stderr, /^epitome: .*bad\.json: /);
      }
      const [{ error }] = run(["fit", "--json", "--budget", "99", path]).json();
      assert.equal(error.code, "invalid_input");
    });
  }

  test("a file that is not there is refused, and the others are answered", () => {
    const { status, stdout, stderr } = run(["count", join(folder, "absent.json"), folder, demo]);
    assert.equal(status, 1);
    assert.match(stderr, /absent\.json.*ENOENT/);
    assert.match(stderr, /EISDIR/);
    assert.match(stdout, /customer-service/);
  });

  test("an option of the file that the core refuses is named", () => {
    const { status, stderr } = run(["fit", "--budget", "9", "--pin", "99", demo]);
    assert.equal(status, 1);
    assert.match(stderr, /option `pin`/);
  });
});

describe("wrong usage", () => {
  for (const args of [
    [],
    ["fix"],
    ["fit", demo],
    ["fit", "--budget", demo],
    ["fit", "--budget", "0", demo],
    ["fit", "--budget", "-5", demo],
    ["fit", "--budget", "120%", demo],
    ["fit", "--budget", "0%", demo],
    ["fit", "--budget", "many", demo],
    ["fit", "--budget", "9", "--pin", "a", demo],
    ["fit", "--budget", "9", "--colour", demo],
    ["fit", "--budget", "9", "--json", "--jsonl", demo],
    ["count", "--budget", "9", demo],
    ["count", "--format", "smoke", demo],
  ]) {
    test(`\`epitome ${args.map((arg) => (arg === demo ? "FILE" : arg)).join(" ")}\` exits with 2 and says why`, () => {
      const { status, stdout, stderr } = run(args);
      assert.equal(status, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, /^epitome: .+\nTry `epitome --help`\.\n$/);
    });
  }

  test("--help and --version answer on standard output", () => {
    for (const args of [["--help"], ["fit", "-h"]]) {
      const { status, stdout } = run(args);
      assert.equal(status, 0);
      assert.match(stdout, /epitome fit --budget N/);
    }
    assert.deepEqual(run(["--version"]).stdout, `${epitome.version}\n`);
  });
});
