// Summaries by a model: the page with a service that speaks like OpenAI, and with one that does not do what it should.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { startServer } from "../provider-server/server.mjs";
import { choose, drop, fitted, moveSlider, pages, settled, totals } from "./support/page.mjs";

const KEY = "test-key";

let site;
let models;
before(async () => {
  [site, models] = await Promise.all([pages(), startServer()]);
});
after(async () => {
  await site?.close();
  await models?.close();
});

/** A conversation of which half has to go behind summaries, in words whose size everybody counts alike. */
const talk = Array.from({ length: 60 }, (_, at) =>
  at % 2 === 0
    ? {
        role: "user",
        content: `Please look at src/module${at}.rs again and explain why the build fails when the cache is cold, step by step, and what we should change about it before the release on Friday.`,
      }
    : {
        role: "assistant",
        content:
          `The build fails because src/module${at - 1}.rs reads its settings before the cache has been filled. Moving the call behind the start of the service solves that, and the tests of the module confirm it. `.repeat(
            3,
          ),
      },
);
const LIMIT = 2000;

/** Opens the conversation above with a limit that needs summaries. */
async function openTalk(page) {
  await drop(page, "talk.json", JSON.stringify(talk));
  await page.getByText("Your file talk.json").waitFor();
  await page.getByLabel("Limit", { exact: true }).fill(String(LIMIT));
  await settled(page);
}

/** Fills in where the model is. The last field that is left starts it. */
async function askAt(page, address, { key = KEY, stream = true, model = "small" } = {}) {
  await page.getByLabel("By a model").check();
  await page.getByLabel("Model", { exact: true }).fill("");
  await page.getByLabel("Address", { exact: true }).fill(address);
  await page.getByLabel(/API key/).fill(key);
  await page.getByLabel("Answer piece by piece").setChecked(stream);
  await page.getByLabel("Model", { exact: true }).fill(model);
  await page.getByLabel("Model", { exact: true }).press("Tab");
}

/** Every test has a path of its own, by which the server's log tells them apart. */
let count = 0;
const address = (fault, server = models) => `${server.url}/${fault}/${++count}/v1`;

/** The requests that the server has got at an address. */
async function requests(address) {
  const { origin, pathname } = new URL(address);
  const log = await (await fetch(`${origin}/_log`)).json();
  return log.filter(({ method, path }) => method === "POST" && path.startsWith(pathname));
}

async function until(condition, what) {
  for (let tries = 0; tries < 200; tries++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.fail(`not within 5 s: ${what}`);
}

const work = (page) => page.locator("#work-text");
const button = (page, name) => page.locator("#work").getByRole("button", { name, exact: true });
const alert = (page) => page.locator("#notices").getByRole("alert");

/** Everything that the page shows, keeps and says. */
async function everythingIn(page, complaints) {
  const inPage = await page.evaluate(() =>
    JSON.stringify([
      document.documentElement.outerHTML,
      { ...localStorage },
      { ...sessionStorage },
      document.cookie,
      location.href,
      document.getElementById("announcement").textContent,
    ]),
  );
  return `${inPage}\n${complaints.join("\n")}`;
}

test("without a model nothing of what talks to models is loaded, not even for later", async () => {
  const { page, context, complaints } = await site.open();
  const loaded = [];
  context.on("request", (request) => loaded.push(request.url()));
  await page.reload();
  await fitted(page);
  await choose(page, "Customer service", 62);
  await moveSlider(page, 20);
  await page.evaluate(() => navigator.serviceWorker.ready);
  const kept = () =>
    page.evaluate(async () => {
      const caches_ = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
      return (await Promise.all(caches_.map((cache) => cache.keys()))).flat().map(({ url }) => url);
    });
  const ofModels = (urls) => urls.filter((url) => /\/(session_bg|session|model)[-._]/.test(new URL(url).pathname));
  assert.deepEqual(ofModels(loaded), []);
  const before = await kept();
  assert.ok(before.some((url) => url.includes("epitome_bg")));
  assert.deepEqual(ofModels(before), []);

  // The control: with a model it is, and it is kept then.
  await page.reload();
  await openTalk(page);
  await askAt(page, address("ok"));
  await button(page, "Ask again").waitFor();
  assert.ok(ofModels(loaded).some((url) => url.includes("session_bg")));
  await until(async () => ofModels(await kept()).some((url) => url.includes("session_bg")), "session_bg is kept");
  assert.deepEqual(complaints, []);
  await context.close();
});

for (const stream of [true, false]) {
  test(`a summary by the model appears in the view, ${stream ? "piece by piece" : "in one piece"}`, async () => {
    const { page, context, complaints } = await site.open();
    await openTalk(page);
    await page.evaluate(() => {
      globalThis.said = [];
      new MutationObserver(() => said.push(document.getElementById("work-text").textContent)).observe(
        document.getElementById("work-text"),
        { childList: true },
      );
    });
    const at = address("ok");
    await askAt(page, at, { stream });
    await button(page, "Ask again").waitFor();

    const sent = await requests(at);
    assert.ok(sent.length > 0);
    for (const { headers, body, status } of sent) {
      assert.equal(status, 200);
      assert.equal(headers.authorization, `Bearer ${KEY}`);
      assert.equal(body.model, "small");
      assert.equal(body.stream ?? false, stream);
    }
    const said = await page.evaluate(() => globalThis.said);
    assert.ok(said.some((text) => /^small: \d+ requests? done, [1-9] running/.test(text)));
    assert.equal(
      said.some((text) => /characters received/.test(text)),
      stream,
    );
    assert.match(await work(page).textContent(), new RegExp(`^small: ${sent.length} requests in <?\\d+\\.\\d s$`));

    const facts = await page.locator("#facts").textContent();
    assert.match(facts, new RegExp(`\\d\\.\\d s ${sent.length} requests, [1-9][\\d,]* tokens in, [1-9][\\d,]* out`));
    assert.equal(await alert(page).count(), 0);
    const { after: size, limit } = await totals(page);
    assert.ok(size <= limit, `${size} within ${limit}`);
    await page.locator('.row[data-look="summary"]').first().click();
    await page.locator(".detail[open]").getByText("User Intent: “").waitFor();
    await page.getByRole("button", { name: "Close" }).click();

    await page.getByRole("button", { name: "Undo", exact: true }).click();
    assert.match(await page.locator(".proof").textContent(), /60 of 60 messages identical; .* byte for byte/);
    assert.equal((await requests(at)).length, sent.length);
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

test("the reader stops a model that says nothing, keeps the result without it, and asks again", async () => {
  const { page, context, complaints } = await site.open();
  await openTalk(page);
  const shown = await totals(page);
  const at = address("slow-headers,4");
  await askAt(page, at);
  await work(page).getByText("running").waitFor();
  assert.deepEqual(await totals(page), shown);
  await button(page, "Stop").focus();
  await page.keyboard.press("Enter");
  await work(page).getByText("Stopped. This is the result without the model.").waitFor();
  await until(async () => (await requests(at)).every(({ gone }) => gone), "every request is given up");
  assert.deepEqual(await totals(page), shown);
  assert.match(await page.locator("#facts").textContent(), /no model called/);
  assert.equal(await alert(page).count(), 0);
  await page.waitForFunction(() => /^Stopped/.test(document.getElementById("announcement").textContent));

  const stopped = (await requests(at)).length;
  assert.ok(await button(page, "Ask again").evaluate((element) => element === document.activeElement));
  // The server says nothing four times only.
  for (let asked = stopped; asked < 4; asked = (await requests(at)).length) {
    await button(page, "Ask again").press("Enter");
    await until(async () => (await requests(at)).length > asked, "it is asked again");
    await button(page, "Stop").press("Enter");
    await work(page).getByText("Stopped").waitFor();
  }
  await button(page, "Ask again").press("Enter");
  await work(page)
    .getByText(/requests in/)
    .waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});

test("another limit, another conversation and no model at all give up what is under way", async () => {
  const { page, context, complaints } = await site.open();
  await openTalk(page);
  const at = address("slow-headers");
  const under = async () => (await requests(at)).filter(({ running }) => running).length;
  await askAt(page, at);
  for (const change of [
    () => page.getByLabel("Limit", { exact: true }).fill(String(LIMIT - 200)),
    () => choose(page, "Chinese dialogue", 395),
    () => page.getByLabel("Without a model").check(),
  ]) {
    await until(async () => (await under()) > 0, "it is asked");
    const { length } = await requests(at);
    await change();
    const givenUp = async () => (await requests(at)).slice(0, length).every(({ gone }) => gone);
    await until(givenUp, "what was under way is given up");
  }
  assert.equal(await page.locator("#work").isVisible(), false);
  assert.equal(await under(), 0);
  const { after: size, limit } = await totals(page);
  assert.ok(size <= limit, `${size} within ${limit}`);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("moving the slider asks once, when it has come to rest", async () => {
  const { page, context } = await site.open();
  await openTalk(page);
  const at = address("slow-headers");
  await askAt(page, at);
  for (const percent of [60, 50, 40, 30]) await moveSlider(page, percent);
  assert.deepEqual(await requests(at), []);
  await until(async () => (await requests(at)).length > 0, "it is asked");
  // Several at once: all of them have to be there before they are counted.
  let length = 0;
  for (let before = -1; before !== length; ) {
    before = length;
    await page.waitForTimeout(500);
    ({ length } = await requests(at));
  }
  await page.locator("#slider").fill("20");
  // It can be stopped before it has begun.
  await button(page, "Stop").click();
  await work(page).getByText("Stopped").waitFor();
  await page.waitForTimeout(1000);
  assert.equal((await requests(at)).length, length);
  await context.close();
});

const failures = [
  ["s401", "provider_auth", /key/i],
  ["s403", "provider_auth", /./],
  ["s429", "provider_rate_limited", /rate|limit/i],
  ["html", "provider_malformed", /./],
  ["no-cors", "provider_opaque", /cannot be reached, or does not allow requests from this page \(CORS\)/],
  ["refusal", "provider_refused", /refused/],
];
for (const [fault, code, words] of failures) {
  test(`${fault} ends in a notice that says what happened, and in the result without the model`, async () => {
    const { page, context, complaints } = await site.open();
    await openTalk(page);
    await askAt(page, address(fault));
    await alert(page).getByText(code, { exact: true }).waitFor({ timeout: 20_000 });
    assert.match(await alert(page).textContent(), words);
    assert.match(await alert(page).textContent(), /the summary was made without it/);
    const { after: size, limit } = await totals(page);
    assert.ok(size <= limit, `${size} within ${limit}`);
    await page.locator('.row[data-look="summary"]').first().click();
    await page.locator(".detail[open]").getByText("Conversation summary by Epitome").waitFor();
    assert.ok(!(await everythingIn(page, complaints)).includes(KEY));
    assert.deepEqual(unexpected(complaints), []);
    await context.close();
  });
}

test("a port where nobody listens ends in a notice, and the next attempt takes it away", async () => {
  const closed = await startServer();
  const nowhere = address("ok", closed);
  await closed.close();
  const { page, context, complaints } = await site.open();
  await openTalk(page);
  await askAt(page, nowhere);
  await alert(page).getByText("provider_opaque").waitFor({ timeout: 20_000 });
  assert.match(await alert(page).textContent(), new RegExp(`^Not all.*${new URL(nowhere).origin} cannot be reached`));
  await askAt(page, address("ok"));
  await work(page)
    .getByText(/requests in/)
    .waitFor();
  assert.equal(await alert(page).count(), 0);
  assert.deepEqual(unexpected(complaints), []);
  await context.close();
});

/** Without what browsers say about every failed request, whoever made it. */
function unexpected(complaints) {
  return complaints.filter((text) => !/^Failed to load resource|blocked by CORS policy/.test(text));
}

test("the key goes to the address and nowhere else", async (t) => {
  const secret = "sk-very-secret-0123456789abcdef";
  const { page, context, complaints } = await site.open();
  page.on("console", (message) => complaints.push(message.text()));
  await openTalk(page);
  const at = address("echo-key");
  await askAt(page, at, { key: secret });
  await alert(page).getByText("provider_auth").waitFor();
  assert.equal((await requests(at))[0].headers.authorization, `Bearer ${secret}`);
  const everything = await everythingIn(page, complaints);
  assert.ok(!everything.includes(secret) && !everything.includes("0123456789abcdef"), everything.slice(-600));
  assert.equal(await page.getByLabel(/API key/).getAttribute("type"), "password");

  // Another path of the same service may have it, another service may not.
  const same = address("ok");
  await page.getByLabel("Address", { exact: true }).fill(same);
  await page.getByLabel("Address", { exact: true }).press("Tab");
  await until(async () => (await requests(same)).length > 0, "the same service is asked");
  assert.equal((await requests(same))[0].headers.authorization, `Bearer ${secret}`);
  const others = await startServer();
  t.after(() => others.close());
  const other = address("ok", others);
  await page.getByLabel("Address", { exact: true }).fill(other);
  await page.getByLabel("Address", { exact: true }).press("Tab");
  await until(async () => (await requests(other)).length > 0, "the other service is asked");
  for (const { headers } of await requests(other)) assert.equal(headers.authorization, undefined);
  assert.equal(await page.getByLabel(/API key/).inputValue(), "");

  await page.reload();
  await fitted(page);
  assert.equal(await page.getByLabel(/API key/).inputValue(), "");
  await context.close();
});

test("a key that no header can hold is refused before anything is sent", async () => {
  const { page, context, complaints } = await site.open();
  const at = address("ok");
  await askAt(page, at, { key: "schlüssel-→-geheim" });
  await page.locator("#model-problem").getByText("This is not a key").waitFor();
  await work(page).getByText("The key is wrong.").waitFor();
  assert.ok(!(await everythingIn(page, complaints)).includes("geheim"));
  assert.deepEqual(await requests(at), []);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a link fills in address and model, but never a key, and the model is asked", async () => {
  const { page, context, complaints } = await site.open();
  const at = address("ok");
  await page.goto(`${site.url}?provider=${encodeURIComponent(at)}&model=linked&key=${KEY}&apiKey=${KEY}`);
  await fitted(page);
  assert.ok(await page.getByLabel("By a model").isChecked());
  assert.equal(await page.getByLabel("Address", { exact: true }).inputValue(), at);
  assert.equal(await page.getByLabel("Model", { exact: true }).inputValue(), "linked");
  assert.equal(await page.getByLabel(/API key/).inputValue(), "");
  await openTalk(page);
  await until(async () => (await requests(at)).length > 0, "it is asked");
  const [{ headers, body }] = await requests(at);
  assert.equal(headers.authorization, undefined);
  assert.equal(body.model, "linked");
  // What a link says is not remembered.
  assert.equal(await page.evaluate(() => localStorage.getItem("epitome-model")), null);
  await page.getByLabel("Without a model").check();
  assert.deepEqual(unexpected(complaints), []);
  await context.close();
});

test("a link to a stranger sends nothing before the reader agrees", async () => {
  const { page, context } = await site.open();
  const asked = [];
  context.on("request", (request) => {
    if (new URL(request.url()).hostname === "models.example") asked.push(request.url());
  });
  await page.goto(`${site.url}?provider=${encodeURIComponent("https://models.example/v1")}&model=m`);
  await fitted(page);
  await openTalk(page);
  await work(page).getByText("A link named models.example. Nothing has been sent there.").waitFor();
  // Longer than the page waits for the limit to settle.
  await page.waitForTimeout(1000);
  assert.deepEqual(asked, []);
  await button(page, "Ask").click();
  await until(() => asked.length > 0, "it is asked");
  assert.match(await page.locator("#privacy").textContent(), /Texts go to models\.example/);
  await context.close();
});

test("address and model are remembered, the choice and the key are not", async () => {
  const { page, context, complaints } = await site.open();
  assert.equal(await page.getByLabel("Address", { exact: true }).inputValue(), "http://127.0.0.1:11434/v1");
  const at = address("ok");
  await askAt(page, at, { model: "remembered" });
  await page.reload();
  await fitted(page);
  assert.ok(await page.getByLabel("Without a model").isChecked());
  assert.equal(await page.getByLabel("Address", { exact: true }).isVisible(), false);
  await page.getByLabel("By a model").check();
  assert.equal(await page.getByLabel("Address", { exact: true }).inputValue(), at);
  assert.equal(await page.getByLabel("Model", { exact: true }).inputValue(), "remembered");
  assert.equal(await page.getByLabel(/API key/).inputValue(), "");
  assert.deepEqual(complaints, []);
  await context.close();
});

test("what is missing or wrong is said before anything is sent", async () => {
  const { page, context, complaints } = await site.open();
  const asked = [];
  context.on("request", (request) => {
    if (request.method() !== "GET") asked.push(request.url());
  });
  await page.getByLabel("By a model").check();
  await work(page).getByText("No model is named yet.").waitFor();
  assert.ok(await button(page, "Ask").isDisabled());
  for (const [text, problem] of [
    ["models", "This is not an address"],
    ["localhost:1/v1", "must begin with http:// or https://"],
    ["http://me:secret@127.0.0.1/v1", "must not hold a user name or a password"],
  ]) {
    await page.getByLabel("Address", { exact: true }).fill(text);
    await page.getByLabel("Address", { exact: true }).press("Tab");
    await page.locator("#model-problem").getByText(problem).waitFor();
    assert.equal(await page.getByLabel("Address", { exact: true }).getAttribute("aria-invalid"), "true");
    await work(page).getByText("The address of the model is missing or wrong.").waitFor();
    // Now everything is there but the right address.
    await page.getByLabel("Model", { exact: true }).fill("small");
    await page.getByLabel("Model", { exact: true }).press("Tab");
  }
  assert.match(await page.locator("#privacy").textContent(), /Nothing leaves this page/);
  assert.equal(await page.evaluate(() => localStorage.getItem("epitome-model")), null);
  assert.deepEqual(asked, []);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the policy lets requests go to any address, and nothing else anywhere", async (t) => {
  // A page that answers everything, so that whatever is refused is refused by the policy.
  const answers = createServer((_, response) =>
    response.writeHead(200, { "access-control-allow-origin": "*" }).end("1"),
  );
  await new Promise((resolve) => answers.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    answers.close();
    answers.closeAllConnections();
  });
  const elsewhere = `http://127.0.0.1:${answers.address().port}/`;
  const { page, context } = await site.open();
  const refused = await page.evaluate(async (elsewhere) => {
    const directives = [];
    addEventListener("securitypolicyviolation", ({ effectiveDirective }) => directives.push(effectiveDirective));
    const element = (tag, attributes) => {
      const made = Object.assign(document.createElement(tag), attributes);
      document.body.append(made);
      return made;
    };
    const allowed = await fetch(elsewhere).then((response) => response.text());
    // There is no such host: what matters is that the policy says nothing.
    await fetch("http://models.invalid/v1").catch(() => undefined);
    await fetch("https://models.invalid/v1").catch(() => undefined);
    const before = [...directives];
    try {
      new WebSocket(elsewhere.replace("http", "ws"));
    } catch {}
    element("img", { src: `${elsewhere}i.png` });
    element("script", { src: `${elsewhere}s.js` });
    element("script", { textContent: "globalThis.ran = true" });
    element("iframe", { src: elsewhere });
    element("link", { rel: "stylesheet", href: `${elsewhere}s.css` });
    element("base", { href: elsewhere });
    element("form", { action: elsewhere, method: "post" }).submit();
    await new Promise((resolve) => setTimeout(resolve, 300));
    return { allowed, before, directives: [...new Set(directives)].sort(), ran: globalThis.ran };
  }, elsewhere);
  assert.deepEqual(refused, {
    allowed: "1",
    before: [],
    directives: ["base-uri", "connect-src", "form-action", "frame-src", "img-src", "script-src-elem", "style-src-elem"],
    ran: undefined,
  });
  await context.close();
});
