// Carries out what the core decided, on the host's own objects: nothing is read that need not be, nothing is mutated.

import { describe, EpitomeError, invalidOption } from "./errors.js";

/** @import { Change, PathStep } from "./index.d.ts" */
/** @import { Writer } from "./wire.js" */

/** @typedef {readonly [number, number]} KeepItem Source messages `from..to`, as they are. */
/** @typedef {{ readonly edit: number, readonly changes: readonly Change[] }} EditItem A changed copy of one. */
/**
 * @typedef {object} InsertItem A new message.
 * @property {{ readonly role: string, readonly content: string }} insert as a plain object
 * @property {string} role
 * @property {string} text
 * @property {boolean} summary whether it is a summary (and not a stand-in that the format's rules force)
 */
/** @typedef {{ readonly items: readonly (KeepItem | EditItem | InsertItem)[] }} Recipe */

/** @typedef {(role: string, text: string) => object} CreateMessage */

/**
 * The messages that a recipe describes.
 *
 * @param {Recipe} recipe
 * @param {Writer} writer what read the source
 * @param {CreateMessage | undefined} createMessage
 * @returns {object[]}
 */
export function assemble(recipe, writer, createMessage) {
  const source = /** @type {object[]} */ (writer.source);
  /** @type {object[]} */
  const messages = [];
  for (const item of recipe.items) {
    if (isKeep(item)) {
      for (let index = item[0]; index < item[1]; index += 1) messages.push(/** @type {object} */ (source[index]));
    } else if ("edit" in item) {
      const original = /** @type {object} */ (source[item.edit]);
      messages.push(changed(original, item.changes, readsOf(writer, item.edit)));
    } else {
      messages.push(inserted(item, writer, createMessage));
    }
  }
  return messages;
}

/**
 * The source messages that a recipe does not hand on as they are.
 *
 * @param {Recipe} recipe
 * @param {number} count of source messages
 */
export function notKept(recipe, count) {
  const kept = new Uint8Array(count);
  for (const item of recipe.items) {
    if (isKeep(item)) kept.fill(1, item[0], item[1]);
  }
  /** @type {number[]} */
  const others = [];
  for (let index = kept.indexOf(0); index !== -1; index = kept.indexOf(0, index + 1)) others.push(index);
  return others;
}

/**
 * @param {KeepItem | EditItem | InsertItem} item
 * @returns {item is KeepItem}
 */
export function isKeep(item) {
  return Array.isArray(item);
}

/**
 * A message that the host never had.
 *
 * A summary is built by the host's `createMessage`, else as a plain object. Where all messages are class instances a
 * plain object would be a stranger among them, and their constructor cannot be guessed (nor can an instance be copied
 * whose class has private fields), so there `createMessage` is a must. Stand-ins of tool results carry an id that
 * `createMessage` knows nothing about: they are plain objects, and fields of the built message among instances.
 *
 * @param {InsertItem} item
 * @param {Writer} writer
 * @param {CreateMessage | undefined} createMessage
 */
function inserted(item, writer, createMessage) {
  const strange = writer.plain === 0 && writer.source.length > 0;
  if (createMessage !== undefined && (item.summary || strange)) {
    const message = created(createMessage, item);
    if (!item.summary) {
      const { role: _, content: __, ...others } = item.insert;
      Object.assign(message, others);
    }
    return message;
  }
  if (strange) {
    throw new EpitomeError(
      "needs_create_message",
      `a message of role \`${item.role}\` has to be inserted and all messages are class instances; ` +
        "pass `createMessage: (role, text) => message`",
    );
  }
  return { ...item.insert };
}

/**
 * @param {CreateMessage} createMessage
 * @param {InsertItem} item
 */
function created(createMessage, item) {
  let message;
  try {
    message = createMessage(item.role, item.text);
  } catch (cause) {
    throw invalidOption("createMessage", "threw an error (see `cause`)", { cause });
  }
  if (typeof message !== "object" || message === null || Array.isArray(message)) {
    throw invalidOption("createMessage", `must return a message object, but returned ${describe(message)}`);
  }
  return message;
}

/** The changes below one field, as a tree. @typedef {Map<PathStep, ChangeNode | Change>} ChangeNode */

/**
 * @param {readonly Change[]} changes
 * @returns {ChangeNode}
 */
export function changeTree(changes) {
  /** @type {ChangeNode} */
  const tree = new Map();
  for (const change of changes) {
    let node = tree;
    for (const step of change.path.slice(0, -1)) {
      const next = node.get(step);
      const child = next instanceof Map ? next : /** @type {ChangeNode} */ (new Map());
      node.set(step, child);
      node = child;
    }
    const last = change.path.at(-1);
    if (last !== undefined) node.set(last, change);
  }
  return tree;
}

/**
 * A copy of `original` that differs only in `changes`: objects along the changed paths are copied through their property
 * descriptors (same prototype, accessors and symbols kept, no getter run), all others are shared.
 *
 * @param {object} original
 * @param {readonly Change[]} changes
 * @param {(holder: object, key: PathStep) => unknown} read what the walk read there
 */
function changed(original, changes, read) {
  return copy(original, changeTree(changes), read);
}

/**
 * @param {object} original
 * @param {ChangeNode} node
 * @param {(holder: object, key: PathStep) => unknown} read
 * @returns {object}
 */
function copy(original, node, read) {
  /** @param {PathStep} key @param {ChangeNode | Change} change */
  const value = (key, change) => {
    if (!(change instanceof Map)) return change.value;
    const child = read(original, key);
    return typeof child === "object" && child !== null ? copy(child, change, read) : child;
  };
  return Array.isArray(original) ? copyArray(original, node, value) : copyObject(original, node, value);
}

/**
 * @param {readonly unknown[]} original
 * @param {ChangeNode} node
 * @param {(key: PathStep, change: ChangeNode | Change) => unknown} value
 */
function copyArray(original, node, value) {
  const result = original.slice();
  /** @type {Set<number>} */
  const removed = new Set();
  for (const [step, change] of node) {
    const index = Number(step);
    if (isRemoval(change)) removed.add(index);
    else result[index] = value(index, change);
  }
  return removed.size === 0 ? result : result.filter((_, index) => !removed.has(index));
}

/**
 * @param {object} original
 * @param {ChangeNode} node
 * @param {(key: PathStep, change: ChangeNode | Change) => unknown} value
 */
function copyObject(original, node, value) {
  const result = Object.create(Object.getPrototypeOf(original));
  for (const key of Reflect.ownKeys(original)) {
    const descriptor = /** @type {PropertyDescriptor} */ (Object.getOwnPropertyDescriptor(original, key));
    const change = typeof key === "string" ? node.get(key) : undefined;
    if (change === undefined) {
      Object.defineProperty(result, key, descriptor);
    } else if (!isRemoval(change)) {
      // What was an accessor becomes a value; what was read-only stays so.
      const { configurable, enumerable, writable = true } = descriptor;
      const changedValue = value(/** @type {string} */ (key), change);
      Object.defineProperty(result, key, { configurable, enumerable, writable, value: changedValue });
    }
  }
  for (const [key, change] of node) {
    if (change instanceof Map || isRemoval(change) || Object.hasOwn(original, key)) continue;
    const descriptor = { configurable: true, enumerable: true, writable: true, value: change.value };
    Object.defineProperty(result, key, descriptor);
  }
  return result;
}

/**
 * @param {ChangeNode | Change} change
 * @returns {boolean}
 */
export function isRemoval(change) {
  return !(change instanceof Map) && change.remove === true;
}

/**
 * What the walk read in one message. A getter may give another object each time, so it must not be asked again.
 *
 * @param {Writer} writer
 * @param {number} index
 * @returns {(holder: object, key: PathStep) => unknown}
 */
function readsOf({ reads, starts }, index) {
  const from = starts[index] ?? 0;
  const to = starts[index + 1] ?? reads.length;
  return (holder, key) => {
    for (let at = from; at < to; at += 3) {
      if (reads[at] === holder && reads[at + 1] === key) return reads[at + 2];
    }
    return undefined;
  };
}
