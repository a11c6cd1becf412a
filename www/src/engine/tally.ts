import type { ProgressEvent } from "epitome";
import type { ModelProgress } from "./protocol.ts";

/** Adds up what a model is heard of. */
export class Tally {
  #done = 0;
  #running = 0;
  #pausing = 0;
  /** How long each answer is so far. */
  readonly #answers: number[] = [];

  after(event: ProgressEvent): ModelProgress {
    switch (event.type) {
      case "request":
        this.#running++;
        if (event.attempt > 1) this.#pausing--;
        break;
      case "text":
        this.#grow(event.characters);
        break;
      case "answer":
        this.#running--;
        this.#done++;
        break;
      case "failure":
        this.#running--;
        if (event.retryInMs === undefined) this.#done++;
        else this.#pausing++;
    }
    const characters = this.#answers.reduce((sum, length) => sum + length, 0);
    return { done: this.#done, running: this.#running, pausing: this.#pausing, characters };
  }

  /** Events do not say which of several answers grows: the longest one that is shorter is taken to be it. */
  #grow(characters: number): void {
    let at = -1;
    for (const [index, length] of this.#answers.entries()) {
      if (length < characters && length > (this.#answers[at] ?? -1)) at = index;
    }
    if (at === -1) this.#answers.push(characters);
    else this.#answers[at] = characters;
  }
}
