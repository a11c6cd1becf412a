// A chat whose conversation lives in a Durable Object.

import { DurableObject } from "cloudflare:workers";

import { Session } from "./epitome/session.workerd.js";
import { durableObject } from "./epitome/stores/durable-object.js";

export class Chat extends DurableObject {
  async fetch(request) {
    const { call, ...rest } = await request.json();
    try {
      return Response.json({ value: (await this[call](rest)) ?? null });
    } catch (error) {
      return Response.json({ error: { code: error.code, message: error.message } });
    }
  }

  /** One session for all requests of the object. */
  session() {
    this.opened ??= Session.open({
      id: "chat",
      budget: { window: 2_000 },
      store: durableObject(this.ctx.storage),
      provider: (request, { signal }) => this.complete(request, signal),
    });
    return this.opened;
  }

  async complete(_, signal) {
    this.asked = (this.asked ?? 0) + 1;
    if (!this.hangs) return "1. User Intent: to ask questions.\n2. Decisions: none.";
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  }

  async append({ messages }) {
    return (await this.session()).append(messages);
  }

  async prepare({ wait }) {
    const { messages, report, compaction, entries } = await (await this.session()).prepare({ wait });
    return { messages, report, compaction, entries };
  }

  async view() {
    return (await this.session()).view();
  }

  async history() {
    const entries = [];
    for await (const entry of (await this.session()).history()) entries.push(entry);
    return entries;
  }

  async undo() {
    return (await this.session()).undo();
  }

  async hang() {
    this.hangs = true;
    const session = await this.session();
    const preparing = session.prepare().catch(({ code }) => code);
    while (!(this.asked > 0)) await scheduler.wait(1);
    await session.close();
    this.opened = undefined;
    this.hangs = false;
    return preparing;
  }

  async remove() {
    await (await this.session()).delete();
    this.opened = undefined;
    const tables = [...this.ctx.storage.sql.exec("SELECT name FROM sqlite_schema WHERE type = 'table'")];
    const ours = tables.map(({ name }) => name).filter((name) => name.startsWith("epitome_"));
    return ours.flatMap((name) => [...this.ctx.storage.sql.exec(`SELECT * FROM ${name}`)]);
  }

  /** The object is thrown out of memory, as after a deployment. */
  async restart() {
    this.ctx.abort("on purpose");
  }
}

export default {
  async fetch(request, env) {
    const name = new URL(request.url).pathname.slice(1);
    return env.CHATS.get(env.CHATS.idFromName(name)).fetch(request);
  },
};
