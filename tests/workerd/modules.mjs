// The package as modules of a Worker.

import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

import { packageFolder } from "../node/support.mjs";

/** Every file of the package that a Worker may import, in a folder beside the Worker's own. */
export function packageModules(folder = "epitome", source = packageFolder) {
  return readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile() && /\.(?:js|wasm)$/.test(file.name) && !file.name.endsWith(".node.js"))
    .map((file) => join(file.parentPath, file.name))
    .filter((file) => !/^(?:bin|node_modules)/.test(relative(source, file)))
    .map((file) => ({
      type: file.endsWith(".wasm") ? "CompiledWasm" : "ESModule",
      path: `${folder}/${relative(source, file)}`,
      contents: readFileSync(file),
    }));
}
