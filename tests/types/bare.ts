// The declarations stand on their own: no DOM, no Node, no Workers types.

import { fit, type InitInput, init } from "epitome";

const input: InitInput = "https://example.org/epitome_bg.wasm";
await init(input);
await init(new Uint8Array(8));
fit([{ role: "user", content: "hi" }], { budget: 1_000 });
