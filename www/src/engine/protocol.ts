import type { ErrorCode, ErrorDetails, Format, Report } from "epitome";

/** What is known of a message before anything is fitted. */
export interface MessageFacts {
  readonly role: string;
  /** One line that tells what the message is about. */
  readonly label: string;
  readonly tokens: number;
}

/** What became of a message. The numbers are those of {@link Outcome.states}. */
export const STATES = ["kept", "pruned", "shrunk", "hidden", "repaired"] as const;
export type State = (typeof STATES)[number];

/** A message that was not in the input. */
export interface Inserted {
  readonly kind: "summary" | "repair";
  /** It stands before this message of the input. */
  readonly before: number;
  /** Where it is in the fitted messages. */
  readonly viewIndex: number;
  readonly role: string;
  readonly tokens: number;
  /** How many hidden messages it stands for, from `before` on. */
  readonly covers: number;
}

/** A fit, one entry per message of the input; arrays are typed so that 100,000 messages cross cheaply. */
export interface Outcome {
  /** Without the edits: they hold texts, and what the page needs of them is in the arrays. */
  readonly report: Omit<Report, "edits" | "summary">;
  /** Index into {@link STATES}. */
  readonly states: Uint8Array;
  /** Tokens that are left of each message. */
  readonly after: Uint32Array;
  readonly inserted: readonly Inserted[];
  /** How long `fit` itself took. */
  readonly milliseconds: number;
}

export interface Loaded {
  readonly format: Format;
  readonly messages: readonly MessageFacts[];
  /** Size of everything, in tokens. */
  readonly total: number;
  /** Tokens of the system messages and the last user message: nothing ever edits these. */
  readonly fixed: number;
  /** Said about the file itself, e.g. that only its first conversation was taken. */
  readonly notes: readonly string[];
}

/** A model that is to write the summaries. */
export interface ModelSettings {
  /** Base URL of a service that speaks like OpenAI. */
  readonly address: string;
  readonly model: string;
  /** Empty where the service needs none. */
  readonly key: string;
  /** Whether its answers are to come piece by piece. */
  readonly stream: boolean;
}

/** How far a model is. */
export interface ModelProgress {
  /** Requests that have been answered or given up. */
  readonly done: number;
  readonly running: number;
  /** Requests that failed and will be sent again. */
  readonly pausing: number;
  /** Of answers, all together. */
  readonly characters: number;
}

export type FitAnswer =
  | { readonly fits: true; readonly outcome: Outcome; readonly smallest: number }
  | { readonly fits: false; readonly error: ErrorDetails["irreducible_budget"]; readonly message: string };

/** A message, or one inserted, as given and as the model would get it; absent where there is none. */
export interface Detail {
  readonly original?: object;
  readonly fitted?: object;
  /** The summary that stands for a hidden message. */
  readonly standIn?: { readonly inserted: number; readonly message: object };
  /** The messages that an inserted one stands for: `[from, to)`. */
  readonly covers?: readonly [number, number];
  readonly repairs: readonly string[];
}

/** The restored messages, compared with the input. */
export interface UndoProof {
  readonly messages: number;
  readonly identical: number;
  readonly bytes: number;
  readonly sameBytes: boolean;
}

/** Which row: a message of the input, or the n-th inserted one. */
export type RowId = { readonly message: number } | { readonly inserted: number };

export interface Calls {
  load: { in: { text: string } | { file: File }; out: Loaded };
  fit: { in: { limit: number; pins: readonly number[] }; out: FitAnswer };
  /** As `fit`, with summaries by a model. Given up (`aborted`) as soon as any call but `detail` and `json` follows. */
  compact: { in: { limit: number; pins: readonly number[]; model: ModelSettings }; out: FitAnswer };
  /** Gives up what a model is doing. */
  stop: { in: null; out: null };
  detail: { in: RowId; out: Detail };
  undo: { in: null; out: UndoProof };
  /** The fitted messages as JSON. */
  json: { in: null; out: string };
}
export type Call = keyof Calls;

/** An error as it crosses from the worker. */
export interface Failure {
  readonly code: ErrorCode | "unreadable_file";
  readonly message: string;
  readonly index?: number;
  readonly field?: string;
}

export type Request = { [C in Call]: { readonly id: number; readonly call: C; readonly input: Calls[C]["in"] } }[Call];
export type Response = { readonly id: number } & (
  | { readonly value: unknown }
  | { readonly failure: Failure }
  | { readonly progress: ModelProgress }
);
