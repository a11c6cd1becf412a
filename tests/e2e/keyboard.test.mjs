import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pages, settled, totals } from "./support/page.mjs";

let site;
before(async () => {
  site = await pages();
});
after(() => site?.close());

const focused = (page) =>
  page.evaluate(() => {
    const element = document.activeElement;
    return element?.id || element?.className || element?.tagName;
  });

/** Presses Tab until the element has the focus, as a reader without a mouse would. */
async function tabTo(page, selector, most = 40) {
  for (let presses = 0; presses < most; presses++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((selector) => document.activeElement?.matches(selector), selector)) return;
  }
  assert.fail(`Tab does not reach ${selector}; the focus is on ${await focused(page)}`);
}

test("with the keyboard alone: the list, a detail, and back", async () => {
  const { page, context, complaints } = await site.open();
  await tabTo(page, ".row");
  const first = await page.evaluate(() => document.activeElement.getAttribute("aria-rowindex"));
  assert.equal(first, "1");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-rowindex")), "2");
  await page.keyboard.press("End");
  const last = page.locator(".row:focus");
  assert.equal(await last.getAttribute("aria-rowindex"), await page.locator("#list").getAttribute("aria-rowcount"));
  await page.keyboard.press("Enter");
  await page.locator(".detail[open]").waitFor();
  await page.waitForFunction(() => document.getElementById("detail").contains(document.activeElement));
  await page.keyboard.press("Escape");
  await page.locator(".detail[open]").waitFor({ state: "detached" });
  assert.equal(await last.getAttribute("aria-rowindex"), await page.locator("#list").getAttribute("aria-rowcount"));
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the open detail follows the arrow keys in the list, and Escape closes it from there, too", async () => {
  const { page, context, complaints } = await site.open();
  await page.locator('.row[data-look="kept"]').first().click();
  const title = page.locator("#detail-title");
  const first = await title.textContent();
  await page.keyboard.press("End");
  await page.waitForFunction((first) => document.getElementById("detail-title").textContent !== first, first);
  assert.match(await focused(page), /^row/);
  await page.keyboard.press("Escape");
  await page.locator(".detail[open]").waitFor({ state: "detached" });
  assert.match(await focused(page), /^row/);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the slider works with the arrow keys and says percent and tokens", async () => {
  const { page, context } = await site.open();
  await tabTo(page, "#slider");
  const before = await totals(page);
  for (let presses = 0; presses < 5; presses++) await page.keyboard.press("ArrowRight");
  await settled(page);
  const now = await totals(page);
  assert.ok(now.limit > before.limit);
  assert.match(await page.locator("#slider").getAttribute("aria-valuetext"), /^\d+ %, [\d,]+ tokens$/);
  // What changed is said once it has settled.
  await page.waitForFunction(
    (after) => document.getElementById("announcement").textContent.includes(after.toLocaleString("en-GB")),
    now.after,
  );
  await context.close();
});

test("a message is pinned with the keyboard, from the row and with its button", async () => {
  const { page, context } = await site.open();
  await tabTo(page, ".row");
  await page.keyboard.press("End");
  await page.keyboard.press("p");
  await page.locator(".row:focus.is-pinned").waitFor();
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(page), "row-pin");
  await page.keyboard.press("Enter");
  await page.locator(".row.is-pinned").waitFor({ state: "detached" });
  await page.keyboard.press("ArrowLeft");
  assert.match(await focused(page), /^row/);
  await context.close();
});

test("the skip link leads to the messages", async () => {
  const { page, context } = await site.open();
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "skip");
  await page.keyboard.press("Enter");
  await page.locator(".row:focus").waitFor();
  await context.close();
});

test("the focus is always visible", async () => {
  const { page, context } = await site.open();
  // With all that can be filled in and pressed.
  await page.getByLabel("By a model").check();
  await page.evaluate(() => document.activeElement.blur());
  for (let presses = 0; presses < 24; presses++) {
    await page.keyboard.press("Tab");
    const visible = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return true;
      const shows = (node, pseudo) => node && getComputedStyle(node, pseudo).outlineStyle !== "none";
      // The radio buttons and the slider's thumb show it on what is seen of them.
      return shows(element) || shows(element.nextElementSibling) || element.id === "slider";
    });
    assert.ok(visible, `no visible focus on ${await focused(page)}`);
  }
  await context.close();
});
