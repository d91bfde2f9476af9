// npm run chaos -- --seeds 50 [--jobs 40] [--parallel 3] [--from 1], npm run chaos -- --seed 123: plans of faults by seed,
// each carried out over the built program and judged. See docs/reference/chaos.md. Next: plan.ts, world.ts.

import { parseArgs } from "node:util";
import { buildProgram } from "../support/global-setup.ts";
import type { FaultKind } from "./plan.ts";
import { described, faultKinds, planOf } from "./plan.ts";
import { openServer, removeLeftovers } from "./server.ts";
import type { Outcome } from "./world.ts";
import { runChaos } from "./world.ts";

const { values } = parseArgs({
  options: { seeds: { type: "string" }, seed: { type: "string" }, from: { type: "string", default: "1" }, jobs: { type: "string", default: "40" }, parallel: { type: "string", default: "3" } },
});
const jobs = wholeNumber("jobs", values.jobs);
const from = values.seed === undefined ? wholeNumber("from", values.from) : wholeNumber("seed", values.seed);
const seeds = values.seed === undefined ? wholeNumber("seeds", values.seeds ?? "50") : 1;
const parallel = Math.min(seeds, wholeNumber("parallel", values.parallel));

const outcomes: Outcome[] = [];
let next = from;
let stopped = false;
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => (stopped = true)); // what runs is finished, and its servers are removed

await buildProgram();
await removeLeftovers();
await Promise.all(Array.from({ length: parallel }, (_, lane) => work(lane)));
say(summary(outcomes));
process.exitCode = outcomes.length === seeds && outcomes.every(({ violations }) => violations.length === 0) ? 0 : 1;

async function work(lane: number): Promise<void> {
  const server = await openServer(lane);
  try {
    while (next < from + seeds && !stopped) {
      const plan = planOf(next++, jobs);
      if (seeds === 1) say(described(plan));
      const outcome = await runChaos(plan, server);
      outcomes.push(outcome);
      say(told(outcome));
    }
  } finally {
    await server.close();
  }
}

function told({ plan, violations, hits, drainedMs, slowness, counts, folder }: Outcome): string {
  const seed = `seed ${plan.seed}`;
  if (violations.length === 0) return `${seed}: ok; ${counts.jobs} jobs, ${hits.length} faults, ${counts.lost} attempts lost; drained ${seconds(drainedMs)} after the last fault${slowness > 1.5 ? `, the machine ${slowness.toFixed(0)} times slower than a free one` : ""}`;
  const replay = `npm run chaos -- --seed ${plan.seed}${plan.jobs === 40 ? "" : ` --jobs ${plan.jobs}`}`;
  return [`${seed}: FAILED`, ...(seeds === 1 ? [] : [described(plan)]), ...violations.map((what) => `  - ${what}`), `  logs and tables: ${folder}`, `  once more: ${replay}`].join("\n");
}

function summary(all: readonly Outcome[]): string {
  const failed = all.filter(({ violations }) => violations.length > 0).map(({ plan }) => plan.seed);
  const hits = all.flatMap((outcome) => outcome.hits);
  const byKind = (kind: FaultKind) => hits.filter(({ fault }) => fault.kind === kind).length;
  const sum = (of: (outcome: Outcome) => number) => all.reduce((total, outcome) => total + of(outcome), 0);
  const slowest = Math.max(0, ...all.map(({ drainedMs }) => drainedMs ?? 0));
  return [
    `${all.length} seeds, ${failed.length} failed${failed.length === 0 ? "" : ` (${failed.join(", ")})`}; ${sum(({ counts }) => counts.jobs)} jobs,`,
    `${hits.length} faults of which ${faultKinds.map((kind) => `${byKind(kind)} ${kind}`).join(", ")};`,
    `${sum(({ counts }) => counts.lost)} attempts lost, ${sum(({ counts }) => counts.forgotten)} claims forgotten by a server that crashed;`,
    `slowest drain after the faults ${seconds(slowest)}, with the machine up to ${Math.max(1, ...all.map(({ slowness }) => slowness)).toFixed(1)} times slower than a free one`,
  ].join(" ");
}

function seconds(ms: number | null): string {
  return ms === null ? "never" : `${(ms / 1000).toFixed(1)} s`;
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new RangeError(`Expected --${name} to be a whole number from 1, got "${text}".`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
