// A Worker whose Durable Object keeps a conversation until workerd is killed.

import { DurableObject } from "cloudflare:workers";

import * as epitome from "../../../epitome/session.workerd.js";
import { durableObject } from "../../../epitome/stores/durable-object.js";
import { Work } from "./crash-work.mjs";

export class Conversation extends DurableObject {
  async fetch(request) {
    const { conversation, undo } = await request.json();
    try {
      this.work ??= await Work.open(epitome, durableObject(this.ctx.storage), conversation);
      return Response.json(await (undo === undefined ? this.work.step() : this.work.look(undo)));
    } catch (error) {
      return Response.json({ failure: `${error?.code}: ${error?.stack ?? error}` });
    }
  }
}

export default {
  async fetch(request, env) {
    const { conversation } = await request.clone().json();
    return env.CONVERSATIONS.get(env.CONVERSATIONS.idFromName(conversation)).fetch(request);
  },
};
