import type { Failure } from "../engine/protocol.ts";
import { h, icon } from "./dom.ts";

/** Messages above the report: one at a time, the newest wins. */
export class Notices {
  readonly #root: HTMLElement;

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  clear(): void {
    this.#root.replaceChildren();
  }

  say(title: string, text: string): void {
    this.#show("status", title, h("p", {}, text));
  }

  /** What went wrong, where in the input, and the stable code to look up. */
  failure(title: string, failure: Failure): void {
    const where = [
      failure.index === undefined ? undefined : `message ${failure.index}`,
      failure.field === undefined ? undefined : `field ${failure.field}`,
    ].filter(Boolean);
    this.#show(
      "alert",
      title,
      h("p", {}, failure.message),
      h(
        "p",
        { class: "where" },
        ...where.flatMap((text) => [h("span", { class: "place" }, text ?? ""), " "]),
        h("code", { class: "place" }, failure.code),
      ),
    );
  }

  #show(role: "status" | "alert", title: string, ...content: readonly HTMLElement[]): void {
    const close = h("button", { class: "icon-button", type: "button", "aria-label": "Dismiss" }, icon("close"));
    const box = h("div", { class: `notice is-${role}`, role }, h("div", {}, h("h2", {}, title), ...content), close);
    close.addEventListener("click", () => box.remove());
    this.#root.replaceChildren(box);
  }
}
