// index.d.ts is held to what Rust exports: tests/types/contract.json is written by tests/contract.rs from Rust's own
// records, and turned here into types that the declarations must equal. What models are asked, and what is told of it, is
// held to what was really seen.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { startServer } from "../provider-server/server.mjs";
import { answer, compacted, failureOf } from "./providers-support.mjs";
import { conversation, epitome, errorOf, limitFor, load, packageFolder, root, user } from "./support.mjs";

const { apply, fit, undo, validate } = epitome;
const { createProvider, innerOf } = await load("provider.js");

const contract = JSON.parse(readFileSync(`${root}/tests/types/contract.json`, "utf8"));
const declarations = readFileSync(`${packageFolder}/index.d.ts`, "utf8");
/** The texts of all declarations of the package, by file. */
const allDeclarations = Object.fromEntries(
  readdirSync(packageFolder, { recursive: true })
    .filter((file) => file.endsWith(".d.ts") && !file.startsWith("wasm"))
    .map((file) => [file, readFileSync(join(packageFolder, file), "utf8")]),
);

/** Codes that arise in the shell, and those that later versions need and that are promised already. */
const SHELL_CODES = ["not_initialised", "needs_create_message", "internal"];
const RESERVED_CODES = ["invalid_history"];
/** What only waiting calls end with. */
const WAITING_CODES = ["aborted", "closed", ...contract.providerCodes, ...contract.storeCodes];
/** Added by the shell: references to host messages, which never cross. */
const SHELL_KEYS = { Patch: ["originals"] };

const union = (names) => names.map((name) => JSON.stringify(name)).join(" | ") || "never";

/** Compiles a text beside the declarations; what the compiler says. */
function compile(text) {
  const folder = mkdtempSync(join(tmpdir(), "epitome-types-"));
  try {
    const isDeclaration = (file) => !/\.[^/]+$/.test(file.slice(packageFolder.length)) || file.endsWith(".d.ts");
    cpSync(packageFolder, folder, { recursive: true, filter: isDeclaration });
    writeFileSync(join(folder, "package.json"), '{"type":"module"}');
    writeFileSync(join(folder, "contract.ts"), text);
    const config = {
      compilerOptions: { strict: true, noEmit: true, module: "nodenext", target: "es2022", lib: ["es2022"], types: [] },
      files: ["contract.ts"],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const { stdout, status } = spawnSync(process.execPath, [tsc, "-p", folder, "--pretty", "false"], {
      encoding: "utf8",
    });
    return { stdout, status };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The details that each code comes with, from errors that were really thrown. */
function thrownDetails() {
  const messages = conversation(12);
  const budget = 1_000;
  let deep = "x";
  for (let level = 0; level < 200; level += 1) deep = [deep];
  const result = fit(messages, { budget: limitFor(messages, 0.3), patch: "edits" });
  const errors = [
    errorOf(() => fit([user("a"), user(5)], { budget })),
    errorOf(() => fit(messages, { budget: 0 })),
    errorOf(() => fit([{ role: "user", content: [{ type: "tool_result" }] }], { budget })),
    errorOf(() => fit([user(deep)], { budget })),
    errorOf(() => fit([user("x".repeat(300_000_000))], { budget })),
    errorOf(() => fit([user("word ".repeat(99))], { budget: 5 })),
    errorOf(() => apply([user("a")], epitome.plan(messages, { budget }))),
    errorOf(() => undo(result.messages, result.patch)),
  ];
  return Object.fromEntries(errors.map(({ code, details }) => [code, details]));
}

function contractTypes() {
  const { codes, formats, keys, layout, nested, policy, tiers } = contract;
  const details = thrownDetails();
  assert.deepEqual(Object.keys(details).sort(), [...codes].sort(), "every code of Rust was seen");
  const sample = conversation(12);
  const result = fit(sample, { budget: limitFor(sample, 0.05) });
  const violations = validate([user("a"), { role: "tool", tool_call_id: "x", content: "y" }]);
  const { originals: _, ...patch } = result.patch;
  const lines = [
    'import type * as api from "./index.js";',
    "type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;",
    "const holds = <_T extends true>() => {};",
    `holds<Same<api.ErrorCode, ${union([...codes, ...SHELL_CODES, ...RESERVED_CODES, ...WAITING_CODES])}>>();`,
    `holds<Same<api.Format, ${union(formats)}>>();`,
    `holds<Same<api.Purpose, ${union(contract.purposes)}>>();`,
    `holds<Same<api.Tier, ${union(tiers)}>>();`,
    `holds<Same<keyof api.Policy, ${union(Object.keys(policy))}>>();`,
    `export const policy: api.Policy = ${JSON.stringify(policy)};`,
    `export const layout: api.Patch["view"]["layout"] = ${JSON.stringify(layout)};`,
    ...Object.entries(keys).map(
      ([name, list]) => `holds<Same<keyof api.${name}, ${union([...list, ...(SHELL_KEYS[name] ?? [])])}>>();`,
    ),
    `holds<Same<keyof NonNullable<api.Report["summary"]>, ${union(nested["Report.summary"])}>>();`,
    `holds<Same<keyof api.Patch["source"], ${union(nested["Patch.source"])}>>();`,
    `holds<Same<keyof api.Patch["view"], ${union(nested["Patch.view"])}>>();`,
    `holds<Same<keyof api.ErrorDetails["irreducible_budget"]["breakdown"], ${union(nested["irreducible_budget.breakdown"])}>>();`,
    // What was really thrown and returned is what is declared, without a key too many.
    ...Object.entries(details).map(
      ([code, value]) => `export const ${code}: api.ErrorDetails["${code}"] = ${JSON.stringify(value)};`,
    ),
    `export const report: api.Report = ${JSON.stringify(result.report)};`,
    `export const patch: api.Patch = ${JSON.stringify(patch)};`,
    `export const violations: api.Violation[] = ${JSON.stringify(violations)};`,
  ];
  return lines.join("\n");
}

test("the declarations have exactly the names that Rust exports", () => {
  const { stdout, status } = compile(contractTypes());
  assert.equal(status, 0, stdout);
});

test("that comparison notices a name too many and a name too few", () => {
  const types = contractTypes();
  for (const [from, to] of [
    ['"softTarget" |', ""],
    ['"softTarget" |', '"softTarget" | "softest" |'],
    ['"stale_plan" |', '"old_plan" |'],
    ['"tokensAfter" |', '"tokensLater" |'],
    ['"firstChangedIndex":', '"firstChanged":'],
  ]) {
    assert.ok(types.includes(from), from);
    assert.notEqual(compile(types.replace(from, to)).status, 0, `${from} -> ${to} went unnoticed`);
  }
});

test("the defaults that the declarations name are those of Rust", () => {
  const body = /export interface Policy \{([\s\S]+?)\n\}/.exec(declarations)[1];
  for (const [name, value] of Object.entries(contract.policy)) {
    if (typeof value !== "number") continue;
    const [, comment] = new RegExp(String.raw`/\*\* ([^/]+?) \*/\s+readonly ${name}:`).exec(body) ?? [];
    assert.ok(comment?.replaceAll(",", "").includes(`Default ${value}`), `${name}: ${comment}`);
  }
});

/** What models were asked, and what was told of it: a model that fails once, one that streams, ones that fail for good. */
async function whatWasSeen() {
  const requests = [];
  const events = [];
  const onProgress = (event) => events.push(event);
  const failing = (error) => () => Promise.reject(Object.assign(new Error(error.message), error));
  const once = createProvider((request) => {
    requests.push(request);
    return requests.length === 1 ? failing({ status: 503 })() : answer(request);
  });
  const { report } = await compacted(once, { onProgress });
  const server = await startServer();
  try {
    const { openai } = await load("providers/openai.js");
    const options = { model: "m", baseUrl: `${server.url}/ok/v1`, apiKey: "test-key", stream: true };
    await compacted(openai(options), { onProgress });
  } finally {
    await server.close();
  }
  const tooLong = { status: 400, message: "prompt is too long: 9000 tokens > 8192 maximum" };
  const busy = { status: 429, message: "slow down", headers: { "retry-after": "3600" } };
  const aborted = AbortSignal.abort();
  const errors = [
    await failureOf(failing(tooLong), { onProgress }),
    await failureOf(failing(busy), { onProgress }),
    await failureOf(failing({ status: 401, message: "no" }), { onProgress }),
    await failureOf(() => "never asked", { signal: aborted }),
  ];
  const { report: warned } = await compacted(failing({ status: 401, message: "no" }), { onProviderError: "offline" });
  return { requests, events, errors, report, warned };
}

/** The keys of all these records, each once. */
const keysOf = (records) => [...new Set(records.flatMap(Object.keys))];

/** What was seen, as types that the declarations must equal and values that they must allow. */
function seenTypes({ requests, events, errors, report, warned }) {
  const types = [...new Set(events.map(({ type }) => type))];
  const brief = ({ messages, ...rest }) => ({ ...rest, messages: messages.map(({ role }) => ({ role, content: "" })) });
  return [
    'import type * as api from "./index.js";',
    "type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;",
    "const holds = <_T extends true>() => {};",
    `holds<Same<keyof api.ProviderRequest, ${union(keysOf(requests))}>>();`,
    `holds<Same<keyof api.ProviderRequest["messages"][number], ${union(keysOf(requests.flatMap(({ messages }) => messages)))}>>();`,
    `holds<Same<api.ProgressEvent["type"], ${union(types)}>>();`,
    ...types.map((type) => {
      const keys = keysOf(events.filter((event) => event.type === type));
      return `holds<Same<keyof Extract<api.ProgressEvent, { type: "${type}" }>, ${union(keys)}>>();`;
    }),
    `export const requests: api.ProviderRequest[] = ${JSON.stringify(requests.map(brief))};`,
    `export const events: api.ProgressEvent[] = ${JSON.stringify(events)};`,
    ...errors.map(({ code, details }, at) => {
      return `export const error${at}: api.ErrorDetails["${code}"] = ${JSON.stringify(details)};`;
    }),
    `holds<Same<keyof api.ErrorDetails["provider_auth"], ${union(keysOf(errors.map(({ details }) => details)))}>>();`,
    `holds<Same<keyof NonNullable<api.Report["models"]>, ${union(Object.keys(report.models))}>>();`,
    `export const report: api.Report = ${JSON.stringify(report)};`,
    `export const warned: api.Report = ${JSON.stringify(warned)};`,
  ].join("\n");
}

test("what models are asked, and what is told of it, is as declared", async () => {
  const seen = await whatWasSeen();
  assert.ok(seen.warned.warnings.length > 0);
  const types = seenTypes(seen);
  const { stdout, status } = compile(types);
  assert.equal(status, 0, stdout);
  for (const [from, to] of [
    ['"maxTokens" |', ""],
    ['"maxTokens" |', '"maxTokens" | "model" |'],
    ['"retryInMs"', '"retryMs"'],
    ['"purpose":"summary"', '"purpose":"sumary"'],
    ['"retryAfterMs"', '"retryAfter"'],
  ]) {
    assert.ok(types.includes(from), from);
    assert.notEqual(compile(types.replace(from, to)).status, 0, `${from} -> ${to} went unnoticed`);
  }
});

test("a warning of a summary that was of no use is as declared", async () => {
  const { report } = await compacted(() => "x".repeat(100_000));
  assert.notDeepEqual(report.warnings, []);
  const value = `export const report: api.Report = ${JSON.stringify(report)};`;
  const { stdout, status } = compile(`import type * as api from "./index.js";\n${value}`);
  assert.equal(status, 0, stdout);
});

test("the defaults that the declarations of providers name are those in use", async () => {
  const { record } = innerOf(createProvider(() => ""));
  const { chromePrompt } = await load("providers/chrome.js");
  const { webLlm } = await load("providers/web-llm.js");
  const { record: chrome } = innerOf(chromePrompt());
  const { record: engine } = innerOf(webLlm({ chat: { completions: { create() {} } }, interruptGenerate() {} }));
  const said = (file, pattern, value) => {
    const [, number] = pattern.exec(allDeclarations[file]) ?? [];
    assert.equal(Number(number?.replaceAll(",", "")), value, `${file}: ${pattern}`);
  };
  const index = "providers/index.d.ts";
  said(index, /kept within it\. Default ([\d,]+)\./, record.window);
  said(index, /sent at most\. Default ([\d,]+)\./, record.attempts);
  said(index, /same time\. Default ([\d,]+)\./, record.concurrency);
  said(index, /in a row \(default ([\d,]+)\)/, record.breakerFailures);
  said(index, /`pauseMs` \(default ([\d,]+)\)/, record.breakerPauseMs);
  said(index, /Longest silence .* Default ([\d,]+)\./, record.stallMs);
  said("providers/chrome.d.ts", /`window` ([\d,]+)/, chrome.window);
  said("providers/chrome.d.ts", /`attempts` ([\d,]+)/, chrome.attempts);
  said("providers/chrome.d.ts", /`concurrency` ([\d,]+)/, chrome.concurrency);
  said("providers/web-llm.d.ts", /`window` is ([\d,]+)/, engine.window);
});

test("every module of `epitome/providers` exports what is declared", async () => {
  const files = Object.keys(allDeclarations).filter((file) => file.startsWith("providers"));
  assert.ok(files.length > 5, String(files));
  for (const file of files) {
    const exported = Object.keys(await load(file.replace(".d.ts", ".js"))).sort();
    const declared = new Set(
      [...allDeclarations[file].matchAll(/^export (?:declare )?(?:function|class|const) (\w+)/gm)].map(
        ([, name]) => name,
      ),
    );
    assert.deepEqual(exported, [...declared].sort(), file);
  }
});

test("the declarations have no `any`", () => {
  for (const [file, text] of Object.entries(allDeclarations)) {
    assert.doesNotMatch(text.replaceAll(/\/\*[\s\S]*?\*\//g, ""), /\bany\b/, file);
  }
});

test("every function that is exported has a description with an example", () => {
  let functions = 0;
  for (const [file, text] of Object.entries(allDeclarations)) {
    // The comment that ends right before it, and no earlier one with it.
    for (const [, comment = "", name] of text.matchAll(/(\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?^export function (\w+)/gm)) {
      functions += 1;
      const documented = comment !== "" || new RegExp(String.raw`\*/\nexport function ${name}\b`).test(text);
      assert.ok(documented, `${file}: ${name} has no description`);
      if (comment !== "") assert.match(comment, /@example\n \* ```ts\n/, `${file}: ${name}`);
    }
  }
  assert.ok(functions > 15, String(functions));
});
