// Faults that a status tells of.

import { STATUS_CODES } from "node:http";

import { bearer } from "../checks.mjs";

const statuses = [400, 401, 402, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 503, 504, 529];

/** What a model reads where a request is said to be too long for it, tokens. */
const contextLimit = 8_192;

const page = (title) =>
  `<!DOCTYPE html>\n<html><head><title>${title}</title></head><body><center><h1>${title}</h1></center><hr></body></html>\n`;

const failing = (status) => (exchange) => exchange.send(exchange.failure({ status }));

const plain = (status) => (exchange) => exchange.send(exchange.text(status, STATUS_CODES[status] ?? "Overloaded"));

const html = (status, title) => (exchange) =>
  exchange.send(exchange.text(status, page(title), "text/html; charset=utf-8"));

const moved = (status, location) => async (exchange) => {
  exchange.head({ status, headers: { location: location(exchange) } }, { "content-length": 0 });
  exchange.res.end();
};

/** 429, to be repeated after so many seconds. */
export const retryAfter = (seconds) => (exchange) =>
  exchange.send(exchange.failure({ status: 429, retryAfter: seconds }, { "retry-after": String(seconds) }));

/** Refuses prompts of more tokens than this. */
export const context = (limit, always) => (exchange) => {
  const actual = exchange.asked.inputTokens + (always ? limit : 0);
  if (actual <= limit) return exchange.send(exchange.reply());
  return exchange.send(exchange.failure(exchange.format.tooLong(limit, actual)));
};

/** The date, a full second ahead at least. */
const soon = () => new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 1_000).toUTCString();

/** The key as it was sent, wherever that was. */
const sentKey = ({ headers, query }) =>
  headers["x-api-key"] ?? headers["x-goog-api-key"] ?? bearer(headers) ?? query.get("key") ?? "";

export const statusFaults = {
  ...Object.fromEntries(statuses.map((status) => [`s${status}`, failing(status)])),
  ...Object.fromEntries(statuses.map((status) => [`s${status}-plain`, plain(status)])),
  "retry-date": (exchange) => exchange.send(exchange.failure({ status: 429 }, { "retry-after": soon() })),
  context: context(contextLimit, true),
  "echo-key": (exchange) => {
    const message = `Incorrect API key provided: ${sentKey(exchange)}. You can find your API key in your settings.`;
    return exchange.send(exchange.failure({ status: 401, message }));
  },
  html: html(200, "Welcome to the network"),
  "html-502": html(502, "502 Bad Gateway"),
  204: async (exchange) => {
    exchange.head({ status: 204, headers: {} });
    exchange.res.end();
  },
  redirect: moved(307, ({ rest }) => `/ok${rest}`),
  "redirect-303": moved(303, ({ rest }) => `/ok${rest}`),
  "redirect-loop": moved(307, ({ req }) => req.url),
};
