// What has to hold for the cells of the matrix in every runtime.

import assert from "node:assert/strict";

/** @import { Cell, Verdict } from "../../provider-server/matrix.mjs" */

/** @param {readonly Verdict[]} verdicts */
export function assertRight(verdicts, count) {
  const wrong = verdicts.filter(({ problems }) => problems.length > 0);
  assert.deepEqual(wrong, [], `${wrong.length} of ${verdicts.length} cells`);
  assert.equal(verdicts.length, count);
}

/**
 * The server saw the requests that it should have seen, and would have seen no other way of a vendor's.
 *
 * @param {readonly { id: string, fault: string }[]} log
 * @param {readonly Verdict[]} verdicts
 * @param {(verdict: Verdict) => boolean} [unseen] which cells sent none
 */
export function assertRequests(log, verdicts, unseen = () => false) {
  const ids = new Set(log.map(({ id }) => id));
  const missing = verdicts.filter((verdict) => !ids.has(verdict.id) && !unseen(verdict)).map(({ name }) => name);
  assert.deepEqual(missing, [], "cells without a request");
  const names = new Map(verdicts.map(({ id, name }) => [id, name]));
  const violations = log.filter(({ fault }) => fault === "violation").map(({ id }) => names.get(id) ?? id);
  assert.deepEqual(violations, [], "cells whose requests a vendor would refuse");
}
