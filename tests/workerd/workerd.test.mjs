// The package in workerd, the runtime of Cloudflare Workers, as a Worker that imports it by name.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Miniflare } from "miniflare";

import { assertSameText, packageFolder, root } from "../node/support.mjs";
import { packageModules } from "./modules.mjs";

const manifest = JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8"));

/** What the package sends Workers to. */
const entry = manifest.exports["."].workerd;

let worker;
before(async () => {
  const code = readFileSync(join(import.meta.dirname, "worker.js"), "utf8").replace(
    '"epitome"',
    JSON.stringify(`./epitome/${entry.slice(2)}`),
  );
  worker = new Miniflare({
    compatibilityDate: "2025-09-01",
    modules: [{ type: "ESModule", path: "worker.js", contents: code }, ...packageModules()],
  });
  await worker.ready;
});
after(() => worker?.dispose());

async function ask(body) {
  const response = await worker.dispatchFetch("http://localhost/", { method: "POST", body: JSON.stringify(body) });
  return { status: response.status, text: await response.text() };
}

const folder = `${root}/tests/golden`;
const read = (file) => readFileSync(`${folder}/${file}`, "utf8");
const names = readdirSync(folder).flatMap((file) => /^(.+)\.input\.json$/.exec(file)?.[1] ?? []);
const golden = (name) => JSON.parse(read(`${name}.input.json`));

for (const name of names) {
  test(`the answer to ${name} is the golden one`, async () => {
    const { status, text } = await ask(golden(name));
    assert.equal(status, 200, text);
    assertSameText(text, read(`${name}.output.json`));
  });
}

test("60 concurrent requests share one instance", async () => {
  const asked = Array.from({ length: 60 }, (_, index) => names[index % names.length]);
  const answers = await Promise.all(asked.map((name) => ask(golden(name))));
  answers.forEach(({ text }, index) => {
    assertSameText(text, read(`${asked[index]}.output.json`));
  });
});

test("undo gives the input back within the same Worker", async () => {
  const { status, text } = await ask({ ...golden("agent"), undo: true });
  assert.equal(status, 200, text);
  assert.deepEqual(JSON.parse(text), golden("agent").messages);
});

test("bad input is refused with its code, and the next request works", async () => {
  const { status, text } = await ask({ options: { budget: 0 }, messages: [] });
  assert.equal(status, 400);
  assert.deepEqual(JSON.parse(text), { code: "invalid_option", details: { option: "budget" } });
  assert.equal((await ask(golden("scripts"))).status, 200);
});
