// The store in files: what is left after a crash, several processes at once, damage.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

import { load, packageFolder } from "./support.mjs";

const { nodeFs } = await load("stores/node-fs.js");

const root = mkdtempSync(join(tmpdir(), "epitome-files-"));
after(() => rmSync(root, { recursive: true }));
const fresh = () => mkdtempSync(join(root, "store-"));

const about = { createdMs: 1, updatedMs: 2.5, entries: 3 };
const entry = (number, text = JSON.stringify(`message ${number}`)) => ({ kind: "entry", number, text });
const batch = (conversation, expected, ...puts) => ({ conversation, expected, puts, deletes: [], about });
const everything = [{ kind: "entry", from: 0, to: 2 ** 53 }];
const keyOf = (name) => createHash("sha256").update(name).digest("hex");
const logOf = (folder, name) => join(folder, `${keyOf(name)}.log`);
const numbersOf = async (store, name) => (await store.load(name, everything)).records.map(({ number }) => number);

/** A folder with a conversation `a` of so many commits. */
async function filled(commits) {
  const folder = fresh();
  const store = nodeFs(folder);
  for (let at = 0; at < commits; at += 1) await store.commit(batch("a", at, entry(at)));
  await store.close();
  return folder;
}

test("a log that was cut off anywhere in the last commit is the one before, and goes on", async () => {
  const folder = await filled(2);
  const path = logOf(folder, "a");
  const before = readFileSync(path);
  const store = nodeFs(folder);
  await store.commit(batch("a", 2, entry(2, '"the last\\nline"')));
  const whole = readFileSync(path);
  for (let end = before.length; end < whole.length; end += 1) {
    writeFileSync(path, whole.subarray(0, end));
    const again = nodeFs(folder);
    assert.deepEqual(await again.load("a", everything), { revision: 2, records: [0, 1].map((at) => entry(at)) });
    assert.deepEqual(await again.list(), [{ conversation: "a", revision: 2, about }]);
    assert.deepEqual(await again.commit(batch("a", 2, entry(7))), { revision: 3 }, `cut off at ${end}`);
    assert.deepEqual(await numbersOf(nodeFs(folder), "a"), [0, 1, 7]);
  }
});

test("every damaged byte within a log is noticed or means nothing, and others stay usable", async () => {
  const folder = await filled(3);
  const path = logOf(folder, "a");
  const whole = readFileSync(path);
  const lastLine = whole.lastIndexOf(10, -2) + 1;
  await nodeFs(folder).commit(batch("b", 0, entry(5)));
  for (let at = 0; at < lastLine; at += 3) {
    const damaged = Buffer.from(whole);
    damaged[at] ^= 0x11;
    writeFileSync(path, damaged);
    const store = nodeFs(folder);
    const outcome = await store.load("a", everything).catch((error) => error.code);
    if (outcome !== "store_corrupted")
      assert.deepEqual(
        outcome.records.map(({ number }) => number),
        [0, 1, 2],
      );
    assert.deepEqual(await numbersOf(store, "b"), [5]);
    assert.ok((await store.list()).some(({ conversation }) => conversation === "b"));
  }
});

test("a store sees what another one wrote, and of two that expect the same one wins", async () => {
  const folder = fresh();
  const [one, other] = [nodeFs(folder), nodeFs(pathToFileURL(folder))];
  await one.commit(batch("a", 0, entry(0)));
  assert.deepEqual(await numbersOf(other, "a"), [0]);
  for (let expected = 1; expected < 40; expected += 1) {
    const outcomes = await Promise.all([
      one.commit(batch("a", expected, entry(expected, '"one"'))),
      other.commit(batch("a", expected, entry(expected, '"other"'))),
    ]);
    assert.equal(outcomes.filter(({ revision }) => revision === expected + 1).length, 1);
    assert.equal(outcomes.filter(({ conflict }) => conflict === expected + 1).length, 1);
  }
  assert.deepEqual((await one.load("a", everything)).records, (await other.load("a", everything)).records);
});

test("processes that append at once lose nothing and double nothing", async () => {
  const folder = fresh();
  const code = `
    import { nodeFs } from ${JSON.stringify(pathToFileURL(join(packageFolder, "stores/node-fs.js")).href)};
    const [folder, who] = process.argv.slice(1);
    const store = nodeFs(folder);
    let { revision } = await store.load("a", []);
    for (let at = 0; at < 60; ) {
      const text = JSON.stringify(who + " " + at + "x".repeat(at * 50));
      const puts = [{ kind: "entry", number: revision, text }, { kind: "state", number: 0, text: JSON.stringify("s".repeat(9000)) }];
      const about = { createdMs: 0, updatedMs: 0, entries: revision + 1 };
      const outcome = await store.commit({ conversation: "a", expected: revision, puts, deletes: [], about });
      if ("revision" in outcome) at += 1;
      revision = outcome.revision ?? outcome.conflict;
    }
  `;
  const processes = ["one", "two", "three"].map((who) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", code, folder, who], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    return new Promise((resolve) => child.on("close", resolve));
  });
  assert.deepEqual(await Promise.all(processes), [0, 0, 0]);
  const { revision, records } = await nodeFs(folder).load("a", everything);
  assert.equal(revision, 180);
  const said = records.map(({ text }) => JSON.parse(text).replace(/x*$/, "")).sort();
  const expected = ["one", "two", "three"].flatMap((who) => Array.from({ length: 60 }, (_, at) => `${who} ${at}`));
  assert.deepEqual(said, expected.sort());
  assert.ok(statSync(logOf(folder, "a")).size < 1_500_000, "it was copied on the way");
  assert.deepEqual(readdirSync(folder), [`${keyOf("a")}.log`], "nothing else is left");
});

test("a log that is mostly remains is copied, says the same, and takes commits", async () => {
  const folder = fresh();
  const store = nodeFs(folder);
  const large = JSON.stringify("x".repeat(50_000));
  await store.commit(batch("a", 0, ...Array.from({ length: 30 }, (_, at) => entry(at, JSON.stringify(`kept ${at}`)))));
  for (let expected = 1; expected < 12; expected += 1) await store.commit(batch("a", expected, entry(99, large)));
  const { size } = statSync(logOf(folder, "a"));
  assert.ok(size < 400_000, `the log has ${size} bytes`);
  for (const reader of [store, nodeFs(folder)]) {
    const { revision, records } = await reader.load("a", everything);
    assert.equal(revision, 12);
    assert.equal(records.length, 31);
    assert.equal(records[3].text, '"kept 3"');
  }
  assert.deepEqual(await store.commit(batch("a", 12, entry(100))), { revision: 13 });
  assert.deepEqual(await nodeFs(folder).list(), [{ conversation: "a", revision: 13, about }]);
});

test("what others commit while a copy is made is in it", async () => {
  const folder = fresh();
  const [copying, other] = [nodeFs(folder), nodeFs(folder)];
  const large = JSON.stringify("x".repeat(200_000));
  let revision = 0;
  for (let round = 0; round < 12; round += 1) {
    // Nobody else knows that a copy is under way.
    const large99 = copying.commit(batch("a", revision, entry(99, large)));
    const racing = (async () => {
      for (let at = 0; at < 8; ) {
        const before = (await other.load("a", [])).revision;
        const outcome = await other.commit(batch("a", before, entry(1_000 + round * 8 + at)));
        if ("revision" in outcome) at += 1;
      }
    })();
    await Promise.all([large99, racing]);
    revision = (await other.load("a", [])).revision;
  }
  const { records } = await nodeFs(folder).load("a", everything);
  const numbers = records.map(({ number }) => number).filter((number) => number >= 1_000);
  assert.deepEqual(
    numbers,
    Array.from({ length: 96 }, (_, at) => 1_000 + at),
  );
  assert.ok(statSync(logOf(folder, "a")).size < 1_500_000, "it was copied on the way");
});

test("a log whose copy died is read as it is, and copied by who writes next", async () => {
  const folder = await filled(3);
  const path = logOf(folder, "a");
  const body = '15 {"kind":"seal"}';
  const sum = createHash("sha256").update(body).digest("hex").slice(0, 16);
  appendFileSync(path, `-\n${sum} ${body}\n`);
  // Behind the seal nothing counts, and the copier's lock is old.
  writeFileSync(join(folder, `${keyOf("a")}.lock`), '{"pid":1,"place":"elsewhere","token":"00"}');
  const longAgo = Date.now() / 1_000 - 60;
  utimesSync(join(folder, `${keyOf("a")}.lock`), longAgo, longAgo);
  const store = nodeFs(folder);
  assert.deepEqual(await numbersOf(store, "a"), [0, 1, 2]);
  assert.deepEqual(await store.list(), [{ conversation: "a", revision: 3, about }]);
  assert.deepEqual(await store.commit(batch("a", 3, entry(3))), { revision: 4 });
  assert.deepEqual(await numbersOf(nodeFs(folder), "a"), [0, 1, 2, 3]);
  assert.deepEqual(readdirSync(folder), [`${keyOf("a")}.log`]);
});

test("deleting removes every file of a conversation, and a new one begins anew", async () => {
  const folder = await filled(2);
  const key = keyOf("a");
  for (const name of [`${key}.0011223344556677.tmp`, `${keyOf("b")}.0011223344556677.tmp`]) {
    writeFileSync(join(folder, name), "left behind");
  }
  const [one, other] = [nodeFs(folder), nodeFs(folder)];
  assert.deepEqual(await numbersOf(other, "a"), [0, 1]);
  await one.delete("a");
  assert.deepEqual(readdirSync(folder), [`${keyOf("b")}.0011223344556677.tmp`]);
  assert.deepEqual(await other.load("a", everything), { revision: 0, records: [] });
  assert.deepEqual(await other.commit(batch("a", 2)), { conflict: 0 });
  assert.deepEqual(await other.commit(batch("a", 0, entry(9))), { revision: 1 });
  assert.deepEqual(await numbersOf(one, "a"), [9]);
});

test("files are their owner's alone, and their names say nothing", { skip: process.platform === "win32" }, async () => {
  const folder = join(fresh(), "deep", "down");
  const store = nodeFs(folder);
  assert.deepEqual(await store.list(), []);
  await store.delete("secret name");
  await store.commit(batch("secret name", 0));
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.equal(statSync(logOf(folder, "secret name")).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), [`${keyOf("secret name")}.log`]);
});

test("a folder that cannot be is unavailable", async () => {
  const file = join(fresh(), "file");
  writeFileSync(file, "");
  const store = nodeFs(join(file, "inside"));
  await assert.rejects(store.list(), { code: "store_unavailable" });
  await assert.rejects(store.load("a", []), { code: "store_unavailable" });
  await assert.rejects(store.commit(batch("a", 0)), { code: "store_unavailable" });
  for (const folder of ["", 5, undefined]) assert.throws(() => nodeFs(folder), { code: "invalid_option" });
});

test("a file of a newer version is refused, and one that is a little newer is not", async () => {
  for (const [major, minor, code] of [
    [2, 0, "store_newer"],
    [1, 3, undefined],
  ]) {
    const folder = await filled(1);
    const path = logOf(folder, "a");
    const lines = readFileSync(path, "utf8").split("\n");
    const head = lines[1]
      .slice(lines[1].indexOf("{"))
      .replace('"major":1,"minor":0', `"major":${major},"minor":${minor}`);
    const body = `${head.length} ${head}`;
    lines[1] = `${createHash("sha256").update(body).digest("hex").slice(0, 16)} ${body}`;
    writeFileSync(path, lines.join("\n"));
    const outcome = await nodeFs(folder)
      .load("a", everything)
      .catch((error) => error);
    assert.equal(outcome.code, code);
  }
});
