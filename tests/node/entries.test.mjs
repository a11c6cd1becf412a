// How the package is loaded: each entry on its own, in a process of its own.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";

import { epitome, load, packageFolder } from "./support.mjs";

const manifest = JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8"));
const wasm = join(packageFolder, "wasm/epitome_bg.wasm");

/** Runs a module text in a new process; `ENTRY(name)` in it is the address of a file of the package. */
function node(text, ...flags) {
  const code = text.replaceAll(/ENTRY\((.+?)\)/g, (_, name) =>
    JSON.stringify(pathToFileURL(join(packageFolder, name)).href),
  );
  const args = [
    ...flags,
    "--no-warnings",
    "--input-type=module",
    "-e",
    `import assert from "node:assert/strict";\n${code}`,
  ];
  return execFileSync(process.execPath, args, { encoding: "utf8", cwd: packageFolder });
}

describe("the Node entry", () => {
  test("compiles nothing on import and instantiates once, on the first call", () => {
    node(`
      let compiled = 0, instantiated = 0;
      WebAssembly.Module = class extends WebAssembly.Module { constructor(...args) { super(...args); compiled += 1; } };
      const { Instance } = WebAssembly;
      WebAssembly.Instance = new Proxy(Instance, { construct(...args) { instantiated += 1; return Reflect.construct(...args); } });
      const { countTokens, init } = await import(ENTRY(index.node.js));
      await init();
      assert.deepEqual([compiled, instantiated], [0, 0]);
      countTokens("a"); countTokens("b");
      assert.deepEqual([compiled, instantiated], [1, 1]);
    `);
  });

  test("is found by the package's own name, with import and with require", () => {
    node(`
      import { createRequire } from "node:module";
      const esm = await import("epitome");
      assert.ok(esm.countTokens("text") > 0);
      const require = createRequire(ENTRY(package.json));
      const cjs = require("epitome");
      assert.equal(cjs.fit, esm.fit);
      assert.ok(require.resolve("epitome/epitome_bg.wasm").endsWith("epitome_bg.wasm"));
      assert.equal(require("epitome/package.json").name, "epitome");
      assert.throws(() => require("epitome/wire.js"), { code: "ERR_PACKAGE_PATH_NOT_EXPORTED" });
    `);
  });

  test("runs on a thread of its own", () => {
    node(`
      import { Worker } from "node:worker_threads";
      const code = 'import(' + JSON.stringify(ENTRY(index.node.js)) + ').then(({ countTokens }) => process.exit(countTokens("text") > 0 ? 7 : 1))';
      const worker = new Worker(code, { eval: true });
      worker.on("exit", (exit) => process.exit(exit === 7 ? 0 : 1));
    `);
  });

  test("says what is missing when the module's file is", () => {
    node(`
      import fs from "node:fs"; import { syncBuiltinESMExports } from "node:module";
      fs.readFileSync = () => { throw Object.assign(new Error("no such file"), { code: "ENOENT" }); };
      syncBuiltinESMExports();
      const { countTokens } = await import(ENTRY(index.node.js));
      assert.throws(() => countTokens("x"), (error) => error.code === "not_initialised" && error.cause.code === "ENOENT" && /epitome_bg\\.wasm/.test(error.message));
    `);
  });

  test("exports what every other entry exports", async () => {
    const names = Object.keys(epitome).sort();
    assert.deepEqual(names, [
      "EpitomeError",
      "apply",
      "compact",
      "countTokens",
      "detectFormat",
      "fit",
      "indexedDb",
      "init",
      "memory",
      "plan",
      "repair",
      "undo",
      "validate",
      "version",
    ]);
    assert.deepEqual(Object.keys(await load("index.web.js")).sort(), names);
    for (const entry of ["session.node.js", "session.web.js"]) {
      assert.deepEqual(Object.keys(await load(entry)).sort(), ["Session", ...names].sort(), entry);
    }
    for (const entry of ["index", "session"]) {
      const workerd = readFileSync(join(packageFolder, `${entry}.workerd.js`), "utf8");
      assert.match(workerd, /export \* from "\.\/shell\.js"/);
    }
  });
});

describe("the browser entry", () => {
  let server;
  let address;
  before(async () => {
    const types = { "/ok": "application/wasm", "/odd": "application/octet-stream" };
    server = createServer((request, response) => {
      if (request.url === "/text") response.end("<html>");
      else if (!(request.url in types)) response.writeHead(404).end();
      else response.writeHead(200, { "content-type": types[request.url] }).end(readFileSync(wasm));
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    address = `http://127.0.0.1:${server.address().port}`;
  });
  after(() => server.close());

  /** The server lives in this process, so the other one must not block it. */
  async function browser(text) {
    const { spawn } = await import("node:child_process");
    const code = `
      import assert from "node:assert/strict";
      import { readFileSync } from "node:fs";
      const address = ${JSON.stringify(address)};
      const bytes = readFileSync(${JSON.stringify(wasm)});
      const epitome = await import(${JSON.stringify(pathToFileURL(join(packageFolder, "index.web.js")).href)});
      const { init, countTokens, fit, EpitomeError } = epitome;
      ${text}
    `;
    const child = spawn(process.execPath, ["--no-warnings", "--input-type=module", "-e", code], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    const exit = await new Promise((resolve) => child.on("close", resolve));
    assert.equal(exit, 0, stderr);
  }

  test("refuses every call before init with one clear sentence", () =>
    browser(`
      for (const call of [() => fit([], { budget: 9 }), () => countTokens("x"), () => epitome.validate([]), () => epitome.detectFormat([])]) {
        assert.throws(call, (error) => error instanceof EpitomeError && error.code === "not_initialised" && /await init\\(\\)/.test(error.message));
      }
      assert.equal(typeof epitome.version, "string");
      await init(bytes);
      assert.ok(countTokens("x") > 0);
    `));

  for (const [what, input] of [
    ["bytes", "bytes"],
    ["an ArrayBuffer", "bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)"],
    ["a compiled module", "new WebAssembly.Module(bytes)"],
    ["a URL", "new URL(address + '/ok')"],
    ["a string", "address + '/ok'"],
    ["a Request", "new Request(address + '/ok')"],
    ["a Response", "await fetch(address + '/ok')"],
    ["a promise of a Response", "fetch(address + '/ok')"],
    ["a file that the server gives another type", "address + '/odd'"],
  ]) {
    test(`takes ${what}`, () => browser(`await init(${input}); assert.ok(countTokens("x") > 0);`));
  }

  test("loads once, however often and concurrently init is called", () =>
    browser(`
      let fetched = 0, instantiated = 0;
      const real = fetch;
      globalThis.fetch = (...args) => { fetched += 1; return real(...args); };
      const { instantiate } = WebAssembly;
      // Node's own fetch instantiates a module, too.
      const ours = (imports) => Object.keys(imports ?? {}).includes("./epitome_bg.js");
      WebAssembly.instantiate = (...args) => { instantiated += ours(args[1]) ? 1 : 0; return instantiate(...args); };
      await Promise.all([init(address + "/ok"), init(address + "/ok"), init()]);
      await init("http://localhost:1/never");
      assert.deepEqual([fetched, instantiated], [1, 1]);
    `));

  test("says what went wrong, and can be tried again", () =>
    browser(`
      const rejects = (input, pattern) => assert.rejects(init(input), (error) =>
        error instanceof EpitomeError && error.code === "not_initialised" && pattern.test(error.message));
      await rejects(address + "/absent", /404/);
      await rejects(address + "/text", /not the module/);
      await rejects("http://127.0.0.1:1/x", /request failed/);
      await assert.rejects(init(5), { code: "invalid_option" });
      assert.throws(() => countTokens("x"), { code: "not_initialised" });
      await init(address + "/ok");
      assert.ok(countTokens("x") > 0);
    `));
});

describe("package.json", () => {
  test("puts types first and sends every runtime to its entry", () => {
    const conditions = manifest.exports["."];
    assert.deepEqual(Object.keys(conditions), ["types", "workerd", "worker", "deno", "node", "browser", "default"]);
    assert.deepEqual(Object.keys(manifest.exports["./session"]), Object.keys(conditions));
    assert.deepEqual(Object.keys(manifest.exports), [
      ".",
      "./session",
      "./providers",
      "./providers/*",
      "./stores/*",
      "./epitome_bg.wasm",
      "./session_bg.wasm",
      "./package.json",
    ]);
    assert.equal(conditions.workerd, "./index.workerd.js");
    assert.equal(conditions.node, "./index.node.js");
    assert.equal(conditions.default, "./index.web.js");
    assert.equal(manifest.engines.node, ">=20.19");
  });

  test("has the version of the crate, as has the module", async () => {
    epitome.countTokens("start");
    const { call } = await load("instance.js");
    const crate = /^version = "(.+)"$/m.exec(readFileSync(join(import.meta.dirname, "../../Cargo.toml"), "utf8"))[1];
    assert.equal(manifest.version, crate);
    assert.equal(
      call((glue) => glue.version()),
      crate,
    );
  });
});
