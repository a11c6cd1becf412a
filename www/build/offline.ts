import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Plugin } from "vite";

/**
 * Emits the service worker with the list of all built files, so that the page opens without a network. Those that
 * `later` matches are kept once they have been used.
 */
export function offlineCopy(source: string, later: RegExp): Plugin {
  return {
    name: "offline-copy",
    apply: "build",
    // Last, so that the list holds what the other plugins and the worker build emit.
    enforce: "post",
    generateBundle(_options, bundle) {
      // "./" is index.html; under its own name some servers redirect, and a redirect is no copy.
      const names = Object.keys(bundle).filter((name) => name !== "index.html");
      const first = names.sort().filter((name) => !later.test(name));
      const files = ["./", ...first.map((name) => `./${name}`)];
      const others = names.filter((name) => later.test(name)).map((name) => `./${name}`);
      const hash = createHash("sha256");
      for (const file of Object.values(bundle)) hash.update(file.type === "chunk" ? file.code : file.source);
      this.emitFile({
        type: "asset",
        fileName: "sw.js",
        source: readFileSync(source, "utf8")
          .replace('"__VERSION__"', JSON.stringify(hash.digest("hex").slice(0, 12)))
          .replace('"__FILES__"', JSON.stringify(files))
          .replace('"__LATER__"', JSON.stringify(others)),
      });
    },
  };
}
