// A Worker that puts the stores of Cloudflare through the tests that every store has to pass.

import { DurableObject } from "cloudflare:workers";

import { Instance } from "./epitome/instance.js";
import { storeOn } from "./epitome/store-bridge.js";
import { durableObject } from "./epitome/stores/durable-object.js";
import { workersKv } from "./epitome/stores/workers-kv.js";
import { run } from "./epitome/task.js";
import * as glue from "./epitome/wasm/session.js";
import module from "./epitome/wasm/session_bg.wasm";

const instance = new Instance(glue, "session_bg.wasm", () => module);

/** What was wrong in a case, or `null`. */
async function verdict(store, { part, name }) {
  const begin = (host) => instance.call((glue) => glue[part](storeOn(instance, store), name, host));
  return (await run(instance, [], { patienceMs: 60_000 }, undefined, begin)) ?? null;
}

const answer = (work) =>
  work.then(
    (value) => Response.json({ value }),
    (error) => Response.json({ error: { code: error.code, message: error.message } }),
  );

export class Conversations extends DurableObject {
  async fetch(request) {
    const { call, ...rest } = await request.json();
    return answer(this[call](rest));
  }

  async contract(wanted) {
    const store = durableObject(this.ctx.storage);
    const wrong = await verdict(store, wanted);
    await store.close();
    return wrong;
  }

  /** The object is thrown out of memory, as after a deployment. */
  async restart() {
    this.ctx.abort("on purpose");
  }

  /** Everything that is in its tables. */
  async dump() {
    const tables = [...this.ctx.storage.sql.exec("SELECT name FROM sqlite_schema WHERE type = 'table'")];
    const ours = tables.map(({ name }) => name).filter((name) => name.startsWith("epitome_"));
    return Object.fromEntries(ours.map((name) => [name, [...this.ctx.storage.sql.exec(`SELECT * FROM ${name}`)]]));
  }

  async execute({ statement }) {
    return [...this.ctx.storage.sql.exec(statement)];
  }

  async ask({ method, args }) {
    return durableObject(this.ctx.storage)[method](...args);
  }
}

/** An object of the old kind, without SQLite. */
export class Old extends DurableObject {
  async fetch() {
    return answer(durableObject(this.ctx.storage).list());
  }
}

export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname.slice(1);
    if (path === "names") {
      const lists = ["store_contract_cases", "store_contract_persistent"];
      return Response.json(lists.map((list) => instance.call((glue) => glue[list]())));
    }
    if (path === "old") return env.OLD.get(env.OLD.idFromName("old")).fetch(request);
    const { store: name, ...body } = await request.json();
    if (path === "object") {
      const init = { method: "POST", body: JSON.stringify(body) };
      return env.CONVERSATIONS.get(env.CONVERSATIONS.idFromName(name)).fetch("http://object/", init);
    }
    const store = workersKv(env.KV, { prefix: `${name}/` });
    return answer(body.part === undefined ? store[body.method](...body.args) : verdict(store, body));
  },
};
