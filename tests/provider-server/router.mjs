// From a request to the fault that answers it.

import { Violation } from "./checks.mjs";
import { cors, Exchange } from "./exchange.mjs";
import { beforeKey, faultOf } from "./faults/index.mjs";
import { formatOf, formats } from "./formats/index.mjs";

/** Paths may begin with one of these instead of a fault. */
const withoutFault = ["v1", "v1beta", "api", "openai", "chat", "responses", "messages", "models"];

/** Longer bodies are refused, bytes. */
const largestBody = 32 * 1024 * 1024;

/**
 * @param {import("./log.mjs").Log} log
 * @returns {import("node:http").RequestListener}
 */
export function router(log) {
  return (req, res) => {
    const { pathname, search, searchParams: query } = new URL(req.url, "http://server");
    if (pathname.startsWith("/_")) return control(log, req, res, pathname, query);
    const [, segment, rest] = /^\/([^/]*)(.*)$/.exec(decoded(pathname));
    const plain = withoutFault.includes(segment);
    const path = plain ? decoded(pathname) : rest;
    const exchange = new Exchange({ req, res, log, query, path, rest: `${path}${search}` });
    const { entry, read, end } = log.begin(req);
    res.once("close", () => end(!res.writableFinished && !exchange.cut));
    handle(exchange, entry, read, plain ? "ok" : segment)
      .catch((error) => fail(exchange, error))
      .finally(() => {
        entry.status = res.headersSent ? res.statusCode : null;
      });
  };
}

/** The path without percents, which clients put before the colon of a method's name too. */
function decoded(pathname) {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname;
  }
}

function control(log, req, res, path, query) {
  const answer = {
    "GET /_log": () => log.entries(query.get("id")),
    "GET /_stats": () => log.stats(),
    "POST /_reset": () => log.reset() ?? {},
  }[`${req.method} ${path}`];
  req.resume();
  res.writeHead(answer ? 200 : req.method === "OPTIONS" ? 204 : 404, { ...cors, "content-type": "application/json" });
  res.end(answer && JSON.stringify(answer()));
}

async function handle(exchange, entry, read, segment) {
  const { log, path, req } = exchange;
  // A preflight is no request yet: it does not use up what is counted.
  const preflight = req.method === "OPTIONS";
  const owner = exchange.id ?? path;
  const fault = faultOf(segment, preflight ? () => 0 : (name) => log.count(`${name} of ${owner}`));
  if (fault?.name === "no-cors") exchange.commonHeaders = {};
  entry.fault = fault?.name ?? null;
  if (preflight) return allow(exchange, fault);
  const body = await bodyOf(exchange);
  read(body ?? "");
  const { format, route } = formatOf(path) ?? { format: formats[0] };
  Object.assign(exchange, { format, route });
  try {
    if (fault === undefined) throw new Violation(`The test server knows no fault "${segment}".`, { status: 404 });
    understand(exchange, body, fault);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    entry.fault = "violation";
    return exchange.send(exchange.failure(error));
  }
  await fault.act(exchange);
}

/** Answers the question of a browser whether it may ask. */
function allow({ res }, fault) {
  const refused = fault?.name === "no-cors";
  res.writeHead(refused ? 403 : 204, refused ? {} : cors);
  res.end();
}

/** All of the body as text, or nothing when it is too large. */
async function bodyOf({ req }) {
  const pieces = [];
  let size = 0;
  for await (const piece of req) {
    size += piece.length;
    if (size <= largestBody) pieces.push(piece);
  }
  return size <= largestBody ? Buffer.concat(pieces).toString("utf8") : undefined;
}

/** Checks the request as its vendor would, and notes what is asked. */
function understand(exchange, body, fault) {
  const { format, headers, query, req, route } = exchange;
  if (route === undefined) {
    throw new Violation(`Invalid URL (${req.method} ${exchange.path})`, { status: 404, code: "unknown_url" });
  }
  if (req.method !== "POST") throw new Violation(`Not allowed to ${req.method} on this path.`, { status: 405 });
  if (!beforeKey.includes(fault.name)) format.authorise({ headers, query });
  if (body === undefined) throw new Violation("Request exceeds the maximum size", { status: 413 });
  if (!/^application\/json\b/.test(headers["content-type"] ?? "")) {
    throw new Violation("The content type of the request has to be application/json.", { status: 415 });
  }
  exchange.asked = format.read({ body: parsed(body), headers, query, route });
}

function parsed(text) {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Violation("We could not parse the JSON body of your request.");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new Violation("The body of the request has to be a JSON object.");
  }
  return body;
}

/** A fault of this server itself, which a test has to see. */
function fail(exchange, error) {
  if (exchange.over) return;
  process.stderr.write(`test server: ${error?.stack}\n`);
  if (exchange.res.headersSent) exchange.close();
  else exchange.res.writeHead(500, cors).end(`The test server failed: ${error?.message}`);
}
