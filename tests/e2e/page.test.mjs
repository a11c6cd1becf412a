import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { choose, drop, moveSlider, pages, settled, totals } from "./support/page.mjs";

let site;
before(async () => {
  site = await pages();
});
after(() => site?.close());

const bundled = async (name) => JSON.parse(await readFile(new URL(`../data/${name}.json`, import.meta.url), "utf8"));

test("the page opens with a fitted conversation and names its source and licence", async () => {
  const { page, context, complaints } = await site.open();
  const { before, after, limit } = await totals(page);
  assert.ok(after < before, `${after} of ${before}`);
  assert.ok(after <= limit, `${after} within ${limit}`);
  assert.ok((await page.locator(".row").count()) > 5);
  assert.match(await page.locator("#attribution").textContent(), /Apache-2\.0/);
  const licence = await page.request.get(
    new URL(await page.locator("#attribution a").last().getAttribute("href"), page.url()).href,
  );
  assert.match(await licence.text(), /Apache License/);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("every bundled conversation opens, fits and shows its own messages", async () => {
  const { page, context, complaints } = await site.open();
  for (const [name, file] of [
    ["Customer service", "customer-service"],
    ["MCP agent", "mcp-agent"],
    ["Chinese dialogue", "chinese-dialogue"],
    ["Coding agent", "coding-agent"],
  ]) {
    await choose(page, name, (await bundled(file)).length);
    const { after, limit } = await totals(page);
    assert.ok(after <= limit, `${name}: ${after} within ${limit}`);
  }
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the slider refits while it moves and never overshoots the limit", async () => {
  const { page, context, complaints } = await site.open();
  const seen = new Set();
  for (const percent of [80, 50, 30, 10, 100]) {
    await moveSlider(page, percent);
    const { before, after, limit } = await totals(page);
    assert.ok(after <= limit, `${percent} %: ${after} within ${limit}`);
    if (percent === 100) assert.equal(after, before);
    seen.add(after);
  }
  assert.equal(seen.size, 5);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the number field sets an exact limit", async () => {
  const { page, context } = await site.open();
  await page.getByLabel("Limit", { exact: true }).fill("12345");
  await settled(page);
  const { after, limit } = await totals(page);
  assert.equal(limit, 12345);
  assert.ok(after <= 12345);
  await context.close();
});

test("a limit that cannot be met is explained, and one click away from the smallest that can", async () => {
  const { page, context, complaints } = await site.open();
  await choose(page, "Customer service", 62);
  await page.getByLabel("Limit", { exact: true }).fill("5");
  const box = page.locator(".irreducible");
  await box.waitFor();
  const text = await box.textContent();
  assert.match(text, /^5 tokens is too small/);
  assert.match(text, /System messages/);
  assert.match(text, /Last user message/);
  await box.getByRole("button").click();
  await box.waitFor({ state: "detached" });
  await settled(page);
  const { after, limit } = await totals(page);
  assert.ok(after <= limit, `${after} within ${limit}`);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("undo proves that the restored messages are identical", async () => {
  const { page, context, complaints } = await site.open();
  const messages = await bundled("coding-agent");
  await page.getByRole("button", { name: "Undo" }).click();
  const proof = await page.locator(".proof").textContent();
  assert.match(proof, /identical to the original/);
  assert.match(proof, new RegExp(`${messages.length} of ${messages.length} messages identical`));
  assert.match(proof, /byte for byte/);
  const { before, after } = await totals(page);
  assert.equal(after, before);
  await page.getByRole("button", { name: "Fit again" }).click();
  await page.locator(".proof").waitFor({ state: "detached" });
  assert.ok((await totals(page)).after < before);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the detail shows the original beside what the model would get", async () => {
  const { page, context, complaints } = await site.open();
  const messages = await bundled("coding-agent");
  await page.getByRole("button", { name: /^Pruned/ }).click();
  const row = page.locator('.row[data-look="pruned"]').first();
  const index = Number(await row.locator(".row-index").textContent());
  await row.click();
  const detail = page.locator(".detail[open]");
  await detail.waitFor();
  const sides = detail.locator(".side");
  assert.equal(await sides.nth(0).locator("del").first().textContent(), messages[index].content.slice(0, 2500));
  assert.ok((await sides.nth(1).locator("ins").textContent()).length < 200);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the detail of a shrunk message shows head and tail on both sides and marks what was cut", async () => {
  const { page, context, complaints } = await site.open();
  await moveSlider(page, 60);
  await page.getByRole("button", { name: /^Shrunk/ }).click();
  await page.locator('.row[data-look="shrunk"]').first().click();
  const sides = page.locator(".detail[open] .side");
  await sides.nth(1).waitFor();
  for (const at of [0, 1]) assert.ok((await sides.nth(at).locator("pre > span").count()) >= 2);
  await sides.nth(0).locator("del").first().waitFor();
  const more = sides.nth(0).locator(".more");
  const before = await more.count();
  await more.first().click();
  assert.equal(await more.count(), before - 1);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a hidden message leads to the summary that stands for it", async () => {
  const { page, context, complaints } = await site.open();
  await moveSlider(page, 5);
  await page.locator(".row.is-fold").first().click();
  await page.locator('.row[data-look="hidden"]:not(.is-fold)').first().click();
  const detail = page.locator(".detail[open]");
  await detail.waitFor();
  assert.match(await detail.locator(".explained").textContent(), /A summary stands for it/);
  await detail.getByRole("button", { name: "A summary" }).click();
  await page.waitForFunction(() => /Summary/.test(document.getElementById("detail-title").textContent));
  assert.ok((await detail.locator(".covered").count()) > 1);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a pinned message is kept from then on, and the pin can be taken off", async () => {
  const { page, context, complaints } = await site.open();
  await page.getByRole("button", { name: /^Pruned/ }).click();
  const index = await page.locator('.row[data-look="pruned"]').last().locator(".row-index").textContent();
  await page.getByRole("button", { name: /^Pruned/ }).click();
  const row = page.locator(".row").filter({ has: page.locator(`.row-index:text-is("${index}")`) });
  // Rows out of sight do not exist; the strip and the keyboard reach them, and so does scrolling.
  for (let tries = 0; tries < 40 && (await row.count()) === 0; tries++) await page.mouse.wheel(0, 400);
  const pin = row.getByRole("button", { name: `Pin message ${index}` });
  await pin.click();
  await row.filter({ hasText: "Kept" }).waitFor();
  assert.equal(await pin.getAttribute("aria-pressed"), "true");
  const { after, limit } = await totals(page);
  assert.ok(after <= limit, `${after} within ${limit}`);
  await pin.click();
  await row.filter({ hasText: /Pruned|Hidden/ }).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the downloaded file holds the fitted messages", async () => {
  const { page, context } = await site.open();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download" }).click(),
  ]);
  const messages = JSON.parse(await readFile(await download.path(), "utf8"));
  assert.match(await page.locator("#facts").textContent(), new RegExp(`→ ${messages.length}\\b`));
  assert.equal(download.suggestedFilename(), "coding-agent-fitted.json");
  await context.close();
});

test("own conversations open as an array, as an object with messages and as JSON Lines", async () => {
  const { page, context, complaints } = await site.open();
  const messages = await bundled("mcp-agent");
  for (const [name, content] of [
    ["array.json", JSON.stringify(messages)],
    ["object.json", JSON.stringify({ model: "m", messages }, null, 2)],
    ["lines.jsonl", messages.map((message) => JSON.stringify(message)).join("\n")],
  ]) {
    await drop(page, name, content);
    await page.getByText(`Your file ${name}`).waitFor();
    await settled(page);
    assert.match(await page.locator("#facts").textContent(), /52 →/);
  }
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a bad file is refused with the message and field that are wrong, and nothing else changes", async () => {
  const { page, context, complaints } = await site.open();
  const shown = await totals(page);
  const alert = page.getByRole("alert");
  for (const [content, expected] of [
    [JSON.stringify([{ role: "user", content: "hi" }, 42]), [/message 1/i, /invalid_input/]],
    [
      JSON.stringify([
        { role: "user", content: "hi" },
        { role: "robot", content: "x" },
      ]),
      [/message 1/i, /role/],
    ],
    [
      JSON.stringify([
        { role: "user", content: "hi" },
        { role: "tool", content: "x" },
      ]),
      [/message 1/i, /tool_call_id/],
    ],
    ['{"role":"user","content":"hi"}\n{"role":', [/Line 2 is not JSON/]],
    ["not json", [/not JSON/]],
    ['{"rows":[]}', [/No messages found/]],
    ["", [/empty/]],
    ["[]", [/no messages/]],
  ]) {
    await drop(page, "bad.json", content);
    for (const pattern of expected) await alert.filter({ hasText: pattern }).waitFor();
    await alert.getByRole("button", { name: "Dismiss" }).click();
  }
  assert.deepEqual(await totals(page), shown);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a conversation of thousands of messages stays usable", async () => {
  const { page, context, complaints } = await site.open();
  const one = await bundled("mcp-agent");
  const many = Array.from({ length: 100 }, () => one).flat();
  await drop(page, "many.json", JSON.stringify(many));
  await page.getByText("Your file many.json").waitFor();
  await settled(page);
  // Only the rows in sight exist.
  assert.ok((await page.locator(".row").count()) < 60);
  await moveSlider(page, 60);
  const { after, limit } = await totals(page);
  assert.ok(after <= limit, `${after} within ${limit}`);
  // The page answers while the worker fits.
  const blocked = await page.evaluate(async () => {
    let longest = 0;
    let last = performance.now();
    let running = true;
    const watch = () => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      if (running) setTimeout(watch);
    };
    watch();
    const slider = document.getElementById("slider");
    for (let percent = 60; percent > 40; percent--) {
      slider.value = String(percent);
      slider.dispatchEvent(new Event("input"));
      await new Promise((resolve) => setTimeout(resolve, 16));
    }
    running = false;
    return longest;
  });
  assert.ok(blocked < 500, `blocked for ${blocked} ms`);
  await settled(page);
  assert.deepEqual(complaints, []);
  await context.close();
});
