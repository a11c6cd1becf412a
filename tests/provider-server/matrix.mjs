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
 * @property {{ timeoutMs: number, stallMs: number }} limits what the provider is told
 * @property {number} waitsMs how long it has to wait at least, since nothing but its own limits ends it
 * @property {number} deadlineMs when it has to be over
 * @property {{ node: string[], workerd: string[], chromium: string[] }} allowed how it may end: `ok`, or the class of
 *   the error, which is its code without `provider_`
 */

/** @type {Wire[]} */
export const wires = ["openai-chat", "openai-responses", "anthropic", "gemini", "ollama"];

/** The only key that the server knows. */
const key = "test-key";

/** Limits that no cell comes to, unless something hangs: later than its deadline. */
const patient = { timeoutMs: 20_000, stallMs: 20_000 };

/** Limits of the cells that end by them. */
const impatient = {
  "slow-headers": { ...patient, timeoutMs: 400 },
  // A byte comes every second, so it is not silence that ends it.
  "slow-body": { ...patient, timeoutMs: 1_500 },
  stall: { ...patient, stallMs: 400 },
  // The second attempt has to be in time on a busy machine.
  "slow-headers,1": { ...patient, timeoutMs: 2_500 },
};

/** What a busy machine may take for a cell, milliseconds. */
const slack = 15_000;

/**
 * How each fault may end. A list holds for all cells. Else it is, by the first that applies: `whole`, the wire's name,
 * the runtime's name, `all`.
 */
const outcomes = {
  ok: ["ok"],
  thinking: ["ok"],
  gzip: ["ok"],
  "wrong-type": ["ok"],
  "sse-split": ["ok"],
  // Where events have no numbers, a text said twice cannot be told from a text that repeats itself.
  "sse-dup": ["ok"],
  // What there is of it is of use.
  length: ["ok"],

  // Ollama tells neither of refusals nor of filters. What this model says then is no summary, and is not used as one.
  refusal: { ollama: ["ok"], all: ["refused"] },
  filter: { ollama: ["ok"], all: ["refused"] },
  blank: ["blank"],
  204: ["blank"],

  context: ["context_length"],
  "context-50": ["context_length"],
  "truncated-prompt": ["context_length"],
  s413: ["context_length"],

  s400: ["bad_request"],
  s401: ["auth"],
  // Whoever owns the key has to act.
  s402: ["auth"],
  s403: ["auth"],
  s404: ["bad_request"],
  s408: ["timeout"],
  s409: ["bad_request"],
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

  // None is followed: the key would go along, wherever that is.
  redirect: ["bad_request"],
  "redirect-303": ["bad_request"],
  "redirect-loop": ["bad_request"],

  html: ["malformed"],
  "wrong-json": ["malformed"],
  // Noise that calls itself a stream of events is one without a single event, and without an end.
  random: { whole: ["malformed"], ollama: ["malformed"], all: ["truncated"] },
  huge: ["malformed"],
  "bad-gzip": ["network"],

  "slow-headers": ["timeout"],
  "slow-body": ["timeout"],
  stall: ["timeout"],

  // A page is not told why there is no answer.
  reset: { chromium: ["opaque"], all: ["network"] },
  "no-cors": { chromium: ["opaque"], all: ["ok"] },
  // Within a body it sees that the connection broke.
  "reset-mid": ["network"],
  "half-closed": ["network"],
  garbage: ["network"],

  "sse-cut": { whole: ["ok"], all: ["truncated"] },
  "sse-no-end": { whole: ["ok"], all: ["truncated"] },
  "sse-error": { whole: ["ok"], all: ["unavailable"] },
};

/** Faults that are over by the time of another attempt. */
const passing = {
  "flaky-1": { attempts: 1, allowed: ["unavailable"] },
  "s500,1": { attempts: 2, allowed: ["ok"] },
  "s529,1": { attempts: 2, allowed: ["ok"] },
  "retry-after-0.1,1": { attempts: 2, allowed: ["ok"] },
  // A page is not told that trying again may help. Chromium does so itself where the connection was not new.
  "reset,1": { attempts: 2, allowed: { chromium: ["ok", "opaque"], all: ["ok"] } },
  "sse-cut,1": { attempts: 2, allowed: ["ok"] },
  "slow-headers,1": { attempts: 2, allowed: ["ok"] },
  // There is nothing to be hoped for from a second attempt.
  "s401,1": { attempts: 2, allowed: ["auth"] },
  "s400,1": { attempts: 2, allowed: ["bad_request"] },
};

/** Faults without a row of their own: plain words instead of JSON change nothing. */
const rowOf = (fault) => outcomes[fault] ?? outcomes[fault.replace(/-plain$/, "")];

/** How a fault may end in a runtime. */
function allowedIn(runtime, row, wire, stream) {
  if (Array.isArray(row)) return row;
  return (stream ? undefined : row.whole) ?? row[wire] ?? row[runtime] ?? row.all;
}

function cell(fault, wire, stream, row, attempts) {
  const of = (runtime) => allowedIn(runtime, row, wire, stream);
  const limits = impatient[fault] ?? patient;
  const waitsMs = fault in impatient ? Math.min(limits.timeoutMs, limits.stallMs) : 0;
  return {
    name: `${fault} ${wire} ${stream ? "stream" : "whole"}`,
    fault,
    wire,
    stream,
    attempts,
    limits,
    waitsMs,
    deadlineMs: attempts * waitsMs + slack,
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

/** All faults, whole and streamed, each with one of the formats. */
export const sample = cells.filter(({ fault, wire }) => wire === wires[faults.indexOf(fault) % wires.length]);

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
export function providerOptions(server, { fault, wire, stream, attempts, limits }, runtime, id) {
  // Anthropic takes no request from a page that does not say that it knows what it does with its key.
  const fromPage = wire === "anthropic" && runtime === "chromium";
  return {
    model: "test",
    apiKey: key,
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

/** How the summaries of the server's model begin, and no others. */
const byModel = "1. User Intent: ";

/**
 * @typedef {object} Bench what cells are run with
 * @property {{ compact: Function, countTokens: Function, validate: Function }} epitome the package under test
 * @property {Record<"openai" | "anthropic" | "gemini" | "ollama", (options: object) => any>} providers
 * @property {string} server its address
 * @property {Runtime} runtime
 * @property {boolean} [throws] whether a failure rejects; else there is a result with a warning. Default true
 * @property {(value: unknown) => string} [inspect] how the runtime shows a value, where it can
 */

/**
 * @typedef {object} Verdict
 * @property {string} name the cell's
 * @property {string} id finds the requests in the server's log
 * @property {string} outcome `unsettled` when the end did not come in time
 * @property {number} ms
 * @property {string[]} problems what has to hold, and does not; none where all is right
 * @property {string} [message] the error's
 */

/**
 * Runs one cell and judges how it ended.
 * @param {Cell} cell
 * @param {Bench} bench
 * @returns {Promise<Verdict>}
 */
export async function runCell(cell, bench) {
  const { epitome, providers, runtime, server, throws = true, inspect = String } = bench;
  // Nothing of it may look like a word of an error.
  const id = Math.random().toString(36).slice(2);
  const make = providers[cell.wire.replace(/^openai-.*/, "openai")];
  const provider = make(providerOptions(server, cell, runtime, id));
  const messages = structuredClone(conversation);
  const events = [];
  const options = { budget, provider, onProgress: (event) => events.push(event) };
  const started = performance.now();
  const call = epitome.compact(messages, { ...options, onProviderError: throws ? "throw" : "offline" });
  const { outcome, error, result } = await ended(call, cell.deadlineMs);
  const ms = Math.round(performance.now() - started);
  const shown = [said(error), JSON.stringify([events, result, provider]), inspect(provider), String(provider)];
  const problems = [
    ...(cell.allowed[runtime].includes(outcome) ? [] : [`it may end in ${cell.allowed[runtime].join(", ")} only`]),
    // Timers may fire a little early, and a Worker's clock stands still between two events.
    ...(ms < cell.waitsMs - 100 ? [`it was over before ${cell.waitsMs} ms`] : []),
    ...(same(messages, conversation) ? [] : ["the messages were changed"]),
    ...(shown.join().includes(key) ? ["the key is shown"] : []),
    ...(result ? faultsOf(result, messages, outcome, epitome) : []),
    ...(throws || result || outcome === "unsettled" ? [] : ["there is no result"]),
    ...faultsOfEvents(events, outcome, cell.attempts),
  ];
  return { name: cell.name, id, outcome, ms, problems, ...(error && { message: String(error.message) }) };
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** What is wrong with a result. */
function* faultsOf({ messages, report }, given, outcome, { countTokens, validate }) {
  const tokens = countTokens(messages);
  if (tokens > budget || tokens !== report.after) yield `${tokens} tokens, ${report.after} by the report`;
  if (validate(messages).length > 0) yield "the result is not valid";
  const strangers = messages.filter((message) => !given.includes(message));
  if (strangers.length !== 1) yield `${strangers.length} messages are new objects, not the summary alone`;
  const uses = strangers.some(({ content }) => content.includes(byModel));
  const refused = report.warnings.some(({ code }) => code === "summary_refused");
  if (uses !== (outcome === "ok" && !refused)) yield `the summary of the model is ${uses ? "" : "not "}used`;
  if (!(report.models?.requests >= 1)) yield "the report knows of no request";
}

/** How often a compaction asks where it hopes for more from the next answer; a prompt that was too long is shortened. */
const rounds = { blank: 2, malformed: 2, context_length: 10 };

/** What is wrong with what was heard meanwhile: every request is answered or fails, and the last failure tells why. */
function* faultsOfEvents(events, outcome, attempts) {
  if (outcome === "unsettled") return;
  const of = (...types) => events.filter(({ type }) => types.includes(type));
  const requests = of("request").length;
  if (requests < 1 || requests > attempts * (rounds[outcome] ?? 1)) yield `${requests} requests`;
  if (of("answer", "failure").length !== requests) yield "not every request had an end";
  const last = of("answer", "failure").at(-1);
  const end = last?.type === "failure" ? last.code.replace(/^provider_/, "") : "ok";
  // What an answer is worth shows after it has come.
  if (end !== outcome && !(end === "ok" && ["blank", "refused"].includes(outcome))) yield `the last event says ${end}`;
}

/** How a call ends, if it does within so many milliseconds. */
async function ended(call, within) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, within, { outcome: "unsettled" });
  });
  const first = await Promise.race([call.then(succeeded, failed), late]);
  clearTimeout(timer);
  return first;
}

const classOf = (code) => code.replace(/^provider_/, "");

/** A result that was made without the model tells why. */
function succeeded(result) {
  const warning = result.report.warnings.find(({ code }) => code.startsWith("provider_"));
  return { outcome: warning ? classOf(warning.code) : "ok", result };
}

function failed(error) {
  return { outcome: classOf(String(error?.code ?? `not an error of ours: ${error}`)), error };
}

/** All that an error says, its causes included. */
function said(error) {
  const texts = [];
  for (let at = error, depth = 0; at != null && depth < 10; at = at.cause, depth++) {
    texts.push(String(at), String(at.stack), JSON.stringify(at.details) ?? "");
  }
  return texts.join("\n");
}

/**
 * Runs a function for each of a list, at most `most` at a time; the results come in the list's order.
 * @template T, R
 * @param {readonly T[]} list
 * @param {number} most
 * @param {(item: T, at: number) => Promise<R>} run
 * @returns {Promise<R[]>}
 */
export async function inTurns(list, most, run) {
  const results = new Array(list.length);
  const waiting = list.entries();
  const worker = async () => {
    for (const [at, item] of waiting) results[at] = await run(item, at);
  };
  await Promise.all(Array.from({ length: most }, worker));
  return results;
}

/**
 * @param {readonly Cell[]} list
 * @param {Bench} bench
 */
export const runCells = (list, bench, most = 12) => inTurns(list, most, (cell) => runCell(cell, bench));
