import type { Warning } from "epitome";
import type { Failure } from "../engine/protocol.ts";
import { h, icon } from "./dom.ts";
import { isAboutModel } from "./words.ts";

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
  failure(title: string, failure: Failure): () => void {
    const where = [
      failure.index === undefined ? undefined : `message ${failure.index}`,
      failure.field === undefined ? undefined : `field ${failure.field}`,
    ].filter(Boolean);
    return this.#show(
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

  /** What a model did not do, if anything. */
  ofModel(warnings: readonly Warning[]): (() => void) | undefined {
    const failures = warnings.filter(isAboutModel);
    if (failures.length === 0) return undefined;
    // An answer that is of no use is nothing that the reader could mend.
    const isFailure = failures.some(({ code }) => code.startsWith("provider_"));
    return this.#show(
      isFailure ? "alert" : "status",
      "Not all summaries are the model’s",
      ...failures.map(({ message }) => h("p", {}, sentence(message))),
      ...(isFailure ? [h("p", {}, "Where its answer is missing, the summary was made without it.")] : []),
      h("p", { class: "where" }, ...failures.flatMap(({ code }) => [h("code", { class: "place" }, code), " "])),
    );
  }

  /** Returns what takes it away again. */
  #show(role: "status" | "alert", title: string, ...content: readonly HTMLElement[]): () => void {
    const close = h("button", { class: "icon-button", type: "button", "aria-label": "Dismiss" }, icon("close"));
    const box = h("div", { class: `notice is-${role}`, role }, h("div", {}, h("h2", {}, title), ...content), close);
    close.addEventListener("click", () => box.remove());
    this.#root.replaceChildren(box);
    return () => box.remove();
  }
}

/** Messages of providers may begin with an address, which is left as it is. */
function sentence(text: string): string {
  const start = /^\w+:\/\//.test(text) ? text.charAt(0) : text.charAt(0).toUpperCase();
  return `${start}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
