// A Worker that sits before a chat API and makes each request fit its model's context window.
//
//   POST /  { "messages": [...], "budget": 8000 }   ->   { "messages": [...], "report": {...} }

import { EpitomeError, fit } from "epitome";

export default {
  async fetch(request) {
    if (request.method !== "POST") return new Response("POST { messages, budget }\n", { status: 405 });
    const body = await request.json().catch(() => undefined);
    try {
      // Stateless: what the next turn needs to keep the prompt's beginning stable goes back to the caller.
      const { messages, report, patch } = fit(body?.messages, {
        budget: body?.budget ?? 8_000,
        previous: body?.previous,
        patch: "edits",
      });
      return Response.json({ messages, report, previous: patch });
    } catch (error) {
      if (!(error instanceof EpitomeError)) throw error;
      const { code, message, details } = error;
      return Response.json({ error: { code, message, details } }, { status: code === "internal" ? 500 : 400 });
    }
  },
};
