// The stores that need nothing but the package itself.

export { indexedDb } from "./store-indexed-db.js";
export { memory } from "./store-memory.js";
