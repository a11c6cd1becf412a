// The page under other conditions: no network, narrow, dark, with the strict policy.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { choose, fitted, moveSlider, pages, totals } from "./support/page.mjs";
import { CSP } from "./support/serve.mjs";

let site;
before(async () => {
  site = await pages();
});
after(() => site?.close());

test("the built page carries the policy that the server sends", async () => {
  const { page, context } = await site.open();
  const response = await page.reload();
  assert.equal(response.headers()["content-security-policy"], CSP);
  const meta = page.locator('meta[http-equiv="Content-Security-Policy"]');
  assert.equal(await meta.getAttribute("content"), CSP);
  assert.equal(await page.locator("script:not([src]), style, [style*='url']").count(), 0);
  await context.close();
});

test("nothing leaves the page: every request goes to where the page came from", async () => {
  const { page, context } = await site.open();
  const elsewhere = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(site.url) && !request.url().startsWith("blob:")) elsewhere.push(request.url());
    if (request.method() !== "GET") elsewhere.push(`${request.method()} ${request.url()}`);
  });
  await page.reload();
  await fitted(page);
  await moveSlider(page, 40);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.locator(".proof").waitFor();
  assert.deepEqual(elsewhere, []);
  await context.close();
});

test("without a network the page refits, opens another conversation and even loads again", async () => {
  const { page, context, complaints } = await site.open();
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await context.setOffline(true);
  await moveSlider(page, 42);
  const { after, limit } = await totals(page);
  assert.ok(after <= limit, `${after} within ${limit}`);
  await choose(page, "Chinese dialogue", 395);
  assert.deepEqual(complaints, []);
  await page.reload();
  await fitted(page);
  assert.ok((await totals(page)).after > 0);
  await context.close();
});

test("at 390 px nothing scrolls sideways, in the list, the detail and the errors", async () => {
  const { page, context, complaints } = await site.open({
    viewport: { width: 390, height: 844 },
    isMobile: true,
    hasTouch: true,
  });
  const width = () => page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(await width(), 390);
  await page.getByLabel("By a model").check();
  await page
    .getByLabel("Model", { exact: true })
    .fill("a-model-with-a-name-that-is-longer-than-any-screen-of-a-telephone");
  await page
    .getByLabel("Address", { exact: true })
    .fill("https://models.of-a-company-with-a-long-name.example:8443/v1");
  await page.getByLabel("Address", { exact: true }).press("Tab");
  await page.getByText("Texts go to").waitFor();
  assert.equal(await width(), 390);
  await page.locator("#privacy").scrollIntoViewIfNeeded();
  const outside = await page
    .locator(".top")
    .evaluate(
      (top) => [...top.querySelectorAll("*")].filter((element) => element.getBoundingClientRect().right > 391).length,
    );
  assert.equal(outside, 0);
  await page.getByLabel("Without a model").check();
  await page.locator(".list").scrollIntoViewIfNeeded();
  await page.locator(".row:not(.is-fold)").first().tap();
  const detail = page.locator(".detail[open]");
  await detail.waitFor();
  assert.equal(await width(), 390);
  assert.equal(await detail.evaluate((element) => element.scrollWidth), 390);
  await detail.getByRole("button", { name: "Close" }).tap();
  await page.getByLabel("Limit", { exact: true }).fill("1");
  await page.locator(".irreducible").waitFor();
  assert.equal(await width(), 390);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the layout does not shift while the page loads", async () => {
  const { page, context } = await site.open();
  await page.addInitScript(() => {
    globalThis.shifts = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) globalThis.shifts += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
  });
  await page.reload();
  await fitted(page);
  await page.waitForTimeout(300);
  const shift = await page.evaluate(() => globalThis.shifts);
  assert.ok(shift < 0.05, `cumulative layout shift ${shift}`);
  await context.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`text has enough contrast in the ${colorScheme} scheme`, async () => {
    const { page, context } = await site.open({ colorScheme });
    await choose(page, "Customer service", 62);
    await page.getByLabel("By a model").check();
    await page.getByLabel("Address", { exact: true }).fill("nowhere");
    await page.getByLabel("Address", { exact: true }).press("Tab");
    await page.locator("#model-problem").getByText("not an address").waitFor();
    assert.deepEqual(await page.evaluate(contrasts), []);
    await page.locator('.row[data-look="hidden"], .row[data-look="pruned"]').first().click();
    await page.locator(".detail[open]").waitFor();
    assert.deepEqual(await page.evaluate(contrasts), []);
    const page_ = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = page_.match(/\d+/g).map(Number).at(0) > 128;
    assert.equal(light, colorScheme === "light");
    await context.close();
  });
}

test("the theme button overrides the scheme of the system", async () => {
  const { page, context } = await site.open({ colorScheme: "light" });
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  const button = page.getByRole("button", { name: /Theme/ });
  await button.click();
  assert.equal(await background(), light);
  await button.click();
  assert.notEqual(await background(), light);
  await context.close();
});

/** Runs in the page: elements with text of their own whose contrast (WCAG 2) is below 4.5. */
function contrasts() {
  const parse = (colour) => {
    const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (element) => {
    for (let node = element; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
    if (!own || !element.checkVisibility() || element.closest(":disabled, .drop, .skip")) continue;
    const [text, ground] = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))];
    const ratio = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    if (ratio < 4.5)
      weak.push(`${element.className || element.tagName} ${element.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(weak)];
}
