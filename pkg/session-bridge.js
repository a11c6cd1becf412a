// What a session needs of the world (`src/wasm/session/sessions/bridge.rs`). None of it throws into the core.

/** @import { SessionInstance } from "./task.js" */

/** The host of one session. */
export class SessionBridge {
  /**
   * @param {SessionInstance} instance
   * @param {string | undefined} lock name of the lock of whoever compacts the conversation
   * @param {(event: any) => void} heard
   */
  constructor(instance, lock, heard) {
    this.instance = instance;
    this.lock = lock;
    this.heard = heard;
  }

  /** @param {unknown} event */
  event(event) {
    this.heard(event);
  }

  elect() {
    const locks = globalThis.navigator?.locks;
    return this.lock === undefined || locks === undefined ? undefined : new Lock(this.instance, locks, this.lock);
  }
}

/** A lock that was asked for. */
class Lock {
  /**
   * @param {SessionInstance} instance
   * @param {LockManager} locks
   * @param {string} name
   */
  constructor(instance, locks, name) {
    /** @private */
    this.instance = instance;
    /** @private */
    this.controller = new AbortController();
    /** @private @type {(() => void) | undefined} */
    this.release = undefined;
    /** @private */
    this.isOver = false;
    /** @private */
    this.isLost = false;
    // Told when the module traps: then nobody lets go of it any more.
    instance.waiting.add(this);
    /** Resolves when the lock is ours, or when nothing will come of it. */
    this.granted = new Promise((resolve) => {
      const settle = () => {
        if (!this.isLost) resolve(undefined);
      };
      // Taken by force, refused, or given up: whoever compacts nevertheless wastes work at worst.
      request(locks, name, this.controller.signal, () => this.hold(settle)).then(settle, settle);
    });
  }

  /**
   * @private
   * @param {() => void} settle
   */
  hold(settle) {
    settle();
    return new Promise((resolve) => {
      this.release = () => resolve(undefined);
      if (this.isOver) this.release();
    });
  }

  end() {
    this.isOver = true;
    this.instance.waiting.delete(this);
    this.release?.();
    this.controller.abort();
  }

  lost() {
    this.isLost = true;
    this.end();
  }
}

/**
 * @param {LockManager} locks
 * @param {string} name
 * @param {AbortSignal} signal
 * @param {() => Promise<unknown>} held
 */
async function request(locks, name, signal, held) {
  await locks.request(name, { signal }, held);
}
