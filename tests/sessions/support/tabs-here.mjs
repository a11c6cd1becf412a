// A writer in a tab or a worker: over IndexedDB, with a model that the server of the test answers for, slowly.

import { answerTo } from "/tests/provider-server/text.mjs";
import { Writer } from "/tests/sessions/support/tabs-writer.mjs";

/** @param {string} name @param {{ conversation: string, asks: boolean }} options */
export async function writerHere(name, { conversation, asks }) {
  const epitome = await import("/package/session.web.js");
  await epitome.init();
  const model = async ({ prompt, step, signal }) => {
    const answer = await fetch(`/model?who=${name}&step=${step}`, { signal });
    if (!answer.ok) throw new Error(`the server of the test said ${answer.status}`);
    return answerTo(prompt);
  };
  const store = epitome.indexedDb({ name: "tabs" });
  const writer = new Writer({
    epitome,
    store,
    conversation,
    name,
    ...(asks && { model }),
  });
  await writer.open();
  return writer;
}
