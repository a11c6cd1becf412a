// What the documentation shows as code does what it says.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { startServer } from "../provider-server/server.mjs";
import { bundled, epitome, limitFor, load, root } from "./support.mjs";

const { openai } = await load("providers/openai.js");

/** The code block of a page that contains a text. */
function block(page, text) {
  const blocks = readFileSync(`${root}/docs/${page}`, "utf8").matchAll(/```js\n([\s\S]*?)```/g);
  const found = [...blocks].map(([, code]) => code).filter((code) => code.includes(text));
  assert.equal(found.length, 1, `${page} shows \`${text}\` once`);
  return found[0];
}

test("the proxy keeps the key to itself, and bounds what it passes on", async () => {
  const folder = mkdtempSync(join(tmpdir(), "epitome-docs-"));
  const upstream = await startServer();
  let server;
  try {
    const code = block("providers.md", "const UPSTREAM")
      .replace("https://api.openai.com/v1", `${upstream.url}/ok/v1`)
      .concat("const isSignedIn = async (request) => request.headers.get('x-user') === 'me';\n");
    assert.ok(code.split("\n").length <= 36, "about thirty lines");
    writeFileSync(join(folder, "proxy.mjs"), code);
    const { default: proxy } = await import(pathToFileURL(join(folder, "proxy.mjs")).href);
    const env = { OPENAI_API_KEY: "test-key" };
    server = createServer(async (incoming, outgoing) => {
      const chunks = await incoming.toArray();
      const body = incoming.method === "POST" ? Buffer.concat(chunks) : undefined;
      const request = new Request(`http://proxy${incoming.url}`, {
        method: incoming.method,
        headers: incoming.headers,
        body,
      });
      const response = await proxy.fetch(request, env);
      outgoing.writeHead(response.status, Object.fromEntries(response.headers));
      outgoing.end(Buffer.from(await response.arrayBuffer()));
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = `http://127.0.0.1:${server.address().port}`;
    const messages = bundled("coding-agent");
    const budget = limitFor(messages, 0.06);
    const ask = (headers, path = "/llm", stream = false) =>
      epitome.compact(messages, {
        budget,
        provider: openai({ model: "summaries", baseUrl: address + path, headers, stream, attempts: 1 }),
        onProviderError: "throw",
      });
    for (const stream of [false, true]) {
      const { report } = await ask({ "x-user": "me" }, "/llm", stream);
      assert.ok(report.models.requests > 0 && stream === (report.models.outputTokens === 0));
    }
    await assert.rejects(ask({}), { code: "provider_auth" });
    await assert.rejects(ask({ "x-user": "me" }, "/other"), { code: "provider_bad_request" });
    const seen = await (await fetch(`${upstream.url}/_log`)).json();
    const list = seen.requests ?? seen;
    assert.ok(list.length > 0 && list.every((entry) => entry.body.model === "gpt-5-mini"));
    const long = await fetch(`${address}/llm/chat/completions`, {
      method: "POST",
      headers: { "x-user": "me" },
      body: "x".repeat(200_001),
    });
    assert.equal(long.status, 413);
  } finally {
    server?.closeAllConnections();
    server?.close();
    await upstream.close();
    rmSync(folder, { recursive: true });
  }
});

test("the guide to sessions shows what they do", async () => {
  const { memory, Session } = await load("session.node.js");
  const session = await Session.open({ id: "docs", budget: { window: 4_000 }, store: memory() });
  const asked = [];
  const calls = { id: "c1", type: "function", function: { name: "look", arguments: "{}" } };
  const askModel = async (messages) => {
    asked.push(messages.length);
    const message =
      asked.length === 1
        ? { role: "assistant", content: null, tool_calls: [calls] }
        : { role: "assistant", content: "It is fine." };
    return { message, usage: { prompt_tokens: 100 } };
  };
  const runTool = async () => "all is well";
  const turn = new Function("runTool", `${block("sessions.md", "async function turn")}; return turn;`)(runTool);
  assert.equal(await turn(session, "How is it?", askModel), "It is fine.");
  assert.deepEqual(asked, [1, 3]);
  assert.equal(session.view().length, 4);
  await session.close();
});
