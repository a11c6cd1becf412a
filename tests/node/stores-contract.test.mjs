// Every store that runs in Node.js passes the tests that every store has to pass.

import { holdsContract, loadBeside } from "./stores-support.mjs";

const { memory } = await loadBeside("session.node.js");

holdsContract("memory()", () => memory());
