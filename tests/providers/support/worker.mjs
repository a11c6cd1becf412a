// A Worker that runs cells of the matrix, each for a request of its own.

import * as epitome from "../../../epitome/index.workerd.js";
import { anthropic } from "../../../epitome/providers/anthropic.js";
import { gemini } from "../../../epitome/providers/gemini.js";
import { ollama } from "../../../epitome/providers/ollama.js";
import { openai } from "../../../epitome/providers/openai.js";
import { cells, runCell, sample } from "../../provider-server/matrix.mjs";
import { watchTimers } from "./timers.mjs";

const providers = { anthropic, gemini, ollama, openai };
const timers = watchTimers();
// workerd tells of every stream that breaks while it is read, and right after that somebody had seen to it.
const unhandled = new Map();
addEventListener("unhandledrejection", ({ promise, reason }) =>
  unhandled.set(promise, String(reason?.stack ?? reason)),
);
addEventListener("rejectionhandled", ({ promise }) => unhandled.delete(promise));

const left = () => ({ live: timers.live(), made: timers.made(), unhandled: [...unhandled.values()] });

export default {
  /** @param {Request} request `{ at, server, throws }` as JSON; anything but POST asks what is left */
  async fetch(request) {
    if (request.method !== "POST") return Response.json(left());
    const { at, server, throws } = await request.json();
    const cell = (throws ? cells : sample)[at];
    return Response.json(await runCell(cell, { epitome, providers, server, throws, runtime: "workerd" }));
  },
};
