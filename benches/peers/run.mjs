// Epitome beside the packages that do the nearest thing, in one process, on the same conversations.
//
//   npm ci --prefix benches/peers && npm run --prefix benches/peers bench
//
// `cargo xtask bench` does that after the native benchmarks. Options: `--sizes 200,2000`, `--no-cold`, `--only-cold`,
// `--quick` (fewer rounds). The tables of docs/benchmarks.md are its output.

import { parseArgs } from "node:util";
import { coldStart } from "./cold-start.mjs";
import { contenders, shapes } from "./contenders.mjs";
import { conversation } from "./conversation.mjs";
import { breaches, forget, keepsLastUser, tokensOf } from "./judge.mjs";

const { values: options } = parseArgs({
  options: {
    sizes: { type: "string", default: "200,2000,20000,200000" },
    cold: { type: "boolean", default: true },
    "only-cold": { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
  },
  allowNegative: true,
});

const ABSOLUTE = 8_000;
const SHARE = 0.25;
/** A call that is expected to take longer than this, ms of processor time, is skipped at that size. */
const CAP = 30_000;
/** What takes longer than this, ms, at a size is timed once. */
const SLOW = { 200: 100, 2000: 2_000, 20000: 8_000 };

/** How often each contender is called: untimed, then timed. */
function rounds(size) {
  const plan = { 200: [40, 31], 2000: [6, 15], 20000: [1, 5], 200000: [1, 2] }[size] ?? [1, 5];
  return options.quick ? plan.map((count) => Math.ceil(count / 3)) : plan;
}

const collect = globalThis.gc ?? (() => {});

/** Wall time, and the processor time of the whole process: the latter hardly depends on what else the machine does. */
async function clock(contender, input, budget) {
  const used = process.cpuUsage();
  const start = performance.now();
  const result = await contender.run(input, budget);
  const wall = performance.now() - start;
  const { user, system } = process.cpuUsage(used);
  return { wall, cpu: (user + system) / 1000, result };
}

/** Calls all contenders in turns; the order rotates, so that none always runs in another's wake. */
async function measure(racing, input, budget, size) {
  const [warmUp, timed] = rounds(size);
  const runs = racing.map((contender) => ({
    contender,
    walls: [],
    cpus: [],
    result: undefined,
    error: undefined,
    slow: false,
  }));
  for (let round = -warmUp; round < timed; round += 1) {
    for (let turn = 0; turn < runs.length; turn += 1) {
      const run = runs[(turn + Math.max(round, 0)) % runs.length];
      if (run.error || (run.slow && round !== 0)) continue;
      if (size >= 2000) collect();
      try {
        const { wall, cpu, result } = await clock(run.contender, input, budget);
        if (round >= 0) {
          run.walls.push(wall);
          run.cpus.push(cpu);
          run.result = result;
        }
        run.slow = cpu > SLOW[Math.min(size, 20_000)];
      } catch (error) {
        run.error = error;
      }
    }
  }
  return runs;
}

function ms(time) {
  if (time >= 1000) return `${(time / 1000).toFixed(2)} s`;
  return `${time.toFixed(time >= 100 ? 0 : time >= 10 ? 1 : 2)} ms`;
}
const whole = (number) => Math.round(number).toLocaleString("en-US");
const ascending = (times) => times.toSorted((a, b) => a - b);
const middle = (times) => ascending(times)[times.length >> 1];

function row(run, before, budget, input, ours) {
  const { contender, walls, cpus, result, error } = run;
  const { name, counter } = contender;
  if (error) return `| ${name} | ${counter} | fails: ${error.message} | | | | | | | | |`;
  const after = contender.back(result, input);
  const broken = breaches(before, after);
  const tokens = tokensOf(after.filter((message) => message !== undefined));
  const least = Math.min(...cpus);
  const factor = least / ours;
  return `| ${[
    name,
    counter,
    ms(least),
    ms(middle(cpus)) + (cpus.length === 1 ? " (once)" : ""),
    ms(Math.min(...walls)),
    `${factor.toFixed(factor < 0.1 ? 3 : factor < 10 ? 2 : 0)}x`,
    whole(after.length),
    whole(tokens),
    contender.noBudget ? "ignores it" : `${((100 * tokens) / budget).toFixed(0)} %`,
    broken.length === 0 ? "yes" : `no: ${[...new Set(broken)].join(", ")}`,
    keepsLastUser(before, after) ? "kept" : "lost",
  ].join(" | ")} |`;
}

/** Least processor time of each contender: name -> budget -> size -> ms. */
const best = new Map();

function remember(run, label, size) {
  if (run.cpus.length === 0) return;
  const times = best.get(run.contender.name) ?? new Map();
  best.set(run.contender.name, times);
  times.set(label, { ...times.get(label), [size]: Math.min(...run.cpus) });
}

function expected(contender, label, size) {
  const known = Object.entries(best.get(contender.name)?.get(label) ?? {}).at(-1);
  if (known === undefined) return size > 200 && contender.growth > 10 ? Number.POSITIVE_INFINITY : 0;
  return known[1] * contender.growth ** Math.log10(size / Number(known[0]));
}

async function compare(size) {
  const messages = conversation(size);
  const input = shapes(messages);
  forget();
  const total = tokensOf(messages);
  const bytes = Buffer.byteLength(JSON.stringify(messages.slice(0, 20_000))) / Math.min(size, 20_000);
  const broken = breaches(messages, messages);
  if (broken.length > 0) throw new Error(`the made-up conversation is not valid: ${broken}`);
  console.log(
    `\n## ${whole(size)} messages, ${whole(total)} tokens (${whole(total / size)} and ${whole(bytes)} bytes of JSON per message)`,
  );
  const budgets = [
    [`${whole(ABSOLUTE)} tokens`, ABSOLUTE],
    [`${100 * SHARE} %`, Math.round(total * SHARE)],
  ];
  for (const [label, budget] of budgets) {
    const racing = contenders.filter((contender) => expected(contender, label, size) <= CAP);
    const runs = await measure(racing, input, budget, size);
    for (const run of runs) remember(run, label, size);
    const ours = Math.min(...(runs.find((run) => run.contender === contenders[0])?.cpus ?? []));
    console.log(`\n### Budget ${label} (${whole(budget)} tokens)\n`);
    console.log(
      "| | counter | CPU min | CPU median | wall min | of ours | messages | tokens | of budget | valid | last user |",
    );
    console.log("|---|---|--:|--:|--:|--:|--:|--:|--:|---|---|");
    for (const run of runs) console.log(row(run, messages, budget, input, ours));
    for (const contender of contenders.filter((contender) => !racing.includes(contender))) {
      const time = expected(contender, label, size);
      const why = Number.isFinite(time) ? `about ${ms(time)} expected` : "its time is quadratic";
      console.log(`| ${contender.name} | ${contender.counter} | skipped: ${why} | | | | | | | | |`);
    }
  }
}

function growth(sizes) {
  console.log(`\n## Growth of the least processor time with ten times the messages\n`);
  const steps = sizes.slice(1).map((size, at) => [sizes[at], size]);
  console.log(`| | budget | ${steps.map(([from, to]) => `${whole(from)} -> ${whole(to)}`).join(" | ")} |`);
  console.log(`|---|---|${steps.map(() => "--:|").join("")}`);
  for (const [name, byBudget] of best) {
    for (const [label, times] of byBudget) {
      const cells = steps.map(([from, to]) =>
        times[from] && times[to] ? `${(times[to] / times[from]).toFixed(1)}x` : "-",
      );
      console.log(`| ${name} | ${label} | ${cells.join(" | ")} |`);
    }
  }
}

console.log(`Node.js ${process.version}`);
if (!options["only-cold"]) {
  const sizes = options.sizes.split(",").map(Number);
  for (const size of sizes) await compare(size);
  if (sizes.length > 1) growth(sizes);
}
if (options["only-cold"] || options.cold) coldStart(options.quick ? 5 : 15);
