import type { Detail, MessageFacts, Outcome, RowId } from "../engine/protocol.ts";
import { STATES } from "../engine/protocol.ts";
import { h, icon } from "./dom.ts";
import { pretty, type Section, sections } from "./sections.ts";
import { column, plain } from "./text.ts";
import { count, LOOK_NAMES, type Look, lookOf, plural } from "./words.ts";

export interface DetailData {
  readonly row: RowId;
  readonly detail: Detail;
  readonly facts: readonly MessageFacts[];
  readonly outcome: Outcome;
  readonly pinned: boolean;
  /** Nothing is fitted: undone, or the limit cannot be met. */
  readonly asGiven: boolean;
}

export interface DetailEvents {
  /** `focused`: the focus was in the detail and has to go somewhere. */
  closed(focused: boolean): void;
  step(by: -1 | 1): void;
  go(row: RowId): void;
  togglePin(index: number): void;
}

/** From this width on the detail is a pane beside the list; below, a sheet over it. */
const beside = matchMedia("(min-width: 1000px)");

const EXPLAINED: Readonly<Record<Look, string>> = {
  kept: "No edit touches this message. The model gets it identical.",
  pruned: "The payload of the tool result was replaced by a placeholder. The original stays in the patch.",
  shrunk: "The message was cut to its head and tail. The original stays in the patch.",
  hidden: "The model does not get this message.",
  summary: "Inserted in place of hidden messages. Made without a model.",
  repaired: "The format forbids what was here; it was repaired with the smallest change.",
};

/** The original and what the model would get, side by side. */
export class DetailPane {
  readonly #dialog: HTMLDialogElement;
  readonly #panes: HTMLElement;
  readonly #events: DetailEvents;
  #data: DetailData | undefined;
  #json = false;

  constructor(dialog: HTMLDialogElement, panes: HTMLElement, events: DetailEvents) {
    this.#dialog = dialog;
    this.#panes = panes;
    this.#events = events;
    // A pane has no Escape of its own, a sheet has: both end here.
    dialog.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.close();
    });
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
    beside.addEventListener("change", () => {
      if (!dialog.open) return;
      dialog.close();
      this.#open(false);
    });
  }

  get isOpen(): boolean {
    return this.#dialog.open;
  }

  show(data: DetailData, focus: boolean): void {
    const sameRow = JSON.stringify(this.#data?.row) === JSON.stringify(data.row);
    this.#data = data;
    this.#render(!sameRow);
    if (!this.#dialog.open) this.#open(focus);
    else if (focus) this.#dialog.focus();
  }

  close(): void {
    if (!this.#dialog.open) return;
    const focused = this.#dialog.contains(document.activeElement);
    this.#dialog.close();
    this.#panes.classList.remove("has-detail");
    this.#events.closed(focused);
  }

  #open(focus: boolean): void {
    this.#panes.classList.add("has-detail");
    const before = document.activeElement;
    if (beside.matches) {
      this.#dialog.show();
      // `show` takes the focus; by pointer it stays in the list, so that the arrow keys go on there.
      if (!focus && before instanceof HTMLElement) before.focus({ preventScroll: true });
    } else this.#dialog.showModal();
    if (focus) this.#dialog.focus();
  }

  #render(newRow: boolean): void {
    const data = this.#data;
    if (!data) return;
    const { look, title, size } = describe(data);
    // Refits and pins re-render under the reader's hands: the focus stays on the same control.
    const focused = this.#dialog.contains(document.activeElement)
      ? document.activeElement?.getAttribute("data-control")
      : null;
    const scrolled = this.#dialog.scrollTop;
    this.#dialog.tabIndex = -1;
    this.#dialog.replaceChildren(
      h(
        "header",
        { class: "detail-head" },
        h(
          "div",
          { class: "detail-title" },
          h("h3", { id: "detail-title" }, title),
          h(
            "p",
            {},
            h("span", { class: "swatch", "data-look": look, "aria-hidden": "true" }),
            ` ${LOOK_NAMES[look]} · ${size}`,
          ),
        ),
        this.#controls(data),
      ),
      this.#explanation(data, look),
      this.#columns(data, look),
    );
    this.#dialog.scrollTop = newRow ? 0 : scrolled;
    if (focused) this.#dialog.querySelector<HTMLElement>(`[data-control="${focused}"]`)?.focus();
  }

  #controls({ row, pinned }: DetailData): HTMLElement {
    const button = (control: string, label: string, content: Node | string, act: () => void, pressed?: boolean) => {
      const element = h(
        "button",
        {
          class: "icon-button",
          type: "button",
          "data-control": control,
          "aria-label": label,
          title: label,
          "aria-pressed": pressed?.toString(),
        },
        content,
      );
      element.addEventListener("click", act);
      return element;
    };
    return h(
      "div",
      { class: "detail-controls" },
      button(
        "json",
        "Show as JSON",
        "{ }",
        () => {
          this.#json = !this.#json;
          this.#render(true);
        },
        this.#json,
      ),
      "message" in row &&
        button("pin", "Pin: never edit this message", icon("pin"), () => this.#events.togglePin(row.message), pinned),
      button("previous", "Previous message", icon("previous"), () => this.#events.step(-1)),
      button("next", "Next message", icon("next"), () => this.#events.step(1)),
      button("close", "Close", icon("close"), () => this.close()),
    );
  }

  #explanation({ detail, outcome, pinned, asGiven }: DetailData, look: Look): HTMLElement {
    if (asGiven) return h("p", { class: "explained" }, "As it was given; nothing is fitted now.");
    const text = h(
      "p",
      { class: "explained" },
      pinned && look === "kept" ? "Pinned: never edited. The model gets it identical." : EXPLAINED[look],
    );
    if (detail.standIn) {
      const { inserted } = detail.standIn;
      const covers = outcome.inserted[inserted]?.covers ?? 0;
      const link = h("button", { class: "link", type: "button", "data-control": "summary" }, "A summary");
      link.addEventListener("click", () => this.#events.go({ inserted }));
      text.append(" ", link, ` stands for it${covers > 1 ? ` and ${plural(covers - 1, "other")}` : ""}.`);
    }
    if (look === "hidden" && !detail.standIn) text.append(" No summary stands for it: it would not have been shorter.");
    for (const repair of detail.repairs) text.append(` ${repair}`);
    return text;
  }

  #columns(data: DetailData, look: Look): HTMLElement {
    const { detail } = data;
    const parts = (message: object | undefined): Section[] => {
      if (!message) return [];
      return this.#json ? [{ title: "JSON", text: pretty(message), code: true }] : sections(message);
    };
    const side = (title: string, ...content: readonly HTMLElement[]) =>
      h("div", { class: "side" }, h("h3", {}, title), ...content);
    const original = parts(detail.original);
    const fitted = parts(detail.fitted);
    if (detail.covers) {
      return h(
        "div",
        { class: "sides" },
        side("Original", this.#covered(data, detail.covers)),
        side("What the model gets", ...plain(fitted)),
      );
    }
    if (data.asGiven) return h("div", { class: "sides is-one" }, side("Original", ...plain(original)));
    if (look === "kept" && detail.original) {
      return h("div", { class: "sides is-one" }, side("Original, and what the model gets", ...plain(original)));
    }
    if (detail.standIn) {
      const summary = parts(detail.standIn.message).map((section) => ({ ...section, title: "Summary" }));
      return h(
        "div",
        { class: "sides" },
        side("Original", ...plain(original)),
        side("What the model gets instead", ...plain(summary)),
      );
    }
    const nothing = h("p", { class: "nothing" }, "Nothing.");
    return h(
      "div",
      { class: "sides" },
      side(
        "Original",
        ...(original.length > 0 ? column(original, fitted, "left") : [nothing.cloneNode(true) as HTMLElement]),
      ),
      side("What the model gets", ...(fitted.length > 0 ? column(fitted, original, "right") : [nothing])),
    );
  }

  /** The messages a summary stands for, each a way to its own detail. */
  #covered({ facts }: DetailData, [from, to]: readonly [number, number]): HTMLElement {
    const shown = Math.min(to, from + 200);
    const entries = facts.slice(from, shown).map(({ role, label, tokens }, at) => {
      const go = h(
        "button",
        { class: "covered", type: "button" },
        h("span", { class: "row-index" }, String(from + at)),
        h("span", { class: "row-role" }, role),
        h("span", { class: "row-label", dir: "auto" }, label),
        h("span", { class: "row-tokens" }, count(tokens)),
      );
      go.addEventListener("click", () => this.#events.go({ message: from + at }));
      return h("li", {}, go);
    });
    if (shown < to) entries.push(h("li", { class: "nothing" }, `and ${plural(to - shown, "more message")}`));
    return h("ol", { class: "covered-list" }, ...entries);
  }
}

function describe({ row, facts, outcome }: DetailData): { look: Look; title: string; size: string } {
  if ("inserted" in row) {
    const inserted = outcome.inserted[row.inserted];
    if (!inserted) return { look: "summary", title: "Inserted message", size: "" };
    const look = lookOf(inserted);
    return {
      look,
      title: `${look === "summary" ? "Summary" : "Inserted message"} · ${inserted.role}`,
      size: plural(inserted.tokens, "token"),
    };
  }
  const { role, tokens } = facts[row.message] ?? { role: "other", tokens: 0 };
  const after = outcome.after[row.message] ?? 0;
  return {
    look: STATES[outcome.states[row.message] ?? 0] ?? "kept",
    title: `Message ${row.message} · ${role}`,
    size: after === tokens ? plural(tokens, "token") : `${count(tokens)} → ${plural(after, "token")}`,
  };
}
