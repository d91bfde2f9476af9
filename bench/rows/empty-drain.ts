// What cron pays every minute: a whole process that finds nothing to do.

import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildCli } from "../build.ts";
import { root } from "../internals.ts";
import { median, monotonicMs } from "../measure.ts";
import type { Bench, Row } from "../row.ts";
import { ratio } from "./verdicts.ts";

const stepTimeoutMs = 60_000;
const run = promisify(execFile);

export const emptyDrain: Row = {
  id: "empty-drain",
  title: "drain of an empty outbox, whole process, built CLI, against `graphile-worker --once` on the same Node",
  async measure(bench) {
    const cli = await buildCli();
    // An app's folder, with a task that is never run, as graphile-worker expects one, and no outbox.config.ts.
    const cwd = join(root, "bench/var/app");
    await mkdir(join(cwd, "tasks"), { recursive: true });
    await writeFile(join(cwd, "tasks/bench.js"), "export default async () => {};\n");
    await writeFile(join(cwd, "package.json"), '{ "type": "module" }\n');
    const ours = await emptyDatabase(bench, "postcommit");
    const theirs = await emptyDatabase(bench, "graphile-worker");
    const times = Math.max(10, Math.round(40 * bench.scale));
    const commands = [
      { contender: "postcommit", label: `jobs:drain (${cli.what})`, args: [cli.script, "jobs:drain"], url: ours, cwd },
      { contender: "postcommit", label: "the same with this repository's outbox.config.ts, which the build has compiled", args: [cli.script, "jobs:drain"], url: ours, cwd: root },
      { contender: "graphile-worker", label: "graphile-worker --once", args: [join(root, "bench/node_modules/graphile-worker/dist/cli.js"), "--once"], url: theirs, cwd },
      { contender: "node", label: "an empty script, for comparison", args: ["--eval", "0"], url: ours, cwd },
    ];
    try {
      for (const command of commands) await wallMs(command); // so that the files have been read once
      const took = commands.map(() => [] as number[]);
      for (let time = 0; time < times; time += 1) {
        for (const [nth, command] of commands.entries()) took[nth]?.push(await wallMs(command));
      }
      const figures = commands.map(({ contender, label }, nth) => ({ contender, settings: label, runs: { "wall ms": took[nth] ?? [] } }));
      const each = took.map((runs, nth) => ({ label: commands[nth]?.label ?? "", value: median(runs) }));
      bench.say(`  ${each.map(({ label, value }) => `${label}: ${value.toFixed(0)} ms`).join(", ")}`);
      return { verdicts: [ratio("", "ms", each[0] ?? null, each[2] ?? null, { atMost: 0.6, unit: "" })], figures, notes: [`Medians of ${times} processes each, in turn. Tables are in place; nothing is due.`] };
    } finally {
      await bench.server.dropDatabase(ours);
      await bench.server.dropDatabase(theirs);
    }
  },
};

async function emptyDatabase(bench: Bench, contender: "postcommit" | "graphile-worker"): Promise<string> {
  const url = await bench.server.createDatabase(`empty ${contender}`);
  const process = await bench.start(contender, url);
  await process.ask("setup", { doorbell: true }, stepTimeoutMs).finally(() => process.close());
  return url;
}

async function wallMs({ args, url, cwd }: { args: readonly string[]; url: string; cwd: string }): Promise<number> {
  const startedAt = monotonicMs();
  await run(process.execPath, [...args], { cwd, timeout: stepTimeoutMs, env: { ...process.env, DATABASE_URL: url, NODE_ENV: "production" } });
  return monotonicMs() - startedAt;
}
