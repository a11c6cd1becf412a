// An engine of WebLLM, or any client object that is asked the way OpenAI's is.

import { describe, invalidOption } from "../errors.js";
import { checked, text } from "../options.js";
import { LIMITS, Provider } from "../provider.js";
import { failed } from "../rejection.js";

/** @import { ChatAnswer, ChatBody, ChatClient, ChatEngine, WebLlmOptions } from "./web-llm.d.ts" */
/** @import { ProviderAnswer, ProviderRequest } from "./index.d.ts" */

/** What the models that WebLLM offers are loaded with. */
const ENGINE = { window: 4_000, concurrency: 1 };

/** Settles when the last request of an engine is over. @type {WeakMap<object, Promise<unknown>>} */
const turns = new WeakMap();

/**
 * @param {ChatEngine | ChatClient} engine
 * @param {WebLlmOptions} [options]
 * @returns {Provider}
 */
export function webLlm(engine, options) {
  const isEngine = checkEngine(engine);
  const given = checked("options", options ?? {}, ["model", "body", "reset", "name", ...LIMITS]);
  const { model, body = {}, reset = false, name, ...limits } = given;
  text("model", model);
  if (!isEngine && model === undefined) throw invalidOption("model", "is missing: which model to ask");
  if (typeof body !== "object" || Array.isArray(body)) {
    throw invalidOption("body", `must be an object, but is ${describe(body)}`);
  }
  if (typeof reset !== "boolean") throw invalidOption("reset", `must be true or false, but is ${describe(reset)}`);
  if (reset && typeof (/** @type {any} */ (engine).resetChat) !== "function") {
    throw invalidOption("reset", "needs an engine with `resetChat`");
  }
  const bodyFor = bodies(engine, model, body);
  return new Provider(
    text("name", name) ?? [isEngine ? "web-llm" : "chat", model].filter(Boolean).join(" "),
    {
      complete: isEngine
        ? async (request, { signal }) => answerOf(await generated(engine, bodyFor(request), reset, signal))
        : async (request, { signal }) => {
            // How often something is sent is for our limits to say.
            const settings = { signal, maxRetries: 0 };
            return answerOf(
              await /** @type {ChatClient} */ (engine).chat.completions.create(bodyFor(request), settings),
            );
          },
    },
    isEngine ? { ...ENGINE, ...limits } : limits,
  );
}

/**
 * Whether it is an engine: it takes no signal, and holds one model that does one thing at a time.
 *
 * @param {any} engine
 * @returns {engine is ChatEngine}
 */
function checkEngine(engine) {
  if (typeof engine?.chat?.completions?.create !== "function") {
    throw invalidOption("engine", `must have \`chat.completions.create\`, but is ${describe(engine)}`);
  }
  return typeof engine.interruptGenerate === "function";
}

/**
 * @param {any} engine
 * @param {string | undefined} model
 * @param {Record<string, unknown>} more fields of the host, which win over ours
 * @returns {(request: ProviderRequest) => any}
 */
function bodies(engine, model, more) {
  // OpenAI's own models refuse the name that all others know.
  const isOpenAi = /^https:\/\/([^/]+\.)?openai(\.azure)?\.com(:\d+)?(\/|$)/.test(String(engine.baseURL));
  const limit = isOpenAi ? "max_completion_tokens" : "max_tokens";
  const isLimited = "max_tokens" in more || "max_completion_tokens" in more;
  return ({ messages, maxTokens }) => ({
    ...(model === undefined ? {} : { model }),
    messages: messages.map(({ role, content }) => ({ role, content })),
    ...(isLimited ? {} : { [limit]: maxTokens }),
    ...more,
    stream: false,
  });
}

/**
 * An engine that is told to stop stops whatever it is at. So ours wait here for each other, where giving one up touches
 * no other.
 *
 * @param {ChatEngine} engine
 * @param {ChatBody} body
 * @param {boolean} reset
 * @param {import("./index.d.ts").Signal} signal
 * @returns {Promise<ChatAnswer>}
 */
function generated(engine, body, reset, signal) {
  const turn = (turns.get(engine) ?? Promise.resolve()).then(async () => {
    signal.throwIfAborted();
    if (reset) await engine.resetChat?.();
    signal.throwIfAborted();
    const interrupt = async () => {
      try {
        await engine.interruptGenerate();
      } catch {
        // It is gone, and what it was at too.
      }
    };
    signal.addEventListener("abort", interrupt, { once: true });
    try {
      return await engine.chat.completions.create(body);
    } finally {
      signal.removeEventListener("abort", interrupt);
    }
  });
  turns.set(
    engine,
    turn.catch(() => {}),
  );
  return turn;
}

/**
 * @param {ChatAnswer} answer
 * @returns {ProviderAnswer}
 */
function answerOf(answer) {
  const choice = answer?.choices?.[0];
  if (choice === undefined) throw failed("malformed", "the answer has no `choices`");
  const { finish_reason: reason, message } = choice;
  const { content, refusal } = message ?? {};
  if (reason === "abort") throw new Error("the engine was told to stop");
  return {
    text: content ?? refusal ?? "",
    usage: { inputTokens: answer.usage?.prompt_tokens, outputTokens: answer.usage?.completion_tokens },
    stop: reason === "length" ? "length" : refusal || reason === "content_filter" ? "refused" : "end",
  };
}
