// What the entries use of their runtimes, and no more.

declare module "node:fs" {
  export function readFileSync(path: URL): Uint8Array<ArrayBuffer>;
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
