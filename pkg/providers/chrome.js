// The models that a browser brings with it: the Prompt API and the Summarizer API.

import { describe, invalidOption } from "../errors.js";
import { checked, text } from "../options.js";
import { LIMITS, Provider } from "../provider.js";
import { failed } from "../rejection.js";

/** @import { Availability, ChromeCreateOptions, ChromePromptOptions, ChromeSummarizerOptions } from "./chrome.d.ts" */
/** @import { ProviderAnswer, ProviderRequest, Signal } from "./index.d.ts" */

/** @typedef {"LanguageModel" | "Summarizer"} Api */

/** A second request would only wait for the first, and what is missing now is missing in a second. */
const DEFAULTS = { window: 6_000, attempts: 1, concurrency: 1 };

const COMMON = ["create", "download", "name", ...LIMITS];

/**
 * @param {ChromePromptOptions} [options]
 * @returns {Provider}
 */
export function chromePrompt(options) {
  const { create, download, name, ...limits } = common(options, COMMON);
  return new Provider(
    name ?? "chrome prompt",
    {
      complete: ({ messages }, { signal }) => {
        const plain = messages.map(({ role, content }) => ({ role, content }));
        const system = plain.filter(({ role }) => role === "system");
        const others = plain.filter(({ role }) => role !== "system");
        const input = others.length === 1 ? others[0]?.content : others;
        const settings = system.length > 0 ? { ...create, initialPrompts: system } : create;
        return withModel("LanguageModel", settings, download, signal, (session) =>
          sized(session, input, () => session.prompt(input, { signal })),
        );
      },
    },
    { ...DEFAULTS, ...limits },
  );
}

/** @param {ChromeCreateOptions} [options] */
export function chromePromptAvailability(options) {
  return availabilityOf("LanguageModel", common(options, ["create"]).create);
}

const KINDS = {
  type: ["key-points", "tldr"],
  format: ["plain-text", "markdown"],
  length: ["short", "medium", "long"],
};

/** What the model is told of every text. */
const SHARED =
  "A record of a conversation between a user and an assistant with tools. The summary takes its place: keep paths, " +
  "identifiers, numbers, error messages, decisions, open tasks and the user's demands exactly as they are written.";

/**
 * @param {ChromeSummarizerOptions} [options]
 * @returns {Provider}
 */
export function chromeSummarizer(options) {
  const given = common(options, [...COMMON, ...Object.keys(KINDS), "sharedContext"]);
  for (const [option, values] of Object.entries(KINDS)) {
    const value = given[option];
    if (value !== undefined && !values.includes(value)) {
      throw invalidOption(option, `must be one of ${values.join(", ")}, but is ${JSON.stringify(value)}`);
    }
  }
  text("sharedContext", given.sharedContext);
  const {
    create,
    download,
    name,
    type = "key-points",
    format = "plain-text",
    length,
    sharedContext,
    ...limits
  } = given;
  const settings = { ...create, type, format, sharedContext: sharedContext ?? SHARED };
  return new Provider(
    name ?? "chrome summarizer",
    {
      complete: async (request, { signal }) => {
        const { input, context } = recordsOf(request);
        const sizes = { ...settings, length: length ?? lengthFor(request.maxTokens) };
        return withModel("Summarizer", sizes, download, signal, (summarizer) =>
          sized(summarizer, input, () => summarizer.summarize(input, { context, signal })),
        );
      },
    },
    { ...DEFAULTS, ...limits },
  );
}

/** @param {ChromeCreateOptions} [options] */
export function chromeSummarizerAvailability(options) {
  return availabilityOf("Summarizer", common(options, ["create"]).create);
}

/**
 * @param {unknown} options
 * @param {readonly string[]} names
 */
function common(options, names) {
  const given = checked("options", options ?? {}, names);
  const { create, download, name } = given;
  if (create !== undefined && (typeof create !== "object" || Array.isArray(create))) {
    throw invalidOption("create", `must be an object, but is ${describe(create)}`);
  }
  if (download !== undefined && typeof download !== "boolean") {
    throw invalidOption("download", `must be true or false, but is ${describe(download)}`);
  }
  text("name", name);
  return given;
}

// ----------------------------------------------------------------------------------------------- what a summarizer gets

/** What our prompts call the texts that are to be summarised, and what is to be heeded at that. */
const RECORDS = ["conversation", "notes", "earlier_summary", "tool_request", "tool_response"];
const WISHES = ["wishes", "guidelines"];

/**
 * A summarizer has its own idea of its task, so it gets only what our prompt has between its marks.
 *
 * @param {ProviderRequest} request
 */
function recordsOf({ purpose, messages }) {
  if (!["summary", "consolidation", "tool-pair"].includes(purpose)) {
    throw failed("option", `the browser's summarizer can only summarise: give another provider for this (${purpose})`);
  }
  const prompt = messages.map(({ content }) => content).join("\n");
  const parts = [...prompt.matchAll(/^<(\w+) ([^<>\n]+)>\n([\s\S]*?)\n<\/\1 \2>$/gm)];
  const those = (/** @type {readonly string[]} */ names) =>
    parts.flatMap(([, name = "", , part = ""]) => (names.includes(name) ? [part] : [])).join("\n\n");
  return { input: those(RECORDS) || prompt, context: those(WISHES) };
}

/**
 * Three, five or seven points, by what there is room for.
 *
 * @param {number} maxTokens
 */
function lengthFor(maxTokens) {
  if (maxTokens < 150) return "short";
  return maxTokens < 300 ? "medium" : "long";
}

// ------------------------------------------------------------------------------------------------------------- models

/** @param {Api} api */
function find(api) {
  const scope = /** @type {any} */ (globalThis);
  // Where it was at first.
  return scope[api] ?? scope.ai?.[api === "Summarizer" ? "summarizer" : "languageModel"];
}

/**
 * @param {Api} api
 * @param {object} [settings]
 * @returns {Promise<Availability>}
 */
async function availabilityOf(api, settings) {
  return (await find(api)?.availability(settings)) ?? "unavailable";
}

/**
 * Asks a model that is made for this one request. Whatever becomes of that, the model is destroyed.
 *
 * @param {Api} api
 * @param {object} settings
 * @param {boolean | undefined} download
 * @param {Signal} signal
 * @param {(model: any) => Promise<string>} ask
 * @returns {Promise<ProviderAnswer>}
 */
async function withModel(api, settings, download, signal, ask) {
  await checkThere(api, settings, download === true);
  signal.throwIfAborted();
  try {
    const model = await find(api).create({ ...settings, signal });
    // Ends the request also where the browser does not heed the signal.
    const destroy = () => model.destroy();
    signal.addEventListener("abort", destroy, { once: true });
    try {
      signal.throwIfAborted();
      return await ask(model);
    } finally {
      signal.removeEventListener("abort", destroy);
      destroy();
    }
  } catch (/** @type {any} */ error) {
    // The browser keeps the answer to itself.
    if (error?.name === "NotReadableError") return { text: "", stop: "refused" };
    // Nobody here wanted that, so others may be asked.
    if (error?.name === "AbortError" && !signal.aborted)
      throw new Error("the browser ended the session", { cause: error });
    throw tooLong(error);
  }
}

/**
 * @param {Api} api
 * @param {object} settings
 * @param {boolean} download
 */
async function checkThere(api, settings, download) {
  if (!find(api)) throw new Error(`this browser has no model of its own (\`${api}\` is missing)`);
  const state = await availabilityOf(api, settings);
  if (state === "unavailable") throw new Error(`the model of this browser cannot be used here (\`${api}\`: ${state})`);
  if (state !== "available" && !download) {
    throw new Error(`the model of this browser is not there yet (\`${api}\`: ${state}); \`download: true\` fetches it`);
  }
}

// -------------------------------------------------------------------------------------------------------------- sizes

/**
 * What asking comes to. Where the text is too long and the browser does not say by how much, the model is asked that.
 *
 * @param {any} model
 * @param {unknown} input
 * @param {() => Promise<string>} ask
 */
async function sized(model, input, ask) {
  try {
    return await ask();
  } catch (/** @type {any} */ error) {
    if (error?.name !== "QuotaExceededError" || Number.isFinite(error.quota)) throw error;
    const measure = model.measureContextUsage ?? model.measureInputUsage;
    const measured = async () => measure?.call(model, input);
    throw tooLong(error, model.contextWindow ?? model.inputQuota, await measured().catch(() => undefined));
  }
}

/**
 * The error in words that the core knows, if a text was too long; any other as it is.
 *
 * @param {any} error
 * @param {number} [quota] tokens
 * @param {number} [requested] tokens
 */
function tooLong(error, quota = error?.quota, requested = error?.requested) {
  if (error?.name !== "QuotaExceededError") return error;
  const size = Number.isFinite(requested) ? ` It has ${requested} prompt tokens.` : "";
  const limit = Number.isFinite(quota) ? ` The context window is ${quota} tokens.` : "";
  return new Error(`The prompt is too long for the model of this browser.${size}${limit}`, { cause: error });
}
