// Serves the package and the page of the tabs, and stands for the model: it knows who asks when.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

import { packageFolder, root } from "../../node/support.mjs";

const types = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };
const folders = { package: packageFolder, tests: join(root, "tests"), benches: join(root, "benches") };

const pageWith = (script) =>
  `<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><script type="module" src="${script}"></script></html>`;

/** How long the model takes for an answer, ms. */
const SLOWNESS = 40;

/**
 * @param {string} script what runs in the page
 * @param {Record<string, string>} [more] further folders, by the first word of their path
 */
export async function site(script, more = {}) {
  const all = { ...folders, ...more };
  /** @type {{ who: string, step: number, start: number, end: number }[]} */
  const requests = [];
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://site");
    if (pathname === "/")
      return response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(pageWith(script));
    if (pathname === "/model") return think(searchParams, response);
    const [, folder, rest] = /^\/(\w+)(\/.+)$/.exec(normalize(decodeURIComponent(pathname))) ?? [];
    const file = Object.hasOwn(all, folder ?? "") && join(all[folder], rest);
    const found = file && (await stat(file).catch(() => undefined));
    if (!found?.isFile()) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });

  /** Over when it is answered, or when nobody waits any more. */
  function think(asked, response) {
    const request = { who: asked.get("who"), step: Number(asked.get("step")), start: performance.now(), end: Infinity };
    requests.push(request);
    const timer = setTimeout(() => {
      request.end = Math.min(request.end, performance.now());
      response.writeHead(200, { "cache-control": "no-store" }).end();
    }, SLOWNESS);
    response.on("close", () => {
      clearTimeout(timer);
      request.end = Math.min(request.end, performance.now());
    });
  }

  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${server.address().port}/`, requests, close };
}
