// What the server has seen: the latest requests, and numbers about all of them.

/** Entries and characters of bodies that are kept; the oldest go first. */
const mostEntries = 2_000;
const mostCharacters = 32_000_000;

export class Log {
  #entries = [];
  #characters = 0;
  #counts = new Map();
  #sockets = new Set();
  running = 0;
  total = 0;
  maxConcurrent = 0;

  /** Keeps an eye on a socket until it closes. */
  watch(socket) {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
  }

  /**
   * A request has come. The entry is filled in as more becomes known: `body`, `fault`, `status`, and at its end `ms` and
   * whether the client went away before (`gone`).
   * @param {import("node:http").IncomingMessage} req
   */
  begin(req) {
    const id = req.headers["x-test-id"] ?? null;
    const entry = { id, method: req.method, path: req.url, headers: req.headers, body: null };
    Object.assign(entry, { fault: null, status: null, gone: false, ms: null, size: 0 });
    this.#entries.push(entry);
    this.running += 1;
    this.total += 1;
    this.maxConcurrent = Math.max(this.maxConcurrent, this.running);
    this.#bound();
    const started = performance.now();
    return {
      entry,
      read: (text) => this.#read(entry, text),
      end: (gone) => {
        this.running -= 1;
        Object.assign(entry, { gone, ms: Math.round(performance.now() - started) });
      },
    };
  }

  /** The body of a request has come: parsed, else as text. */
  #read(entry, text) {
    entry.size = text.length;
    this.#characters += text.length;
    try {
      entry.body = JSON.parse(text);
    } catch {
      entry.body = text === "" ? null : text;
    }
    this.#bound();
  }

  #bound() {
    while (this.#entries.length > mostEntries || (this.#characters > mostCharacters && this.#entries.length > 1)) {
      this.#characters -= this.#entries.shift().size;
    }
  }

  /** The entries of one test, or all. */
  entries(id) {
    const wanted = this.#entries.filter((entry) => id === null || entry.id === id);
    return wanted.map(({ size, ...entry }) => ({ ...entry, running: entry.ms === null }));
  }

  /** How often this was called with a name, this time included. */
  count(name) {
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    if (this.#counts.size > 10_000) this.#counts.delete(this.#counts.keys().next().value);
    return count;
  }

  stats() {
    const { running, total, maxConcurrent } = this;
    return { openSockets: this.#sockets.size, running, total, maxConcurrent, logged: this.#entries.length };
  }

  /** Forgets everything but what is still going on. */
  reset() {
    this.#entries = [];
    this.#characters = 0;
    this.#counts.clear();
    this.total = this.running;
    this.maxConcurrent = this.running;
  }

  destroySockets() {
    for (const socket of this.#sockets) socket.destroy();
  }
}
