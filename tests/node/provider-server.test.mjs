// The test server does what it says: every fault, every check, every count, seen from outside.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";

import { faultNames, faultOf } from "../provider-server/faults/index.mjs";
import { Log } from "../provider-server/log.mjs";
import { faults as cellFaults, cells, runCell, runCells, wires } from "../provider-server/matrix.mjs";
import { spawnServer, startServer } from "../provider-server/server.mjs";
import { answerTo } from "../provider-server/text.mjs";

const script = resolve(import.meta.dirname, "../provider-server/server.mjs");
const prompt = `Please fix the parser in src/parser.rs; it fails at line 42 with E0308. ${"It worked before. ".repeat(120)}`;
const messages = [{ role: "user", content: prompt }];

/** A good request of each format. */
const formats = {
  "openai-chat": {
    path: "/v1/chat/completions",
    headers: { authorization: "Bearer test-key" },
    body: { model: "test", messages, max_tokens: 400 },
    text: (body) => body.choices[0].message.content,
    error: (body) => body.error.message,
  },
  "openai-responses": {
    path: "/v1/responses",
    headers: { authorization: "Bearer test-key" },
    body: { model: "test", input: prompt, max_output_tokens: 400 },
    text: (body) => body.output[0].content[0].text,
    error: (body) => body.error.message,
  },
  anthropic: {
    path: "/v1/messages",
    headers: { "x-api-key": "test-key", "anthropic-version": "2023-06-01" },
    body: { model: "test", messages, max_tokens: 400 },
    text: (body) => body.content[0].text,
    error: (body) => body.type === "error" && body.error.message,
  },
  gemini: {
    path: "/v1beta/models/test:generateContent",
    streamPath: "/v1beta/models/test:streamGenerateContent?alt=sse",
    headers: { "x-goog-api-key": "test-key" },
    body: { contents: [{ role: "user", parts: [{ text: prompt }] }], generationConfig: { maxOutputTokens: 400 } },
    text: (body) => body.candidates[0].content.parts[0].text,
    error: (body) => body.error.message,
  },
  ollama: {
    path: "/api/chat",
    headers: {},
    body: { model: "test", messages, stream: false, options: { num_ctx: 8_192, num_predict: 400 } },
    text: (body) => body.message.content,
    error: (body) => body.error,
  },
};
const chat = formats["openai-chat"];
const names = Object.keys(formats);

let server;
before(async () => {
  server = await startServer();
});
after(() => server.close());

/** Path, headers and body of a request that meets a fault. */
function request(fault, { format = "openai-chat", stream = false, headers = {}, change = {} } = {}) {
  const { path, streamPath = path, headers: own, body } = formats[format];
  const streamed = format === "gemini" ? {} : { stream: true };
  return {
    path: `/${fault}${stream ? streamPath : path}`,
    headers: { "content-type": "application/json", ...own, ...headers },
    body: JSON.stringify({ ...body, ...(stream && streamed), ...change }),
  };
}

/** Sends a request and returns when its head has come. `onEnd` says how the body ended. */
async function open(fault, options) {
  const { path, headers, body } = request(fault, options);
  const req = http.request(`${server.url}${path}`, { method: "POST", headers, agent: false });
  req.end(body);
  const [res] = await once(req, "response");
  return { req, res, status: res.statusCode, headers: res.headers };
}

/** Sends a request and returns all of the answer. */
async function ask(fault, options) {
  const { res, ...head } = await open(fault, options);
  const pieces = [];
  for await (const piece of res) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  return { ...head, bytes, pieces: pieces.length, text: bytes.toString("utf8"), complete: res.complete };
}

const json = async (fault, options) => JSON.parse((await ask(fault, options)).text);

/** Sends a request over a bare connection: what comes back, and how it ends. */
async function bare(fault, options) {
  const { path, headers, body } = request(fault, options);
  const socket = net.connect(server.port, "127.0.0.1");
  const lines = Object.entries({ host: "server", "content-length": Buffer.byteLength(body), ...headers });
  socket.write(`POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`);
  let bytes = "";
  socket.setEncoding("latin1").on("data", (piece) => {
    bytes += piece;
  });
  const how = await new Promise((resolve) => {
    socket.once("end", () => resolve("end")).once("error", ({ code }) => resolve(code));
  });
  socket.destroy();
  const [head, ...rest] = bytes.split("\r\n\r\n");
  return { how, head, body: rest.join("\r\n\r\n") };
}

const control = async (path, method = "GET") => (await fetch(`${server.url}${path}`, { method })).json();

/** Asks again until the answer is one to go on with, which it has to be within ten seconds. */
async function eventually(ask, isSo) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const answer = await ask();
    if (isSo(answer)) return answer;
    assert.ok(Date.now() < deadline, `not within ten seconds: ${isSo}`);
  }
}

/** Waits until the log of a test says so. */
const logged = (id, isSo) =>
  eventually(
    () => control(`/_log?id=${id}`),
    (entries) => entries.some(isSo),
  );

/** The events of a stream, each with its separator. */
const events = (text) => text.split(/(?<=\n\n)/);

/** The ids in an answer are of one request. */
const withoutId = (text) => text.replaceAll(/test\d{8}/g, "test");

/** What was tested here: all that there is. */
const tested = new Set();
function fault(name, says, check) {
  tested.add(name);
  test(`${name}: ${says}`, check);
}

describe("answers", { concurrency: true }, () => {
  for (const format of names) {
    test(`of ${format} are the same every time, and summaries`, async () => {
      const { text } = formats[format];
      const [one, two] = await Promise.all([json("ok", { format }), json("ok", { format })]);
      assert.match(text(one), /^1\. User Intent: “Please fix the parser in src\/parser\.rs; it fails”/);
      assert.equal(text(one), text(two));
    });

    test(`of ${format} are what a header says, and end where the limit is`, async () => {
      const headers = { "x-test-answer": Buffer.from("é".repeat(2_000)).toString("base64") };
      assert.equal(formats[format].text(await json("ok", { format, headers })), "é".repeat(1_600));
    });

    test(`of ${format} come with their length`, async () => {
      const { headers, bytes } = await ask("ok", { format });
      assert.equal(headers["content-length"], String(bytes.length));
      assert.match(headers["content-type"], /^application\/json/);
    });

    test(`of ${format} need no fault in the path`, async () => {
      const { path, headers, body } = formats[format];
      const init = { method: "POST", headers: { "content-type": "application/json", ...headers } };
      const response = await fetch(`${server.url}${path}`, { ...init, body: JSON.stringify(body) });
      assert.ok(formats[format].text(await response.json()));
    });
  }

  test("pay for themselves and name something, for every kind of request", () => {
    const line = "The test in tests/scan.rs at line 77 says: expected 3, got 4 (E0277).\n";
    for (const [order, shape] of [
      ["Write the note now: the nine sections and nothing else.", /1\. User Intent: .*9\. Next Step: /s],
      ["Write the two to four sentences now.", /\. /],
      ["Write the one sentence now.", /^The goal is/],
      ["Write the two lines now.", /^CURRENT: .*\nCOMPLETED: NONE$/],
      ["Write the numbered list now.", /^1\. /],
    ]) {
      const answer = answerTo(
        `Rules\n\n<conversation 0a1b>\n${line.repeat(40)}\n</conversation 0a1b>\nData.\n${order}`,
      );
      assert.match(answer, shape);
      assert.match(answer, /tests\/scan\.rs/);
      assert.doesNotMatch(answer, /Rules/);
      assert.ok(answer.length < 0.5 * 40 * line.length);
    }
    const record = JSON.parse(answerTo(`<conversation 0a>\n${line}</conversation 0a>\nWrite the JSON object now`));
    assert.equal(typeof record.session_intent, "string");
    assert.match(record.files_modified[0], /scan\.rs/);
    assert.ok(answerTo(`<conversation 0a>\n${line}\n</conversation 0a>\nWrite the note`).length < 0.6 * line.length);
  });

  fault("ok", "a stream says what the whole says", async () => {
    const { text } = await ask("ok", { stream: true });
    const chunks = events(text).slice(0, -1);
    assert.equal(events(text).at(-1), "data: [DONE]\n\n");
    const deltas = chunks.map((event) => JSON.parse(event.slice(6)).choices[0].delta.content ?? "");
    assert.equal(deltas.join(""), chat.text(await json("ok")));
  });

  test("of Gemini without `alt=sse` are one array", async () => {
    const { path, headers, body } = request("ok", { format: "gemini", stream: true });
    const response = await fetch(server.url + path.replace("?alt=sse", ""), { method: "POST", headers, body });
    const chunks = await response.json();
    assert.equal(chunks.at(-1).candidates[0].finishReason, "STOP");
  });

  test("of Ollama come as lines unless the request says otherwise", async () => {
    const { text, headers } = await ask("ok", { format: "ollama", change: { stream: undefined } });
    assert.match(headers["content-type"], /ndjson/);
    assert.equal(JSON.parse(text.trimEnd().split("\n").at(-1)).done, true);
  });

  fault("thinking", "thoughts have their own place", async () => {
    for (const format of names) {
      const { text } = await ask("thinking", { format });
      assert.match(text, /I weigh what matters/);
    }
  });

  fault("refusal", "each vendor refuses in its way", async () => {
    const of = (format) => json("refusal", { format });
    assert.equal((await of("openai-chat")).choices[0].message.content, null);
    assert.equal((await of("openai-responses")).output[0].content[0].type, "refusal");
    assert.equal((await of("anthropic")).stop_reason, "refusal");
    assert.equal((await of("gemini")).candidates[0].finishReason, "SAFETY");
    assert.match((await of("ollama")).message.content, /^I'm sorry/);
  });

  fault("filter", "each filter blocks in its way", async () => {
    const of = (format) => json("filter", { format });
    assert.equal((await of("openai-chat")).choices[0].finish_reason, "content_filter");
    assert.equal((await of("openai-responses")).incomplete_details.reason, "content_filter");
    assert.equal((await of("anthropic")).stop_reason, "refusal");
    assert.equal((await of("gemini")).promptFeedback.blockReason, "PROHIBITED_CONTENT");
  });

  fault("blank", "there is no text, and the answer is complete", async () => {
    const of = (format) => json("blank", { format });
    assert.deepEqual(chat.text(await of("openai-chat")), "");
    assert.deepEqual((await of("openai-responses")).output[0].content, []);
    assert.deepEqual((await of("anthropic")).content, []);
    assert.deepEqual((await of("gemini")).candidates[0].content, { role: "model" });
    assert.equal((await of("ollama")).message.content, "");
  });

  fault("length", "half of the text, and it is said why", async () => {
    const whole = chat.text(await json("ok"));
    const cut = await json("length");
    assert.equal(cut.choices[0].finish_reason, "length");
    assert.ok(whole.startsWith(chat.text(cut)));
    assert.ok(Math.abs(chat.text(cut).length - whole.length / 2) <= 1);
    assert.equal((await json("length", { format: "anthropic" })).stop_reason, "max_tokens");
    assert.equal((await json("length", { format: "gemini" })).candidates[0].finishReason, "MAX_TOKENS");
    assert.equal((await json("length", { format: "ollama" })).done_reason, "length");
    assert.equal((await json("length", { format: "openai-responses" })).status, "incomplete");
  });

  fault("truncated-prompt", "a tenth was read", async () => {
    const all = (await json("ok")).usage.prompt_tokens;
    assert.equal((await json("truncated-prompt")).usage.prompt_tokens, Math.floor(all / 10));
  });
});

describe("statuses", { concurrency: true }, () => {
  for (const name of faultNames.filter((name) => /^s\d+$/.test(name))) {
    fault(name, "has the vendor's error", async () => {
      for (const format of names) {
        for (const stream of [false, true]) {
          const { status, text, headers } = await ask(name, { format, stream });
          assert.equal(status, Number(name.slice(1)));
          assert.match(headers["content-type"], /^application\/json/);
          assert.ok(formats[format].error(JSON.parse(text)).length > 5);
        }
      }
    });

    fault(`${name}-plain`, "has words that are no JSON", async () => {
      const { status, text, headers } = await ask(`${name}-plain`);
      assert.equal(status, Number(name.slice(1)));
      assert.match(headers["content-type"], /^text\/plain/);
      assert.match(text, /^[A-Z][A-Za-z ]+$/);
    });
  }

  test("retry-after-N: says how long to wait", async () => {
    const { status, headers } = await ask("retry-after-7");
    assert.deepEqual([status, headers["retry-after"]], [429, "7"]);
    assert.equal((await ask("retry-after-0.25")).headers["retry-after"], "0.25");
    const { error } = await json("retry-after-7", { format: "gemini" });
    assert.equal(error.details[0].retryDelay, "7s");
  });

  fault("retry-date", "says until when to wait", async () => {
    const asked = Date.now();
    const { status, headers } = await ask("retry-date");
    const ahead = Date.parse(headers["retry-after"]) - asked;
    assert.equal(status, 429);
    assert.match(headers["retry-after"], / GMT$/);
    assert.ok(ahead >= 1_000 && ahead < 3_000, `${ahead} ms ahead`);
  });

  fault("context", "a request that fits is refused, in words of the vendor", async () => {
    for (const [format, words] of [
      ["openai-chat", /maximum context length is 8192 tokens.*resulted in 8\d\d\d tokens/],
      ["openai-responses", /exceeds the context window/],
      ["anthropic", /^prompt is too long: 8\d\d\d tokens > 8192 maximum$/],
      ["gemini", /input token count \(8\d\d\d\) exceeds the maximum number of tokens allowed \(8192\)/],
      ["ollama", /exceeded max context length by \d+ tokens/],
    ]) {
      const { status, text } = await ask("context", { format });
      assert.equal(status, 400);
      assert.match(formats[format].error(JSON.parse(text)), words);
    }
  });

  test("context-N: the window has N tokens", async () => {
    const size = Math.ceil(prompt.length / 4);
    assert.equal((await ask(`context-${size}`)).status, 200);
    assert.match((await json(`context-${size - 1}`)).error.message, new RegExp(`${size - 1} .* ${size} tokens`));
  });

  fault("echo-key", "any key is repeated", async () => {
    for (const [format, headers] of [
      ["openai-chat", { authorization: "Bearer sk-other" }],
      ["anthropic", { "x-api-key": "sk-other" }],
      ["gemini", { "x-goog-api-key": "sk-other" }],
    ]) {
      const { status, text } = await ask("echo-key", { format, headers });
      assert.equal(status, 401);
      assert.match(formats[format].error(JSON.parse(text)), /: sk-other\./);
    }
  });

  fault("html", "a page with 200", async () => {
    const { status, headers, text } = await ask("html");
    assert.equal(status, 200);
    assert.match(headers["content-type"], /^text\/html/);
    assert.match(text, /<title>Welcome/);
  });

  fault("html-502", "a page with 502", async () => {
    const { status, text } = await ask("html-502");
    assert.equal(status, 502);
    assert.match(text, /<title>502 Bad Gateway/);
  });

  fault("204", "nothing", async () => {
    const { status, text } = await ask("204");
    assert.deepEqual([status, text], [204, ""]);
  });

  fault("redirect", "leads to the right answer with method and body", async () => {
    const { status, headers } = await ask("redirect");
    assert.deepEqual([status, headers.location], [307, "/ok/v1/chat/completions"]);
    const { path, ...init } = request("redirect");
    const response = await fetch(server.url + path, { method: "POST", ...init });
    assert.ok(chat.text(await response.json()));
    const { headers: gemini } = await ask("redirect", { format: "gemini", stream: true });
    assert.equal(gemini.location, "/ok/v1beta/models/test:streamGenerateContent?alt=sse");
  });

  fault("redirect-303", "leads to a place that is not for reading", async () => {
    const { path, ...init } = request("redirect-303");
    const response = await fetch(server.url + path, { method: "POST", ...init });
    assert.equal(response.status, 405);
  });

  fault("redirect-loop", "leads to itself", async () => {
    const { status, headers } = await ask("redirect-loop");
    assert.deepEqual([status, headers.location], [307, "/redirect-loop/v1/chat/completions"]);
  });
});

describe("bodies", { concurrency: true }, () => {
  fault("slow-headers", "nothing comes until the client goes", async () => {
    const { path, headers, body } = request("slow-headers", { headers: { "x-test-id": "slow-headers" } });
    const req = http.request(server.url + path, { method: "POST", headers, agent: false });
    let answered = false;
    req.on("response", () => {
      answered = true;
    });
    req.on("error", () => {});
    req.end(body);
    await logged("slow-headers", ({ fault, running }) => fault === "slow-headers" && running);
    assert.equal(answered, false);
    req.destroy();
    const [entry] = await logged("slow-headers", ({ gone }) => gone);
    assert.deepEqual([entry.running, entry.status], [false, null]);
  });

  fault("slow-body", "a byte a second", async () => {
    const { req, res, status } = await open("slow-body", { headers: { "x-test-id": "slow-body" } });
    assert.equal(status, 200);
    let received = 0;
    for await (const piece of res) {
      assert.equal(piece.length, 1);
      if (++received === 3) break;
    }
    req.destroy();
    const [{ ms }] = await logged("slow-body", ({ gone }) => gone);
    assert.ok(ms > 1_950 && ms < 6_000, `three bytes in ${ms} ms`);
  });

  for (const stream of [false, true]) {
    const kind = stream ? "stream" : "whole";
    const id = `stall-${kind}`;
    fault("stall", `half of the ${kind}, then silence`, async () => {
      const { bytes: all } = await ask("ok", { stream });
      const { req, res } = await open("stall", { stream, headers: { "x-test-id": id } });
      let received = 0;
      for await (const piece of res) {
        received += piece.length;
        if (received >= all.length * 0.4) break;
      }
      assert.ok(received < all.length * 0.6, `${received} of ${all.length}`);
      req.destroy();
      const [{ status }] = await logged(id, ({ gone }) => gone);
      assert.equal(status, 200);
    });

    fault("half-closed", `the connection ends in the middle of the ${kind}`, async () => {
      const { how, head, body } = await bare("half-closed", { stream });
      const promised = Number(/content-length: (\d+)/i.exec(head)[1]);
      assert.equal(how, "end");
      assert.ok(body.length > promised * 0.4 && body.length < promised * 0.6, `${body.length} of ${promised}`);
    });

    fault("reset-mid", `the connection is reset in the middle of the ${kind}`, async () => {
      const { how, head, body } = await bare("reset-mid", { stream });
      const promised = Number(/content-length: (\d+)/i.exec(head)[1]);
      assert.equal(how, "ECONNRESET");
      assert.ok(body.length > promised * 0.4 && body.length < promised * 0.6, `${body.length} of ${promised}`);
    });

    fault("garbage", `the chunks of the ${kind} are none`, async () => {
      const { how, head, body } = await bare("garbage", { stream });
      assert.equal(how, "end");
      assert.match(head, /transfer-encoding: chunked/);
      assert.match(body, /\r\nno size at all\r\n/);
      const { path, ...init } = request("garbage", { stream });
      const read = fetch(server.url + path, { method: "POST", ...init }).then((response) => response.text());
      await assert.rejects(read, ({ cause }) => cause.code === "HPE_INVALID_CHUNK_SIZE");
    });

    fault("gzip", `the ${kind} is compressed`, async () => {
      const { headers, bytes } = await ask("gzip", { stream });
      assert.equal(headers["content-encoding"], "gzip");
      const { text } = await ask("ok", { stream });
      assert.equal(withoutId(gunzipSync(bytes).toString()), withoutId(text));
    });

    fault("bad-gzip", `the ${kind} is said to be compressed and is not`, async () => {
      const { headers, text } = await ask("bad-gzip", { stream });
      assert.equal(headers["content-encoding"], "gzip");
      assert.equal(withoutId(text), withoutId((await ask("ok", { stream })).text));
    });

    fault("random", `noise instead of the ${kind}`, async () => {
      const { status, headers, bytes } = await ask("random", { stream });
      assert.deepEqual([status, bytes.length], [200, 4_096]);
      assert.match(headers["content-type"], stream ? /^text\/event-stream/ : /^application\/json/);
      assert.ok(new Set(bytes).size > 200);
    });

    fault("wrong-type", `the right ${kind} as plain text`, async () => {
      const { headers, text } = await ask("wrong-type", { stream });
      assert.equal(headers["content-type"], "text/plain");
      assert.equal(withoutId(text), withoutId((await ask("ok", { stream })).text));
    });

    fault("huge", `a ${kind} of 50 MiB`, async () => {
      const { status, bytes, complete } = await ask("huge", { stream });
      assert.deepEqual([status, complete], [200, true]);
      assert.ok(bytes.length > 50 * 1024 * 1024);
      assert.doesNotThrow(() => {
        const tail = events(bytes.subarray(-1_000).toString()).at(-1);
        return stream ? assert.equal(tail, "data: [DONE]\n\n") : JSON.parse(bytes.toString());
      });
    });
  }

  fault("reset", "the connection is reset at once", async () => {
    const { how, head } = await bare("reset");
    assert.deepEqual([how, head], ["ECONNRESET", ""]);
  });

  fault("wrong-json", "JSON of another shape", async () => {
    const { status, text, headers } = await ask("wrong-json");
    assert.equal(status, 200);
    assert.equal(headers["content-type"], "application/json");
    assert.equal(JSON.parse(text).choices, undefined);
  });

  fault("huge-error", "50 MiB of error", async () => {
    const { status, bytes } = await ask("huge-error");
    assert.equal(status, 500);
    assert.ok(bytes.length > 50 * 1024 * 1024);
    assert.equal(typeof JSON.parse(bytes.toString()).error.message, "string");
  });

  test("a huge body is not made when nobody reads it", async () => {
    const { req, res } = await open("huge", { headers: { "x-test-id": "unread" } });
    await once(res, "data");
    req.destroy();
    await logged("unread", ({ gone }) => gone);
  });
});

describe("streams", { concurrency: true }, () => {
  const stream = true;

  fault("sse-cut", "the end comes in the middle of an event", async () => {
    for (const format of names.filter((name) => name !== "ollama")) {
      const { text, complete } = await ask("sse-cut", { format, stream });
      assert.equal(complete, true);
      assert.doesNotMatch(text, /\n\r?\n$/);
      assert.ok((await ask("ok", { format, stream })).text.length > text.length * 1.5);
    }
    const { text: lines } = await ask("sse-cut", { format: "ollama", stream });
    assert.throws(() => JSON.parse(lines.split("\n").at(-1)), SyntaxError);
  });

  fault("sse-dup", "every event comes twice", async () => {
    const all = events(withoutId((await ask("ok", { stream })).text));
    const twice = events(withoutId((await ask("sse-dup", { stream })).text));
    assert.deepEqual(
      twice,
      all.flatMap((event) => [event, event]),
    );
  });

  fault("sse-split", "the right bytes come one by one", async () => {
    const { text, pieces, bytes } = await ask("sse-split", { stream });
    assert.equal(withoutId(text), withoutId((await ask("ok", { stream })).text));
    assert.ok(pieces > bytes.length / 4, `${pieces} pieces of ${bytes.length} bytes`);
    assert.notEqual(bytes.length, text.length, "characters of several bytes are split too");
  });

  fault("sse-error", "an error comes half way", async () => {
    for (const [format, words] of [
      ["openai-chat", /^data: \{"error":\{"message":".*overloaded/],
      ["openai-responses", /^event: error\ndata: \{"type":"error","code":"server_error"/],
      ["anthropic", /^event: error\ndata: \{"type":"error","error":\{"type":"overloaded_error"/],
      ["gemini", /^data: \{"error":\{"code":503/],
    ]) {
      const { status, text } = await ask("sse-error", { format, stream });
      assert.equal(status, 200);
      assert.match(text.split(/\r?\n\r?\n/).at(-2), words);
    }
    const { text: lines } = await ask("sse-error", { format: "ollama", stream });
    assert.equal(typeof JSON.parse(lines.trimEnd().split("\n").at(-1)).error, "string");
  });

  fault("sse-no-end", "all of the text, and nothing that says so", async () => {
    for (const [format, last] of [
      ["openai-chat", /finish_reason":"stop|\[DONE\]/],
      ["openai-responses", /response\.completed/],
      ["anthropic", /message_delta|message_stop/],
      ["gemini", /finishReason/],
      ["ollama", /"done":true/],
    ]) {
      const text = withoutId((await ask("sse-no-end", { format, stream })).text);
      const all = withoutId((await ask("ok", { format, stream })).text);
      assert.doesNotMatch(text, last);
      assert.ok(all.startsWith(text));
      const rest = all.slice(text.length).trimEnd().split(/\n+/);
      assert.match(rest.join("\n"), last);
      assert.ok(rest.length <= 4 && text.length > all.length / 3);
    }
  });

  test("a request for a whole answer gets it", async () => {
    for (const name of faultNames.filter((name) => name.startsWith("sse-"))) assert.ok(chat.text(await json(name)));
  });
});

describe("pages", { concurrency: true }, () => {
  const preflight = (name) => fetch(`${server.url}/${name}${chat.path}`, { method: "OPTIONS" });

  test("may ask and read everything", async () => {
    const { status, headers } = await preflight("s429");
    assert.equal(status, 204);
    assert.equal(headers.get("access-control-allow-origin"), "*");
    assert.match(headers.get("access-control-allow-headers"), /^\*, authorization$/);
    for (const name of ["ok", "s401", "html-502", "redirect", "204", "gzip", "huge-error"]) {
      const { req, headers } = await open(name);
      assert.equal(headers["access-control-allow-origin"], "*", name);
      req.destroy();
    }
    assert.match((await bare("garbage")).head, /access-control-allow-origin: \*/);
  });

  fault("no-cors", "pages may not", async () => {
    const { status, headers } = await preflight("no-cors");
    assert.deepEqual([status, headers.get("access-control-allow-origin")], [403, null]);
    const answer = await ask("no-cors");
    assert.ok(chat.text(JSON.parse(answer.text)));
    assert.equal(answer.headers["access-control-allow-origin"], undefined);
  });

  test("do not use up what is counted by asking whether they may", async () => {
    const headers = { "x-test-id": "preflight" };
    const path = `/flaky-1${chat.path}`;
    await fetch(server.url + path, { method: "OPTIONS", headers });
    assert.equal((await ask("flaky-1", { headers })).status, 503);
  });
});

describe("counts", { concurrency: true }, () => {
  const statuses = async (name, id, times) => {
    const seen = [];
    for (let at = 0; at < times; at++) seen.push((await ask(name, { headers: { "x-test-id": id } })).status);
    return seen;
  };

  test("flaky-N: the first N requests of each test fail", async () => {
    const [one, two] = await Promise.all([statuses("flaky-2", "one", 4), statuses("flaky-2", "two", 4)]);
    assert.deepEqual([one, two], [Array.of(503, 503, 200, 200), Array.of(503, 503, 200, 200)]);
  });

  test("fault,N: the first N requests of each test meet it", async () => {
    assert.deepEqual(await statuses("s429,1", "three", 3), [429, 200, 200]);
    assert.deepEqual(await statuses("s500,0", "four", 1), [200]);
  });

  test("random-SEED: the same draws for a seed, half of them good, all faults among them", () => {
    const draws = (seed) => {
      let drawn = 0;
      return Array.from({ length: 4_000 }, () => faultOf(`random-${seed}`, () => ++drawn).name);
    };
    const one = draws(1);
    assert.deepEqual(one, draws(1));
    assert.notDeepEqual(one, draws(2));
    const good = one.filter((name) => name === "ok").length;
    assert.ok(good > 1_900 && good < 2_150, `${good} of 4,000 are good`);
    assert.deepEqual(new Set(one), new Set(faultNames));
  });

  test("a fault that does not exist is not taken for a good answer", async () => {
    const { status, text } = await ask("s42");
    assert.equal(status, 404);
    assert.match(text, /no fault \\"s42\\"/);
  });
});

describe("requests", { concurrency: true }, () => {
  /** Header changes and body changes that each vendor refuses. */
  const refused = {
    "openai-chat": [
      [401, /didn't provide an API key/, {}, { authorization: "" }],
      [401, /Incorrect API key provided: wron\*\*\*\*-key/, {}, { authorization: "Bearer wrong-key" }],
      [400, /Unrecognized request argument supplied: max_output_tokens/, { max_output_tokens: 5 }],
      [400, /Missing required parameter: 'model'/, { model: undefined }],
      [400, /Missing required parameter: 'messages'/, { messages: undefined }],
      [400, /empty array/, { messages: [] }],
      [400, /Invalid value: 'robot'/, { messages: [{ role: "robot", content: "x" }] }],
      [400, /empty string/, { messages: [{ role: "user", content: "" }] }],
      [400, /expected a string or a non-empty array/, { messages: [{ role: "user", content: null }] }],
      [400, /Unknown parameter: 'messages\[0\]\.id'/, { messages: [{ role: "user", content: "x", id: "a" }] }],
      [400, /'max_tokens': expected a positive integer/, { max_tokens: 0 }],
      [400, /'max_tokens': expected a positive integer/, { max_tokens: 1.5 }],
      [400, /at the same time/, { max_completion_tokens: 5 }],
      [400, /Use 'max_completion_tokens' instead/, { model: "gpt-5-mini" }],
      [400, /'stream_options' parameter is only allowed/, { stream_options: { include_usage: true } }],
      [400, /'stream': expected a boolean/, { stream: "yes" }],
      [404, /`no-such-model` does not exist/, { model: "no-such-model" }],
    ],
    "openai-responses": [
      [401, /didn't provide an API key/, {}, { authorization: "" }],
      [400, /Unknown parameter: 'messages'/, { messages }],
      [400, /Unknown parameter: 'max_tokens'/, { max_tokens: 50 }],
      [400, /Missing required parameter: 'input'/, { input: "" }],
      [400, /Missing required parameter: 'input'/, { input: [] }],
      [400, /Invalid value: 'tool'/, { input: [{ role: "tool", content: "x" }] }],
      [400, /Supported values are: input_text/, { input: [{ role: "user", content: [{ type: "text", text: "x" }] }] }],
      [400, /Expected a value >= 16, but got 15/, { max_output_tokens: 15 }],
      [400, /'store': expected a boolean/, { store: 1 }],
      [400, /'no-such-model' does not exist/, { model: "no-such-model" }],
    ],
    anthropic: [
      [401, /x-api-key header is required/, {}, { "x-api-key": undefined }],
      [401, /invalid x-api-key/, {}, { "x-api-key": "wrong", authorization: "Bearer test-key" }],
      [401, /dangerous-direct-browser-access/, {}, { origin: "http://localhost" }],
      [400, /anthropic-version: header is required/, {}, { "anthropic-version": undefined }],
      [400, /is not a valid version/, {}, { "anthropic-version": "2024-01-01" }],
      [400, /^temperature: Extra inputs/, { temperature: 1 }, { "anthropic-version": "2026-10-21" }],
      [400, /^max_completion_tokens: Extra inputs/, { max_completion_tokens: 5 }],
      [400, /^max_tokens: Field required/, { max_tokens: undefined }],
      [400, /^max_tokens: Input should be a valid integer/, { max_tokens: 0 }],
      [400, /at least one message/, { messages: [] }],
      [400, /top-level `system` parameter/, { messages: [{ role: "system", content: "x" }, ...messages] }],
      [400, /first message must use the "user" role/, { messages: [{ role: "assistant", content: "x" }] }],
      [400, /non-empty content/, { messages: [{ role: "user", content: "" }] }],
      [400, /must be non-empty/, { messages: [{ role: "user", content: [{ type: "text", text: "" }] }] }],
      [400, /trailing whitespace/, { messages: [...messages, { role: "assistant", content: "x " }] }],
      [404, /^model: no-such-model/, { model: "no-such-model" }],
    ],
    gemini: [
      [403, /unregistered callers/, {}, { "x-goog-api-key": undefined }],
      [400, /API key not valid/, {}, { "x-goog-api-key": "wrong" }],
      [400, /Unknown name "messages": Cannot find field/, { messages }],
      [400, /Unknown name "maxTokens" at 'generation_config'/, { generationConfig: { maxTokens: 5 } }],
      [400, /contents is not specified/, { contents: [] }],
      [400, /valid role: user, model/, { contents: [{ role: "assistant", parts: [{ text: "x" }] }] }],
      [400, /parts must not be empty/, { contents: [{ role: "user", parts: [] }] }],
      [400, /must have one initialized field/, { contents: [{ role: "user", parts: [{ text: "" }] }] }],
      [400, /must be positive/, { generationConfig: { maxOutputTokens: 0 } }],
    ],
    ollama: [
      [400, /model is required/, { model: "" }],
      [400, /unknown field "max_tokens"/, { max_tokens: 5 }],
      [400, /messages is required/, { messages: [] }],
      [400, /invalid role "developer"/, { messages: [{ role: "developer", content: "x" }] }],
      [400, /invalid option provided: "max_tokens"/, { options: { max_tokens: 5 } }],
      [400, /"num_predict" must be of type integer/, { options: { num_predict: 1.5 } }],
      [400, /"num_ctx" must be positive/, { options: { num_ctx: 0 } }],
      [404, /model 'no-such-model' not found/, { model: "no-such-model" }],
    ],
  };

  for (const [format, cases] of Object.entries(refused)) {
    test(`that ${format} refuses are refused in its words`, async () => {
      for (const [status, words, change, headers = {}] of cases) {
        const merged = { "content-type": "application/json", ...formats[format].headers, ...headers };
        const kept = Object.fromEntries(Object.entries(merged).filter(([, value]) => value));
        const { path, body } = request("ok", { format, change });
        const response = await fetch(server.url + path, { method: "POST", headers: kept, body });
        const message = formats[format].error(await response.json());
        assert.match(message, words);
        assert.equal(response.status, status, message);
      }
    });
  }

  test("that are wrong are told so whatever the fault", async () => {
    for (const name of ["s503", "slow-headers", "reset", "huge"]) {
      assert.equal((await ask(name, { change: { wrong: 1 } })).status, 400);
    }
  });

  test("take a key of Gemini from the address, and a bearer token for Anthropic", async () => {
    const gemini = request("ok", { format: "gemini" });
    delete gemini.headers["x-goog-api-key"];
    const { status } = await fetch(`${server.url}${gemini.path}?key=test-key`, { method: "POST", ...gemini });
    assert.equal(status, 200);
    const { "x-api-key": _, ...headers } = request("ok", { format: "anthropic" }).headers;
    const { path, body } = request("ok", { format: "anthropic" });
    const bearer = { ...headers, authorization: "Bearer test-key" };
    assert.equal((await fetch(server.url + path, { method: "POST", headers: bearer, body })).status, 200);
  });

  test("that are no JSON, of another type, to another path or with another method are refused", async () => {
    const { path, headers, body } = request("ok");
    const send = async (changed) => {
      const response = await fetch(server.url + (changed.path ?? path), { method: "POST", headers, body, ...changed });
      return [response.status, (await response.json()).error.message];
    };
    assert.match((await send({ body: "{" }))[1], /could not parse the JSON body/);
    assert.match((await send({ body: "[]" }))[1], /has to be a JSON object/);
    assert.equal((await send({ headers: { ...headers, "content-type": "text/plain" } }))[0], 415);
    assert.equal((await send({ path: "/ok/v1/completions" }))[0], 404);
    assert.equal((await send({ method: "PUT" }))[0], 405);
  });

  test("of Ollama are cut to its context without a word", async () => {
    const options = { num_predict: 50 };
    const long = [{ role: "user", content: "word ".repeat(10_000) }];
    const answer = await json("ok", { format: "ollama", change: { messages: long, options } });
    assert.equal(answer.prompt_eval_count, 4_096);
  });
});

describe("the log", { concurrency: true }, () => {
  test("holds all of a request", async () => {
    await ask("s429", { headers: { "x-test-id": "log" } });
    const [entry, ...more] = await logged("log", ({ running }) => !running);
    assert.deepEqual(more, []);
    const { method, path, headers, body, fault, status, gone } = entry;
    assert.deepEqual([method, path, fault, status, gone], ["POST", "/s429/v1/chat/completions", "s429", 429, false]);
    assert.equal(headers.authorization, "Bearer test-key");
    assert.deepEqual(body, chat.body);
    assert.ok(Number.isInteger(entry.ms));
  });

  test("marks what broke the rules", async () => {
    await ask("ok", { headers: { "x-test-id": "rules" }, change: { wrong: 1 } });
    const [entry] = await logged("rules", ({ running }) => !running);
    assert.deepEqual([entry.fault, entry.status], ["violation", 400]);
  });

  test("does not call a client gone whose connection the server closed", async () => {
    for (const name of ["reset", "reset-mid", "half-closed", "garbage"]) {
      const id = `closed-${name}`;
      await bare(name, { headers: { "x-test-id": id } });
      const [{ gone }] = await logged(id, ({ running }) => !running);
      assert.equal(gone, false, name);
    }
  });

  test("keeps the latest, and not more than fits", () => {
    const log = new Log();
    const send = (id, text) => log.begin({ headers: { "x-test-id": id }, method: "POST", url: "/" }).read(text);
    for (let at = 0; at < 2_500; at++) send(String(at), "{}");
    assert.equal(log.entries(null).length, 2_000);
    assert.equal(log.entries("2499").length, 1);
    for (const id of ["a", "b", "c"]) send(id, "x".repeat(20_000_000));
    assert.deepEqual(
      log.entries(null).map(({ id }) => id),
      ["c"],
    );
  });
});

describe("a server", () => {
  test("counts, and forgets", async () => {
    const own = await startServer();
    const of = async (path, method = "GET") => (await fetch(own.url + path, { method })).json();
    const { path, ...init } = request("stall");
    const controllers = [1, 2, 3].map(() => new AbortController());
    await Promise.all(controllers.map(({ signal }) => fetch(own.url + path, { method: "POST", ...init, signal })));
    const { openSockets, ...stats } = await of("/_stats");
    assert.deepEqual(stats, { running: 3, total: 3, maxConcurrent: 3, logged: 3 });
    assert.ok(openSockets >= 3);
    for (const controller of controllers) controller.abort();
    await eventually(
      () => of("/_stats"),
      ({ running }) => running === 0,
    );
    await of("/_reset", "POST");
    const { running, total, maxConcurrent, logged } = await of("/_stats");
    assert.deepEqual({ running, total, maxConcurrent, logged }, { running: 0, total: 0, maxConcurrent: 0, logged: 0 });
    await own.close();
  });

  test("closes while requests hang", async () => {
    const own = await startServer();
    const { path, ...init } = request("slow-headers");
    const hanging = assert.rejects(fetch(own.url + path, { method: "POST", ...init }));
    await eventually(
      async () => (await fetch(`${own.url}/_stats`)).json(),
      ({ running }) => running > 0,
    );
    await own.close();
    await hanging;
  });

  test("of its own process says where it is, and closes", async () => {
    const own = await spawnServer();
    assert.equal((await fetch(`${own.url}/_stats`)).status, 200);
    await own.close();
    await assert.rejects(fetch(`${own.url}/_stats`));
  });

  /** Has another process start one and then do something; returns where the server is when that process has ended. */
  async function startedBy(parent) {
    const code = `import { spawnServer } from ${JSON.stringify(script)};
      const { url, pid } = await spawnServer();
      process.stdout.write(url + " " + pid, () => { ${parent} });`;
    const stdio = ["ignore", "pipe", "inherit"];
    const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio, timeout: 10_000 });
    const [[text], [, signal]] = await Promise.all([
      once(child.stdout.setEncoding("utf8"), "data"),
      once(child, "exit"),
    ]);
    const [url, pid] = text.split(" ");
    return { url, pid: Number(pid), signal };
  }

  /** Waits for a server to end, and sees to it. */
  async function ends({ url, pid }) {
    const answers = () => fetch(`${url}/_stats`).catch(() => undefined);
    await eventually(answers, (answer) => answer === undefined).catch((error) => {
      process.kill(pid);
      throw error;
    });
  }

  test("of its own process ends with its parent, however that ends", async () => {
    const started = await startedBy('process.kill(process.pid, "SIGKILL")');
    assert.equal(started.signal, "SIGKILL");
    await ends(started);
  });

  test("of its own process does not keep its parent alive", async () => {
    const started = await startedBy("");
    await ends(started);
    assert.equal(started.signal, null);
  });

  test("started by hand takes a port and stays", async () => {
    const child = spawn(process.execPath, [script, "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(child.stdout.setEncoding("utf8"), "data");
    const [, url] = /^listening on (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(line);
    assert.equal((await fetch(`${url}/_stats`)).status, 200);
    child.kill();
    await once(child, "exit");
  });
});

describe("the matrix", () => {
  const codes = {
    400: "provider_bad_request",
    401: "provider_auth",
    429: "provider_rate_limited",
    503: "provider_unavailable",
  };
  const paths = { anthropic: "/v1/messages", gemini: "/models/test:generateContent", ollama: "/api/chat" };
  const refusal = (code, message) => Object.assign(new Error(message), { code });

  /** A provider that only knows statuses. */
  const asking = (format, path) => (options) => async () => {
    const { headers, body } = request("ok", { format });
    const init = { method: "POST", headers: { ...headers, ...options.headers }, body };
    const { status } = await fetch(options.baseUrl + path, init);
    if (status !== 200) throw refusal(codes[status] ?? "provider_unavailable", "refused");
  };
  const providers = {
    openai: ({ api, ...options }) =>
      asking(...(api ? ["openai-responses", "/responses"] : ["openai-chat", "/chat/completions"]))(options),
    ...Object.fromEntries(Object.entries(paths).map(([format, path]) => [format, asking(format, path)])),
  };
  /** A package that asks its provider once, and has a summary where that answers. */
  const epitome = {
    compact: async (given, { provider, onProgress }) => {
      onProgress({ type: "request" });
      try {
        await provider();
      } catch (error) {
        onProgress({ type: "failure", code: error.code });
        throw error;
      }
      onProgress({ type: "answer" });
      const summary = { role: "user", content: "1. User Intent: to see what is found" };
      return { messages: [summary, ...given.slice(38)], report: { after: 9, warnings: [], models: { requests: 1 } } };
    },
    countTokens: () => 9,
    validate: () => [],
  };
  const node = (more) => ({
    epitome: { ...epitome, ...more },
    providers,
    server: server.url,
    runtime: /** @type {const} */ ("node"),
  });
  const cellsOf = (...names) => cells.filter(({ fault }) => names.includes(fault));

  test("has every fault, with every format, whole and streamed, and something allowed everywhere", () => {
    assert.deepEqual(
      faultNames.filter((name) => !cellFaults.includes(name)),
      [],
    );
    for (const name of cellFaults)
      assert.ok(
        faultOf(name, () => 1),
        `${name} exists`,
      );
    assert.equal(cells.length, cellFaults.length * wires.length * 2);
    for (const { name, allowed } of cells) {
      for (const runtime of ["node", "workerd", "chromium"]) assert.ok(allowed[runtime].length > 0, name);
    }
  });

  test("leads each format to its place, and judges how it ends", async () => {
    const list = cellsOf("ok", "s429", "s401", "flaky-1", "s400,1");
    const results = await runCells(list, node());
    assert.deepEqual(
      results.map(({ name, outcome }) => [name, outcome]),
      list.map(({ name, fault }) => [
        name,
        { ok: "ok", s429: "rate_limited", s401: "auth", "flaky-1": "unavailable", "s400,1": "bad_request" }[fault],
      ]),
    );
    assert.deepEqual(
      results.flatMap(({ problems }) => problems),
      [],
    );
    const mistaken = await runCells(cellsOf("s404"), node());
    assert.ok(mistaken.every(({ problems }) => problems.length > 0));
    const [{ headers }] = await control(`/_log?id=${results[0].id}`);
    assert.equal(headers["x-test-id"], results[0].id);
  });

  const [good] = cellsOf("ok");
  const [bad] = cellsOf("s401");
  const problemsOf = async (cell, more) => (await runCell(cell, node(more))).problems;
  /** The right result, and a change. */
  const spoilt = (change) => ({
    compact: async (given, options) => {
      const result = await epitome.compact(given, options);
      change(result, given);
      return result;
    },
  });

  test("finds changed messages, results that are not right, and events without an end", async () => {
    assert.deepEqual(await problemsOf(good), []);
    assert.deepEqual(
      await problemsOf(
        good,
        spoilt((_, given) => given.shift()),
      ),
      ["the messages were changed"],
    );
    assert.deepEqual(await problemsOf(good, { countTokens: () => 2_001 }), ["2001 tokens, 9 by the report"]);
    assert.deepEqual(await problemsOf(good, { validate: () => ["wrong"] }), ["the result is not valid"]);
    const copied = spoilt(({ messages: list }) => list.push({ ...list.pop() }));
    assert.deepEqual(await problemsOf(good, copied), ["2 messages are new objects, not the summary alone"]);
    const offline = spoilt(({ messages: list }) => Object.assign(list[0], { content: "by nobody" }));
    assert.deepEqual(await problemsOf(good, offline), ["the summary of the model is not used"]);
    const silent = { compact: (given, { provider }) => epitome.compact(given, { provider, onProgress: () => {} }) };
    assert.deepEqual(await problemsOf(good, silent), ["0 requests"]);
  });

  test("finds keys in whatever is shown", async () => {
    const telling = {
      compact: async () => {
        throw refusal("provider_auth", "Incorrect API key provided: test-key.");
      },
    };
    assert.ok((await problemsOf(bad, telling)).includes("the key is shown"));
    const reporting = spoilt(({ report }) => Object.assign(report, { models: { requests: 1, key: "test-key" } }));
    assert.deepEqual(await problemsOf(good, reporting), ["the key is shown"]);
    const shown = await runCell(good, { ...node(), inspect: () => "apiKey: test-key" });
    assert.deepEqual(shown.problems, ["the key is shown"]);
  });

  test("finds calls that do not end, and those that end too early", async () => {
    const never = await runCell({ ...good, deadlineMs: 50 }, node({ compact: () => new Promise(() => {}) }));
    assert.deepEqual([never.outcome, never.problems], ["unsettled", ["it may end in ok only"]]);
    assert.deepEqual(await problemsOf({ ...good, waitsMs: 10_000 }), ["it was over before 10000 ms"]);
  });
});

test("every fault was tried", () => {
  assert.deepEqual(new Set(faultNames), tested);
});
