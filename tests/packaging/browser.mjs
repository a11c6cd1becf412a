// A headless Chromium, and a server for the folders it opens.

import { createReadStream, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";
import { repository } from "./project.mjs";

const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

/** The page must work without `unsafe-eval` and without inline scripts. */
const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";

/**
 * Opens the page in `folder` and returns what it sets as the text of `#result`, once it does.
 *
 * @param {string} folder
 */
export async function resultOfPage(folder) {
  const executablePath = process.env.CHROME;
  if (!executablePath) throw new Error("CHROME is not set; run `cargo xtask test --only packaging`, which finds it");
  const { args } = JSON.parse(readFileSync(join(repository, "webdriver.json"), "utf8"))["goog:chromeOptions"];
  const server = await serve(folder);
  const browser = await chromium.launch({ executablePath, args, chromiumSandbox: false });
  try {
    const page = await browser.newPage();
    /** @type {string[]} */
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(message.text());
    });
    await page.goto(server.url);
    const result = page.locator("#result:not(:empty)");
    await result.waitFor({ timeout: 30_000 }).catch(() => {
      throw new Error(`the page gave no result\n${errors.join("\n")}`);
    });
    return await result.textContent();
  } finally {
    await browser.close();
    server.close();
  }
}

/** @param {string} folder */
async function serve(folder) {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
    const file = join(folder, path === "/" ? "index.html" : path);
    if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
      response.writeHead(path === "/favicon.ico" ? 204 : 404).end();
      return;
    }
    const type = types[/** @type {keyof typeof types} */ (extname(file))] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, "content-security-policy": policy });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}/`, close: () => server.close() };
}
