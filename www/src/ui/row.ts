import type { MessageFacts, Outcome } from "../engine/protocol.ts";
import { STATES } from "../engine/protocol.ts";
import { h, icon } from "./dom.ts";
import type { Item } from "./items.ts";
import type { Scale } from "./scale.ts";
import { count, LOOK_NAMES, type Look, lookOf, plural } from "./words.ts";

export interface RowData {
  readonly facts: readonly MessageFacts[];
  readonly outcome: Outcome;
  readonly pins: ReadonlySet<number>;
  readonly scale: Scale;
}

/** One row of the list. Rows are reused while scrolling and refitting, so every field is written on every show. */
export class Row {
  readonly element: HTMLElement;
  readonly #index = h("span", { class: "row-index" });
  readonly #role = h("span", { class: "row-role" });
  readonly #label = h("span", { class: "row-label", dir: "auto" });
  readonly #before = h("span", { class: "row-before" });
  readonly #after = h("span", { class: "row-after" });
  readonly #bar = h("span", { class: "row-bar", role: "gridcell", "aria-hidden": "true" }, this.#before, this.#after);
  readonly #tokens = h("span", { class: "row-tokens", role: "gridcell" });
  readonly #state = h("span", { class: "row-state", role: "gridcell" });
  readonly #pin = h("button", { class: "row-pin", type: "button", tabindex: -1 }, icon("pin"));

  constructor() {
    const what = h("span", { class: "row-what", role: "gridcell" }, this.#index, this.#role, this.#label);
    const pin = h("span", { class: "row-end", role: "gridcell" }, this.#pin);
    this.element = h(
      "div",
      { class: "row", role: "row", tabindex: -1 },
      what,
      this.#bar,
      this.#tokens,
      this.#state,
      pin,
    );
  }

  get pinButton(): HTMLButtonElement {
    return this.#pin;
  }

  show(item: Item, data: RowData): void {
    switch (item.kind) {
      case "message":
        this.#message(item.index, data);
        break;
      case "inserted":
        this.#inserted(item.nth, data);
        break;
      case "fold":
        this.#fold(item, data);
        break;
    }
  }

  #message(index: number, { facts, outcome, pins, scale }: RowData): void {
    const { role, label, tokens } = facts[index] ?? { role: "other", label: "", tokens: 0 };
    const look = STATES[outcome.states[index] ?? 0] ?? "kept";
    const after = outcome.after[index] ?? 0;
    const pinned = pins.has(index);
    this.#fill(look, String(index), role, label, tokens, after, scale);
    this.element.classList.toggle("is-pinned", pinned);
    this.#pin.hidden = false;
    this.#pin.setAttribute("aria-pressed", String(pinned));
    this.#pin.setAttribute("aria-label", `Pin message ${index}`);
    this.#pin.title = pinned ? "Pinned: never edited" : "Pin: never edit this message";
    const size = after === tokens ? plural(tokens, "token") : `${count(tokens)} to ${plural(after, "token")}`;
    this.element.setAttribute(
      "aria-label",
      `Message ${index}, ${role}, ${LOOK_NAMES[look].toLowerCase()}${pinned ? ", pinned" : ""}, ${size}: ${label}`,
    );
  }

  #inserted(nth: number, { outcome, scale }: RowData): void {
    const inserted = outcome.inserted[nth];
    if (!inserted) return;
    const look = lookOf(inserted);
    const label =
      inserted.kind === "summary"
        ? `Stands for ${plural(inserted.covers, "hidden message")}`
        : "Inserted: the format requires it";
    this.#fill(look, "+", inserted.role, label, 0, inserted.tokens, scale);
    this.#pin.hidden = true;
    this.element.classList.remove("is-pinned");
    this.element.setAttribute(
      "aria-label",
      `${LOOK_NAMES[look]}, inserted, ${plural(inserted.tokens, "token")}: ${label}`,
    );
  }

  #fold(item: Item & { kind: "fold" }, { facts, scale }: RowData): void {
    let tokens = 0;
    for (let index = item.from; index < item.to; index++) tokens += facts[index]?.tokens ?? 0;
    const label = `Messages ${item.from} to ${item.to - 1}`;
    this.#fill("hidden", item.open ? "▾" : "▸", plural(item.to - item.from, "message"), label, tokens, 0, scale);
    this.element.classList.remove("is-pinned");
    this.element.classList.add("is-fold");
    this.element.setAttribute("aria-expanded", String(item.open));
    this.#pin.hidden = true;
    this.element.setAttribute(
      "aria-label",
      `${label}, hidden, ${plural(tokens, "token")}; Enter to ${item.open ? "fold" : "unfold"}`,
    );
  }

  #fill(look: Look, index: string, role: string, label: string, before: number, after: number, scale: Scale): void {
    this.element.dataset.look = look;
    this.element.classList.remove("is-fold");
    this.element.removeAttribute("aria-expanded");
    this.#index.textContent = index;
    this.#role.textContent = role;
    this.#label.textContent = label;
    this.#before.classList.toggle("is-torn", before > scale.full);
    this.#after.classList.toggle("is-torn", after > scale.full);
    this.#before.style.inlineSize = width(before, scale);
    // Where both are off the scale, what was cut must still be seen.
    const room = after < before && after > scale.full ? 0.8 : 1;
    this.#after.style.inlineSize = width(after, scale, room);
    this.#tokens.textContent =
      before === after ? count(before) : `${before === 0 ? "0" : count(before)} → ${count(after)}`;
    this.#state.textContent = LOOK_NAMES[look];
  }
}

const width = (tokens: number, { full }: Scale, most = 1) => `${(Math.min(most, tokens / full) * 100).toFixed(2)}%`;
