import type { Plugin } from "vite";

/** What the page may load and where it may connect. The server sends the same as a header. */
export const POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  // Models that write summaries may be anywhere: in the local network, too, where there is no https.
  "connect-src 'self' http: https:",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Writes the policy into the built page, so that it holds on servers that send no such header, too. */
export function contentSecurityPolicy(): Plugin {
  return {
    name: "content-security-policy",
    // Vite's development server injects inline scripts; the policy is for what is shipped.
    apply: "build",
    transformIndexHtml: () => [
      { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: POLICY }, injectTo: "head-prepend" },
    ],
  };
}
