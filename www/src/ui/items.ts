import { type Outcome, STATES } from "../engine/protocol.ts";
import { type Look, lookOf } from "./words.ts";

/** One row of the list. */
export type Item =
  | { readonly kind: "message"; readonly index: number }
  | { readonly kind: "inserted"; readonly nth: number }
  | { readonly kind: "fold"; readonly from: number; readonly to: number; readonly open: boolean };

/** Shorter runs cost fewer rows than they would save clicks. */
const SHORTEST_FOLD = 4;

/** Lists the rows: messages in order, inserted ones at their place, long hidden runs folded unless opened. */
export function listItems(outcome: Outcome, only: ReadonlySet<Look>, open: ReadonlySet<number>): Item[] {
  const items: Item[] = [];
  const { states, inserted } = outcome;
  const shows = (look: Look) => only.size === 0 || only.has(look);
  let nth = 0;
  const insertBefore = (index: number) => {
    for (let entry = inserted[nth]; entry && entry.before <= index; entry = inserted[++nth]) {
      if (shows(lookOf(entry))) items.push({ kind: "inserted", nth });
    }
  };
  for (let index = 0; index < states.length; index++) {
    insertBefore(index);
    const look = STATES[states[index] ?? 0] ?? "kept";
    if (look === "hidden" && only.size === 0) {
      const to = endOfRun(states, index, inserted[nth]?.before ?? states.length);
      if (to - index >= SHORTEST_FOLD) {
        const isOpen = open.has(index);
        items.push({ kind: "fold", from: index, to, open: isOpen });
        if (isOpen) for (let at = index; at < to; at++) items.push({ kind: "message", index: at });
        index = to - 1;
        continue;
      }
    }
    if (shows(look)) items.push({ kind: "message", index });
  }
  insertBefore(states.length);
  return items;
}

function endOfRun(states: Uint8Array, from: number, stop: number): number {
  let to = from;
  while (to < states.length && to < Math.max(stop, from + 1) && states[to] === states[from]) to++;
  return to;
}

/** Names a row across refits, so that the selection stays where it was. */
export function keyOf(item: Item): string {
  switch (item.kind) {
    case "message":
      return `m${item.index}`;
    case "inserted":
      return `i${item.nth}`;
    case "fold":
      return `f${item.from}`;
  }
}
