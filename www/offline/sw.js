// Keeps a copy of the page for when there is no network. The network always comes first: a new build is never hidden
// behind an old copy.
const CACHE = `epitome-${"__VERSION__"}`;
const FILES = /** @type {string[]} */ ("__FILES__");

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(FILES))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => names.filter((name) => name.startsWith("epitome-") && name !== CACHE))
      .then((old) => Promise.all(old.map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  event.respondWith(
    fetch(request).catch(async (failure) => {
      const copy = await caches.match(request, { ignoreSearch: true });
      if (copy) return copy;
      throw failure;
    }),
  );
});
