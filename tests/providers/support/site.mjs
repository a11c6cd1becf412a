// Serves the package and the page that uses it, from an origin that is not the provider server's.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

import { packageFolder, root } from "../../node/support.mjs";

const types = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

const page =
  '<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><script type="module" src="/tests/providers/support/page.mjs"></script></html>';

/** @returns {Promise<{ url: string, close: () => Promise<void> }>} */
export async function site() {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://site").pathname));
    if (path === "/") return response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(page);
    const [, folder, rest] = /^\/(package|tests)(\/.+)$/.exec(path) ?? [];
    const file = folder && join(folder === "package" ? packageFolder : `${root}/tests`, rest);
    const found = file && (await stat(file).catch(() => undefined));
    if (!found?.isFile()) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" });
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
