// An isolate of workerd with a Worker of this folder, and all that is said meanwhile.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Miniflare } from "miniflare";

import { root } from "../../node/support.mjs";
import { packageModules } from "../../workerd/modules.mjs";

/** What workerd itself writes of a body that breaks the rules of HTTP; no Worker can keep it from that. */
const ofRuntime = /^workerd\/io\/.*: invalid HTTP chunk size; |^stack: /;

const shared = ["provider-server/matrix.mjs", "providers/support/about.mjs", "providers/support/timers.mjs"];

/**
 * @param {string} worker a file of this folder
 * @param {Record<string, unknown>} [bindings] what the Worker finds in its `env`
 */
export async function isolate(worker, bindings = {}) {
  const own = [`providers/support/${worker}`, ...shared].map((path) => `tests/${path}`);
  const heard = [];
  const listen = (stream) => stream.setEncoding("utf8").on("data", (text) => heard.push(text));
  const miniflare = new Miniflare({
    compatibilityDate: "2025-09-01",
    bindings,
    modules: [
      ...own.map((path) => ({ type: "ESModule", path, contents: readFileSync(join(root, path), "utf8") })),
      ...packageModules(),
    ],
    handleRuntimeStdio: (out, err) => {
      listen(out);
      listen(err);
    },
  });
  const url = await miniflare.ready;
  return {
    url,
    /** What a request with this body, or without one, is answered, as JSON. */
    ask: async (body, path = "/") => {
      const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
      const response = await miniflare.dispatchFetch(new URL(path, "http://worker"), init);
      const text = await response.text();
      if (!response.ok) throw new Error(`the Worker failed: ${text}`);
      return JSON.parse(text);
    },
    /** What was written meanwhile by the Worker or about it, line by line. */
    heard: () =>
      heard
        .join("")
        .split("\n")
        .filter((line) => line !== "" && !ofRuntime.test(line)),
    close: () => miniflare.dispose(),
  };
}
