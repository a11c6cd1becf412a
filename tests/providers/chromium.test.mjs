// Every cell of the provider matrix in a page, which has another origin than the services that it asks.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "../e2e/support/browser.mjs";
import { providerServer } from "./support/server.mjs";
import { site } from "./support/site.mjs";
import { assertRequests, assertRight } from "./support/verdicts.mjs";

/** What the browser itself says of failed requests; no script can keep it from that. */
const ofBrowser = /^(?:Failed to load resource: |Access to fetch at )/;

let server;
let own;
let browser;
let page;
const heard = [];
const verdicts = [];
before(async () => {
  [server, own, browser] = await Promise.all([providerServer(), site(), launch()]);
  page = await browser.newPage();
  page.on("console", (message) => {
    if (!ofBrowser.test(message.text())) heard.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => heard.push(String(error?.stack ?? error)));
  await page.goto(own.url);
  await page.waitForFunction(() => globalThis.matrix !== undefined);
});
after(async () => {
  await browser?.close();
  await Promise.all([own?.close(), server?.close()]);
});

const run = (throws) => page.evaluate(([url, flag]) => globalThis.matrix.run(url, flag), [server.url, throws]);

test("every cell ends in the right code, in time, and shows no key", async () => {
  verdicts.push(...(await run(true)));
  assertRight(verdicts, 790);
});

test("where a failure is not to reject there is a result that fits, with a warning", async () => {
  const results = await run(false);
  verdicts.push(...results);
  assertRight(results, 158);
});

test("every request was one that the vendor takes", async () => {
  // The browser asks first, and does not send what it is told not to.
  assertRequests(await server.log(), verdicts, ({ name }) => name.startsWith("no-cors "));
});

test("nothing is left: no request, no timer, no word", async () => {
  await server.settled();
  const { live, made } = await page.evaluate(() => globalThis.matrix.timers());
  assert.ok(made > 1_000, "the timers were counted");
  assert.equal(live, 0);
  assert.deepEqual(heard, []);
});
