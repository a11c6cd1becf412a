// What the tests of the IndexedDB store do with the database behind its back, and to the browser.

/**
 * @param {string} name
 * @param {number | undefined} version
 * @param {string[]} stores made if the database is not there yet, or older
 * @returns {Promise<IDBDatabase>} which stands in the way of others until it is closed
 */
export function open(name, version, stores) {
  const request = indexedDB.open(name, version);
  request.onupgradeneeded = () => {
    for (const store of stores) request.result.createObjectStore(store);
  };
  return answer(request);
}

/**
 * Deletes a database. `false` if a connection stood in the way at first.
 *
 * @param {string} name
 * @returns {Promise<boolean>}
 */
export async function remove(name) {
  const request = indexedDB.deleteDatabase(name);
  let free = true;
  request.onblocked = () => {
    free = false;
  };
  await answer(request);
  return free;
}

// A connection that makes way calls its own `close` with the event that asks for it.
let count = 0;
const { close } = IDBDatabase.prototype;
IDBDatabase.prototype.close = function (/** @type {any[]} */ ...rest) {
  if (rest[0]?.type === "versionchange") count += 1;
  close.call(this);
};

/**
 * Deletes a database. How many connections had to make way for that.
 *
 * @param {string} name
 */
export async function asked(name) {
  count = 0;
  await answer(indexedDB.deleteDatabase(name));
  return count;
}

/**
 * Opens a database in whatever form it has, uses it, and closes it.
 *
 * @template T
 * @param {string} name
 * @param {(database: IDBDatabase) => Promise<T> | T} use
 */
async function within(name, use) {
  const database = await open(name, undefined, []);
  try {
    return await use(database);
  } finally {
    database.close();
  }
}

/** @param {string} name */
export const version = (name) => within(name, (database) => database.version);

/**
 * Puts values and waits until they are there; those that are `undefined` are deleted instead.
 *
 * @param {string} name
 * @param {string} store
 * @param {[key: IDBValidKey, value: unknown][]} pairs
 */
export function put(name, store, pairs) {
  return within(name, async (database) => {
    const transaction = database.transaction(store, "readwrite");
    const there = transaction.objectStore(store);
    for (const [key, value] of pairs) {
      if (value === undefined) there.delete(key);
      else there.put(value, key);
    }
    await complete(transaction);
  });
}

/**
 * Everything that is in a database, as JSON.
 *
 * @param {string} name
 */
export function dump(name) {
  return within(name, async (database) => {
    const names = [...database.objectStoreNames];
    const transaction = database.transaction(names);
    const read = names.map((name) => {
      const store = transaction.objectStore(name);
      return { name, keys: store.getAllKeys(), values: store.getAll() };
    });
    await complete(transaction);
    const all = read.map(({ name, keys, values }) => [name, keys.result.map((key, i) => [key, values.result[i]])]);
    return JSON.stringify(Object.fromEntries(all));
  });
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = (event) => {
      event.preventDefault();
      reject(request.error);
    };
  });
}

/** @param {IDBTransaction} transaction */
function complete(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
}

/**
 * Settles after so many turns of the event loop.
 *
 * @param {number} count
 */
export async function turns(count) {
  const { port1, port2 } = new MessageChannel();
  for (let i = 0; i < count; i += 1) {
    await new Promise((resolve) => {
      port1.onmessage = resolve;
      port2.postMessage(0);
    });
  }
  port1.close();
}

/**
 * Puts something between the store and a method of the platform.
 *
 * @param {any} owner
 * @param {string} method
 * @param {(this: any, original: Function, ...rest: any[]) => unknown} instead
 */
function between(owner, method, instead) {
  const original = owner[method];
  owner[method] = function (/** @type {any[]} */ ...rest) {
    return instead.call(this, original.bind(this), ...rest);
  };
  return () => {
    owner[method] = original;
  };
}

/**
 * @param {IDBTransaction} transaction
 * @param {string | undefined} name of the exception that is the reason; of none when a script aborts it
 */
function abort(transaction, name) {
  if (name !== undefined) Object.defineProperty(transaction, "error", { value: new DOMException("a fault", name) });
  transaction.abort();
}

/**
 * As `between`, for one call only.
 *
 * @param {any} owner
 * @param {string} method
 * @param {(this: any, original: Function, ...rest: any[]) => unknown} instead
 */
function once(owner, method, instead) {
  const undo = between(owner, method, function (original, ...rest) {
    undo();
    return instead.call(this, original, ...rest);
  });
  return undo;
}

/** @param {PropertyDescriptor} descriptor */
function global(descriptor) {
  const owner = /** @type {any} */ (globalThis);
  const own = Object.getOwnPropertyDescriptor(owner, "indexedDB");
  Object.defineProperty(owner, "indexedDB", { configurable: true, ...descriptor });
  return () => {
    if (own === undefined) delete owner.indexedDB;
    else Object.defineProperty(owner, "indexedDB", own);
  };
}

/** @param {string} name */
const thrower = (name) => () => {
  throw new DOMException("a fault", name);
};

/** @type {Record<string, (name: string) => () => void>} */
const FAULTS = {
  "indexedDB is missing": () => global({ value: undefined }),
  "indexedDB throws": (name) => global({ get: thrower(name) }),
  "open throws": (name) => between(IDBFactory.prototype, "open", thrower(name)),
  "put throws": (name) => between(IDBObjectStore.prototype, "put", thrower(name)),
  "put of a row throws": (name) =>
    between(IDBObjectStore.prototype, "put", function (put, ...rest) {
      if (this.name === "conversations") thrower(name)();
      return put(...rest);
    }),
  "put aborts": (name) =>
    between(IDBObjectStore.prototype, "put", function (put, ...rest) {
      const request = put(...rest);
      abort(this.transaction, name || undefined);
      return request;
    }),
  "the transaction is aborted after the last put": (name) =>
    between(IDBObjectStore.prototype, "put", function (put, ...rest) {
      if (this.name === "conversations") queueMicrotask(() => abort(this.transaction, name || undefined));
      return put(...rest);
    }),
  "the transaction is aborted when its row is read": (name) =>
    once(IDBObjectStore.prototype, "get", function (get, ...rest) {
      const request = get(...rest);
      abort(this.transaction, name || undefined);
      return request;
    }),
  "the connection is closed": () =>
    once(IDBDatabase.prototype, "transaction", function (transaction, ...rest) {
      this.close();
      return transaction(...rest);
    }),
  "every connection is closed": () =>
    between(IDBDatabase.prototype, "transaction", function (transaction, ...rest) {
      this.close();
      return transaction(...rest);
    }),
};

/**
 * @param {string} fault
 * @param {string} name of the exception
 * @returns {() => void} what mends it
 */
export function fault(fault, name) {
  const make = FAULTS[fault];
  if (make === undefined) throw new Error(`there is no fault ${fault}`);
  return make(name);
}

/**
 * A codec that nobody should use: it adds a number to every byte.
 *
 * @param {number} key
 * @param {boolean} waits
 */
export function shift(key, waits) {
  const mark = new TextEncoder().encode("shifted:");
  const encode = (/** @type {string} */ text) => {
    const plain = new TextEncoder().encode(text);
    return new Uint8Array([...mark, ...plain].map((byte) => (byte + key) % 256));
  };
  const decode = (/** @type {Uint8Array} */ stored) => {
    const bytes = stored.map((byte) => (byte - key + 256) % 256);
    if (mark.some((byte, i) => bytes[i] !== byte)) throw new DOMException("the secret word", "OperationError");
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(mark.length));
  };
  if (!waits) return { encode, decode };
  const later = (/** @type {Function} */ run) => async (/** @type {unknown} */ value) => {
    await turns(1);
    return run(value);
  };
  return { encode: later(encode), decode: later(decode) };
}

/** @param {string} what */
export function answers(what) {
  const all = { null: null, number: 7, object: {}, undefined: undefined, text: "a text" };
  const value = Object(all)[what];
  return () => value;
}

/** @param {boolean} later */
export function fails(later) {
  return () => {
    const error = new DOMException("the secret word", "OperationError");
    if (later) return Promise.reject(error);
    throw error;
  };
}

/**
 * What the browser is asked about storage: `persist` is answered with this.
 *
 * @param {boolean} answer
 */
export function storage(answer) {
  /** @type {string[]} */
  const asked = [];
  const owner = /** @type {any} */ (Object.getPrototypeOf(navigator));
  const original = Object.getOwnPropertyDescriptor(owner, "storage");
  const ask = (/** @type {string} */ name, /** @type {boolean} */ value) => async () => {
    asked.push(name);
    return value;
  };
  const manager = { persist: ask("persist", answer), persisted: ask("persisted", false) };
  Object.defineProperty(owner, "storage", { configurable: true, value: manager });
  const mend = () => {
    if (original === undefined) delete owner.storage;
    else Object.defineProperty(owner, "storage", original);
  };
  return { asked, mend };
}

/** Hears which durability transactions are asked for, until it is asked what it heard. */
export function durabilities() {
  /** @type {unknown[]} */
  const heard = [];
  const undo = between(IDBDatabase.prototype, "transaction", (transaction, stores, mode, options) => {
    const begun = transaction(stores, mode, options);
    // Old releases of browsers do not tell.
    heard.push(begun.durability ?? options.durability);
    return begun;
  });
  return () => {
    undo();
    return heard;
  };
}
