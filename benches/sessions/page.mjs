// What runs in the page: the same messages kept by Epitome's sessions and by tables of Dexie, each with both promises of
// durability.

import Dexie from "/dexie/dexie.mjs";

const memories = watchMemories();
const { Session, indexedDb, init } = await import("/package/session.web.js");
await init();

const CONVERSATION = "long";
/** Messages that are appended at once while a conversation is filled. */
const BATCH = 500;
/** The view that a program would show, and that a model would be sent, messages. */
const SHOWN = 200;

/** Compacted to half of it, that is a view of about 200 of these messages. */
const budget = { window: 35_000, reserve: 0 };

/** About 75 tokens, as long as messages of a chat are. */
const message = (at) => ({
  role: at % 2 === 0 ? "user" : "assistant",
  content: `Message ${String(at).padStart(6, "0")}: ${words(at)}`,
});

/** Some words, the same ones for a number in every run. */
function words(seed) {
  let state = seed + 1;
  return Array.from({ length: 45 }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return VOCABULARY[(state >>> 16) % VOCABULARY.length];
  }).join(" ");
}

const VOCABULARY =
  "the a of to and in is that it for was on are with they be at one have this from by not but what all were when we there can an your which their said if do will each about how up out them then she many some so these would other into has more her two like him see time could no make than first been its who now people my made over did down only way find use may water long little very after words called just where most know".split(
    " ",
  );

/** A conversation that a session keeps. */
function epitome(durability, name) {
  const options = { name: `epitome-${name}`, durability };
  let store;
  let session;
  return {
    async open() {
      store = indexedDb(options);
      session = await Session.open({ id: CONVERSATION, store, budget, format: "openai-chat" });
    },
    append: (message) => session.append(message),
    /** What a program does before it asks its model. */
    settle: () => session.prepare(),
    fill: (messages) => session.append(messages).then(() => session.prepare()),
    /** The same view at every size, as far as there are as many messages. */
    compact: () => session.compactNow(),
    reads: { view: () => session.view() },
    meter: () => session.meter(),
    async close() {
      await session?.close();
      await store?.close();
    },
  };
}

/** A table with one row for each message. */
function dexie(durability, name) {
  let db;
  let count = 0;
  const all = () => db.messages.where("[conversation+number]").between([CONVERSATION, 0], [CONVERSATION, Infinity]);
  const row = (message) => ({ conversation: CONVERSATION, number: count++, message });
  return {
    async open() {
      db = new Dexie(`dexie-${name}`, { chromeTransactionDurability: durability });
      db.version(1).stores({ messages: "[conversation+number]" });
      await db.open();
    },
    append: (message) => db.messages.put(row(message)),
    settle: async () => {},
    fill: (messages) => db.messages.bulkPut(messages.map(row)),
    compact: async () => {},
    reads: {
      last: async () => (await all().reverse().limit(SHOWN).toArray()).reverse(),
      all: () => all().toArray(),
    },
    async close() {
      db?.close();
    },
  };
}

const makers = {
  "dexie default": (name) => dexie("default", name),
  "dexie strict": (name) => dexie("strict", name),
  "epitome relaxed": (name) => epitome("relaxed", name),
  "epitome strict": (name) => epitome("strict", name),
};
const names = Object.keys(makers);
const keepers = Object.fromEntries(names.map((name) => [name, makers[name](name)]));

let filled = 0;
let appended = 0;
let turn = 0;

/** All of them, in an order that rotates. */
function* inTurns() {
  turn += 1;
  for (let at = 0; at < names.length; at += 1) {
    const name = names[(at + turn) % names.length];
    yield [name, keepers[name]];
  }
}

globalThis.bench = {
  /** Whatever is done for the first time is done in a database that nobody looks at. */
  warm: async () => {
    for (const make of Object.values(makers)) {
      const keeper = make("to warm up");
      await keeper.open();
      for (let at = 0; at < 50; at += 1) await keeper.append(message(at));
      await keeper.close();
    }
  },
  open: async () => {
    for (const keeper of Object.values(keepers)) await keeper.open();
  },
  /** Appends in batches until there are so many messages; how many milliseconds that took. */
  fill: async (size) => {
    const spent = {};
    for (const [name, keeper] of inTurns()) {
      const start = performance.now();
      for (let at = filled + appended; at < size; at += BATCH) {
        const many = Math.min(BATCH, size - at);
        await keeper.fill(Array.from({ length: many }, (_, more) => message(at + more)));
      }
      spent[name] = performance.now() - start;
    }
    filled = Math.max(filled, size - appended);
    return spent;
  },
  /** Fills one of them, alone in its origin. */
  fillOne: async (name, size) => {
    const keeper = keepers[name];
    await keeper.open();
    for (let at = 0; at < size; at += BATCH) {
      await keeper.fill(Array.from({ length: BATCH }, (_, more) => message(at + more)));
    }
    await keeper.close();
  },
  /** Characters of the messages themselves, as JSON. */
  characters: (size) =>
    Array.from({ length: size }, (_, at) => JSON.stringify(message(at)).length).reduce((a, b) => a + b),
  names: () => names,
  /** Milliseconds for each of so many appends one after the other, by keeper. */
  append: async (many) => {
    const spent = {};
    for (const [name, keeper] of inTurns()) {
      await keeper.settle();
      const messages = Array.from({ length: many }, (_, more) => message(filled + appended + more));
      const start = performance.now();
      for (const one of messages) await keeper.append(one);
      spent[name] = (performance.now() - start) / many;
    }
    appended += many;
    return spent;
  },
  compact: async () => {
    for (const keeper of Object.values(keepers)) await keeper.compact();
    await bench.close();
  },
  /** Milliseconds from a closed database to the messages. */
  read: async () => {
    const spent = {};
    for (const [name, keeper] of inTurns()) {
      for (const [what, read] of Object.entries(keeper.reads)) {
        const start = performance.now();
        await keeper.open();
        const messages = await read();
        spent[`${name} ${what}`] = performance.now() - start;
        if (messages.length === 0) throw new Error(`${name} has nothing`);
        await keeper.close();
      }
    }
    return spent;
  },
  /** Records read and messages shown. */
  count: async () => {
    const counting = countReads();
    const found = {};
    for (const [name, keeper] of inTurns()) {
      for (const [what, read] of Object.entries(keeper.reads)) {
        counting.reset();
        await keeper.open();
        const messages = await read();
        found[`${name} ${what}`] = { ...counting.counts(), messages: messages.length };
        await keeper.close();
      }
    }
    counting.end();
    return found;
  },
  /** Opens one of them and keeps what it shows, so that the heap can be measured. */
  hold: async (name, what) => {
    const keeper = keepers[name];
    await keeper.open();
    globalThis.held = await keeper.reads[what]();
    return memories.bytes();
  },
  release: async (name) => {
    globalThis.held = undefined;
    await keepers[name].close();
  },
  meter: () => keepers["epitome strict"].meter(),
  size: () => filled + appended,
  close: async () => {
    for (const keeper of Object.values(keepers)) await keeper.close();
  },
};

/** Counts the records that come out of object stores from now on. */
function countReads() {
  const originals = [];
  let values = 0;
  let keys = 0;
  const watch = (prototype, name, told) => {
    const original = prototype[name];
    originals.push(() => {
      prototype[name] = original;
    });
    prototype[name] = function (...rest) {
      const request = original.apply(this, rest);
      request.addEventListener("success", () => told(request.result));
      return request;
    };
  };
  for (const { prototype } of [IDBObjectStore, IDBIndex]) {
    watch(prototype, "get", (value) => {
      if (value !== undefined) values += 1;
    });
    watch(prototype, "getAll", (all) => {
      values += all.length;
    });
    watch(prototype, "getAllKeys", (all) => {
      keys += all.length;
    });
    // A cursor succeeds once for each record.
    watch(prototype, "openCursor", (cursor) => {
      if (cursor !== null) values += 1;
    });
    watch(prototype, "openKeyCursor", (cursor) => {
      if (cursor !== null) keys += 1;
    });
  }
  return {
    reset: () => {
      [values, keys] = [0, 0];
    },
    counts: () => ({ values, keys }),
    end: () => {
      for (const restore of originals) restore();
    },
  };
}

/** The memories of modules that are instantiated from now on. */
function watchMemories() {
  const memories = new Set();
  const note = ({ exports }) => {
    if (exports.memory instanceof WebAssembly.Memory) memories.add(exports.memory);
  };
  const { Instance, instantiate } = WebAssembly;
  WebAssembly.Instance = new Proxy(Instance, {
    construct(target, rest) {
      const instance = new target(...rest);
      note(instance);
      return instance;
    },
  });
  WebAssembly.instantiate = async (...rest) => {
    const result = await instantiate(...rest);
    note(result.instance ?? result);
    return result;
  };
  return { bytes: () => [...memories].reduce((sum, { buffer }) => sum + buffer.byteLength, 0) };
}
