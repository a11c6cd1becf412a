// Packs the package and uses the tarball the way its users do, in projects that know nothing of this repository.

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import * as vite from "vite";
import { resultOfPage } from "./browser.mjs";
import { check, finish } from "./harness.mjs";
import { node, pack, project, repository, run } from "./project.mjs";

const tool = (/** @type {string} */ script) => join(repository, "node_modules", script);
const { tarball, files } = pack();

await check("the tarball holds the package and nothing else", () => {
  const needed = ["package.json", "README.md", "LICENSE-MIT", "LICENSE-APACHE", "index.d.ts", "index.web.js"];
  for (const file of [
    ...needed,
    "index.node.js",
    "index.workerd.js",
    "wasm/epitome.js",
    "wasm/epitome_bg.wasm",
    "wasm/session_bg.wasm",
  ]) {
    assert.ok(files.includes(file), `${file} is missing from\n${files.join("\n")}`);
  }
  const unwanted = files.filter((file) => /\.(map|tgz|rs|toml|test\.[a-z]+)$|node_modules|^\.|tsconfig/.test(file));
  assert.deepEqual(unwanted, []);
});

await check("every file that package.json names is in the tarball", () => {
  const manifest = JSON.parse(readFileSync(join(repository, "pkg/package.json"), "utf8"));
  const named = targets([manifest.exports, manifest.types ?? [], manifest.main ?? [], manifest.bin ?? []]);
  assert.ok(named.length > 4, `found only ${named}`);
  for (const file of named.filter((name) => !name.includes("*"))) {
    assert.ok(files.includes(file.replace(/^\.\//, "")), `${file} is not packed`);
  }
});

const nodeProject = start("node");

await check("Node.js: import", () => assert.equal(node(["main.mjs"], nodeProject).trim(), "fits"));

await check("Node.js: require", () => {
  const options = ["--no-warnings=ExperimentalWarning", "main.cjs"];
  assert.equal(node(options, nodeProject).trim(), "fits");
});

await check("Node.js: models are asked, from both entries", () => {
  assert.equal(node(["compact.mjs"], nodeProject).trim(), "asks");
  assert.equal(node(["--no-warnings=ExperimentalWarning", "compact.cjs"], nodeProject).trim(), "asks");
});

await check("Node.js: init is allowed, repeatedly and concurrently", () => {
  assert.equal(node(["init.mjs"], nodeProject).trim(), "fits");
});

await check("Node.js: the glue makes a fresh instance from the kept module", () => {
  assert.equal(node(["reinit.mjs"], nodeProject).trim(), "fresh");
});

await check("Node.js: the terminal program runs from node_modules/.bin", () => {
  const file = join(nodeProject, "messages.json");
  writeFileSync(file, JSON.stringify([{ role: "user", content: "What is the capital of Peru?" }]));
  const program = join(nodeProject, "node_modules/.bin/epitome");
  assert.match(run(program, ["count", file], nodeProject), /\d/);
  assert.match(run(program, ["--help"], nodeProject), /fit/);
});

await check("Vite: the built page works in Chromium and ships each module once", async () => {
  const root = start("vite");
  await vite.build({ root, logLevel: "warn", configFile: false });
  const dist = join(root, "dist");
  const modules = readdirSync(join(dist, "assets")).filter((file) => file.endsWith(".wasm"));
  const names = modules.map((file) => file.replace(/-.*/, "")).sort();
  assert.deepEqual(names, ["epitome_bg", "session_bg"], `the modules are shipped as ${modules}`);
  assert.equal(await resultOfPage(dist), "fits and asks");
});

const esbuildProject = start("esbuild");

await check("esbuild: a browser bundle works with the address of the module", async () => {
  const dist = join(esbuildProject, "dist");
  await esbuild.build({
    absWorkingDir: esbuildProject,
    entryPoints: ["main.mjs"],
    bundle: true,
    format: "esm",
    outfile: "dist/main.js",
    logLevel: "error",
  });
  copyFileSync(join(esbuildProject, "index.html"), join(dist, "index.html"));
  copyFileSync(moduleOf(esbuildProject), join(dist, "epitome_bg.wasm"));
  assert.equal(await resultOfPage(dist), "fits");
});

await check("esbuild: a Node.js bundle works with the modules beside it", async () => {
  await esbuild.build({
    absWorkingDir: esbuildProject,
    entryPoints: ["server.mjs", "compact.mjs"],
    bundle: true,
    platform: "node",
    format: "esm",
    outdir: "server",
    outExtension: { ".js": ".mjs" },
    logLevel: "error",
  });
  mkdirSync(join(esbuildProject, "server/wasm"));
  for (const name of ["epitome", "session"]) {
    copyFileSync(moduleOf(esbuildProject, name), join(esbuildProject, `server/wasm/${name}_bg.wasm`));
  }
  assert.equal(node(["server/server.mjs"], esbuildProject).trim(), "fits");
  assert.equal(node(["server/compact.mjs"], esbuildProject).trim(), "asks");
});

const typesProject = start("types");

for (const [module, resolution] of [
  ["nodenext", "nodenext"],
  ["esnext", "bundler"],
]) {
  for (const lib of ["es2022,dom", "es2022"]) {
    await check(`types: strict, every library checked, ${resolution} resolution, lib ${lib}`, () => {
      const strict = ["--strict", "--noEmit", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"];
      const options = ["--module", module, "--moduleResolution", resolution, "--target", "es2022", "--lib", lib];
      node([tool("typescript/bin/tsc"), ...strict, ...options, "--types", "", "use.ts"], typesProject);
    });
  }
}

await check("publint has nothing to say", () => {
  node([tool("publint/src/cli.js"), "run", tarball, "--strict"]);
});

await check("attw: types resolve as the code does, for consumers of ES modules", () => {
  const options = ["--profile", "esm-only", "--no-emoji", "--no-color"];
  const modules = ["--exclude-entrypoints", "./epitome_bg.wasm", "./session_bg.wasm"];
  node([tool("@arethetypeswrong/cli/dist/index.js"), tarball, ...options, ...modules]);
});

finish();

/** @param {string} fixture */
function start(fixture) {
  const folder = project(fixture, tarball);
  const conversation = fileURLToPath(new URL("./fixtures/conversation.mjs", import.meta.url));
  copyFileSync(conversation, join(folder, "conversation.mjs"));
  return folder;
}

/** @param {string} folder */
function moduleOf(folder, name = "epitome") {
  return join(folder, `node_modules/epitome/wasm/${name}_bg.wasm`);
}

/**
 * All strings in a nested value: the files that `exports` and its like name.
 *
 * @param {unknown} value
 * @returns {string[]}
 */
function targets(value) {
  if (typeof value === "string") return [value];
  return Object.values(/** @type {object} */ (value)).flatMap(targets);
}
