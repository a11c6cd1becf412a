// The same input gives the same bytes on every runtime. The files are those that tests/golden/check.rs describes.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { assertSameText, epitome, root } from "./support.mjs";

const folder = `${root}/tests/golden`;
const names = readdirSync(folder).flatMap((file) => /^(.+)\.input\.json$/.exec(file)?.[1] ?? []);

test("there are golden files", () => {
  assert.ok(names.length >= 10);
});

for (const name of names) {
  test(`the answer to ${name} is the golden one`, () => {
    const { options, messages } = JSON.parse(readFileSync(`${folder}/${name}.input.json`, "utf8"));
    const result = epitome.fit(messages, options);
    assertSameText(JSON.stringify(result.messages), readFileSync(`${folder}/${name}.output.json`, "utf8"));
    assert.deepEqual(epitome.validate(result.messages), []);
    assert.deepEqual(epitome.undo(result), messages);
  });
}
