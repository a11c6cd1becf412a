import { compare, type Stretch } from "./diff.ts";
import { h } from "./dom.ts";
import type { Section } from "./sections.ts";
import { count } from "./words.ts";

/** How much of a stretch is shown; longer ones by their beginning and end, the rest on demand. */
interface Fold {
  readonly longest: number;
  readonly head: number;
  readonly tail: number;
}
const ROOMY: Fold = { longest: 6000, head: 2500, tail: 1000 };
/** What agrees beside an edit: enough to see where the edit is. */
const BRIEF: Fold = { longest: 900, head: 320, tail: 320 };

/** One side of a comparison. */
export function column(all: readonly Section[], other: readonly Section[], side: "left" | "right"): HTMLElement[] {
  // Only sections at the same place of the same kind can be compared.
  return all.map((section, at) => {
    const twin = other[at];
    const [original, fitted] = side === "left" ? [section, twin] : [twin, section];
    const stretches: readonly Stretch[] =
      original && fitted && original.title === fitted.title
        ? compare(original.text, fitted.text)[side]
        : [{ kind: other.length === 0 ? "same" : side === "left" ? "cut" : "new", text: section.text }];
    return sectionView(section, stretches);
  });
}

/** A message without anything to compare it with. */
export function plain(all: readonly Section[]): HTMLElement[] {
  return all.map((section) => sectionView(section, [{ kind: "same", text: section.text }]));
}

function sectionView({ title, code }: Section, stretches: readonly Stretch[]): HTMLElement {
  const edited = stretches.some(({ kind }) => kind !== "same");
  const pieces = stretches.flatMap((stretch) =>
    stretchView(stretch, edited && stretch.kind === "same" ? BRIEF : ROOMY),
  );
  return h(
    "section",
    { class: "section" },
    h("h4", {}, title),
    h("pre", { class: code ? "text is-code" : "text", dir: "auto" }, ...pieces),
  );
}

function stretchView({ kind, text }: Stretch, { longest, head, tail }: Fold): HTMLElement[] {
  if (text.length <= longest) return [marked(kind, text)];
  const rest = text.slice(head, text.length - tail);
  const more = h("button", { class: "more", type: "button" }, `${count(rest.length)} more characters`);
  more.addEventListener("click", () => more.replaceWith(marked(kind, rest)));
  return [marked(kind, text.slice(0, head)), more, marked(kind, text.slice(text.length - tail))];
}

function marked(kind: Stretch["kind"], text: string): HTMLElement {
  return kind === "same" ? h("span", {}, text) : h(kind === "cut" ? "del" : "ins", {}, text);
}
