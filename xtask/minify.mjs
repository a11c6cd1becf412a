// Minifies one JavaScript module in place: `node xtask/minify.mjs <file> <target>...`
//
// Through esbuild's API: its command line is a native program on some systems and a script on others.

import { readFileSync, writeFileSync } from "node:fs";
import { transformSync } from "esbuild";

const [file, ...target] = process.argv.slice(2);
const { code, warnings } = transformSync(readFileSync(file, "utf8"), { format: "esm", minify: true, target });
if (warnings.length > 0) {
  throw new Error(`${file}: ${warnings.map(({ text }) => text).join("; ")}`);
}
// The package is type-checked (tests/types), what wasm-bindgen writes is not.
writeFileSync(file, `// @ts-nocheck\n${code}`);
