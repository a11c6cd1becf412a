import { EpitomeError, init } from "epitome";
import { Conversation } from "./conversation.ts";
import type { Failure, Request, Response } from "./protocol.ts";
import { readConversation, UnreadableFile } from "./read.ts";

// TypeScript has one global scope per program and this program's is the page's.
const port = globalThis as unknown as {
  onmessage: (event: MessageEvent<Request>) => void;
  postMessage(message: Response): void;
};

const ready = init();
let current: Conversation | undefined;

async function answer(request: Request): Promise<unknown> {
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
    case "detail":
      return current.detail(request.input);
    case "undo":
      return current.undo();
    case "json":
      return current.json();
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
  queue = queue.then(async () => {
    try {
      port.postMessage({ id: request.id, value: await answer(request) });
    } catch (error) {
      port.postMessage({ id: request.id, failure: describe(error) });
    }
  });
};
