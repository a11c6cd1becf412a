import { App } from "./app.ts";
import { CONVERSATIONS } from "./conversations.ts";
import { byId, h } from "./ui/dom.ts";

const app = new App();
void app.openBundled(CONVERSATIONS[0]);

byId("licences", HTMLElement).append(
  "Bundled conversations are real and have their own licences: ",
  ...CONVERSATIONS.flatMap(({ name, licence, licenceUrl }, at) => [
    at === 0 ? "" : ", ",
    `${name} (`,
    h("a", { href: licenceUrl, target: "_blank" }, licence),
    ")",
  ]),
  ".",
);

// Keeps the page for when there is no network; not in development, where files change under it.
if (import.meta.env.PROD && "serviceWorker" in navigator && isSecureContext) {
  addEventListener("load", () => void navigator.serviceWorker.register("./sw.js").catch(() => undefined));
}
