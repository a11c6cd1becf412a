// A writer in a process of its own, over files, called through the channel of its parent.

import { setTimeout as pause } from "node:timers/promises";

import { load } from "../../node/support.mjs";
import { answerTo } from "../../provider-server/text.mjs";
import { Writer } from "./tabs-writer.mjs";

const [name, conversation, folder, asks] = process.argv.slice(2);
const epitome = await load("session.node.js");
const { nodeFs } = await load("stores/node-fs.js");

const model = async ({ prompt, signal }) => {
  await pause(10, undefined, { signal });
  return answerTo(prompt);
};
const writer = new Writer({ epitome, store: nodeFs(folder), conversation, name, ...(asks === "asks" && { model }) });

process.on("message", async ({ number, method, rest }) => {
  try {
    process.send({ number, value: await writer[method](...rest) });
  } catch (error) {
    process.send({ number, error: String(error?.stack ?? error) });
  }
});
