// What every format's request check is made of. A check throws a `Violation`; the format words it as its vendor does.

/** A request that the vendor would not take. */
export class Violation extends Error {
  /**
   * @param {string} message what is wrong, in the vendor's words
   * @param {{ status?: number, param?: string | null, code?: string | null }} [about]
   */
  constructor(message, { status = 400, param = null, code = null } = {}) {
    super(message);
    Object.assign(this, { status, param, code });
  }
}

/** A model that no vendor has. */
export const missingModel = "no-such-model";

/** The only key that the server knows. */
export const testKey = "test-key";

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
export const isPositiveInteger = (value) => Number.isSafeInteger(value) && value > 0;
export const isText = (value) => typeof value === "string" && value !== "";

/** Tokens as this server counts them: four characters each. */
export const tokens = (text) => Math.ceil([...text].length / 4);

/** The fields of a body that are not in a list of names (separated by spaces). */
export const unknownFields = (body, known) => Object.keys(body).filter((name) => !known.split(" ").includes(name));

/** The type of a JSON value, as error messages name it. */
export function typeName(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}

/** The key behind `Bearer `, or nothing. */
export const bearer = (headers) => /^Bearer (\S+)$/.exec(headers.authorization ?? "")?.[1];
