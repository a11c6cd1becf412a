// What a session tells its host.

import { invalidOption } from "./errors.js";

export const EVENTS = ["status", "compaction", "warning", "changed"];

export class Events {
  /** @private @type {Map<string, Set<Function>>} */
  listeners = new Map(EVENTS.map((name) => [name, new Set()]));

  /**
   * @param {string} name
   * @param {Function} listener
   * @returns {() => void}
   */
  on(name, listener) {
    const listeners = this.listeners.get(name);
    if (listeners === undefined) throw invalidOption("event", `is unknown; there are ${EVENTS.join(", ")}`);
    // The same function may listen twice, and each of the two can end on its own.
    const own = (/** @type {unknown} */ event) => listener(event);
    listeners.add(own);
    return () => void listeners.delete(own);
  }

  /**
   * Tells listeners later, when nothing of ours is on the stack any more. What one of them throws is reported as that of
   * any other listener of the platform.
   *
   * @param {string} name
   * @param {unknown} event
   */
  emit(name, event) {
    for (const listener of this.listeners.get(name) ?? []) {
      queueMicrotask(() => {
        if (this.listeners.get(name)?.has(listener)) listener(event);
      });
    }
  }

  clear() {
    for (const listeners of this.listeners.values()) listeners.clear();
  }
}
