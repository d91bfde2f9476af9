// A steady load for half an hour, with retention on, and for ten minutes of it a session that holds a snapshot, as a report
// or a forgotten debugger does. The worker is the built program; Postgres is one of its own, with default durability.
//   npm run soak [-- --minutes 30 --rate 500 --hold-from 4 --hold-minutes 10]
// Writes results/soak.json (what was measured), and with it the page and the picture of docs/reference (publish.ts).

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import pg from "pg";
import { migrate, migrationsDir, root } from "../internals.ts";
import { openServer, removeServers } from "../server.ts";
import { publish } from "./publish.ts";
import type { Look, Plan, Soak, Window } from "./record.ts";
import { linesOf } from "./record.ts";

const lookEveryMs = 10_000;
const { values } = parseArgs({
  options: { minutes: { type: "string", default: "30" }, rate: { type: "string", default: "500" }, "hold-from": { type: "string", default: "4" }, "hold-minutes": { type: "string", default: "10" }, out: { type: "string" } },
});
const holdFrom = Number(values["hold-from"]);
const plan: Plan = { minutes: Number(values.minutes), perSecond: Number(values.rate), holdFrom, holdUntil: holdFrom + Number(values["hold-minutes"]) };
if (![plan.minutes, plan.perSecond, plan.holdFrom, plan.holdUntil].every((value) => value > 0) || plan.holdUntil > plan.minutes / 2) {
  throw new Error(`Expected numbers above 0, and the snapshot let go in the first half (growth is measured over the second), got ${JSON.stringify(plan)}.`);
}

const children: ChildProcess[] = [];
const folder = await mkdtemp(join(tmpdir(), "soak-"));
const server = await openServer("postgres");
try {
  const soak = await run();
  await writeFile(values.out ?? join(root, "bench/results/soak.json"), `${JSON.stringify(soak)}\n`);
  await publish(soak, values.out === undefined ? join(root, "docs/reference") : null);
} finally {
  for (const child of children) child.kill("SIGKILL");
  await server.close();
  await removeServers();
  await rm(folder, { recursive: true });
}

async function run(): Promise<Soak> {
  const url = await server.createDatabase("soak");
  await migrate(url, migrationsDir);
  const pool = new pg.Pool({ connectionString: url, max: 2, application_name: "soak" });
  pool.on("error", () => undefined); // the server is stopped under it when the soak is interrupted
  await pool.query("create table orders (id uuid primary key)");
  // Every end of a job, where retention does not delete it.
  await pool.query(`
    create table ends (job uuid not null, status text not null);
    create function write_down_end() returns trigger language plpgsql as $$ begin insert into ends values (new.id, new.status); return null; end $$;
    create trigger write_down_end after update on outbox for each row when (new.status in ('done', 'error', 'cancelled') and old.status is distinct from new.status) execute function write_down_end()`);
  const file = join(folder, "windows");
  const worker = start("app/cli.js", ["jobs:worker"], { DATABASE_URL: url, SOAK_FILE: file, LOG_LEVEL: "warn" });
  await until("the worker listens", async () => (await pool.query("select from outbox_worker where listening")).rowCount === 1);
  const load = start("app/load.js", [], { DATABASE_URL: url, SOAK_RATE: String(plan.perSecond) });
  const said = textOf(load);
  const startedAt = performance.timeOrigin + performance.now();
  const minute = () => (performance.timeOrigin + performance.now() - startedAt) / 60_000;

  const looks: Look[] = [];
  let holding: pg.Client | null = null;
  while (minute() < plan.minutes) {
    await sleep(Math.min(lookEveryMs - ((minute() * 60_000) % lookEveryMs), Math.max(1, (plan.minutes - minute()) * 60_000)));
    for (const child of [worker, load]) if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(" ")} ended with ${child.exitCode}.`);
    if (holding === null && minute() >= plan.holdFrom && minute() < plan.holdUntil) holding = await holdSnapshot(url);
    if (holding !== null && minute() >= plan.holdUntil) {
      await holding.end();
      holding = null;
    }
    looks.push(await look(pool));
    const { table, indexes, dead, due } = looks.at(-1)!;
    process.stderr.write(`${minute().toFixed(1)} min: table ${mb(table)}, indexes ${mb(indexes)}, ${dead} dead tuples, ${due} due${holding === null ? "" : ", snapshot held"}\n`);
  }
  load.kill("SIGTERM");
  await ended(load);
  await until("everything has been run", async () => (await pool.query("select from outbox where status not in ('done', 'error', 'cancelled') limit 1")).rowCount === 0);
  const { rows } = await pool.query<{ run: string; done: string; twice: string }>("select count(distinct job) as run, count(*) filter (where status = 'done') as done, count(*) - count(distinct job) as twice from ends");
  const windows = await linesOf<Window>(file);
  worker.kill("SIGTERM");
  await ended(worker);
  const { rows: versions } = await pool.query<{ server_version: string }>("show server_version");
  await pool.end();
  const enqueued = JSON.parse(said()) as { committed: number; failed: number; behind: number }; // load.js says it
  const [ends] = rows;
  return {
    plan,
    startedAt,
    versions: `PostgreSQL ${versions[0]!.server_version.split(" ")[0]}, Node ${process.versions.node}`,
    windows,
    looks,
    end: { ...enqueued, run: Number(ends!.run), notDone: enqueued.committed - Number(ends!.done), twice: Number(ends!.twice) },
  };
}

async function look(pool: pg.Pool): Promise<Look> {
  const { rows } = await pool.query<Record<keyof Look, string>>(
    `select pg_table_size('outbox') as table, pg_indexes_size('outbox') as indexes, n_live_tup as live, n_dead_tup as dead,
       (select count(*) from outbox where status = 'pending' and run_at <= clock_timestamp()) as due
     from pg_stat_user_tables where relname = 'outbox'`,
  );
  const { table, indexes, live, dead, due } = rows[0]!;
  return { at: performance.timeOrigin + performance.now(), table: Number(table), indexes: Number(indexes), live: Number(live), dead: Number(dead), due: Number(due) };
}

async function holdSnapshot(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("begin isolation level repeatable read");
  await client.query("select count(*) from outbox_worker");
  return client;
}

function start(path: string, args: readonly string[], env: Record<string, string>): ChildProcess {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_|DATABASE_URL|LOG_|JOBS_)/.test(name)));
  const child = spawn(process.execPath, [join(import.meta.dirname, path), ...args], { env: { ...inherited, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return child;
}

function textOf(child: ChildProcess): () => string {
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => (text += chunk.toString()));
  return () => text;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => child.once("close", resolve));
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 60_000; !(await condition()); await sleep(100)) {
    if (performance.now() > deadline) throw new Error(`${what}: not within a minute.`);
  }
}

function mb(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}
