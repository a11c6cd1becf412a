// A Worker whose requests share providers: those made when the module is loaded, and those that a request makes which
// others use, too.

import { env } from "cloudflare:workers";

import { compact, countTokens, validate } from "../../../epitome/index.workerd.js";
import { openai } from "../../../epitome/providers/openai.js";
import { budget, conversationAbout, faultsOf } from "./about.mjs";

const make = ({ fault, ...options }) =>
  openai({ model: "test", apiKey: "test-key", baseUrl: `${env.SERVER}/${fault}/v1`, ...options });

/** Made outside of every request, by their names. */
const providers = Object.fromEntries(Object.entries(env.PROVIDERS).map(([name, options]) => [name, make(options)]));

/** Compacts the conversation about a number. */
async function answer(number, provider) {
  const messages = conversationAbout(number);
  const before = JSON.stringify(messages);
  const result = await compact(messages, { budget, provider });
  const problems = [...faultsOf({ countTokens, validate }, number, messages, result)];
  if (JSON.stringify(messages) !== before) problems.push("the messages were changed");
  return { number, problems, codes: result.report.warnings.map(({ code }) => code) };
}

export default {
  /**
   * @param {Request} request as JSON `{ number, provider }`: a name, or options of a provider of its own; with `keep` others
   *   find it under that name. Or `{ dispose }`, a name
   */
  async fetch(request) {
    const { number, provider, keep, dispose } = await request.json();
    if (dispose !== undefined) return Response.json({ disposed: providers[dispose].dispose() ?? true });
    const chosen = typeof provider === "string" ? providers[provider] : make(provider);
    if (keep !== undefined) providers[keep] = chosen;
    return Response.json(await answer(number, chosen));
  },
};
