// How much of the time is Node's? What the engine sends to Postgres during a drain is recorded, and pgbench, a C program,
// sends the very same statements with the same values to a copy of the database. No knowledge of the engine's SQL is in here.

import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import type { Bench, Row } from "../row.ts";
import { settle, withClient } from "./drain-run.ts";
import { writeScript } from "./pgbench-script.ts";
import { ours20x1 } from "./settings.ts";
import { bestOf, ratio } from "./verdicts.ts";

const stepTimeoutMs = 300_000;
const warmUpJobs = 2000;
const bar = { atLeast: 0.8, unit: "" } as const;
const run = promisify(execFile);

export const againstPgbench: Row = {
  id: "pgbench",
  title: "against the same SQL run by pgbench (no Node)",
  async measure(bench) {
    const program = await findPgbench();
    if (program === null) {
      return { verdicts: [{ what: "", ours: "not measured", against: "pgbench is not installed", value: null, bar }], figures: [], notes: ["pgbench was found neither in PATH nor in /usr/lib/postgresql. Debian and Ubuntu have it in postgresql-contrib."] };
    }
    const jobs = bench.scaled(20_000, 2000);
    const source = await preloaded(bench, warmUpJobs + jobs);
    try {
      const scripts = await record(bench, source, jobs);
      const figures = await bench.alternate(
        [
          { label: `${ours20x1.label}, in Node`, measure: (url: string) => byEngine(bench, url, jobs) },
          { contender: "pgbench", label: "the same statements and values, one client, prepared once", measure: (url: string) => byPgbench(program, url, scripts, jobs) },
        ],
        async ({ measure }) => {
          const url = await bench.server.copyDatabase(source);
          try {
            return await measure(url);
          } finally {
            await bench.server.dropDatabase(url);
          }
        },
      );
      const rate = (nth: number) => bestOf(figures.slice(nth, nth + 1), "jobs/s", () => true);
      return {
        verdicts: [ratio("", "jobs/s", rate(0), rate(1), bar)],
        figures,
        notes: [
          `A drain of ${jobs.toLocaleString("en")} jobs, one claim at a time. Its statements were recorded; both sides run on copies of the same database, where the same statements find the same rows. pgbench sends what the engine sent over several connections over one.`,
        ],
      };
    } finally {
      await bench.server.dropDatabase(source);
    }
  },
};

async function preloaded(bench: Bench, jobs: number): Promise<string> {
  const url = await bench.server.createDatabase("pgbench");
  const producer = await bench.start("postcommit", url);
  await producer.ask("setup", { doorbell: false }, stepTimeoutMs);
  await producer.ask("preload", { jobs, from: 0, payloadBytes: 0, keys: null }, stepTimeoutMs);
  await producer.close();
  await settle(url);
  return url;
}

/** The warm-up is a drain of its own, of the first jobs; then comes the one that counts. */
const warmUp = { ...ours20x1.settings, maxJobs: warmUpJobs };

async function record(bench: Bench, source: string, jobs: number): Promise<{ warmUp: string; timed: string }> {
  const url = await bench.server.copyDatabase(source);
  const engine = await bench.start("postcommit", url);
  try {
    const first = await engine.ask("record", { settings: warmUp, jobs: warmUpJobs + jobs, from: 0 }, stepTimeoutMs);
    const second = await engine.ask("record", { settings: ours20x1.settings, jobs: warmUpJobs + jobs, from: 0 }, stepTimeoutMs);
    return { warmUp: await writeScript("warm-up", first), timed: await writeScript("timed", second) };
  } finally {
    await engine.close();
    await bench.server.dropDatabase(url);
  }
}

async function byEngine(bench: Bench, url: string, jobs: number): Promise<Record<string, number>> {
  const engine = await bench.start("postcommit", url);
  try {
    await engine.ask("drain", { settings: warmUp, jobs: warmUpJobs + jobs, from: 0, handlerMs: 0 }, stepTimeoutMs);
    const { ms, handled } = await engine.ask("drain", { settings: ours20x1.settings, jobs: warmUpJobs + jobs, from: 0, handlerMs: 0 }, stepTimeoutMs);
    if (handled !== jobs) throw new Error(`Expected ${jobs} jobs to be handled, got ${handled}.`);
    return { "jobs/s": (jobs / ms) * 1000 };
  } finally {
    await engine.close();
  }
}

async function byPgbench(program: string, url: string, scripts: { warmUp: string; timed: string }, jobs: number): Promise<Record<string, number>> {
  await replay(program, url, scripts.warmUp);
  const ms = await replay(program, url, scripts.timed);
  const { rows } = await withClient(url, (client) => client.query<{ unfinished: number }>("select count(*)::int as unfinished from outbox where status <> 'done'"));
  // A few may be left when the recorded drain had two statements under way at once; many mean that it was no replay.
  if ((rows[0]?.unfinished ?? jobs) > jobs / 100) throw new Error(`After the replay ${String(rows[0]?.unfinished)} of ${jobs} jobs were not done: the engine's statements depend on something that a copy of the database does not have.`);
  return { "jobs/s": (jobs / ms) * 1000 };
}

async function replay(program: string, url: string, script: string): Promise<number> {
  const { hostname, port, username, password, pathname } = new URL(url);
  const { stdout } = await run(program, ["-n", "-c", "1", "-t", "1", "-f", script, "-h", hostname, "-p", port, "-U", username, pathname.slice(1)], {
    timeout: stepTimeoutMs,
    // What service/database.ts sets for its sessions.
    env: { ...process.env, PGPASSWORD: password, PGOPTIONS: "-c plan_cache_mode=force_generic_plan" },
  });
  const ms = Number(/latency average = ([\d.]+) ms/.exec(stdout)?.[1]);
  if (!(ms > 0)) throw new Error(`pgbench did not say how long it took:\n${stdout}`);
  return ms;
}

async function findPgbench(): Promise<string | null> {
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...[18, 17, 16, 15, 14].map((version) => `/usr/lib/postgresql/${version}/bin`)];
  for (const folder of folders) {
    const path = join(folder, "pgbench");
    if (await access(path).then(() => true, () => false)) return path;
  }
  return null;
}
