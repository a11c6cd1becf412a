/** The file is not one of the shapes that the page reads; the message says why. */
export class UnreadableFile extends Error {}

interface Read {
  /** Not yet checked: the package says what is wrong with a message, and where. */
  readonly messages: readonly object[];
  readonly notes: readonly string[];
}

/** Reads an array of messages, an object with `messages`, or JSON Lines of either. */
export function readConversation(text: string): Read {
  const read = readAny(text);
  if (read.messages.length === 0) throw new UnreadableFile("The conversation has no messages.");
  return read;
}

function readAny(text: string): Read {
  // A byte order mark is not JSON, but editors on Windows write it.
  const source = text.replace(/^\uFEFF/, "").trim();
  if (source === "") throw new UnreadableFile("The file is empty.");
  let whole: unknown;
  try {
    whole = JSON.parse(source);
  } catch (error) {
    // One object after the other without a comma between them: JSON Lines, or meant to be.
    if (source.startsWith("{") && /\}[ \t\r]*\n\s*\{/.test(source)) return fromLines(source);
    throw new UnreadableFile(`This is not JSON: ${reason(error)}.`);
  }
  return fromValue(whole, []);
}

function fromValue(value: unknown, notes: readonly string[]): Read {
  if (Array.isArray(value)) return { messages: value, notes };
  if (isObject(value)) {
    if (Array.isArray(value.messages)) return { messages: value.messages, notes };
    if (typeof value.role === "string") return { messages: [value], notes };
  }
  throw new UnreadableFile('No messages found. Give an array of messages, an object with "messages", or JSON Lines.');
}

function fromLines(source: string): Read {
  const values: unknown[] = [];
  for (const [number, line] of source.split("\n").entries()) {
    if (line.trim() === "") continue;
    try {
      values.push(JSON.parse(line));
    } catch (error) {
      throw new UnreadableFile(`Line ${number + 1} is not JSON: ${reason(error)}.`);
    }
  }
  const first = values[0];
  if (isObject(first) && Array.isArray(first.messages)) {
    const notes = values.length > 1 ? [`The file holds ${values.length} conversations; this is the first.`] : [];
    return fromValue(first, notes);
  }
  return { messages: values as object[], notes: [] };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  // Browsers end it in different ways.
  return text
    .replace(/^JSON\.parse: /, "")
    .replace(/ is not valid JSON$/, "")
    .replace(/\.$/, "");
}
