import { EpitomeError, init, type ProgressEvent } from "epitome";
import { Conversation } from "./conversation.ts";
import type { Call, Calls, Failure, ModelProgress, Request, Response } from "./protocol.ts";
import { readConversation, UnreadableFile } from "./read.ts";
import { Tally } from "./tally.ts";

// TypeScript has one global scope per program and this program's is the page's.
const port = globalThis as unknown as {
  onmessage: (event: MessageEvent<Request>) => void;
  postMessage(message: Response): void;
};

const ready = init();
let current: Conversation | undefined;

/** These only look at what is there; after any other call nobody waits for a model any more. */
const LOOKS: ReadonlySet<Call> = new Set(["detail", "json"]);
let asking = new AbortController();

interface Hooks {
  readonly signal: AbortSignal;
  heard(progress: ModelProgress): void;
}

async function answer(request: Request, hooks: Hooks): Promise<unknown> {
  await ready;
  if (request.call === "load") {
    const { input } = request;
    const { messages, notes } = readConversation("file" in input ? await input.file.text() : input.text);
    // Only a conversation that could be read replaces the one on show.
    const next = new Conversation(messages, notes);
    current = next;
    return next.loaded;
  }
  if (!current) throw new UnreadableFile("No conversation is open.");
  switch (request.call) {
    case "fit":
      return current.fit(request.input.limit, request.input.pins);
    case "compact":
      return compact(current, request.input, hooks);
    case "stop":
      return null;
    case "detail":
      return current.detail(request.input);
    case "undo":
      return current.undo();
    case "json":
      return current.json();
  }
}

async function compact(
  conversation: Conversation,
  { limit, pins, model }: Calls["compact"]["in"],
  { signal, heard }: Hooks,
): Promise<unknown> {
  const ask = await asker();
  const tally = new Tally();
  const onProgress = (event: ProgressEvent) => heard(tally.after(event));
  return conversation.compact(limit, pins, (messages, options) =>
    ask(messages, { ...options, signal, onProgress }, model),
  );
}

/** What talks to models is loaded when the first is asked, and again when that failed. */
async function asker() {
  try {
    const { ask, init } = await import("./model.ts");
    await init();
    return ask;
  } catch (cause) {
    if (cause instanceof EpitomeError) throw cause;
    throw new EpitomeError("not_initialised", "The part of this page that talks to models could not be loaded.", {
      cause,
    });
  }
}

function describe(error: unknown): Failure {
  if (error instanceof UnreadableFile) return { code: "unreadable_file", message: error.message };
  if (error instanceof EpitomeError) {
    const { index, field } = error.details as { index?: number; field?: string };
    return {
      code: error.code,
      message: error.message,
      ...(index === undefined ? {} : { index }),
      ...(field === undefined ? {} : { field }),
    };
  }
  return { code: "internal", message: error instanceof Error ? error.message : String(error) };
}

// One request after the other: a fit must not overtake the load before it.
let queue = Promise.resolve();
port.onmessage = ({ data: request }) => {
  if (!LOOKS.has(request.call)) asking.abort();
  if (request.call === "compact") asking = new AbortController();
  const { id } = request;
  const hooks = { signal: asking.signal, heard: (progress: ModelProgress) => port.postMessage({ id, progress }) };
  queue = queue.then(() => {
    const answered = answer(request, hooks).then(
      (value) => port.postMessage({ id, value }),
      (error) => port.postMessage({ id, failure: describe(error) }),
    );
    // A model takes its time; the next request does not wait for it.
    return request.call === "compact" ? undefined : answered;
  });
};
