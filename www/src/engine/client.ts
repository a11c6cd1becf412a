import type { Call, Calls, Failure, ModelProgress, Response } from "./protocol.ts";

/** What a call of the engine is rejected with. */
export class EngineError extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** What went wrong, in the form that notices show. */
export function failureOf(error: unknown): Failure {
  if (error instanceof EngineError) return error.failure;
  return { code: "unreadable_file", message: error instanceof Error ? error.message : String(error) };
}

interface Caller {
  resolve(value: unknown): void;
  reject(reason: EngineError): void;
  heard?(progress: ModelProgress): void;
}

/** The engine in its worker: a large file must not freeze the page. */
export class Engine {
  readonly #worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  readonly #waiting = new Map<number, Caller>();
  #last = 0;

  constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<Response>) => {
      const caller = this.#waiting.get(data.id);
      if ("progress" in data) {
        caller?.heard?.(data.progress);
        return;
      }
      this.#waiting.delete(data.id);
      if ("failure" in data) caller?.reject(new EngineError(data.failure));
      else caller?.resolve(data.value);
    };
    this.#worker.onerror = (event) => {
      const failure: Failure = { code: "internal", message: event.message || "The engine could not be started." };
      for (const caller of this.#waiting.values()) caller.reject(new EngineError(failure));
      this.#waiting.clear();
    };
  }

  call<C extends Call>(
    call: C,
    input: Calls[C]["in"],
    heard?: (progress: ModelProgress) => void,
  ): Promise<Calls[C]["out"]> {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject, ...(heard ? { heard } : {}) });
      this.#worker.postMessage({ id, call, input });
    });
  }
}
