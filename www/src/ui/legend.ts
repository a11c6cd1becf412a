import { type Outcome, STATES } from "../engine/protocol.ts";
import { h } from "./dom.ts";
import { count, LOOK_NAMES, LOOKS, type Look, lookOf } from "./words.ts";

/** The key to the colours; each entry also filters the list. */
export class Legend {
  readonly only = new Set<Look>();
  readonly #buttons = new Map<Look, { button: HTMLButtonElement; number: HTMLElement }>();

  constructor(root: HTMLElement, changed: () => void) {
    for (const look of LOOKS) {
      const number = h("span", { class: "chip-count" });
      const swatch = h("span", { class: "swatch", "data-look": look, "aria-hidden": "true" });
      const button = h(
        "button",
        { class: "chip", type: "button", "aria-pressed": "false" },
        swatch,
        LOOK_NAMES[look],
        " ",
        number,
      );
      button.addEventListener("click", () => {
        if (!this.only.delete(look)) this.only.add(look);
        button.setAttribute("aria-pressed", String(this.only.has(look)));
        changed();
      });
      this.#buttons.set(look, { button, number });
      root.append(button);
    }
  }

  show({ states, inserted }: Outcome): void {
    const counts = new Map<Look, number>();
    const add = (look: Look) => counts.set(look, (counts.get(look) ?? 0) + 1);
    for (const state of states) add(STATES[state] ?? "kept");
    for (const entry of inserted) add(lookOf(entry));
    for (const [look, { button, number }] of this.#buttons) {
      number.textContent = count(counts.get(look) ?? 0);
      // Repairs are rare; the others keep their place so that nothing jumps while the slider moves.
      button.hidden = look === "repaired" && !counts.has(look) && !this.only.has(look);
      button.classList.toggle("is-empty", !counts.has(look));
    }
  }
}
