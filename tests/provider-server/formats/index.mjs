// The formats that the server speaks. Each module has the same exports:
//
// - `name`, `streamType`: how it is called, and the content type of its streams
// - `route(path)`: what the path says of the request, or nothing when it is another format's
// - `authorise({ headers, query })`, `read({ body, headers, query, route })`: throw a `Violation`
// - `whole(answer, asked)`, `stream(answer, asked)`: the answer as one object, or as frames
// - `error({ status, message, ... })`, `errorFrame()`, `tooLong(limit, actual)`: what can go wrong, in its words

import * as anthropic from "./anthropic.mjs";
import * as gemini from "./gemini.mjs";
import * as ollama from "./ollama.mjs";
import * as openaiChat from "./openai-chat.mjs";
import * as openaiResponses from "./openai-responses.mjs";

export const formats = [openaiChat, openaiResponses, anthropic, gemini, ollama];

/** The format of a path, and what else the path says. */
export function formatOf(path) {
  for (const format of formats) {
    const route = format.route(path);
    if (route) return { format, route };
  }
  return undefined;
}
