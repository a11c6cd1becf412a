// A server that speaks like the vendors of models, and fails in every way that they and the network can.
//
//   node tests/provider-server/server.mjs [--port 0]
//
// prints `listening on http://127.0.0.1:PORT`. What a request meets is the first segment of its path, e.g.
// `http://127.0.0.1:PORT/s429/v1/chat/completions`; see README.md beside this file.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { Log } from "./log.mjs";
import { router } from "./router.mjs";

const host = "127.0.0.1";

/** Makes a child end with its parent, whose end of the pipe closes however that ends. */
const withParent = "--with-parent";

/**
 * Starts the server in this process.
 * @param {{ port?: number }} [options] 0, the default, takes a free port
 * @returns {Promise<{ url: string, port: number, close: () => Promise<void> }>}
 */
export async function startServer({ port = 0 } = {}) {
  const log = new Log();
  const server = createServer({ requestTimeout: 0 }, router(log));
  server.on("connection", (socket) => log.watch(socket));
  server.on("clientError", (_, socket) => socket.destroy());
  server.listen(port, host);
  await once(server, "listening");
  const taken = server.address().port;
  const close = async () => {
    const closed = once(server, "close");
    server.close();
    log.destroySockets();
    await closed;
  };
  return { url: `http://${host}:${taken}`, port: taken, close };
}

/**
 * Starts the server in a process of its own, which ends with this one.
 * @returns {Promise<{ url: string, port: number, pid: number, close: () => Promise<void> }>}
 */
export async function spawnServer() {
  const stdio = /** @type {const} */ (["pipe", "pipe", "inherit"]);
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), withParent], { stdio });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout });
  const [line] = await Promise.race([
    once(lines, "line"),
    exited.then(([code]) => {
      throw new Error(`the test server ended with ${code}`);
    }),
  ]);
  const url = line.replace("listening on ", "");
  // It is not to keep this process alive.
  for (const handle of [child, child.stdin, child.stdout]) handle.unref();
  const close = async () => {
    child.ref();
    child.kill();
    await exited;
  };
  return { url, port: Number(new URL(url).port), pid: child.pid, close };
}

async function main() {
  const options = { port: { type: "string", default: "0" }, "with-parent": { type: "boolean", default: false } };
  const { values } = parseArgs({ options });
  const { url } = await startServer({ port: Number(values.port) });
  process.stdout.write(`listening on ${url}\n`);
  if (values["with-parent"]) process.stdin.on("close", () => process.exit()).resume();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
