// Reports of a program, in the order in which they came, for somebody who waits for the next one.

export class Reports {
  #waiting = [];
  #wanted = [];
  #end = undefined;

  push(report) {
    const wanted = this.#wanted.shift();
    if (wanted === undefined) this.#waiting.push(report);
    else wanted.resolve(report);
  }

  /** No more will come. */
  end(error) {
    this.#end ??= error;
    for (const { reject } of this.#wanted.splice(0)) reject(this.#end);
  }

  next() {
    if (this.#waiting.length > 0) return Promise.resolve(this.#waiting.shift());
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => this.#wanted.push({ resolve, reject }));
  }

  /** Those that nobody has waited for. */
  rest() {
    return this.#waiting.splice(0);
  }
}
