// Serves the package and a page to browsers that are killed, and hears what the page reports.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { json } from "node:stream/consumers";

import { packageFolder, root } from "../../node/support.mjs";

const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };
const PAGE =
  '<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><script type="module" src="/tests/sessions/support/crash-page.mjs"></script></html>';

/**
 * @param {(run: string, report: object) => void} hear
 * @returns {Promise<{ url: string, close: () => Promise<void> }>}
 */
export async function crashSite(hear) {
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://site");
    if (request.method === "POST") {
      // What does not arrive as a whole was not reported.
      const report = await json(request).catch(() => undefined);
      if (report !== undefined) hear(searchParams.get("run"), report);
      return response.writeHead(204).end();
    }
    if (pathname === "/") return response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(PAGE);
    const [, folder, rest] = /^\/(package|tests)(\/.+)$/.exec(normalize(decodeURIComponent(pathname))) ?? [];
    const file = folder && join(folder === "package" ? packageFolder : `${root}/tests`, rest);
    const found = file && (await stat(file).catch(() => undefined));
    if (!found?.isFile()) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${server.address().port}/`, close };
}
