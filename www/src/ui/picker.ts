import type { Bundled } from "../conversations.ts";
import { h } from "./dom.ts";

/** The bundled conversations as a group of radio buttons. */
export class Picker {
  readonly #inputs: readonly HTMLInputElement[];

  constructor(root: HTMLElement, all: readonly Bundled[], pick: (chosen: Bundled) => void) {
    this.#inputs = all.map((bundled, at) => {
      const input = h("input", { type: "radio", name: "conversation", value: at });
      input.addEventListener("change", () => pick(bundled));
      root.append(h("label", { class: "choice" }, input, h("span", {}, bundled.name)));
      return input;
    });
  }

  /** Shows which one is open; none, when it is the reader's own. */
  mark(at: number | undefined): void {
    for (const [index, input] of this.#inputs.entries()) input.checked = index === at;
  }
}

export function attribution(root: HTMLElement, { about, source, sourceUrl, licence, licenceUrl }: Bundled): void {
  root.replaceChildren(
    `${about}. Source: `,
    h("a", { href: sourceUrl, rel: "noreferrer", target: "_blank" }, source),
    ", licence: ",
    h("a", { href: licenceUrl, target: "_blank" }, licence),
    ".",
  );
}
