import type { MessageFacts, Outcome } from "../engine/protocol.ts";
import { STATES } from "../engine/protocol.ts";
import { LOOKS, type Look, lookOf } from "./words.ts";

export interface StripsData {
  readonly facts: readonly MessageFacts[];
  readonly outcome: Outcome;
  /** Tokens at full width. */
  readonly full: number;
}

interface Segment {
  readonly look: Look;
  readonly message: number;
  /** Tokens before, from the left; an inserted message has none. */
  readonly before: readonly [number, number];
  readonly after: readonly [number, number];
}

const BAR = 26;
const GAP = 26;
const CACHE = 8;

/** The whole conversation before and after, on one scale, and which part of the one became which of the other. */
export class Strips {
  readonly #canvas: HTMLCanvasElement;
  #data: StripsData | undefined;
  #segments: readonly Segment[] = [];

  constructor(canvas: HTMLCanvasElement, jump: (message: number) => void) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("click", (event) => {
      const message = this.#messageAt(event.offsetX, event.offsetY);
      if (message !== undefined) jump(message);
    });
  }

  show(data: StripsData): void {
    this.#data = data;
    this.#segments = segments(data);
    this.draw();
  }

  draw(): void {
    const data = this.#data;
    const context = this.#canvas.getContext("2d");
    const width = this.#canvas.clientWidth;
    if (!data || !context || width === 0) return;
    const height = BAR + GAP + BAR + CACHE;
    const density = devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * density);
    this.#canvas.height = Math.round(height * density);
    context.scale(density, density);
    const paint = new Paint(context, this.#canvas);
    const x = (tokens: number) => (tokens / data.full) * width;
    for (const run of runs(this.#segments))
      paint.ribbon(run.look, x(run.before[0]), x(run.before[1]), BAR, x(run.after[0]), x(run.after[1]), BAR + GAP);
    for (const { look, before, after } of this.#segments) {
      paint.block(look, x(before[0]), 0, x(before[1]) - x(before[0]), BAR, look !== "kept");
      paint.block(look, x(after[0]), BAR + GAP, x(after[1]) - x(after[0]), BAR, false);
    }
    const { prefixTokens, firstChangedIndex, after } = data.outcome.report;
    const survives = firstChangedIndex === null ? after : prefixTokens;
    if (survives > 0) paint.prefix(x(survives), BAR + GAP + BAR + 3);
  }

  #messageAt(left: number, top: number): number | undefined {
    if (!this.#data) return undefined;
    const tokens = (left / this.#canvas.clientWidth) * this.#data.full;
    const row = top < BAR + GAP / 2 ? "before" : "after";
    return this.#segments.find((segment) => segment[row][0] <= tokens && tokens < segment[row][1])?.message;
  }
}

function segments({ facts, outcome }: StripsData): Segment[] {
  const found: Segment[] = [];
  let before = 0;
  let after = 0;
  let nth = 0;
  const insert = (index: number) => {
    for (let entry = outcome.inserted[nth]; entry && entry.before <= index; entry = outcome.inserted[++nth]) {
      found.push({
        look: lookOf(entry),
        message: entry.before,
        before: [before, before],
        after: [after, after + entry.tokens],
      });
      after += entry.tokens;
    }
  };
  for (const [index, { tokens }] of facts.entries()) {
    insert(index);
    const left = outcome.after[index] ?? 0;
    found.push({
      look: STATES[outcome.states[index] ?? 0] ?? "kept",
      message: index,
      before: [before, before + tokens],
      after: [after, after + left],
    });
    before += tokens;
    after += left;
  }
  insert(facts.length);
  return found;
}

/** Neighbours of one look flow together; a summary takes what it stands for with it. */
function runs(all: readonly Segment[]): Segment[] {
  const joined: Segment[] = [];
  for (const segment of all) {
    const last = joined.at(-1);
    if (last && (last.look === segment.look || (last.look === "summary" && segment.look === "hidden"))) {
      joined[joined.length - 1] = {
        ...last,
        before: [last.before[0], segment.before[1]],
        after: [last.after[0], segment.after[1]],
      };
    } else joined.push(segment);
  }
  return joined;
}

/** Draws in the colours of the style sheet; each look has a pattern of its own, too. */
class Paint {
  readonly #context: CanvasRenderingContext2D;
  readonly #colours: ReadonlyMap<string, string>;
  readonly #patterns = new Map<Look, CanvasPattern | string>();

  constructor(context: CanvasRenderingContext2D, canvas: HTMLCanvasElement) {
    this.#context = context;
    // Custom properties come back unresolved (`light-dark()`), the colour of an element does not.
    const probe = canvas.parentElement?.appendChild(document.createElement("span"));
    this.#colours = new Map(
      [...LOOKS, "surface", "accent"].map((name) => {
        if (probe) probe.style.color = `var(--${name})`;
        return [name, probe ? getComputedStyle(probe).color : "gray"];
      }),
    );
    probe?.remove();
  }

  block(look: Look, left: number, top: number, width: number, height: number, patterned: boolean): void {
    if (width <= 0) return;
    const context = this.#context;
    // A hairline between messages, where there is room for one.
    const drawn = width > 5 && !patterned ? width - 1 : width;
    context.fillStyle = patterned ? this.#pattern(look) : this.#colour(look);
    context.fillRect(left, top, drawn, height);
    if (!patterned) return;
    context.fillStyle = this.#colour(look);
    context.fillRect(left, top, width, 1);
    context.fillRect(left, top + height - 1, width, 1);
    if (drawn > 5) context.fillRect(left, top, 1, height);
  }

  ribbon(look: Look, left: number, right: number, top: number, leftTo: number, rightTo: number, bottom: number): void {
    const context = this.#context;
    const middle = (top + bottom) / 2;
    context.beginPath();
    context.moveTo(left, top);
    context.bezierCurveTo(left, middle, leftTo, middle, leftTo, bottom);
    context.lineTo(rightTo, bottom);
    context.bezierCurveTo(rightTo, middle, right, middle, right, top);
    context.closePath();
    context.globalAlpha = look === "hidden" ? 0.1 : 0.16;
    context.fillStyle = this.#colour(look);
    context.fill();
    context.globalAlpha = 1;
  }

  /** Underlines what a prompt cache can still serve. */
  prefix(right: number, top: number): void {
    this.#context.fillStyle = this.#colour("accent");
    this.#context.fillRect(0, top, right, 3);
  }

  #colour(name: string): string {
    return this.#colours.get(name) ?? "gray";
  }

  #pattern(look: Look): CanvasPattern | string {
    const known = this.#patterns.get(look);
    if (known) return known;
    const size = 6;
    const tile = document.createElement("canvas");
    tile.width = size;
    tile.height = size;
    const context = tile.getContext("2d");
    if (!context) return this.#colour(look);
    context.fillStyle = this.#colour("surface");
    context.fillRect(0, 0, size, size);
    context.strokeStyle = this.#colour(look);
    context.lineWidth = 1.6;
    context.globalAlpha = 0.75;
    context.beginPath();
    if (look === "pruned") {
      for (const shift of [-size, 0, size]) {
        context.moveTo(shift - 1, size + 1);
        context.lineTo(shift + size + 1, -1);
      }
    } else if (look === "shrunk") {
      context.moveTo(size / 2, 0);
      context.lineTo(size / 2, size);
    } else if (look === "repaired") {
      context.moveTo(0, size / 2);
      context.lineTo(size, size / 2);
    }
    context.stroke();
    const pattern = this.#context.createPattern(tile, "repeat") ?? this.#colour(look);
    this.#patterns.set(look, pattern);
    return pattern;
  }
}
