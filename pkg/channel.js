// Tells the other sessions of a conversation that it was written to: those of other tabs and workers where they share the
// store, and those of this one. Messages hold a name and a number, nothing of what is kept.

/** @typedef {{ conversation: string, revision: number }} News */

/** Sessions of this program, by their store. @type {WeakMap<object, Set<WeakRef<Channel>>>} */
const peers = new WeakMap();

export class Channel {
  /**
   * @param {object} store
   * @param {string | undefined} shared name of the store among tabs and workers
   * @param {(news: News) => void} heard
   */
  constructor(store, shared, heard) {
    /** @private */
    this.heard = heard;
    /** @private @type {BroadcastChannel | undefined} */
    this.broadcast = undefined;
    /** @private @type {WeakRef<Channel>} */
    this.self = new WeakRef(this);
    /** @private */
    this.peers = peersOf(store);
    if (shared === undefined || typeof BroadcastChannel !== "function") this.peers.add(this.self);
    else this.broadcast = broadcastOf(shared, this.self);
  }

  /** @param {News} news */
  tell(news) {
    try {
      this.broadcast?.postMessage({ conversation: news.conversation, revision: news.revision });
    } catch {
      // A channel that cannot tell costs others a look of their own.
    }
    if (this.broadcast !== undefined) return;
    for (const peer of this.peers) {
      const channel = peer.deref();
      if (channel === undefined) this.peers.delete(peer);
      else if (channel !== this) queueMicrotask(() => channel.hear(news));
    }
  }

  /** @param {any} news */
  hear(news) {
    const { conversation, revision } = Object(news);
    if (typeof conversation === "string" && Number.isSafeInteger(revision)) this.heard({ conversation, revision });
  }

  close() {
    this.heard = () => {};
    this.peers.delete(this.self);
    this.broadcast?.close();
  }
}

/** @param {object} store */
function peersOf(store) {
  let all = peers.get(store);
  if (all === undefined) {
    all = new Set();
    peers.set(store, all);
  }
  return all;
}

/**
 * @param {string} shared
 * @param {WeakRef<Channel>} channel not held: a session that nobody has any more does not listen
 */
function broadcastOf(shared, channel) {
  const broadcast = new BroadcastChannel(`epitome:${shared}`);
  broadcast.onmessage = ({ data }) => channel.deref()?.hear(data);
  // In Node.js it would keep the process alive.
  /** @type {any} */ (broadcast).unref?.();
  return broadcast;
}
