// A program that keeps a conversation in files until it is killed. Writes each report as soon as what it says has happened.

import { writeSync } from "node:fs";

import { load } from "../../node/support.mjs";
import { Work } from "./crash-work.mjs";

const [folder, conversation, undo] = process.argv.slice(2);
const epitome = await load("session.node.js");
const { nodeFs } = await load("stores/node-fs.js");

const tell = (report) => writeSync(1, `${JSON.stringify(report)}\n`);

const work = await Work.open(epitome, nodeFs(folder), conversation);
tell(await work.look(undo));
for (;;) tell(await work.step());
