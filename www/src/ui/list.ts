import { type Item, keyOf } from "./items.ts";
import { Row, type RowData } from "./row.ts";

/** Rows rendered beyond what is in sight, so that scrolling shows no gaps. */
const OVERSCAN = 6;
const PAGE = 10;

export interface ListEvents {
  open(item: Item, by: "pointer" | "keyboard"): void;
  toggleFold(from: number): void;
  togglePin(index: number): void;
  /** Escape: what was opened from here is to be closed. */
  dismiss(): void;
  /** The keyboard moved to this row. */
  moved(item: Item): void;
}

/** The messages as a grid of which only the rows in sight exist; arrow keys move, Enter opens. */
export class MessageList {
  readonly #root: HTMLElement;
  readonly #events: ListEvents;
  readonly #rows = new Map<number, Row>();
  #spare: Row[] = [];
  #items: readonly Item[] = [];
  #data: RowData | undefined;
  #active = 0;
  #selected: string | undefined;
  #rowHeight = 36;

  constructor(root: HTMLElement, events: ListEvents) {
    this.#root = root;
    this.#events = events;
    root.role = "grid";
    root.ariaLabel = "Messages";
    // Not a stop of its own, but where the skip link leads.
    root.tabIndex = -1;
    let queued = false;
    const soon = () => {
      if (queued) return;
      queued = true;
      requestAnimationFrame(() => {
        queued = false;
        this.#draw();
      });
    };
    addEventListener("scroll", soon, { passive: true });
    new ResizeObserver(() => {
      this.#measure();
      soon();
    }).observe(root);
    addEventListener("resize", soon);
    root.addEventListener("click", (event) => this.#clicked(event));
    root.addEventListener("keydown", (event) => this.#pressed(event));
    root.addEventListener("focusin", (event) => this.#focused(event));
  }

  show(items: readonly Item[], data: RowData): void {
    const key = this.#activeKey();
    this.#items = items;
    this.#data = data;
    this.#active = this.#find(key) ?? Math.min(this.#active, Math.max(0, items.length - 1));
    this.#root.setAttribute("aria-rowcount", String(items.length));
    this.#measure();
    this.#draw();
  }

  /** Marks the row whose detail is open. */
  select(key: string | undefined): void {
    this.#selected = key;
    this.#draw();
  }

  focus(key?: string): void {
    this.#moveTo(this.#find(key) ?? this.#active, true);
  }

  /** Scrolls a row into sight and makes it the active one. */
  reveal(key: string, where: "nearest" | "center" = "center"): void {
    const at = this.#find(key);
    if (at !== undefined) this.#moveTo(at, false, where);
  }

  /** After the list got another width: brings its top up to the dock and keeps the row in sight. */
  settle(key: string): void {
    const below = this.#root.getBoundingClientRect().top - this.#viewTop();
    if (below > 0) scrollBy({ top: below });
    this.reveal(key, "nearest");
  }

  #activeKey(): string | undefined {
    const item = this.#items[this.#active];
    return item && keyOf(item);
  }

  /** Where a row is now; a message that got folded is found in its fold. */
  #find(key: string | undefined): number | undefined {
    if (key === undefined) return undefined;
    const exact = this.#items.findIndex((item) => keyOf(item) === key);
    if (exact >= 0) return exact;
    const index = Number(key.slice(1));
    if (key.startsWith("i")) return undefined;
    const around = this.#items.findIndex((item) => item.kind === "fold" && item.from <= index && index < item.to);
    return around >= 0 ? around : undefined;
  }

  #measure(): void {
    const before = this.#rowHeight;
    this.#rowHeight = Number.parseFloat(getComputedStyle(this.#root).getPropertyValue("--row")) || before;
    if (this.#data) this.#root.style.blockSize = `${Math.max(1, this.#items.length) * this.#rowHeight}px`;
  }

  /** Top of what is in sight: below the dock, where that is sticky. */
  #viewTop(): number {
    return Number.parseFloat(getComputedStyle(this.#root).scrollMarginTop) || 0;
  }

  #draw(): void {
    const data = this.#data;
    if (!data) return;
    const top = this.#root.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / this.#rowHeight) - OVERSCAN);
    const last = Math.min(this.#items.length - 1, Math.ceil((innerHeight - top) / this.#rowHeight) + OVERSCAN);
    // The active row always exists: it holds the place in the tab order, and maybe the focus.
    const wanted = (at: number) => (at >= first && at <= last) || at === this.#active;
    for (const [at, row] of this.#rows) {
      if (wanted(at) && at < this.#items.length) continue;
      this.#rows.delete(at);
      this.#spare.push(row);
    }
    if (this.#items.length > 0) this.#place(this.#active, data);
    for (let at = first; at <= last; at++) this.#place(at, data);
    for (const row of this.#spare) row.element.remove();
    this.#spare = this.#spare.slice(0, 40);
  }

  #place(at: number, data: RowData): void {
    const item = this.#items[at];
    if (!item) return;
    let row = this.#rows.get(at);
    if (!row) {
      row = this.#spare.pop() ?? new Row();
      this.#rows.set(at, row);
    }
    row.show(item, data);
    const { element } = row;
    element.dataset.at = String(at);
    element.setAttribute("aria-rowindex", String(at + 1));
    element.setAttribute("aria-selected", String(keyOf(item) === this.#selected));
    element.tabIndex = at === this.#active ? 0 : -1;
    element.style.transform = `translateY(${at * this.#rowHeight}px)`;
    if (element.parentNode !== this.#root) this.#root.append(element);
  }

  #moveTo(at: number, focus: boolean, where: "nearest" | "center" = "nearest"): void {
    if (this.#items.length === 0) return;
    this.#active = Math.max(0, Math.min(at, this.#items.length - 1));
    // Opening or closing the detail changes the rows' height before the observer tells.
    this.#measure();
    const top = this.#root.getBoundingClientRect().top + this.#active * this.#rowHeight;
    const viewTop = this.#viewTop();
    const outside = top < viewTop || top + this.#rowHeight > innerHeight;
    if (where === "center") scrollBy({ top: top - (viewTop + (innerHeight - viewTop) / 3) });
    else if (outside) scrollBy({ top: top < viewTop ? top - viewTop : top + this.#rowHeight - innerHeight + 8 });
    this.#draw();
    if (focus) this.#rows.get(this.#active)?.element.focus({ preventScroll: true });
  }

  #rowOf(event: Event): number | undefined {
    const row = (event.target as Element).closest<HTMLElement>(".row");
    return row ? Number(row.dataset.at) : undefined;
  }

  #focused(event: FocusEvent): void {
    const at = this.#rowOf(event);
    // The list itself is the target of the skip link.
    if (at === undefined) {
      this.#moveTo(this.#active, true);
    } else if (at !== this.#active) {
      this.#active = at;
      this.#draw();
    }
  }

  #clicked(event: MouseEvent): void {
    const item = this.#items[this.#rowOf(event) ?? -1];
    if (!item) return;
    if ((event.target as Element).closest(".row-pin")) {
      if (item.kind === "message") this.#events.togglePin(item.index);
    } else if (item.kind === "fold") this.#events.toggleFold(item.from);
    else this.#events.open(item, "pointer");
  }

  #pressed(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const item = this.#items[this.#active];
    if (!item) return;
    const onPin = (event.target as Element).closest(".row-pin") !== null;
    const row = this.#rows.get(this.#active);
    const step: Readonly<Record<string, number>> = {
      ArrowUp: -1,
      ArrowDown: 1,
      PageUp: -PAGE,
      PageDown: PAGE,
      Home: -this.#items.length,
      End: this.#items.length,
    };
    const by = step[event.key];
    if (by !== undefined) {
      this.#moveTo(this.#active + by, true);
      const now = this.#items[this.#active];
      if (now) this.#events.moved(now);
    } else if ((event.key === "Enter" || event.key === " ") && !onPin) {
      if (item.kind === "fold") this.#events.toggleFold(item.from);
      else this.#events.open(item, "keyboard");
    } else if (event.key === "ArrowRight") {
      if (item.kind === "fold" && !item.open) this.#events.toggleFold(item.from);
      else if (row && !row.pinButton.hidden) row.pinButton.focus();
    } else if (event.key === "ArrowLeft") {
      if (item.kind === "fold" && item.open) this.#events.toggleFold(item.from);
      else row?.element.focus();
    } else if (event.key === "Escape") {
      this.#events.dismiss();
    } else if (event.key === "p" && item.kind === "message") {
      this.#events.togglePin(item.index);
    } else return;
    event.preventDefault();
  }
}
