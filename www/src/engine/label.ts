/** Longer than any row is wide; a message may hold megabytes. */
const LABEL_LENGTH = 160;

export function roleOf(message: object): string {
  const { role, type } = message as { role?: unknown; type?: unknown };
  return typeof role === "string" ? role : typeof type === "string" ? type : "other";
}

/** One line per message that tells what it is about; results begin with the name of the tool they come from. */
export function labels(messages: readonly object[]): string[] {
  // Ids repeat in long conversations: only the newest call with an id is meant.
  const tools = new Map<unknown, string>();
  return messages.map((message) => {
    const { tool_calls, tool_call_id } = message as Record<string, unknown>;
    for (const call of Array.isArray(tool_calls) ? tool_calls : []) tools.set(call?.id, callName(call));
    const tool = tool_call_id === undefined ? undefined : tools.get(tool_call_id);
    return tool ? `${tool}: ${label(message)}`.slice(0, LABEL_LENGTH) : label(message);
  });
}

/** The text, the tools it calls, or the kinds of its parts. */
function label(message: object): string {
  const { content, tool_calls, function_call } = message as Record<string, unknown>;
  const pieces = [
    ...textOf(content),
    ...callsOf(tool_calls),
    ...callsOf(function_call ? [{ function: function_call }] : []),
  ];
  return pieces.join(" ").slice(0, LABEL_LENGTH);
}

function textOf(content: unknown): string[] {
  if (typeof content === "string") return [oneLine(content)].filter(Boolean);
  if (!Array.isArray(content)) return [];
  return content.slice(0, 8).map((part: unknown) => {
    if (typeof part === "string") return oneLine(part);
    const { text, type } = (part ?? {}) as { text?: unknown; type?: unknown };
    return typeof text === "string" ? oneLine(text) : `[${typeof type === "string" ? type : "part"}]`;
  });
}

function callsOf(calls: unknown): string[] {
  if (!Array.isArray(calls)) return [];
  return calls.slice(0, 8).map((call: unknown) => {
    const { function: fn, custom } = (call ?? {}) as Call;
    const { arguments: args, input } = fn ?? custom ?? {};
    return `${callName(call)}(${oneLine(String(args ?? input ?? ""))})`;
  });
}

type Call = Readonly<Record<string, Record<string, unknown> | undefined>>;

function callName(call: unknown): string {
  const { function: fn, custom } = (call ?? {}) as Call;
  return String((fn ?? custom)?.name ?? "call");
}

function oneLine(text: string): string {
  return text
    .slice(0, LABEL_LENGTH * 4)
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, LABEL_LENGTH);
}
