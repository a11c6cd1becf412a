// What the model says: always the same for the same request, and of use as a summary of what the request holds.
//
// A summary is taken only if it is much smaller than what it stands for and names something of it. So the answer quotes
// a few words, and lists names and numbers that occur in the text between the prompt's marks.

/** @typedef {"end" | "length" | "refusal" | "filter"} StopReason */

const sections = [
  "User Intent",
  "Technical Concepts",
  "Files & Code",
  "Errors & Fixes",
  "Problem Solving",
  "User Messages",
  "Pending Tasks",
  "Current Work",
  "Next Step",
];

/** The share of its input that a summary takes up at most. */
const largestShare = 0.25;

/** Text of the model's thoughts, where a fault asks for them. They are never part of the answer. */
export const thoughts = "First I weigh what matters; none of this is the answer.";

/** What a model says that will not do it. */
export const refusalText = "I'm sorry, but I can't help with that.";

/**
 * The answer to the last user message.
 * @param {string} prompt
 */
export function answerTo(prompt) {
  const data = lastFenced(prompt) ?? prompt;
  const order = prompt.trimEnd().split("\n").at(-1) ?? "";
  const [, write] = writers.find(([pattern]) => pattern.test(order)) ?? [undefined, nineSections];
  return write(data);
}

const writers = [
  [/JSON object/, structured],
  [/one sentence/, (data) => `The goal is “${words(data, 12)}”.`],
  [/two lines/, (data) => `CURRENT: “${words(data, 10)}” is being worked on.\nCOMPLETED: NONE`],
  [/numbered list/, (data) => `1. Keep paths and numbers such as “${words(data, 6)}”.`],
  [/two to four sentences/, (data) => `The tool was called with “${words(data, 8)}”. It named ${list(data, 80)}.`],
];

/** The nine sections, or as many of them as a short input pays for. */
function nineSections(data) {
  const room = Math.max(40, Math.floor([...data].length * largestShare));
  const quoted = words(data, 8);
  if (room < 400) return clip(`1. User Intent: “${quoted}” — ${list(data, room)}`, room);
  const named = list(data, Math.min(room - 300, 1_200));
  const bodies = {
    "User Intent": `“${quoted}”`,
    "Files & Code": `- ${named}`,
    "Current Work": `“${words(data.slice(-400), 8)}” — in progress`,
  };
  return sections.map((name, at) => `${at + 1}. ${name}: ${bodies[name] ?? "—"}`).join("\n");
}

function structured(data) {
  return JSON.stringify({
    session_intent: `“${words(data, 8)}”`,
    files_modified: [list(data, 120)],
    decisions_made: [],
    open_questions: [],
    next_steps: ["Go on — as asked."],
  });
}

/** The text between the last pair of the prompt's marks: `<name mark>` and `</name mark>` on lines of their own. */
function lastFenced(prompt) {
  const close = [...prompt.matchAll(/^<\/(\w+ [^<>\n]+)>$/gm)].at(-1);
  const open = close && prompt.lastIndexOf(`<${close[1]}>\n`, close.index);
  return close && open >= 0 ? prompt.slice(open + close[1].length + 3, close.index) : undefined;
}

/** The first words of a text, on one line. */
function words(text, most) {
  return clip(text.trim().slice(0, 1_000).split(/\s+/).slice(0, most).join(" "), 160);
}

/** Paths, identifiers and numbers of a text, those that occur most often first. */
function list(text, room) {
  const counts = new Map();
  const name = /[\w@-]*[./\w-]*(?:[\w-]\.[a-z]\w*|\/[\w-]+|\d\w*)/g;
  for (const [found] of text.slice(-400_000).matchAll(name)) {
    if (found.length < 80) counts.set(found, (counts.get(found) ?? 0) + 1);
  }
  const ranked = [...counts].sort(([, a], [, b]) => b - a).map(([found]) => found);
  return clip(ranked.slice(0, 60).join(", ") || words(text.slice(-200), 4), room);
}

/** At most `most` characters, not half of one. */
export const clip = (text, most) => (text.length <= most ? text : [...text].slice(0, Math.max(most, 0)).join(""));
