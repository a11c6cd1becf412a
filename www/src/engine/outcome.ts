import type { FitResult, InsertEdit } from "epitome";
import { roleOf } from "./label.ts";
import { type Inserted, type Outcome, STATES, type State } from "./protocol.ts";

const code = (state: State) => STATES.indexOf(state);

/** Turns a report into what the list shows: per message its state and what is left of it. */
export function outcome(
  result: FitResult<object>,
  count: number,
  tokens: Uint32Array,
  milliseconds: number,
  measure: (message: object) => number,
): Outcome {
  const { report, patch, messages } = result;
  const states = new Uint8Array(count);
  const after = tokens.slice();

  // Repairs first: a prune or hide of a repaired message is what the reader should see.
  const repaired = new Set(report.repairs.filter(({ action }) => action !== "insert").map(({ index }) => index));
  for (const index of repaired) states[index] = code("repaired");

  const inserted: Inserted[] = [];
  const summaries = report.edits.filter((edit): edit is InsertEdit => edit.kind === "insert");
  const inView = new Uint8Array(count);
  let view = 0;
  let previous = -1;
  for (const [position, entry] of patch.view.layout.entries()) {
    if (entry === null) {
      const message = messages[view];
      const next = nextSource(patch.view.layout, position, count);
      const summary = summaries.find(({ before }) => before > previous && before <= next);
      if (message) {
        inserted.push({
          kind: summary ? "summary" : "repair",
          before: summary?.before ?? previous + 1,
          viewIndex: view,
          role: roleOf(message),
          tokens: summary?.tokensAfter ?? measure(message),
          covers: summary?.covers ?? 0,
        });
      }
      view++;
    } else if (typeof entry === "number") {
      inView[entry] = 1;
      const message = messages[view];
      if (message && repaired.has(entry)) after[entry] = measure(message);
      previous = entry;
      view++;
    } else {
      inView.fill(1, entry[0], entry[1]);
      previous = entry[1] - 1;
      view += entry[1] - entry[0];
    }
  }

  for (const edit of report.edits) {
    if (edit.kind === "prune" || edit.kind === "shrink") {
      // A message that was pruned and then shrunk has lost the most by the shrinking.
      states[edit.index] = code(edit.kind === "prune" ? "pruned" : "shrunk");
      after[edit.index] = edit.tokensAfter;
    }
  }
  for (const edit of report.edits) {
    if (edit.kind === "hide") states.fill(code("hidden"), edit.from, edit.to);
  }
  for (let index = 0; index < count; index++) if (!inView[index]) after[index] = 0;
  const { edits: _edits, summary: _summary, ...rest } = report;
  return { report: rest, states, after, inserted, milliseconds };
}

function nextSource(layout: FitResult<object>["patch"]["view"]["layout"], position: number, count: number): number {
  for (let at = position + 1; at < layout.length; at++) {
    const entry = layout[at];
    if (typeof entry === "number") return entry;
    if (entry) return entry[0];
  }
  return count;
}
