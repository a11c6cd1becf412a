// Sessions as a user meets them. A line below `@ts-expect-error` must not compile.

import { createProvider } from "epitome/providers";
import {
  type CompactionInfo,
  type Entry,
  type EntryId,
  indexedDb,
  type Meter,
  memory,
  type Plan,
  type Recalled,
  Session,
  type SessionOptions,
  type SessionResult,
  type SessionStatus,
  type Synced,
  undo,
} from "epitome/session";

type Message = { role: "user" | "assistant"; content: string };
const message: Message = { role: "user", content: "Hi" };
const signal = AbortSignal.timeout(1_000);
const options: SessionOptions = {
  id: "chat",
  budget: { window: 128_000, reserve: 4_000 },
  store: indexedDb(),
  provider: [createProvider(async () => "summary"), "offline"],
  tokens: (text) => text.length,
  policy: { soft: 0.5, recallDeclared: true },
  overflow: { threshold: 10_000 },
  retention: { maxAgeMs: 86_400_000 },
  redact: (text) => text,
  signal,
};

export async function all() {
  const session: Session<Message> = await Session.open<Message>(options);
  const ids: EntryId[] = await session.append(message, { signal });
  await session.append([message]);
  const synced: Synced = await session.sync([message], { signal });
  const at: number | null | undefined = synced.branchedAt;
  const result: SessionResult<Message> = await session.prepare({ wait: "never", signal });
  const before: Message[] = undo(result);
  const plan: Plan<Message> = await session.plan();
  await session.apply(plan);
  await session.compactNow({ instructions: "Be brief." });
  const view: Message[] = session.view();
  const meter: Meter = session.meter();
  for await (const entry of session.history({ before: 5, limit: 2, signal })) {
    const whole: Entry<Message> = entry;
    void whole;
  }
  const entry: Entry<Message> = await session.recall(3);
  const found: Recalled<Message>[] = await session.recall("words", { limit: 3 });
  const content: string = await session.answerRecall('{"id":"3"}', { maxCharacters: 1_000 });
  const compactions: CompactionInfo[] = await session.compactions();
  const undone: number[] = await session.undo(1);
  await session.reportUsage({ inputTokens: 5 });
  await session.reportUsage({ prompt_tokens: 5 });
  const off: () => void = session.on("status", (status: SessionStatus) => status);
  session.on("changed", ({ revision, local }) => local && revision > 0);
  const file: string = await session.export();
  const copy = await Session.import<Message>(file, { ...options, id: "copy", store: memory() });
  await copy.delete();
  await session.close();

  // @ts-expect-error there is no such event
  session.on("change", () => {});
  // @ts-expect-error messages are those of the session
  await session.append({ role: "tool" });
  // @ts-expect-error wait is one of two words
  await session.prepare({ wait: "maybe" });
  // @ts-expect-error it says nothing of input
  await session.reportUsage({ output: 5 });
  // @ts-expect-error a session is opened
  new Session();
  // @ts-expect-error the name is missing
  await Session.open({ budget: 5 });
  void [ids, at, before, view, meter, entry, found, content, compactions, undone, off];
}
