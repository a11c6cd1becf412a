// Every store that runs in Node.js passes the tests that every store has to pass.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

import { holdsContract, loadBeside } from "./stores-support.mjs";

const { memory } = await loadBeside("session.node.js");
const { nodeFs } = await loadBeside("stores/node-fs.js");

holdsContract("memory()", () => memory());

const folder = mkdtempSync(join(tmpdir(), "epitome-stores-"));
after(() => rmSync(folder, { recursive: true }));
let folders = 0;
const places = new WeakMap();
const openedAt = (place) => {
  const store = nodeFs(place);
  places.set(store, place);
  return store;
};

const fresh = () => {
  folders += 1;
  return openedAt(join(folder, String(folders)));
};

holdsContract("nodeFs()", fresh, { reopen: (store) => openedAt(places.get(store)) });
