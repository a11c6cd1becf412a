// A page that keeps a conversation in IndexedDB until its browser is killed.

import { Work } from "./crash-work.mjs";

const asked = new URLSearchParams(location.search);

/** Tells the test, which is not killed, and goes on once it knows. */
async function tell(report) {
  await fetch(`/report?run=${asked.get("run")}`, { method: "POST", body: JSON.stringify(report) });
}

try {
  const epitome = await import("/package/session.web.js");
  await epitome.init();
  const work = await Work.open(epitome, epitome.indexedDb(), asked.get("conversation"));
  await tell(await work.look(asked.get("undo")));
  for (;;) await tell(await work.step());
} catch (error) {
  await tell({ failure: `${error?.code}: ${error?.stack ?? error}` });
}
