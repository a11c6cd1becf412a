// Providers of one's own.

export { createProvider, Provider } from "../provider.js";
