import {
  countTokens,
  detectFormat,
  EpitomeError,
  type ErrorDetails,
  type FitOptions,
  type FitResult,
  type Format,
  fit,
  undo,
} from "epitome";
import { labels, roleOf } from "./label.ts";
import { outcome } from "./outcome.ts";
import type { Detail, FitAnswer, Loaded, Outcome, RowId, UndoProof } from "./protocol.ts";

type Compact = (messages: readonly object[], options: FitOptions) => Promise<FitResult<object>>;

/** One conversation and its newest fit. */
export class Conversation {
  readonly loaded: Loaded;
  readonly #messages: readonly object[];
  readonly #format: Format;
  readonly #tokens: Uint32Array;
  #result: FitResult<object> | undefined;
  #outcome: Outcome | undefined;
  /** The smallest limit for the pins it was asked with; it depends on nothing else. */
  #smallest: { readonly pins: string; readonly tokens: number } | undefined;

  constructor(messages: readonly object[], notes: readonly string[]) {
    this.#messages = messages;
    this.#format = detectFormat(messages);
    // With room for everything: fails on what cannot be read, with its index and field, before anything is shown.
    const roomy = countTokens(messages, { format: this.#format }) * 2 + 1000;
    const total = fit(messages, { budget: roomy, format: this.#format }).report.before;
    this.#tokens = Uint32Array.from(messages, (message) => countTokens(message, { format: this.#format }));
    const lines = labels(messages);
    const facts = messages.map((message, index) => ({
      role: roleOf(message),
      label: lines[index] ?? "",
      tokens: this.#tokens[index] ?? 0,
    }));
    const lastUser = facts.findLastIndex(({ role }) => role === "user");
    const fixed = facts
      .filter(({ role }, index) => role === "system" || role === "developer" || index === lastUser)
      .reduce((sum, { tokens }) => sum + tokens, 0);
    this.loaded = { format: this.#format, messages: facts, total, fixed: Math.min(fixed, total), notes };
  }

  fit(limit: number, pins: readonly number[]): FitAnswer {
    const started = performance.now();
    try {
      return this.#take(fit(this.#messages, this.#options(limit, pins)), pins, started);
    } catch (error) {
      return doesNotFit(error);
    }
  }

  /** As `fit`, by what asks a model. */
  async compact(limit: number, pins: readonly number[], compact: Compact): Promise<FitAnswer> {
    const started = performance.now();
    try {
      return this.#take(await compact(this.#messages, this.#options(limit, pins)), pins, started);
    } catch (error) {
      return doesNotFit(error);
    }
  }

  #options(limit: number, pins: readonly number[]): FitOptions {
    return { budget: limit, format: this.#format, pin: pins };
  }

  #take(result: FitResult<object>, pins: readonly number[], started: number): FitAnswer {
    const milliseconds = performance.now() - started;
    this.#result = result;
    this.#outcome = outcome(result, this.#messages.length, this.#tokens, milliseconds, (message) =>
      countTokens(message, { format: this.#format }),
    );
    return { fits: true, outcome: this.#outcome, smallest: this.#smallestLimit(pins) };
  }

  detail(row: RowId): Detail {
    if (!this.#result) return this.#asGiven(row);
    const { result, shown } = this.#fitted();
    const inView = this.#viewIndices(result);
    if ("inserted" in row) {
      const inserted = shown.inserted[row.inserted];
      if (!inserted) return { repairs: [] };
      const fitted = result.messages[inserted.viewIndex];
      return {
        ...(fitted ? { fitted } : {}),
        ...(inserted.covers > 0 ? { covers: [inserted.before, inserted.before + inserted.covers] as const } : {}),
        repairs: [],
      };
    }
    const original = this.#messages[row.message];
    const at = inView.get(row.message);
    const fitted = at === undefined ? undefined : result.messages[at];
    const standIn = shown.inserted.findIndex(
      ({ before, covers }) => before <= row.message && row.message < before + covers,
    );
    const standInMessage = result.messages[shown.inserted[standIn]?.viewIndex ?? -1];
    return {
      ...(original ? { original } : {}),
      ...(fitted ? { fitted } : {}),
      ...(standInMessage ? { standIn: { inserted: standIn, message: standInMessage } } : {}),
      repairs: result.report.repairs.filter(({ index }) => index === row.message).map(({ message }) => message),
    };
  }

  /** Restores from what a host would have stored (JSON), not from the objects in memory. */
  undo(): UndoProof {
    const { result } = this.#fitted();
    const stored = JSON.parse(JSON.stringify({ messages: result.messages, patch: result.patch })) as FitResult<object>;
    const restored = undo(stored.messages, stored.patch);
    const texts = restored.map((message) => JSON.stringify(message));
    const givenJson = JSON.stringify(this.#messages);
    return {
      messages: this.#messages.length,
      identical: this.#messages.filter((message, index) => JSON.stringify(message) === texts[index]).length,
      bytes: new TextEncoder().encode(givenJson).length,
      sameBytes: JSON.stringify(restored) === givenJson,
    };
  }

  json(): string {
    return JSON.stringify(this.#fitted().result.messages, null, 2);
  }

  #fitted(): { result: FitResult<object>; shown: Outcome } {
    if (!this.#result || !this.#outcome) throw new Error("Nothing has been fitted yet.");
    return { result: this.#result, shown: this.#outcome };
  }

  #asGiven(row: RowId): Detail {
    const original = "message" in row ? this.#messages[row.message] : undefined;
    return { ...(original ? { original } : {}), repairs: [] };
  }

  #viewIndices({ patch }: FitResult<object>): Map<number, number> {
    const indices = new Map<number, number>();
    let view = 0;
    for (const entry of patch.view.layout) {
      if (typeof entry === "number") indices.set(entry, view++);
      else if (entry === null) view++;
      else for (let source = entry[0]; source < entry[1]; source++) indices.set(source, view++);
    }
    return indices;
  }

  #smallestLimit(pins: readonly number[]): number {
    const key = pins.join();
    if (this.#smallest?.pins !== key) {
      let tokens = 1;
      try {
        fit(this.#messages, { budget: 1, format: this.#format, pin: pins });
      } catch (error) {
        tokens = irreducible(error)?.required ?? tokens;
      }
      this.#smallest = { pins: key, tokens };
    }
    return this.#smallest.tokens;
  }
}

/** The answer where the budget cannot be met; every other failure is thrown on. */
function doesNotFit(error: unknown): FitAnswer {
  const details = irreducible(error);
  if (details) return { fits: false, error: details, message: (error as Error).message };
  throw error;
}

function irreducible(error: unknown): ErrorDetails["irreducible_budget"] | undefined {
  return error instanceof EpitomeError && error.code === "irreducible_budget"
    ? (error.details as ErrorDetails["irreducible_budget"])
    : undefined;
}
