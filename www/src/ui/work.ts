import { type Engine, failureOf } from "../engine/client.ts";
import type { Failure, FitAnswer, ModelProgress, ModelSettings } from "../engine/protocol.ts";
import { byId } from "./dom.ts";
import { count, isAboutModel, plural, seconds } from "./words.ts";

/** How long nothing must change before a model is asked, ms: it would read every position of the slider. */
const QUIET = 700;

const STOPPED = "Stopped. This is the result without the model.";
const FAILED = "The model could not be asked. This is the result without it.";

interface Asked {
  readonly limit: number;
  readonly pins: readonly number[];
  readonly model: ModelSettings;
}

interface Listeners {
  /** The model's part is done. */
  done(answer: FitAnswer): void;
  failed(failure: Failure): void;
  stopped(words: string): void;
  /** The reader wants it asked, now. */
  again(): void;
}

/** What a model is doing, and the button that stops it. */
export class ModelWork {
  readonly #engine: Engine;
  readonly #listeners: Listeners;
  readonly #line = byId("work", HTMLElement);
  readonly #text = byId("work-text", HTMLElement);
  readonly #button = byId("work-button", HTMLButtonElement);
  /** What is under way or, before a fit has said what to ask, that something soon will be. */
  #asked: Asked | "soon" | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isHurried = false;

  constructor(engine: Engine, listeners: Listeners) {
    this.#engine = engine;
    this.#listeners = listeners;
    this.#button.addEventListener("click", () => {
      if (this.#asked !== undefined) {
        this.rest(STOPPED, "Ask again");
        listeners.stopped(STOPPED);
      } else {
        this.#isHurried = true;
        listeners.again();
      }
    });
  }

  hide(): void {
    this.#turn(undefined);
    this.#line.hidden = true;
  }

  /** Nobody is asked; `can` is what the button does about it. */
  rest(text: string, can?: "Ask" | "Ask again"): void {
    this.#turn(undefined);
    this.#isHurried = false;
    this.#say(text, can ?? "Ask");
    this.#button.disabled = can === undefined;
  }

  /** A model will be asked, but not what it is being asked now. */
  soon(): void {
    this.#turn("soon");
    this.#say("A model is asked once the limit has settled", "Stop");
  }

  /** Asks, unless something else is wanted before long. Says false if the reader has stopped it since `soon`. */
  ask(asked: Asked): boolean {
    if (this.#asked === undefined) return false;
    this.#turn(asked);
    this.#timer = setTimeout(() => void this.#run(asked), this.#isHurried ? 0 : QUIET);
    this.#isHurried = false;
    return true;
  }

  /** Gives up what is under way for something else. */
  #turn(asked: Asked | "soon" | undefined): void {
    clearTimeout(this.#timer);
    if (this.#asked !== undefined) void this.#engine.call("stop", null);
    this.#asked = asked;
  }

  async #run(asked: Asked): Promise<void> {
    const { model } = asked.model;
    this.#say(`${model} is asked`, "Stop");
    const heard = (progress: ModelProgress) => {
      if (asked === this.#asked) this.#say(`${model}: ${inWords(progress)}`, "Stop");
    };
    let answer: FitAnswer;
    try {
      answer = await this.#engine.call("compact", asked, heard);
    } catch (error) {
      if (asked === this.#asked) this.#fail(failureOf(error));
      return;
    }
    if (asked !== this.#asked) return;
    this.rest(outcomeInWords(model, answer), "Ask again");
    this.#listeners.done(answer);
  }

  #fail(failure: Failure): void {
    // Another conversation was to be opened, and could not be.
    const isStopped = failure.code === "aborted";
    this.rest(isStopped ? STOPPED : FAILED, "Ask again");
    if (!isStopped) this.#listeners.failed(failure);
  }

  #say(text: string, button: "Stop" | "Ask" | "Ask again"): void {
    this.#line.hidden = false;
    this.#line.classList.toggle("is-working", this.#asked !== undefined);
    this.#text.textContent = text;
    this.#button.textContent = button;
    this.#button.disabled = false;
  }
}

function inWords({ done, running, pausing, characters }: ModelProgress): string {
  return [
    `${plural(done, "request")} done`,
    `${count(running)} running`,
    pausing > 0 ? `${count(pausing)} to be sent again` : "",
    characters > 0 ? `${plural(characters, "character")} received` : "",
  ]
    .filter(Boolean)
    .join(", ");
}

function outcomeInWords(model: string, answer: FitAnswer): string {
  if (!answer.fits) return "The limit cannot be met.";
  const { report, milliseconds } = answer.outcome;
  if (report.models === undefined) return `There was nothing for ${model} to summarise.`;
  const requests = `${plural(report.models.requests, "request")} in ${seconds(milliseconds)}`;
  const failed = report.warnings.some(isAboutModel);
  return failed ? `${model}: ${requests}, not all of use` : `${model}: ${requests}`;
}
