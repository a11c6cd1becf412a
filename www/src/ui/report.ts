import type { ErrorDetails } from "epitome";
import type { Outcome, UndoProof } from "../engine/protocol.ts";
import { byId, h } from "./dom.ts";
import { bytes, count, percent, plural, seconds, TIERS } from "./words.ts";

type Fact = readonly [name: string, value: string, detail: string];

/** The totals and what else the report says. */
export class ReportView {
  readonly #before = byId("before", HTMLElement);
  readonly #after = byId("after", HTMLElement);
  readonly #saving = byId("saving", HTMLElement);
  readonly #facts = byId("facts", HTMLElement);

  fitted(outcome: Outcome, smallest: number): void {
    const { report } = outcome;
    this.#totals(report.before, report.after);
    this.#show(facts(outcome, smallest));
    const asides = [...report.repairs, ...report.warnings];
    if (asides.length > 0) this.#facts.append(asideList(report));
  }

  undone(proof: UndoProof, total: number): void {
    this.#totals(total, total);
    const exact = proof.sameBytes && proof.identical === proof.messages;
    this.#facts.replaceChildren(
      h(
        "div",
        { class: "proof", role: "status" },
        h("h2", {}, exact ? "Undone: identical to the original" : "Undone, but not identical"),
        h(
          "p",
          {},
          `${count(proof.identical)} of ${plural(proof.messages, "message")} identical; the JSON (${bytes(proof.bytes)}) is ${
            proof.sameBytes ? "the same byte for byte" : "not the same"
          }. Restored from the fitted messages and the patch alone, after both went through JSON.`,
        ),
      ),
    );
  }

  /** The limit cannot be met: says what the smallest possible size is made of. */
  irreducible(error: ErrorDetails["irreducible_budget"], before: number, use: (limit: number) => void): void {
    this.#totals(before, undefined);
    const { overhead, system, pinned, lastUser, openToolUnit, structure } = error.breakdown;
    const parts = [
      ["System prompt and tools", overhead],
      ["System messages", system],
      ["Pinned messages", pinned],
      ["Last user message", lastUser],
      ["Open tool unit, shrunk as far as it goes", openToolUnit],
      ["Structure, placeholders and summary", structure],
    ] as const;
    const button = h("button", { class: "button is-primary", type: "button" }, `Use ${count(error.required)} tokens`);
    button.addEventListener("click", () => use(error.required));
    const rows = parts
      .filter(([, tokens]) => tokens > 0)
      .map(([name, tokens]) => {
        const bar = h("span", { class: "share" });
        bar.style.inlineSize = `${Math.min(100, (tokens / Math.max(1, error.required)) * 100)}%`;
        return h(
          "div",
          { class: "part" },
          h("dt", {}, name),
          h("dd", {}, h("span", { class: "share-track" }, bar), count(tokens)),
        );
      });
    this.#facts.replaceChildren(
      h(
        "div",
        { class: "irreducible" },
        h("h2", {}, `${count(error.limit)} tokens is too small for this conversation`),
        h(
          "p",
          {},
          `These messages cannot be brought below ${plural(error.required, "token")} without editing what must stay. That is made up of:`,
        ),
        h("dl", { class: "parts" }, ...rows),
        button,
      ),
    );
  }

  #totals(before: number, after: number | undefined): void {
    this.#before.textContent = count(before);
    this.#after.textContent = after === undefined ? "–" : count(after);
    const saved = after === undefined ? 0 : 1 - after / Math.max(1, before);
    this.#saving.textContent =
      after === undefined ? "does not fit" : saved <= 0 ? "unchanged" : `${percent(saved)} smaller`;
  }

  #show(all: readonly Fact[]): void {
    this.#facts.replaceChildren(
      h(
        "dl",
        { class: "fact-list" },
        ...all.map(([name, value, detail]) =>
          h("div", {}, h("dt", {}, name), h("dd", {}, h("b", {}, value), " ", h("span", {}, detail))),
        ),
      ),
    );
  }
}

function took({ report: { models }, milliseconds }: Outcome): Fact {
  if (!models) {
    const time = milliseconds < 1 ? "<1 ms" : `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
    return ["Time", time, "no model called"];
  }
  const { requests, inputTokens, outputTokens } = models;
  const known = inputTokens + outputTokens > 0;
  const tokens = known ? `${count(inputTokens)} tokens in, ${count(outputTokens)} out` : "tokens unknown";
  return ["Time", seconds(milliseconds), `${plural(requests, "request")}, ${tokens}`];
}

function facts(outcome: Outcome, smallest: number): Fact[] {
  const { report } = outcome;
  const { tier, firstChangedIndex, prefixTokens, after } = report;
  return [
    ["Tier", tier, TIERS[tier]],
    ["Messages", `${count(report.messagesBefore)} → ${count(report.messagesAfter)}`, report.format],
    firstChangedIndex === null
      ? ["Prompt cache", plural(after, "token"), "all of it survives"]
      : ["Prompt cache", plural(prefixTokens, "token"), `survive, before message ${firstChangedIndex}`],
    ["Smallest possible", plural(smallest, "token"), "the irreducible set"],
    took(outcome),
  ];
}

function asideList({ repairs, warnings }: Outcome["report"]): HTMLElement {
  const entries = [
    ...repairs.map(({ rule, index, message }) => `Repaired message ${index} (rule ${rule}): ${message}`),
    ...warnings.map(({ index, message }) => `Warning${index === undefined ? "" : ` at message ${index}`}: ${message}`),
  ];
  const words = [
    repairs.length > 0 ? plural(repairs.length, "repair") : "",
    warnings.length > 0 ? plural(warnings.length, "warning") : "",
  ].filter(Boolean);
  return h(
    "details",
    { class: "asides" },
    h("summary", {}, words.join(" and ")),
    h("ul", {}, ...entries.slice(0, 200).map((text) => h("li", {}, text))),
  );
}
