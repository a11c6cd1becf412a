import { count, percent } from "./words.ts";

/**
 * The limit, as a slider over the tokens that may be compacted and as a number of tokens. The slider lies on the same
 * scale as the strips above it: its left end is where the messages that are never edited end.
 */
export class BudgetControl {
  readonly #slider: HTMLInputElement;
  readonly #number: HTMLInputElement;
  readonly #output: HTMLOutputElement;
  readonly #gauge: HTMLElement;
  readonly #changed: (limit: number) => void;
  #fixed = 0;
  #total = 1;
  #limit = 1;

  constructor(
    elements: { slider: HTMLInputElement; number: HTMLInputElement; output: HTMLOutputElement; gauge: HTMLElement },
    changed: (limit: number) => void,
  ) {
    this.#slider = elements.slider;
    this.#number = elements.number;
    this.#output = elements.output;
    this.#gauge = elements.gauge;
    this.#changed = changed;
    this.#slider.addEventListener("input", () => {
      const share = Number(this.#slider.value) / 100;
      this.#take(Math.round(this.#fixed + share * (this.#total - this.#fixed)));
    });
    this.#number.addEventListener("input", () => {
      // A half-typed number is not a limit yet.
      const tokens = Math.floor(this.#number.valueAsNumber);
      if (tokens >= 1) this.#take(tokens, "typing");
    });
    this.#number.addEventListener("change", () => this.#show());
  }

  get limit(): number {
    return this.#limit;
  }

  /** Tokens at the full width of the strips. */
  get full(): number {
    return Math.max(this.#total, this.#limit);
  }

  /** Starts a new conversation at a share of what may be compacted. */
  start(total: number, fixed: number, share: number): void {
    this.#total = Math.max(1, total);
    this.#fixed = fixed;
    this.#limit = Math.max(1, Math.round(fixed + share * (total - fixed)));
    this.#show();
  }

  set(limit: number): void {
    this.#take(limit);
  }

  #take(limit: number, typing?: "typing"): void {
    this.#limit = Math.max(1, limit);
    this.#show(typing);
    this.#changed(this.#limit);
  }

  #show(typing?: "typing"): void {
    const share = (this.#limit - this.#fixed) / Math.max(1, this.#total - this.#fixed);
    const shown = percent(Math.max(0, share));
    this.#slider.value = String(Math.round(share * 100));
    this.#slider.setAttribute("aria-valuetext", `${shown}, ${count(this.#limit)} tokens`);
    this.#output.textContent = shown;
    if (!typing) this.#number.value = String(this.#limit);
    // Not for the slider only: everything on the gauge is placed by these.
    const { style } = this.#gauge;
    style.setProperty("--fixed", String(this.#fixed / this.full));
    style.setProperty("--total", String(this.#total / this.full));
    style.setProperty("--limit", String(this.#limit / this.full));
  }
}
