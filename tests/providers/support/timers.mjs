// Counts the timers of a runtime. For Node, Workers and pages: imports nothing.

/** Who sets timers of a runtime's own, by the line of the stack: Node's `fetch` keeps connections open for a while. */
const ofRuntime = /\(node:internal\//;

/**
 * From now on: `live()` says how many timers are set and have neither fired nor been cleared, `made()` how many there
 * have been.
 */
export function watchTimers(scope = globalThis) {
  const { clearTimeout, setTimeout } = scope;
  const live = new Set();
  let made = 0;
  scope.setTimeout = (run, ms, ...rest) => {
    const caller = new Error().stack.split("\n")[2] ?? "";
    if (ofRuntime.test(caller)) return setTimeout(run, ms, ...rest);
    const fire = () => {
      live.delete(timer);
      run(...rest);
    };
    const timer = setTimeout(fire, ms);
    live.add(timer);
    made += 1;
    return timer;
  };
  scope.clearTimeout = (timer) => {
    live.delete(timer);
    clearTimeout(timer);
  };
  return { live: () => live.size, made: () => made };
}
