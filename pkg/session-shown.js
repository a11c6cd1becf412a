// The objects that a session shows: the same one for the same message, as long as it says the same.

/** @typedef {readonly [edition: string, flat: readonly any[]]} Showing see `src/wasm/session/sessions/showing.rs` */

export class Shown {
  constructor() {
    /** @private Messages of the view, by entry: the core does not send their texts again. @type {Map<number, object>} */
    this.held = new Map();
    /** @private Messages that somebody else may still hold. @type {Map<number, WeakRef<object>>} */
    this.seen = new Map();
    /** @private Edited messages and summaries of the view, by entry and text. @type {Map<string, object>} */
    this.edited = new Map();
    /** @private @type {string | undefined} */
    this.edition = undefined;
  }

  /**
   * The host has this message under that number.
   *
   * @param {number} id
   * @param {object} message
   */
  hold(id, message) {
    this.held.set(id, message);
    this.remember(id, message);
  }

  /**
   * The view. What is no longer in it is let go of.
   *
   * @param {Showing} showing
   * @returns {object[]}
   */
  view([edition, flat]) {
    this.enter(edition);
    /** @type {typeof this.held} */
    const held = new Map();
    /** @type {typeof this.edited} */
    const edited = new Map();
    const messages = [];
    for (let at = 0; at < flat.length; at += 3) {
      const [id, isWhole, text] = [flat[at], flat[at + 1], flat[at + 2]];
      const message = isWhole ? this.whole(id, text) : this.changed(id, text);
      if (isWhole) held.set(id, message);
      else edited.set(`${id} ${text}`, message);
      messages.push(message);
    }
    [this.held, this.edited] = [held, edited];
    if (this.seen.size > 2 * held.size + 256) this.sweep();
    return messages;
  }

  /**
   * Messages of the view before, with their indices there.
   *
   * @param {readonly any[]} flat
   * @returns {{ index: number, message: object }[]}
   */
  originals(flat) {
    const originals = [];
    for (let at = 0; at < flat.length; at += 4) {
      const [index, id, isWhole, text] = [flat[at], flat[at + 1], flat[at + 2], flat[at + 3]];
      originals.push({ index, message: isWhole ? this.whole(id, text) : this.changed(id, text) });
    }
    return originals;
  }

  /**
   * Entries as they were given.
   *
   * @param {Showing} showing
   */
  history([edition, flat]) {
    this.enter(edition);
    const entries = [];
    for (let at = 0; at < flat.length; at += 7) {
      const [id, text, time, tokens, pinned, visibility, shortened] = flat.slice(at, at + 7);
      // What is left of it is not the message that was given.
      const message = shortened ? JSON.parse(text) : this.whole(id, text);
      entries.push({ id, message, time, tokens, pinned, visibility, shortened });
    }
    return entries;
  }

  /**
   * In another edition an entry may say something else.
   *
   * @private
   * @param {string} edition
   */
  enter(edition) {
    if (this.edition === edition) return;
    if (this.edition !== undefined) this.seen.clear();
    this.edition = edition;
  }

  /**
   * @private
   * @param {number} id
   * @param {string | undefined} text none where the core knows that we hold the message
   * @returns {object}
   */
  whole(id, text) {
    const known = text === undefined ? this.held.get(id) : this.seen.get(id)?.deref();
    const message = known ?? JSON.parse(/** @type {string} */ (text));
    this.remember(id, message);
    return message;
  }

  /**
   * @private
   * @param {number} id
   * @param {string} text
   * @returns {object}
   */
  changed(id, text) {
    return this.edited.get(`${id} ${text}`) ?? JSON.parse(text);
  }

  /**
   * @private
   * @param {number} id
   * @param {object} message
   */
  remember(id, message) {
    if (typeof WeakRef === "function") this.seen.set(id, new WeakRef(message));
  }

  /** @private */
  sweep() {
    for (const [id, message] of this.seen) if (message.deref() === undefined) this.seen.delete(id);
  }
}
