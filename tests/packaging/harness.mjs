// Runs named checks one after another and counts them.

const counts = { passed: 0, failed: 0, skipped: 0 };

/**
 * @param {string} name a sentence that says what holds
 * @param {() => void | Promise<void>} body throws when it does not
 */
export async function check(name, body) {
  try {
    await body();
    counts.passed += 1;
    console.log(`✔ ${name}`);
  } catch (error) {
    counts.failed += 1;
    console.log(`✖ ${name}`);
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    console.log(text.replace(/^/gm, "    "));
  }
}

/** Prints the summary that xtask reads, and sets the exit code. */
export function finish() {
  console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}
