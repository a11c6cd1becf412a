// Takes the picture of the README from the built page: `node www/screenshots.mjs`.
//
// The looks of the text depend on the fonts of the system; the rest does not.
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { pages } from "../tests/e2e/support/page.mjs";

const PICTURE = fileURLToPath(new URL("../docs/images/page.png", import.meta.url));
/** A picture in a README should not cost more than the page that it shows. */
const MOST_BYTES = 250_000;

const site = await pages();
try {
  const { page } = await site.open({ colorScheme: "light", reducedMotion: "reduce" });
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: PICTURE, animations: "disabled" });
} finally {
  await site.close();
}
const { size } = await stat(PICTURE);
if (size > MOST_BYTES) throw new Error(`${PICTURE} has ${size} bytes, at most ${MOST_BYTES} are wanted`);
console.log(`${PICTURE}: ${size} bytes`);
