// Standard output: with backpressure, and without a fuss when the reader has gone.

import { once } from "node:events";

process.stdout.on("error", (error) => {
  // `epitome ... | head` closes the pipe: nobody is left to read the rest.
  if (/** @type {NodeJS.ErrnoException} */ (error).code === "EPIPE") process.exit(0);
  throw error;
});

/**
 * Writes, and waits while the reader is slower than we are.
 *
 * @param {string} text
 */
export async function write(text) {
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}

/**
 * What a table line may show of a text: no control characters, which a terminal would obey.
 *
 * @param {string} text
 */
export function printable(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, " ").trim();
}
