/** A readable piece of a message. */
export interface Section {
  readonly title: string;
  readonly text: string;
  /** Data rather than prose. */
  readonly code: boolean;
}

/** Takes a message apart into what a reader wants to see; fields that carry no content are left to the JSON view. */
export function sections(message: object): Section[] {
  const { role, content, refusal, tool_calls, function_call } = message as Record<string, unknown>;
  const isResult = role === "tool" || role === "function";
  const found: Section[] = [];
  if (typeof content === "string") {
    if (content !== "") found.push({ title: isResult ? "Tool result" : "Text", text: content, code: isResult });
  } else if (Array.isArray(content)) {
    for (const part of content) found.push(partSection(part, isResult));
  } else if (content !== undefined && content !== null) {
    found.push({ title: "Content", text: pretty(content), code: true });
  }
  if (typeof refusal === "string") found.push({ title: "Refusal", text: refusal, code: false });
  for (const call of Array.isArray(tool_calls) ? tool_calls : []) found.push(callSection(call));
  if (isObject(function_call)) found.push(callSection({ function: function_call }));
  return found.length > 0 ? found : [{ title: "Message", text: pretty(message), code: true }];
}

export const pretty = (value: unknown) => JSON.stringify(value, null, 2) ?? "";

function partSection(part: unknown, isResult: boolean): Section {
  if (typeof part === "string") return { title: "Text", text: part, code: false };
  if (isObject(part) && typeof part.text === "string") {
    return { title: isResult ? "Tool result" : "Text", text: part.text, code: isResult };
  }
  const type = isObject(part) && typeof part.type === "string" ? part.type : "Part";
  return { title: type, text: pretty(part), code: true };
}

function callSection(call: unknown): Section {
  const { function: fn, custom } = (isObject(call) ? call : {}) as Record<string, Record<string, unknown> | undefined>;
  const { name, arguments: args, input } = fn ?? custom ?? {};
  const given = args ?? input ?? call;
  return {
    title: `Tool call: ${String(name ?? "unnamed")}`,
    text: typeof given === "string" ? reindent(given) : pretty(given),
    code: true,
  };
}

/** Arguments are JSON in a string; models also write ones that are not. */
function reindent(text: string): string {
  if (text.length > 200_000) return text;
  try {
    return pretty(JSON.parse(text));
  } catch {
    return text;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
