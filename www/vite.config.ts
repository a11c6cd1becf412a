import { fileURLToPath } from "node:url";
import type { UserConfig } from "vite";
import { contentSecurityPolicy } from "./build/csp.ts";
import { offlineCopy } from "./build/offline.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default {
  root: here("."),
  // Relative addresses: the built folder can be served from any path.
  base: "./",
  publicDir: false,
  resolve: {
    alias: [
      { find: /^epitome$/, replacement: here("../pkg/index.web.js") },
      { find: /^epitome\/session$/, replacement: here("../pkg/session.web.js") },
      { find: /^epitome\/(providers\/.+)$/, replacement: `${here("../pkg")}/$1.js` },
    ],
  },
  // The conversations are read from ../tests/data, the package from ../pkg.
  server: { fs: { allow: [here("..")] } },
  worker: { format: "es" },
  plugins: [contentSecurityPolicy(), offlineCopy(here("./offline/sw.js"), /\/(?:model|session)[-._]/)],
  build: {
    outDir: here("../target/www"),
    emptyOutDir: true,
    target: "es2022",
    // The policy has no `data:`, so nothing may be inlined as one.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
} satisfies UserConfig;
