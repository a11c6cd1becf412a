import type { ModelSettings } from "../engine/protocol.ts";
import { byId } from "./dom.ts";

/** Where Ollama listens, with the path under which it speaks like OpenAI. */
const USUAL_ADDRESS = "http://127.0.0.1:11434/v1";
const KEY = "epitome-model";

/** Who is to write the summaries: nobody, or a model at an address. */
export class SummaryChoice {
  readonly #without = byId("without-model", HTMLInputElement);
  readonly #byModel = byId("by-model", HTMLInputElement);
  readonly #form = byId("model", HTMLFormElement);
  readonly #address = byId("model-address", HTMLInputElement);
  readonly #name = byId("model-name", HTMLInputElement);
  /** In memory only; nothing but the model's address ever gets it. */
  readonly #key = byId("model-key", HTMLInputElement);
  readonly #stream = byId("model-stream", HTMLInputElement);
  readonly #problem = byId("model-problem", HTMLElement);
  #keyIsFor: string | undefined;
  #isConfirmed = true;

  constructor(changed: () => void) {
    this.#prefill();
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    const take = () => {
      this.confirm();
      changed();
    };
    this.#without.addEventListener("change", take);
    this.#byModel.addEventListener("change", take);
    this.#stream.addEventListener("change", take);
    this.#key.addEventListener("change", take);
    for (const input of [this.#address, this.#name]) {
      input.addEventListener("change", () => {
        take();
        if (this.model) remember(this.model);
      });
    }
  }

  get isByModel(): boolean {
    return this.#byModel.checked;
  }

  /** The model to ask, if there is one and it is said well enough where it is. */
  get model(): ModelSettings | undefined {
    const url = this.#url;
    if (!this.isByModel || url === undefined || this.lacks !== undefined) return undefined;
    return { address: url.href, model: this.#model, key: this.#key.value.trim(), stream: this.#stream.checked };
  }

  /** Who gets what is to be summarised. */
  get host(): string | undefined {
    return this.model && this.#url?.host;
  }

  /** What is missing, in words. */
  get lacks(): string | undefined {
    if (this.#url === undefined) return "The address of the model is missing or wrong.";
    if (this.#keyProblem !== "") return "The key is wrong.";
    return this.#model === "" ? "No model is named yet." : undefined;
  }

  /** False when the address comes from a link and leads to a stranger: nothing is sent there unasked. */
  get isConfirmed(): boolean {
    return this.#isConfirmed;
  }

  confirm(): void {
    this.#isConfirmed = true;
    this.#show();
  }

  get #url(): URL | undefined {
    const address = addressOf(this.#address.value);
    return address instanceof URL ? address : undefined;
  }

  get #model(): string {
    return this.#name.value.trim();
  }

  /** No header can hold anything else. */
  get #keyProblem(): string {
    const isPlain = /^[\x21-\x7e]*$/.test(this.#key.value.trim());
    return isPlain
      ? ""
      : "This is not a key: it holds spaces or characters that are not plain letters, digits and signs.";
  }

  #prefill(): void {
    const link = new URLSearchParams(location.search);
    const stored = remembered();
    const address = link.get("provider");
    this.#address.value = address ?? stored.address ?? USUAL_ADDRESS;
    this.#name.value = link.get("model") ?? stored.model ?? "";
    this.#byModel.checked = address !== null;
    this.#without.checked = address === null;
    const url = this.#url;
    this.#isConfirmed = address === null || (url !== undefined && isNear(url));
    this.#show();
  }

  #show(): void {
    this.#form.hidden = !this.isByModel;
    const address = addressOf(this.#address.value);
    this.#keepKeyTo(address instanceof URL ? address.origin : undefined);
    const problems = { address: address instanceof URL ? "" : address, key: this.#keyProblem };
    this.#problem.textContent = problems.address || problems.key;
    this.#address.setAttribute("aria-invalid", String(problems.address !== ""));
    this.#key.setAttribute("aria-invalid", String(problems.key !== ""));
  }

  /** A key that was typed for one service must not reach another. */
  #keepKeyTo(origin: string | undefined): void {
    if (this.#keyIsFor !== undefined && origin !== this.#keyIsFor) this.#key.value = "";
    this.#keyIsFor = this.#key.value === "" ? undefined : origin;
  }
}

/** The address, or what is wrong with it. */
function addressOf(text: string): URL | string {
  let url: URL;
  try {
    url = new URL(text.trim());
  } catch {
    return "This is not an address; it should look like https://models.example/v1.";
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return "The address must begin with http:// or https://.";
  if (url.username !== "" || url.password !== "") return "The address must not hold a user name or a password.";
  return url;
}

/** On this computer, or where the page itself comes from. */
function isNear({ hostname, origin }: URL): boolean {
  return origin === location.origin || ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
}

function remembered(): { readonly address?: string; readonly model?: string } {
  try {
    const { address, model } = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Record<string, unknown>;
    return { ...(typeof address === "string" ? { address } : {}), ...(typeof model === "string" ? { model } : {}) };
  } catch {
    return {};
  }
}

function remember({ address, model }: ModelSettings): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ address, model }));
  } catch {
    // Storage is off; they hold for this visit.
  }
}
