// The declarations as a user meets them. A line below `@ts-expect-error` must not compile.

import {
  apply,
  countTokens,
  detectFormat,
  type Edit,
  EpitomeError,
  type ErrorCode,
  type FitResult,
  type Format,
  fit,
  init,
  type Patch,
  type Plan,
  plan,
  type Report,
  type repair,
  undo,
  type Violation,
  validate,
  version,
} from "epitome";

/** Both types are one. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_T extends true>() => {};

// A host's own type, as narrow as it likes.
type Message =
  | { role: "system" | "user"; content: string }
  | { role: "assistant"; content: string | null; tool_calls?: { id: string }[] }
  | { role: "tool"; tool_call_id: string; content: string };
declare const history: readonly Message[];
interface Strict {
  readonly role: string;
  readonly when: Date;
}
declare const interfaces: Strict[];

const result = fit(history, { budget: 8_000 });
holds<Same<typeof result, FitResult<Message>>>();
holds<Same<typeof result.messages, Message[]>>();
holds<Same<ReturnType<typeof fit<Strict>>["messages"], Strict[]>>();
fit(interfaces, { budget: { window: 128_000 }, pin: (message, index) => message.when > new Date(index) });
fit(history, {
  budget: { window: 128_000, reserve: 8_000, overhead: 100 },
  system: "text",
  tools: [{ name: "f" }],
  model: "gpt-4o",
  format: "openai-chat",
  tokens: (text) => text.length,
  policy: { soft: 0.5, protectTools: ["read"], summaryRole: "assistant", shrinkLastUser: true },
  goal: "words",
  pin: [0, 1] as const,
  previous: result.patch,
  createMessage: (role, text): Message => ({ role: "user", content: `${role}: ${text}` }),
  patch: "edits",
});

// @ts-expect-error no budget
fit(history, {});
// @ts-expect-error a misspelt option
fit(history, { budget: 1, polcy: {} });
// @ts-expect-error a misspelt policy
fit(history, { budget: 1, policy: { sotf: 1 } });
// @ts-expect-error a number is no message
fit([1], { budget: 1 });
// @ts-expect-error no such format
fit(history, { budget: 1, format: "smoke-signals" });
// @ts-expect-error a counter gives a number
fit(history, { budget: 1, tokens: async (text) => text.length });
// @ts-expect-error createMessage gives what the host's messages are
fit(history, { budget: 1, createMessage: (role, text) => ({ text: role + text }) });

const proposal: Plan<Message> = plan(history, { budget: 1 });
holds<Same<ReturnType<typeof apply<Message>>, FitResult<Message>>>();
apply(history, proposal);
apply(history, JSON.parse(JSON.stringify(proposal)) as Plan<Message>, { patch: "full" });

holds<Same<ReturnType<typeof repair<Message>>["messages"], Message[]>>();
const restored: Message[] = undo(result);
const restoredToo: Message[] = undo(result.messages, result.patch, { originals: history });
const violations: Violation[] = validate(history, { format: "openai-chat" });
const tokens: number =
  countTokens("text") + countTokens(history[0] ?? {}) + countTokens(history, { tokens: "heuristic" });
const format: Format = detectFormat(history);
const text: string = version;
void [restored, restoredToo, violations, tokens, format, text];

// Results are for reading.
const report: Report = result.report;
// @ts-expect-error readonly
report.after = 5;
// @ts-expect-error readonly
report.edits.push({ kind: "hide", from: 0, to: 1, tokensBefore: 1 });
const first: number | null = report.firstChangedIndex;
void first;

// Edits are told apart by their kind.
function describe(edit: Edit): string {
  switch (edit.kind) {
    case "prune":
    case "shrink":
      return `${edit.index}: ${edit.changes.length}`;
    case "hide":
      return `${edit.from}-${edit.to}`;
    case "insert":
      return edit.text;
    default: {
      const never: never = edit;
      return never;
    }
  }
}
void describe;

for (const item of result.patch.view.layout) {
  if (item === null) continue;
  const index: number = typeof item === "number" ? item : item[0];
  void index;
}
const originals: Patch<Message>["originals"] = [{ index: 0, message: { role: "user", content: "x" } }];
void originals;

// An error's code says what its details hold.
function handle(error: unknown): number | undefined {
  if (!(error instanceof EpitomeError)) return undefined;
  const code: ErrorCode = error.code;
  void code;
  if (isCode(error, "irreducible_budget")) return error.details.required - error.details.breakdown.system;
  if (isCode(error, "too_large")) return error.details.bytes;
  if (isCode(error, "invalid_option")) {
    const option: string = error.details.option;
    return option.length;
  }
  return undefined;
}
function isCode<C extends ErrorCode>(error: EpitomeError, code: C): error is EpitomeError<C> {
  return error.code === code;
}
void handle;
new EpitomeError("too_deep", "text", { details: { index: 1, field: "content" }, cause: new Error() });
// @ts-expect-error no such code
new EpitomeError("too_bad", "text");

await init();
await init("https://example.org/epitome_bg.wasm");
await init(new URL("https://example.org"));
await init(fetch("https://example.org"));
await init(new Uint8Array(3));
await init(await WebAssembly.compile(new Uint8Array(3)));
