// index.d.ts is held to what Rust exports: tests/types/contract.json is written by tests/contract.rs from Rust's own
// records, and turned here into types that the declarations must equal.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { conversation, epitome, errorOf, limitFor, packageFolder, root, user } from "./support.mjs";

const { apply, fit, undo, validate } = epitome;

const contract = JSON.parse(readFileSync(`${root}/tests/types/contract.json`, "utf8"));
const declarations = readFileSync(`${packageFolder}/index.d.ts`, "utf8");

/** Codes that arise in the shell, and those that later versions need and that are promised already. */
const SHELL_CODES = ["not_initialised", "needs_create_message", "internal"];
const RESERVED_CODES = ["invalid_history"];
/** What only waiting calls end with. */
const WAITING_CODES = ["aborted", ...contract.providerCodes];
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

test("the declarations have no `any`", () => {
  const code = declarations.replaceAll(/\/\*[\s\S]*?\*\//g, "");
  assert.doesNotMatch(code, /\bany\b/);
});

test("every export has a description with an example", () => {
  for (const [, comment, name] of declarations.matchAll(/(\/\*\*[\s\S]*?\*\/)\s+export function (\w+)/g)) {
    assert.match(comment, /@example/, name);
  }
});
