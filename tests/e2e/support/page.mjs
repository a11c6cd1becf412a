import { launch } from "./browser.mjs";
import { serve } from "./serve.mjs";

/** Serves the page and starts one browser for a test file: `{ open(options), close() }`. */
export async function pages() {
  const [server, browser] = await Promise.all([serve(), launch()]);
  return {
    url: server.url,
    /** Opens the page in a context of its own and waits until the first conversation is fitted. */
    async open(options = {}) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
      const page = await context.newPage();
      const complaints = [];
      page.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(String(error)));
      await page.addInitScript(() => {
        addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
          console.error(`CSP: ${violatedDirective} ${blockedURI}`),
        );
      });
      await page.goto(server.url);
      await fitted(page);
      return { page, context, complaints };
    },
    async close() {
      await browser.close();
      await server.close();
    },
  };
}

/** Waits for a number after the arrow. */
export async function fitted(page) {
  await page.waitForFunction(() => /\d/.test(document.getElementById("after")?.textContent ?? ""));
}

const number = async (page, selector) => Number((await page.locator(selector).textContent()).replaceAll(",", ""));

/** The totals on show. */
export async function totals(page) {
  return {
    before: await number(page, "#before"),
    after: await number(page, "#after"),
    limit: Number(await page.locator("#limit").inputValue()),
  };
}

/** Moves the slider and waits until the fit for the new limit is on show. */
export async function moveSlider(page, percent) {
  await page.locator("#slider").fill(String(percent));
  await settled(page);
}

/** Waits until what is on show belongs to the limit that is set. */
export async function settled(page) {
  await page.waitForFunction(() => {
    const limit = document.getElementById("limit").value;
    const shown = document
      .getElementById("strips")
      .getAttribute("aria-label")
      .match(/limit ([\d,]+)/)?.[1];
    return shown?.replaceAll(",", "") === limit;
  });
}

/** Chooses a bundled conversation and waits until it is fitted. */
export async function choose(page, name, messages) {
  await page.getByRole("radio", { name }).check();
  await page.locator("#facts").getByText(`${messages} →`).waitFor();
  await settled(page);
}

/** Drops a file on the page, as a reader would. */
export async function drop(page, name, content) {
  const transfer = await page.evaluateHandle(
    ([name, content]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([content], name, { type: "application/json" }));
      return transfer;
    },
    [name, content],
  );
  for (const type of ["dragenter", "dragover", "drop"]) {
    await page.dispatchEvent("main", type, { dataTransfer: transfer });
  }
}
