// Fits what it is sent. `init` is called as it may be in code that also runs in browsers.

import { EpitomeError, fit, init, undo } from "epitome";

export default {
  async fetch(request) {
    await init();
    const { options, messages, undo: back } = await request.json();
    try {
      const result = fit(messages, options);
      if (back) return Response.json(undo(result));
      return Response.json(result.messages);
    } catch (error) {
      if (!(error instanceof EpitomeError)) throw error;
      return Response.json({ code: error.code, details: error.details }, { status: 400 });
    }
  },
};
