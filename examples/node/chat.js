// An agent's loop that keeps its prompt within a window: each turn passes the patch of the turn before, so that the
// beginning of the prompt changes only when something has to go.

import { fit, undo } from "epitome";

const window = 12_000;
const history = [{ role: "system", content: "You read log files." }];
let previous;
let last;

for (let turn = 1; turn <= 16; turn += 1) {
  const id = `call_${turn}`;
  const log = Array.from(
    { length: 40 },
    (_, line) => `12:${turn}:${line} worker ${line % 7} finished job ${turn * 100 + line}`,
  );
  history.push(
    { role: "user", content: `What happened in hour ${turn}?` },
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id, type: "function", function: { name: "read_log", arguments: `{"hour":${turn}}` } }],
    },
    { role: "tool", tool_call_id: id, content: log.join("\n") },
  );

  last = fit(history, { budget: { window }, previous });
  previous = last.patch;
  const { before, after, limit, firstChangedIndex } = last.report;
  const cache = firstChangedIndex === null ? "prompt cache intact" : `changed from message ${firstChangedIndex} on`;
  console.log(`turn ${turn}: ${before} -> ${after} tokens (limit ${limit}), ${cache}`);

  // Here last.messages would go to the model.
  history.push({ role: "assistant", content: `Hour ${turn} was quiet.` });
}

const restored = undo(last);
console.log(
  `undo gives all ${restored.length} messages back: ${restored.every((message, index) => message === history[index])}`,
);
