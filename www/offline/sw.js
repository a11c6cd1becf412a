// Keeps a copy of the page for when there is no network. The network always comes first: a new build is never hidden
// behind an old copy.
const CACHE = `epitome-${"__VERSION__"}`;
const FILES = /** @type {string[]} */ ("__FILES__");
/** What not every reader needs: kept once it has been used. */
const LATER = /** @type {string[]} */ ("__LATER__");
const later = new Set(LATER.map((file) => new URL(file, self.location.href).href));

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
  event.respondWith(later.has(request.url) ? fetchAndKeep(event) : fetchOrCopy(request));
});

async function fetchOrCopy(request) {
  try {
    return await fetch(request);
  } catch (failure) {
    const copy = await caches.match(request, { ignoreSearch: true });
    if (copy) return copy;
    throw failure;
  }
}

async function fetchAndKeep(event) {
  const response = await fetchOrCopy(event.request);
  if (response.ok) {
    const copy = response.clone();
    event.waitUntil(caches.open(CACHE).then((cache) => cache.put(event.request, copy)));
  }
  return response;
}
