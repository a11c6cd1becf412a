import { type Bundled, CONVERSATIONS } from "./conversations.ts";
import { Engine, EngineError, failureOf } from "./engine/client.ts";
import type { FitAnswer, Loaded, Outcome, RowId } from "./engine/protocol.ts";
import { announcer } from "./ui/announcer.ts";
import { BudgetControl } from "./ui/budget.ts";
import { DetailPane } from "./ui/detail.ts";
import { measureDock } from "./ui/dock.ts";
import { byId } from "./ui/dom.ts";
import { ownFiles } from "./ui/files.ts";
import { type Item, keyOf, listItems } from "./ui/items.ts";
import { Legend } from "./ui/legend.ts";
import { MessageList } from "./ui/list.ts";
import { Notices } from "./ui/notices.ts";
import { attribution, Picker } from "./ui/picker.ts";
import { ReportView } from "./ui/report.ts";
import { chooseScale, type Scale } from "./ui/scale.ts";
import { Strips } from "./ui/strips.ts";
import { SummaryChoice } from "./ui/summaries.ts";
import { themeButton } from "./ui/theme.ts";
import { bytes, count, plural } from "./ui/words.ts";
import { ModelWork } from "./ui/work.ts";

/** Where the slider starts for the reader's own conversation. */
const OWN_SHARE = 0.3;

/** What is open, and everything that is drawn from it. */
interface Open {
  readonly name: string;
  readonly loaded: Loaded;
  readonly scale: Scale;
  readonly pins: Set<number>;
  /** Folds the reader has opened, by their first message. */
  readonly unfolded: Set<number>;
  /** The newest fit. */
  outcome?: Outcome;
  /** What the list shows: the fit or, after undo, the original. */
  shown?: Outcome;
  items: readonly Item[];
  undone: boolean;
}

export class App {
  readonly #engine = new Engine();
  readonly #notices = new Notices(byId("notices", HTMLElement));
  readonly #report = new ReportView();
  readonly #summaries = new SummaryChoice(() => this.#refit());
  readonly #work = new ModelWork(this.#engine, {
    done: (answer) => this.#showModels(answer),
    failed: (failure) => {
      this.#modelNotice = this.#notices.failure("The model could not be asked", failure);
    },
    stopped: (words) => this.#announce(words),
    again: () => {
      this.#summaries.confirm();
      this.#refit();
    },
  });
  readonly #announce = announcer(byId("announcement", HTMLElement));
  readonly #undo = byId("undo", HTMLButtonElement);
  readonly #copy = byId("copy", HTMLButtonElement);
  readonly #download = byId("download", HTMLButtonElement);
  readonly #main = document.querySelector("main") ?? document.body;
  readonly #budget: BudgetControl;
  readonly #strips: Strips;
  readonly #list: MessageList;
  readonly #legend: Legend;
  readonly #detail: DetailPane;
  readonly #picker: Picker;
  #open: Open | undefined;
  #detailRow: RowId | undefined;
  /** Takes away what was said about a model. */
  #modelNotice: (() => void) | undefined;
  #fitting = false;
  #fitAgain = false;
  #opening: Promise<boolean> = Promise.resolve(true);

  constructor() {
    this.#budget = new BudgetControl(
      {
        slider: byId("slider", HTMLInputElement),
        number: byId("limit", HTMLInputElement),
        output: byId("percent", HTMLOutputElement),
        gauge: byId("gauge", HTMLElement),
      },
      () => this.#refit(),
    );
    this.#strips = new Strips(byId("strips", HTMLCanvasElement), (message) => this.#reveal(message));
    this.#list = new MessageList(byId("list", HTMLElement), {
      open: (item, by) => void this.#showDetail(item, by === "keyboard"),
      toggleFold: (from) => this.#toggleFold(from),
      togglePin: (index) => this.#togglePin(index),
      dismiss: () => this.#detail.close(),
      moved: (item) => {
        if (this.#detail.isOpen) void this.#showDetail(item, false);
      },
    });
    this.#legend = new Legend(byId("legend", HTMLElement), () => this.#drawList());
    this.#detail = new DetailPane(byId("detail", HTMLDialogElement), byId("panes", HTMLElement), {
      closed: (focused) => {
        const row = this.#detailRow;
        this.#detailRow = undefined;
        this.#list.select(undefined);
        if (focused) this.#list.focus(row && rowKey(row));
      },
      step: (by) => this.#step(by),
      go: (row) => void this.#go(row),
      togglePin: (index) => this.#togglePin(index),
    });
    this.#picker = new Picker(byId("picker", HTMLElement), CONVERSATIONS, (bundled) => void this.openBundled(bundled));
    ownFiles(
      {
        button: byId("open", HTMLButtonElement),
        input: byId("file", HTMLInputElement),
        veil: byId("drop", HTMLElement),
      },
      (file) => void this.#openFile(file),
    );
    this.#undo.addEventListener("click", () => void (this.#open?.undone ? this.#refit() : this.#undoFit()));
    this.#copy.addEventListener("click", () => void this.#copyJson());
    this.#download.addEventListener("click", () => void this.#downloadJson());
    measureDock(byId("dock", HTMLElement));
    themeButton(byId("theme", HTMLButtonElement), () => this.#strips.draw());
  }

  async openBundled(bundled: Bundled): Promise<void> {
    const opened = await this.#load(bundled.name, bundled.share, async () => {
      const response = await fetch(bundled.url);
      if (!response.ok) throw new Error(`${bundled.url}: ${response.status}`);
      return { text: await response.text() };
    });
    if (!opened) return;
    attribution(byId("attribution", HTMLElement), bundled);
  }

  async #openFile(file: File): Promise<void> {
    const opened = await this.#load(file.name, OWN_SHARE, () => Promise.resolve({ file }));
    if (opened)
      byId("attribution", HTMLElement).textContent = `Your file ${file.name}, ${bytes(file.size)}, read in this tab.`;
  }

  /** One after the other: the page and the worker must agree on what is open. */
  #load(name: string, share: number, source: () => Promise<{ text: string } | { file: File }>): Promise<boolean> {
    this.#opening = this.#opening.then(() => this.#replace(name, share, source));
    return this.#opening;
  }

  /** Replaces what is open, or says why not and leaves it as it was. */
  async #replace(
    name: string,
    share: number,
    source: () => Promise<{ text: string } | { file: File }>,
  ): Promise<boolean> {
    this.#main.setAttribute("aria-busy", "true");
    try {
      const loaded = await this.#engine.call("load", await source());
      this.#notices.clear();
      if (loaded.notes.length > 0) this.#notices.say(name, loaded.notes.join(" "));
      this.#detail.close();
      const scale = chooseScale(loaded.messages.map(({ tokens }) => tokens));
      this.#open = { name, loaded, scale, pins: new Set(), unfolded: new Set(), items: [], undone: false };
      const torn = scale.cut ? ", longer ones torn" : "";
      byId("scale", HTMLElement).textContent = `0 – ${count(scale.full)} tokens${torn}`;
      this.#budget.start(loaded.total, loaded.fixed, share);
      this.#refit();
      return true;
    } catch (error) {
      this.#notices.failure(`${name} could not be opened`, failureOf(error));
      return false;
    } finally {
      this.#main.removeAttribute("aria-busy");
      const at = CONVERSATIONS.findIndex((bundled) => bundled.name === this.#open?.name);
      this.#picker.mark(at);
    }
  }

  /** Fits to the newest limit and pins; while one fit runs, further requests become one. */
  #refit(): void {
    this.#prepareModel();
    if (this.#fitting) {
      this.#fitAgain = true;
      return;
    }
    void this.#fitOnce();
  }

  async #fitOnce(): Promise<void> {
    const open = this.#open;
    if (!open) return;
    this.#fitting = true;
    this.#fitAgain = false;
    try {
      const answer = await this.#engine.call("fit", {
        limit: this.#budget.limit,
        pins: pinsOf(open),
      });
      if (open === this.#open) this.#show(open, answer);
      if (!this.#fitAgain) this.#askModel(open, answer);
    } catch (error) {
      if (open === this.#open) {
        this.#notices.failure("Could not be fitted", failureOf(error));
        if (this.#summaries.model) this.#work.rest("There is nothing to ask the model.");
        if (!open.shown) this.#draw(open, original(open.loaded));
      }
    } finally {
      this.#fitting = false;
    }
    if (this.#fitAgain) await this.#fitOnce();
  }

  /** What is being asked is out of date; says whether and whom to ask next. */
  #prepareModel(): void {
    const { isByModel, host, lacks, isConfirmed } = this.#summaries;
    byId("privacy-claim", HTMLElement).textContent = host ? `Texts go to ${host}` : "Nothing leaves this page";
    byId("privacy", HTMLElement).classList.toggle("is-open", host !== undefined);
    this.#modelNotice?.();
    if (!isByModel) this.#work.hide();
    else if (lacks !== undefined) this.#work.rest(lacks);
    else if (!isConfirmed) this.#work.rest(`A link named ${host}. Nothing has been sent there.`, "Ask");
    else this.#work.soon();
  }

  #askModel(open: Open, answer: FitAnswer): void {
    const { model, isConfirmed } = this.#summaries;
    if (open !== this.#open || model === undefined || !isConfirmed) return;
    if (!answer.fits) {
      this.#work.rest("The limit cannot be met.");
      return;
    }
    const isAsked = this.#work.ask({ limit: this.#budget.limit, pins: pinsOf(open), model });
    if (isAsked) this.#announce(`${inWords(answer.outcome)}; a model is asked`);
  }

  /** Shows what came of asking a model, and what did not. */
  #showModels(answer: FitAnswer): void {
    const open = this.#open;
    if (!open) return;
    this.#show(open, answer);
    if (answer.fits) this.#modelNotice = this.#notices.ofModel(answer.outcome.report.warnings);
  }

  #show(open: Open, answer: FitAnswer): void {
    open.undone = false;
    this.#undo.textContent = "Undo";
    document.body.classList.toggle("is-irreducible", !answer.fits);
    for (const button of [this.#undo, this.#copy, this.#download]) button.disabled = !answer.fits;
    this.#placeFlag();
    if (!answer.fits) {
      this.#placeFloor(answer.error.required);
      this.#announce(`Does not fit: ${answer.message}`);
      this.#report.irreducible(answer.error, open.loaded.total, (limit) => this.#budget.set(limit));
      // The last fit stays on show, greyed: the reader sees what the limit was moved away from.
      if (!open.shown) this.#draw(open, original(open.loaded));
      return;
    }
    this.#placeFloor(answer.smallest);
    open.outcome = answer.outcome;
    this.#report.fitted(answer.outcome, answer.smallest);
    this.#announce(inWords(answer.outcome));
    this.#draw(open, answer.outcome);
  }

  #draw(open: Open, shown: Outcome): void {
    open.shown = shown;
    const { report } = shown;
    this.#strips.show({ facts: open.loaded.messages, outcome: shown, full: this.#budget.full });
    byId("strips", HTMLCanvasElement).setAttribute(
      "aria-label",
      `Before ${count(report.before)} tokens, after ${count(report.after)}, limit ${count(report.limit)}`,
    );
    this.#legend.show(shown);
    this.#drawList();
    void this.#refreshDetail();
  }

  #drawList(): void {
    const open = this.#open;
    if (!open?.shown) return;
    open.items = listItems(open.shown, this.#legend.only, open.unfolded);
    this.#list.show(open.items, {
      facts: open.loaded.messages,
      outcome: open.shown,
      pins: open.pins,
      scale: open.scale,
    });
  }

  #placeFlag(): void {
    const flag = byId("flag", HTMLElement);
    flag.textContent = `limit ${count(this.#budget.limit)}`;
    flag.classList.toggle("is-left", this.#budget.limit / this.#budget.full > 0.75);
  }

  #placeFloor(required: number): void {
    byId("gauge", HTMLElement).style.setProperty("--floor", String(required / this.#budget.full));
  }

  #toggleFold(from: number): void {
    const unfolded = this.#open?.unfolded;
    if (!unfolded) return;
    if (!unfolded.delete(from)) unfolded.add(from);
    this.#drawList();
  }

  #togglePin(index: number): void {
    const pins = this.#open?.pins;
    if (!pins) return;
    if (!pins.delete(index)) pins.add(index);
    this.#refit();
  }

  async #undoFit(): Promise<void> {
    const open = this.#open;
    if (!open?.outcome) return;
    if (this.#summaries.model) this.#work.rest("Undone.", "Ask again");
    try {
      const proof = await this.#engine.call("undo", null);
      if (open !== this.#open) return;
      open.undone = true;
      this.#undo.textContent = "Fit again";
      this.#copy.disabled = true;
      this.#download.disabled = true;
      this.#draw(open, original(open.loaded));
      this.#report.undone(proof, open.loaded.total);
    } catch (error) {
      this.#notices.failure("Could not be undone", failureOf(error));
    }
  }

  async #copyJson(): Promise<void> {
    try {
      await navigator.clipboard.writeText(await this.#engine.call("json", null));
      this.#copy.textContent = "Copied";
      setTimeout(() => {
        this.#copy.textContent = "Copy JSON";
      }, 1500);
    } catch (error) {
      if (error instanceof EngineError) this.#notices.failure("Could not be copied", error.failure);
      else this.#notices.say("Not copied", "The browser does not allow it here. Use Download.");
    }
  }

  async #downloadJson(): Promise<void> {
    const json = await this.#engine.call("json", null);
    const url = URL.createObjectURL(new Blob([json], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `${(this.#open?.name ?? "conversation")
      .replace(/\.\w+$/, "")
      .replaceAll(" ", "-")
      .toLowerCase()}-fitted.json`;
    link.click();
    // The download has the address by then, in every browser.
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  #rowOf(item: Item): RowId | undefined {
    if (item.kind === "message") return { message: item.index };
    return item.kind === "inserted" ? { inserted: item.nth } : undefined;
  }

  async #showDetail(item: Item, focus: boolean): Promise<void> {
    const row = this.#rowOf(item);
    if (row) await this.#showRow(row, focus);
  }

  async #showRow(row: RowId, focus: boolean): Promise<void> {
    const open = this.#open;
    if (!open) return;
    this.#detailRow = row;
    const detail = await this.#engine.call("detail", row);
    // Another row, another conversation, or closed meanwhile.
    if (open !== this.#open || !open.shown || this.#detailRow !== row) return;
    const pinned = "message" in row && open.pins.has(row.message);
    const opens = !this.#detail.isOpen;
    const data = { row, detail, facts: open.loaded.messages, outcome: open.shown, pinned };
    this.#detail.show({ ...data, asGiven: open.undone || !open.outcome }, focus);
    this.#list.select(rowKey(row));
    if (opens) this.#list.settle(rowKey(row));
  }

  async #refreshDetail(): Promise<void> {
    const row = this.#detailRow;
    if (!row || !this.#detail.isOpen) return;
    const gone = "inserted" in row && !this.#open?.shown?.inserted[row.inserted];
    if (gone) this.#detail.close();
    else await this.#showRow({ ...row }, false);
  }

  #step(by: -1 | 1): void {
    const open = this.#open;
    if (!open || !this.#detailRow) return;
    const key = rowKey(this.#detailRow);
    let at = open.items.findIndex((item) => keyOf(item) === key);
    // Folds have no detail of their own.
    do at += by;
    while (open.items[at]?.kind === "fold");
    const item = open.items[at];
    if (!item) return;
    this.#list.reveal(keyOf(item));
    void this.#showDetail(item, false);
  }

  async #go(row: RowId): Promise<void> {
    if ("message" in row) this.#unfoldAround(row.message);
    this.#list.reveal(rowKey(row));
    await this.#showRow(row, true);
  }

  #reveal(message: number): void {
    this.#list.reveal(`m${message}`);
    this.#list.focus(`m${message}`);
  }

  #unfoldAround(message: number): void {
    const fold = this.#open?.items.find(
      (item) => item.kind === "fold" && !item.open && item.from <= message && message < item.to,
    );
    if (fold?.kind === "fold") this.#toggleFold(fold.from);
  }
}

function inWords({ report: { before, after, tier, models } }: Outcome): string {
  const asked = models ? `, ${plural(models.requests, "request")} to a model` : "";
  return `${count(before)} to ${count(after)} tokens, tier ${tier}${asked}`;
}

const pinsOf = ({ pins }: Open) => [...pins].sort((a, b) => a - b);

const rowKey = (row: RowId) => ("message" in row ? `m${row.message}` : `i${row.inserted}`);

/** The conversation as it was given, in the shape of a fit that edits nothing. */
function original({ messages, total, format }: Loaded): Outcome {
  return {
    states: new Uint8Array(messages.length),
    after: Uint32Array.from(messages, ({ tokens }) => tokens),
    inserted: [],
    milliseconds: 0,
    report: {
      format,
      tier: "none",
      before: total,
      after: total,
      limit: total,
      overhead: 0,
      messagesBefore: messages.length,
      messagesAfter: messages.length,
      repairs: [],
      firstChangedIndex: null,
      prefixTokens: total,
      warnings: [],
    },
  };
}
