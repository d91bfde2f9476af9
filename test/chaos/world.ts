// One run of chaos, from the first enqueue to the verdict: processes, enqueuers and faults begin together; when the
// faults have ended, everything must be drained in time, and then all promises are judged.

import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { createOutbox } from "../../src/index.ts";
import { root } from "../support/cli.ts";
import type { TestDatabase } from "../support/databases.ts";
import { layEvidence, violations } from "../support/evidence.ts";
import type { Proxy } from "../support/proxy.ts";
import { proxy } from "../support/proxy.ts";
import type { Seat } from "./crew.ts";
import { seat, within } from "./crew.ts";
import type { Enqueue } from "./enqueuer.ts";
import { enqueueAll } from "./enqueuer.ts";
import type { Hit } from "./faults.ts";
import { inflict } from "./faults.ts";
import { measurePace, startMs } from "./pace.ts";
import type { Plan } from "./plan.ts";
import { described } from "./plan.ts";
import type { Server } from "./server.ts";
import { ownViolations } from "./verdict.ts";

export interface Outcome {
  readonly plan: Plan;
  readonly violations: readonly string[];
  readonly hits: readonly Hit[];
  /** From the end of the last fault until nothing was left; null: it never came to that. */
  readonly drainedMs: number | null;
  /** How many times as long as on a free machine a process took to start meanwhile, at most. */
  readonly slowness: number;
  /** Jobs that were stored, attempts that their workers did not survive, and attempts whose claim a crashed server has forgotten. */
  readonly counts: { readonly jobs: number; readonly lost: number; readonly forgotten: number };
  /** What the processes have printed, and what the tables said: kept when it failed. */
  readonly folder: string;
}

/** Between the end of the last job and a lease that ran out, a handful of round trips, and a turn for everybody. */
const roomMs = 3000;
/** A short job and its settlement, run alone as suspects are. */
const jobMs = 50;
/** Nothing takes so long, on a machine that has the time. */
const hungMs = 30_000;
const maxFaultsMs = 180_000;

export async function runChaos(plan: Plan, server: Server): Promise<Outcome> {
  const folder = join(root, "var/chaos", String(plan.seed));
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const database = await server.database(String(plan.seed));
  const outcome = await inDatabase(plan, server, database, folder).finally(() => database.close());
  if (outcome.violations.length === 0) await rm(folder, { recursive: true, force: true });
  return outcome;
}

async function inDatabase(plan: Plan, server: Server, { url, pool }: TestDatabase, folder: string): Promise<Outcome> {
  await layEvidence(pool);
  await writeFile(join(folder, "plan.txt"), `${described(plan)}\n`);
  await writeFile(join(folder, "plan.json"), JSON.stringify(plan, null, 2));
  const proxies = new Map<string, Proxy>();
  for (const name of [...plan.processes.map(({ name }) => name), "enqueuers"]) proxies.set(name, await proxy(url));
  const urlOf = (name: string) => proxies.get(name)?.url ?? url;
  const outbox = createOutbox({ connection: url });
  const giveUp = new AbortController();
  const seats = plan.processes.map((planned) => seat(planned, { DATABASE_URL: urlOf(planned.name), EFFECTS_URL: url }, folder));
  const found: string[] = [];
  let hits: readonly Hit[] = [];
  let enqueues: readonly Enqueue[] = [];
  let drainedMs: number | null = null;
  let slow = 1;
  const startedAt = performance.now();
  const disturbing = inflict(plan, { pool, server, seats, proxies }, startedAt, giveUp.signal);
  const enqueuing = enqueueAll(plan, outbox, urlOf("enqueuers"), startedAt, giveUp.signal);
  try {
    [hits, enqueues] = await within(Promise.all([disturbing, enqueuing]), maxFaultsMs, () => "the faults to be lifted and the enqueuers to end");
    const { tookMs, slowness } = await drained(plan, pool, seats, found);
    drainedMs = tookMs;
    slow = slowness;
    await Promise.all(seats.map((one) => one.stop(slowness)));
  } catch (error) {
    found.push(error instanceof Error ? error.message : String(error));
  } finally {
    giveUp.abort();
    for (const proxied of proxies.values()) proxied.resume();
    await Promise.allSettled([disturbing, enqueuing]); // nothing of this seed may reach into the next
    await Promise.all(seats.map((one) => one.kill().catch((error: unknown) => found.push(String(error)))));
    await Promise.all([...proxies.values()].map((proxied) => proxied.close()));
    await outbox.close();
  }
  const runs = seats.flatMap((one) => one.runs);
  found.push(...(await violations(pool, { atRest: drainedMs !== null })), ...(drainedMs === null ? [] : await ownViolations(pool, enqueues, runs, hits, slow)));
  if (found.length > 0) await keepTables(pool, folder, { enqueues, hits, runs: runs.map((run) => ({ ...run, stdout: undefined, stderr: undefined })) });
  return { plan, violations: found, hits, drainedMs, slowness: slow, counts: await countsOf(pool), folder };
}

/**
 * I7: when the faults stop, all is drained within the longest lease, two polls and the backoff, which is none here. A
 * handler that ends its process is a fault too, and what is due later cannot be drained sooner. Of a machine that does
 * other things as well nobody can ask the same: how much slower it is, is measured all the while, and it is given as
 * much more time for what needs the processor. A lease and a poll are no longer on a busy machine.
 */
async function drained(plan: Plan, pool: pg.Pool, seats: readonly Seat[], found: string[]): Promise<{ tookMs: number; slowness: number }> {
  const calmFrom = Date.now();
  const left = await leftOver(pool);
  const leaseMs = Math.max(...plan.processes.map((planned) => planned.leaseMs));
  // A worker waits up to 1.8 times its poll, so that workers do not look together. Where drains run, a poll is the pause and the start of the next.
  const pollMs = Math.max(...plan.processes.map((planned) => planned.pollMs * (planned.kind === "worker" ? 1.8 : 1)));
  const workMs = left.reduce((sum, { ms }) => sum + ms + jobMs, 0);
  const pace = measurePace();
  const limitMs = () => Math.round(leaseMs + 2 * pollMs + (workMs + roomMs + 2 * startMs) * pace.slowness());
  const due = Math.max(0, ...left.map(({ dueAt }) => dueAt.getTime()));
  const deaths = () => seats.flatMap(({ runs }) => runs.filter(({ code }) => code === 1).map(({ endedAt }) => endedAt.getTime()));
  try {
    for (;;) {
      const now = await leftOver(pool);
      const tookMs = Math.max(0, Date.now() - Math.max(calmFrom, due, ...deaths()));
      if (now.length === 0) {
        const parts = `lease ${leaseMs}, two polls ${2 * pollMs}, and the work ${workMs}, two starts ${2 * startMs} and room ${roomMs} on a machine ${pace.slowness().toFixed(1)} times as slow as a free one`;
        if (tookMs > limitMs()) found.push(`I7 liveness: drained ${tookMs} ms after the last fault; ${parts}, make ${limitMs()} ms`);
        return { tookMs, slowness: pace.slowness() };
      }
      if (tookMs > limitMs() + hungMs * pace.slowness()) throw new Error(`I7 liveness: ${tookMs} ms after the last fault, ${now.length} jobs had not ended: ${now.slice(0, 5).map(({ id, what }) => `${id} (${what})`).join(", ")}`);
      await sleep(25);
    }
  } finally {
    await pace.stop();
  }
}

async function leftOver(pool: pg.Pool): Promise<{ id: string; what: string; ms: number; dueAt: Date }[]> {
  const { rows } = await pool.query<{ id: string; what: string; ms: number; dueAt: Date }>(
    `select id, concat_ws(' ', payload ->> 'then', status, 'attempt', attempts, 'of', max_attempts, ordering_key, case when suspect then 'suspect' end,
         case when status = 'processing' then coalesce('of worker ' || (select pid from workers_seen where workers_seen.id = locked_by), 'of nobody') end) as what,
       coalesce((payload ->> 'ms')::integer, 0) as ms, run_at as "dueAt"
     from outbox where status not in ('done', 'error', 'cancelled') order by run_at`,
  );
  return rows;
}

async function countsOf(pool: pg.Pool): Promise<Outcome["counts"]> {
  const { rows } = await pool.query<Outcome["counts"]>(
    `select (select count(*)::integer from outbox) as jobs, (select count(*)::integer from outbox_attempt where outcome = 'lost') as lost, (select count(*)::integer from forgotten) as forgotten`,
  );
  return rows[0] ?? { jobs: 0, lost: 0, forgotten: 0 };
}

const tables = ["outbox", "outbox_attempt", "outbox_worker", "outbox_unpromoted", "orders", "effects", "changes", "sent", "completions", "crashes", "workers_seen"];

async function keepTables(pool: pg.Pool, folder: string, more: Record<string, unknown>): Promise<void> {
  for (const table of tables) {
    const { rows } = await pool.query<{ row: string }>(`select to_json(${table})::text as row from ${table}`);
    await writeFile(join(folder, `${table}.ndjson`), rows.map(({ row }) => `${row}\n`).join(""));
  }
  for (const [name, value] of Object.entries(more)) await writeFile(join(folder, `${name}.json`), JSON.stringify(value, null, 1));
}
