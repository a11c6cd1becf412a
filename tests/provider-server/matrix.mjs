// Every fault, with every format, whole and streamed, and how a compaction may end that meets it.
//
// Nothing here belongs to a runtime: Node, workerd and pages run the same cells, against a server in a process of its
// own. Each cell is one call of `compact` with `onProviderError: "throw"`, see `runCell`.

/** @typedef {"openai-chat" | "openai-responses" | "anthropic" | "gemini" | "ollama"} Wire */
/** @typedef {"node" | "workerd" | "chromium"} Runtime */

/**
 * @typedef {object} Cell
 * @property {string} name e.g. `s429 anthropic stream`
 * @property {string} fault the first segment of the path
 * @property {Wire} wire
 * @property {boolean} stream whether a stream is asked for
 * @property {number} attempts how often the provider may try, the first time included
 * @property {boolean} hangs whether only the provider's own timeout ends it
 * @property {{ node: string[], workerd: string[], chromium: string[] }} allowed how it may end: `ok`, or the class of
 *   the error, which is its code without `provider_`
 */

/** @type {Wire[]} */
export const wires = ["openai-chat", "openai-responses", "anthropic", "gemini", "ollama"];

/** What a provider is told, milliseconds. */
export const limits = { timeoutMs: 2_000, stallMs: 800 };

/** When a cell has to be over: each of its attempts in time, and as much again for a machine that is busy. */
export const deadlineMs = ({ attempts, hangs }) => (hangs ? 2 * attempts * limits.timeoutMs : 10_000);

/** What a browser lets a page see of a connection that fails. */
const hidden = ["network", "opaque"];

const cutOff = ["network", "truncated", "malformed"];

/**
 * How each fault may end. A list holds for all cells. Else it is, by the first that applies: `stream` or `whole`, the
 * wire's name, the runtime's name, `all`.
 */
const outcomes = {
  ok: ["ok"],
  thinking: ["ok"],
  gzip: ["ok"],
  redirect: ["ok"],
  "wrong-type": ["ok"],
  "sse-split": ["ok"],
  // Where events have no numbers, a text said twice cannot be told from a text that repeats itself.
  "sse-dup": ["ok"],
  // What there is of it is of use.
  length: ["ok", "truncated"],

  // Models that refuse in words only give an answer that is not used.
  refusal: { ollama: ["ok", "refused", "blank"], all: ["refused"] },
  // This one has no filter to tell of.
  filter: { ollama: ["ok"], all: ["refused"] },
  blank: ["blank"],
  204: ["blank", "malformed"],

  context: ["context_length"],
  "context-50": ["context_length"],
  "truncated-prompt": ["context_length"],
  s413: ["context_length", "bad_request"],
  "s413-plain": ["context_length", "bad_request"],

  s400: ["bad_request"],
  s401: ["auth"],
  s402: ["auth", "bad_request"],
  s403: ["auth"],
  s404: ["bad_request"],
  s408: ["timeout"],
  s409: ["bad_request", "unavailable"],
  s422: ["bad_request"],
  s425: ["rate_limited"],
  s429: ["rate_limited"],
  s500: ["unavailable"],
  s502: ["unavailable"],
  s503: ["unavailable"],
  s504: ["timeout"],
  s529: ["unavailable"],
  "echo-key": ["auth"],
  "retry-after-1": ["rate_limited"],
  "retry-date": ["rate_limited"],
  "html-502": ["unavailable"],
  "huge-error": ["unavailable"],
  "redirect-303": ["bad_request", "malformed"],
  "redirect-loop": { all: ["network", "malformed"], chromium: hidden },

  html: ["malformed"],
  "wrong-json": ["malformed", "blank", "truncated"],
  random: ["malformed", "blank", "truncated"],
  huge: ["malformed"],
  // Node's fetch may leave such a body unsettled for ever, even when it is aborted.
  "bad-gzip": { all: ["malformed", "network", "timeout"], chromium: ["malformed", ...hidden] },

  "slow-headers": ["timeout"],
  "slow-body": ["timeout"],
  stall: ["timeout"],

  reset: { all: ["network"], chromium: hidden },
  "reset-mid": { all: cutOff, chromium: [...cutOff, "opaque"] },
  "half-closed": { all: cutOff, chromium: [...cutOff, "opaque"] },
  garbage: { all: cutOff, chromium: [...cutOff, "opaque"] },

  "sse-cut": { whole: ["ok"], all: ["truncated", "malformed"] },
  "sse-no-end": { whole: ["ok"], all: ["truncated"] },
  // Ollama names no reason that one could go by.
  "sse-error": { whole: ["ok"], ollama: ["unavailable", "network", "malformed"], all: ["unavailable"] },

  "no-cors": { all: ["ok"], chromium: hidden },
};

/** Faults that are over by the time of another attempt. */
const passing = {
  "flaky-1": { attempts: 1, allowed: ["unavailable"] },
  "s500,1": { attempts: 2, allowed: ["ok"] },
  "s529,1": { attempts: 2, allowed: ["ok"] },
  "retry-after-0.1,1": { attempts: 2, allowed: ["ok"] },
  "reset,1": { attempts: 2, allowed: ["ok"] },
  "sse-cut,1": { attempts: 2, allowed: ["ok"] },
  "slow-headers,1": { attempts: 2, allowed: ["ok"] },
  // There is nothing to be hoped for from a second attempt.
  "s401,1": { attempts: 2, allowed: ["auth"] },
  "s400,1": { attempts: 2, allowed: ["bad_request"] },
};

const hanging = /^(?:slow-headers|slow-body|stall|bad-gzip)/;

/** Faults without a row of their own: plain words instead of JSON change nothing. */
const rowOf = (fault) => outcomes[fault] ?? outcomes[fault.replace(/-plain$/, "")];

/** How a fault may end in a runtime. */
function allowedIn(runtime, row, wire, stream) {
  if (Array.isArray(row)) return row;
  const kind = stream ? "stream" : "whole";
  return row[kind] ?? row[wire] ?? row[runtime] ?? row.all;
}

function cell(fault, wire, stream, row, attempts) {
  const of = (runtime) => allowedIn(runtime, row, wire, stream);
  return {
    name: `${fault} ${wire} ${stream ? "stream" : "whole"}`,
    fault,
    wire,
    stream,
    attempts,
    hangs: hanging.test(fault),
    allowed: { node: of("node"), workerd: of("workerd"), chromium: of("chromium") },
  };
}

const plain = Object.keys(outcomes)
  .filter((fault) => /^s\d+$/.test(fault))
  .map((fault) => `${fault}-plain`);

/** The faults that the cells meet. */
export const faults = [...new Set([...Object.keys(outcomes), ...plain, ...Object.keys(passing)])];

function* allCells() {
  for (const fault of faults) {
    for (const wire of wires) {
      for (const stream of [false, true]) {
        const { attempts = 1, allowed = rowOf(fault) } = passing[fault] ?? {};
        yield cell(fault, wire, stream, allowed, attempts);
      }
    }
  }
}

/** @type {Cell[]} */
export const cells = [...allCells()];

/** Where a provider of a format expects the server: what it adds itself is left out. */
export function baseUrl(server, fault, wire) {
  const below = { anthropic: "", ollama: "", gemini: "/v1beta" }[wire] ?? "/v1";
  return `${server}/${fault}${below}`;
}

/**
 * The options of a cell's provider. The id finds its requests in the server's log, and keeps its counts apart.
 * @param {string} server its address
 * @param {Cell} cell
 * @param {Runtime} runtime
 * @param {string} id
 */
export function providerOptions(server, { fault, wire, stream, attempts }, runtime, id) {
  // Anthropic takes no request from a page that does not say that it knows what it does with its key.
  const fromPage = wire === "anthropic" && runtime === "chromium";
  return {
    model: "test",
    apiKey: "test-key",
    baseUrl: baseUrl(server, fault, wire),
    headers: { "x-test-id": id, ...(fromPage && { "anthropic-dangerous-direct-browser-access": "true" }) },
    stream,
    attempts,
    ...limits,
    ...(wire === "openai-responses" && { api: "responses" }),
  };
}

/** A conversation that does not fit `budget` without a summary. */
export const conversation = Array.from({ length: 40 }, (_, at) => ({
  role: at % 2 === 0 ? "user" : "assistant",
  content:
    `Step ${at}: look at src/module_${at % 7}.rs, where E0308 was reported in line ${100 + at}. ` +
    `The value was ${at * 37} ms. ${"It has to work as it did before, whatever the input is. ".repeat(4)}`,
}));
export const budget = 2_000;

/**
 * Runs one cell and says how it ended.
 * @param {Cell} cell
 * @param {object} with_
 * @param {(messages: object[], options: object) => Promise<{ messages: object[] }>} with_.compact
 * @param {Record<"openai" | "anthropic" | "gemini" | "ollama", (options: object) => any>} with_.providers
 * @param {string} with_.server its address
 * @param {Runtime} with_.runtime
 * @returns {Promise<{ name: string, id: string, outcome: string, right: boolean, ms: number, problems: string[],
 *   message?: string }>} `id` finds the requests in the server's log; `outcome` is `unsettled` when the end did not come
 *   in time; `problems` are what has to hold besides: messages left as they were, no key in what is said
 */
export async function runCell(cell, { compact, providers, server, runtime }) {
  const id = `${runtime} ${cell.name} ${Math.random().toString(36).slice(2)}`;
  const make = providers[cell.wire.replace(/^openai-.*/, "openai")];
  const provider = make(providerOptions(server, cell, runtime, id));
  const messages = structuredClone(conversation);
  const before = JSON.stringify(messages);
  const started = performance.now();
  const call = compact(messages, { budget, provider, onProviderError: "throw" });
  const { outcome, error } = await ended(call, deadlineMs(cell));
  const ms = Math.round(performance.now() - started);
  await provider.dispose?.();
  const problems = [];
  if (JSON.stringify(messages) !== before) problems.push("the messages were changed");
  if (said(error).includes("test-key")) problems.push("the error holds the key");
  const right = cell.allowed[runtime].includes(outcome) && problems.length === 0;
  return { name: cell.name, id, outcome, right, ms, problems, ...(error && { message: String(error.message) }) };
}

/** How a call ends, if it does within so many milliseconds. */
async function ended(call, within) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, within, { outcome: "unsettled" });
  });
  const settled = call.then(() => ({ outcome: "ok" }), failed);
  const result = await Promise.race([settled, late]);
  clearTimeout(timer);
  return result;
}

function failed(error) {
  const code = String(error?.code ?? `not an error of ours: ${error}`);
  return { outcome: code.replace(/^provider_/, ""), error };
}

/** All that an error says, its causes included. */
function said(error) {
  const texts = [];
  for (let at = error, depth = 0; at != null && depth < 10; at = at.cause, depth++) {
    texts.push(String(at), String(at.stack), JSON.stringify(at.details) ?? "");
  }
  return texts.join("\n");
}

/** Runs cells, at most `most` at a time, those that hang first. The results come in the order of the cells. */
export async function runCells(list, with_, most = 16) {
  const results = new Array(list.length);
  const waiting = [...list.keys()].sort((a, b) => Number(list[a].hangs) - Number(list[b].hangs));
  const worker = async () => {
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) results[at] = await runCell(list[at], with_);
  };
  await Promise.all(Array.from({ length: most }, worker));
  return results;
}
