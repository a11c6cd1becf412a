// `compact` of the main entry: what talks to models is a module of its own, loaded when it is first needed.

/** @import { CompactOptions, FitResult } from "./index.d.ts" */

/**
 * @typedef {object} Session
 * @property {(input?: undefined) => Promise<void>} init
 * @property {<M extends object>(messages: readonly M[], options: CompactOptions<M>) => Promise<FitResult<M>>} compact
 */

/** @param {() => Promise<Session>} load */
export function lazily(load) {
  /**
   * @template {object} M
   * @param {readonly M[]} messages
   * @param {CompactOptions<M>} options
   * @returns {Promise<FitResult<M>>}
   */
  return async function compact(messages, options) {
    // As they are now, whatever the host does to its array meanwhile.
    const given = Array.isArray(messages) ? [...messages] : messages;
    const session = await load();
    await session.init();
    return session.compact(given, options);
  };
}
