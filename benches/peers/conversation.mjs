// Made-up agent conversations: the same for every run and every machine, every message different.
//
// A turn is a user's request, several rounds of tool calls with their results (JSON records, logs, source code, prose),
// and an answer. They end within a run, as when the model is asked for its next step: on tool results.

const WORDS = (
  "the a of to and in is that for it as with on be this was are by from at or an have not which but when can all " +
  "will one each if how their then other about into more some than them would make like time could these been its " +
  "only over such after work first most part also must before through same between under while where both service " +
  "request response cache worker queue deploy rollback latency database index query schema migration account invoice " +
  "payment customer region cluster replica shard token session header route handler middleware parser compiler module " +
  "package version release branch commit review failure retry timeout backoff threshold alert dashboard metric trace " +
  "log level warning error exception stack frame buffer stream socket connection pool thread process memory leak " +
  "budget estimate forecast report summary decision owner deadline blocker priority ticket incident postmortem " +
  "yesterday tomorrow quickly slowly mostly rarely exactly roughly because although however therefore instead"
).split(" ");
const TOOLS = ["read_file", "search_code", "run_tests", "query_database", "fetch_logs", "list_tickets"];
const LEVELS = ["INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"];

/** xorshift32: small, and the same everywhere. */
function generator(seed) {
  let state = seed | 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/**
 * An OpenAI chat conversation of exactly `count` messages.
 *
 * @param {number} count
 * @param {number} [seed]
 */
export function conversation(count, seed = 20_251) {
  const random = generator(seed);
  const messages = [{ role: "system", content: `You are a careful engineering agent. ${prose(random, 90)}` }];
  let calls = 0;
  while (messages.length < count) {
    messages.push({ role: "user", content: prose(random, 15 + random(90)) });
    for (let rounds = 2 + random(4); rounds > 0; rounds -= 1) {
      const ids = Array.from({ length: random(4) === 0 ? 2 + random(2) : 1 }, () => `call_${(calls++).toString(36)}`);
      const names = ids.map(() => TOOLS[random(TOOLS.length)]);
      messages.push({
        role: "assistant",
        content: random(3) === 0 ? null : prose(random, 20 + random(60)),
        tool_calls: ids.map((id, at) => ({
          id,
          type: "function",
          function: { name: names[at], arguments: toolArguments(random) },
        })),
      });
      for (const id of ids) messages.push({ role: "tool", tool_call_id: id, content: payload(random) });
    }
    messages.push({ role: "assistant", content: prose(random, 60 + random(160)) });
  }
  return cut(messages, count);
}

/** Cut to length where that leaves no call unanswered; what is missing then is filled up with further results. */
function cut(messages, count) {
  const kept = messages.slice(0, count);
  const at = kept.findLastIndex((message) => message.role === "assistant");
  const last = kept[at];
  if (last.tool_calls) {
    // Answered only as far as there is room: the call asks for no more than that.
    last.tool_calls = last.tool_calls.slice(0, kept.length - 1 - at);
    if (last.tool_calls.length === 0) kept[at] = { role: "assistant", content: "One moment." };
  }
  return kept;
}

function prose(random, words) {
  let text = "";
  let sentence = 0;
  for (let i = 0; i < words; i += 1) {
    const word = WORDS[random(WORDS.length)];
    if (sentence === 0) text += (i === 0 ? "" : ". ") + word[0].toUpperCase() + word.slice(1);
    else text += (random(14) === 0 ? ", " : " ") + word;
    sentence = (sentence + 1) % (8 + random(9));
  }
  return `${text}.`;
}

function toolArguments(random) {
  return JSON.stringify({
    path: file(random),
    query: `${WORDS[random(WORDS.length)]}_${random(1000)}`,
    limit: random(200),
  });
}

function file(random) {
  return `src/${WORDS[50 + random(80)]}/${WORDS[50 + random(80)]}_${random(400)}.ts`;
}

function hex(random, digits) {
  let text = "";
  while (text.length < digits) text += random(0x1000000).toString(16).padStart(6, "0");
  return text.slice(0, digits);
}

function payload(random) {
  switch (random(4)) {
    case 0:
      return JSON.stringify(Array.from({ length: 4 + random(11) }, () => record(random)));
    case 1:
      return Array.from({ length: 6 + random(16) }, () => logLine(random)).join("\n");
    case 2:
      return Array.from({ length: 10 + random(34) }, () => codeLine(random)).join("\n");
    default:
      return prose(random, 130 + random(430));
  }
}

function record(random) {
  return {
    id: hex(random, 12),
    name: `${WORDS[random(WORDS.length)]} ${WORDS[random(WORDS.length)]}`,
    amount: random(1_000_000) / 100,
    active: random(2) === 0,
    updated: `2026-0${1 + random(9)}-1${random(10)}T0${random(10)}:${10 + random(50)}:00Z`,
  };
}

function logLine(random) {
  const time = `2026-11-${10 + random(18)}T${10 + random(14)}:${10 + random(50)}:${10 + random(50)}.${100 + random(900)}Z`;
  return `${time} ${LEVELS[random(LEVELS.length)]} ${WORDS[50 + random(80)]}: ${prose(random, 5 + random(8))} id=${hex(random, 8)}`;
}

function codeLine(random) {
  const name = `${WORDS[50 + random(80)]}${random(90)}`;
  switch (random(4)) {
    case 0:
      return `  const ${name} = await ${WORDS[50 + random(80)]}.${WORDS[50 + random(80)]}(${name}, ${random(500)});`;
    case 1:
      return `  if (${name} === undefined) throw new Error("no ${WORDS[random(WORDS.length)]}");`;
    case 2:
      return `export function ${name}(${WORDS[50 + random(80)]}: string): number {`;
    default:
      return "}";
  }
}
