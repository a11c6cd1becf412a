// What nobody should have to read: words on the console, warnings of Node.js, errors that nobody handles.

const methods = ["debug", "error", "info", "log", "trace", "warn"];

/** Collects them from now on; the function returns what there was. */
export function complaints() {
  const heard = [];
  for (const method of methods) {
    const say = console[method];
    console[method] = (...words) => {
      heard.push(`console.${method}: ${words.join(" ")}`);
      say.apply(console, words);
    };
  }
  for (const event of ["unhandledRejection", "uncaughtExceptionMonitor", "warning"]) {
    process.on(event, (what) => heard.push(`${event}: ${what?.stack ?? what}`));
  }
  return () => heard;
}
