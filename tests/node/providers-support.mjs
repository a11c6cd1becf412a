// What the tests of the ready providers share: a compaction that has to ask a model, and what becomes of it.

import assert from "node:assert/strict";

import { answerTo } from "../provider-server/text.mjs";
import { bundled, epitome, load } from "./support.mjs";

const { compact, countTokens, EpitomeError } = epitome;
const { innerOf } = await load("provider.js");

const messages = bundled("coding-agent");
/** So little that a model is asked for summaries, and enough for it to be worth its while. */
const budget = Math.floor(countTokens(messages) * 0.08);

/** What a model of ours says: a text that is taken as a summary of what the prompt holds. */
export const answer = ({ messages }) => answerTo(messages[0].content);

/** What the function behind a provider makes of one request. */
export const asked = (provider, request) =>
  innerOf(provider).complete(request, { signal: new AbortController().signal });

/** A compaction that fails when the model does. */
export const compacted = (provider, options) =>
  compact(messages, { budget, provider, onProviderError: "throw", ...options });

/** Checks that a compaction ends with a summary of the model's; its report. */
export async function summarised(provider, options) {
  const { report } = await compacted(provider, options);
  assert.deepEqual(report.warnings, []);
  assert.ok(report.models.requests > 0, "a model was asked");
  assert.ok(report.after <= report.limit);
  assert.match(report.summary.text, /1\. User Intent: “/);
  return report;
}

/** The error that a compaction ends with. */
export async function failureOf(provider, options) {
  const error = await compacted(provider, options).then(
    () => assert.fail("nothing was thrown"),
    (thrown) => thrown,
  );
  assert.ok(error instanceof EpitomeError, `not an EpitomeError: ${error?.stack}`);
  return error;
}

/** Checks which option a call refuses, and what it says about it. */
export function refusesOption(call, option, words) {
  assert.throws(call, (error) => {
    assert.ok(error instanceof EpitomeError, error?.stack);
    assert.deepEqual([error.code, error.details], ["invalid_option", { option }]);
    assert.match(error.message, words);
    return true;
  });
}

/** Starts a compaction, gives it up once `begun` has resolved, and checks how it ends. */
export async function abortedAfter(begun, provider) {
  const controller = new AbortController();
  const running = compacted(provider, { signal: controller.signal });
  await Promise.race([begun, running]);
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(running, (error) => error.code === "aborted" && error.cause === reason);
}

/** A promise and what settles it. */
export function deferred() {
  const settle = {};
  const promise = new Promise((resolve, reject) => Object.assign(settle, { resolve, reject }));
  return { promise, ...settle };
}
