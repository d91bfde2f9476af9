// What only the rig of a chaos run can judge, because it has planned the jobs, enqueued them and held the processes:
// the rest is judged by test/support/evidence.ts. Sentences, none when all is well.

import type pg from "pg";
import type { Run } from "./crew.ts";
import type { Enqueue } from "./enqueuer.ts";
import type { Hit } from "./faults.ts";
import type { FaultKind } from "./plan.ts";

/** On a machine so many times slower than a free one a connection may take longer than the 10 s that are waited for it. */
const slowFrom = 5;

export async function ownViolations(pool: pg.Pool, enqueues: readonly Enqueue[], runs: readonly Run[], hits: readonly Hit[], slowness: number): Promise<string[]> {
  const isSlow = slowness > slowFrom;
  return [...(await fates(pool, enqueues)), ...(await order(pool, enqueues)), ...(await endings(pool)), ...(await exits(pool, runs, hits, isSlow)), ...runs.flatMap(unexpected)];
}

/** What was committed is there, what was rolled back is nowhere, and a dedupe key has one row. */
async function fates(pool: pg.Pool, enqueues: readonly Enqueue[]): Promise<string[]> {
  const ids = async (sql: string) => new Set((await pool.query<{ id: string }>(sql)).rows.map(({ id }) => id));
  const stored = await ids("select id from outbox");
  const begun = await ids("select distinct job as id from effects");
  const found: string[] = [];
  for (const { id, fate, deduplicated, job } of enqueues) {
    const name = `job ${id} (number ${job.number})`;
    if (fate === "committed" && !stored.has(id)) found.push(`I1 no loss: ${name} was committed${deduplicated ? ", or so said who was told that it has the dedupe key" : ""}, and is not there`);
    if (fate !== "rolled back" || deduplicated) continue;
    if (stored.has(id)) found.push(`I2 no phantom: ${name} was rolled back, and is there`);
    if (begun.has(id)) found.push(`I2 no phantom: ${name} was rolled back, and has run`);
  }
  const { rows } = await pool.query<{ type: string; key: string; jobs: string }>("select type, dedupe_key as key, count(*) as jobs from outbox where dedupe_key is not null group by type, dedupe_key having count(*) > 1");
  return [...found, ...rows.map(({ type, key, jobs }) => `dedupe: "${key}" of ${type} has ${jobs} rows`)];
}

/** Of one ordering key at most one is under way, in the order of their places; and those are in the order of the commits. */
async function order(pool: pg.Pool, enqueues: readonly Enqueue[]): Promise<string[]> {
  const { rows: overtaking } = await pool.query<{ key: string; one: string; other: string }>(
    `with stretch as (
       select id, ordering_key, sequence,
         (select min(changes.id) from changes where job = outbox.id and became = 'processing') as claimed,
         (select min(at) from effects where job = outbox.id) as begun,
         (select max(changes.id) from changes where job = outbox.id and became in ('done', 'error')) as ended,
         (select max(at) from changes where job = outbox.id and became in ('done', 'error')) as ended_at
       from outbox where ordering_key is not null
     )
     select one.ordering_key as key, one.id as one, other.id as other
     from stretch as one join stretch as other on one.ordering_key = other.ordering_key and one.sequence < other.sequence
     where other.claimed <= one.ended or other.begun <= one.ended_at`,
  );
  const { rows: places } = await pool.query<{ id: string; sequence: string }>("select id, sequence from outbox where ordering_key is not null");
  const placeOf = new Map(places.map(({ id, sequence }) => [id, BigInt(sequence)]));
  const last = new Map<string, { id: string; place: bigint }>();
  const swapped: string[] = [];
  // An enqueuer commits one transaction after the other, and its notes are in that order.
  for (const { id, fate, deduplicated, job, enqueuer } of enqueues) {
    const place = placeOf.get(id);
    if (job.orderingKey === undefined || fate === "rolled back" || deduplicated || place === undefined) continue;
    const line = `${enqueuer} ${job.orderingKey}`;
    const before = last.get(line);
    if (before !== undefined && before.place >= place) swapped.push(`order: job ${id} of "${job.orderingKey}" was enqueued after ${before.id}, and has a place before it`);
    last.set(line, { id, place });
  }
  return [...overtaking.slice(0, 5).map(({ key, one, other }) => `order: of "${key}" job ${other} was under way before ${one} had ended`), ...swapped.slice(0, 5)];
}

/** Each job has come to the end that its handler leads to, or, with all attempts used up, to that of a dead letter. */
async function endings(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ id: string; then: string; status: string; ledger: string }>(
    `select id, payload ->> 'then' as then, status, coalesce((select string_agg(outcome || ' ' || message, '; ' order by attempt) from outbox_attempt where job_id = outbox.id), 'nothing') as ledger
     from outbox
     where status <> case when payload ->> 'then' in ('throw', 'final', 'exit') then 'error' else 'done' end
           and (payload ->> 'then' in ('throw', 'final', 'exit') or status <> 'error' or attempts < max_attempts)
        -- These two never fail by themselves, nor by a database that is away.
        or payload ->> 'then' in ('return', 'sleep') and exists (select from outbox_attempt where job_id = outbox.id and outcome <> 'lost')
     limit 5`,
  );
  return rows.map(({ id, then, status, ledger }) => `ending: job ${id} (${then}) is ${status}; in the ledger: ${ledger}`);
}

const endedFromInside = "ended from inside";

/** I8: the exit code is the truth about what the process has come to. */
async function exits(pool: pg.Pool, runs: readonly Run[], hits: readonly Hit[], isSlow: boolean): Promise<string[]> {
  const { rows } = await pool.query<{ pid: number; done: string; poisoned: boolean }>(
    `select pid,
       (select count(*) from changes join workers_seen as own on own.id = changes.worker where own.pid = seen.pid and was = 'processing' and became = 'done') as done,
       exists (select from effects join workers_seen as own on own.id = effects.worker join outbox on outbox.id = job where own.pid = seen.pid and payload ->> 'then' = 'exit') as poisoned
     from (select distinct pid from workers_seen) as seen`,
  );
  const seenOf = new Map(rows.map((row) => [row.pid, row]));
  return runs.flatMap((run) => {
    const seen = seenOf.get(run.pid);
    const wrong = wrongEnd(run, seen !== undefined, hits, isSlow);
    const poisoned = seen?.poisoned === true && run.code === 0 && run.sent.length === 0 ? "a handler called process.exit in it" : null;
    const report = reportOf(run);
    const boasts = report !== null && report.done > Number(seen?.done ?? 0) ? `it told of ${report.done} done, and the tables of ${seen?.done ?? 0}` : null;
    return [wrong, poisoned, boasts].filter((what) => what !== null).map((what) => `I8 told: ${run.name} (pid ${run.pid}) ended with ${run.signal ?? `code ${run.code ?? "?"}`}, sent ${run.sent.join(", ") || "nothing"}: ${what}`);
  });
}

const awayBy: ReadonlySet<FaultKind> = new Set<FaultKind>(["backends", "restart", "cut", "black hole"]);

/** Null: it ended as it should. */
function wrongEnd(run: Run, registered: boolean, hits: readonly Hit[], isSlow: boolean): string | null {
  const { kind, code, signal, sent } = run;
  const report = reportOf(run);
  const told = sent.filter((name) => name === "SIGTERM").length;
  if (signal === "SIGKILL") return sent.includes("SIGKILL") ? null : "nobody has killed it";
  // Before it listens for the signal, and after it has said what it did, it dies of it like any process.
  if (signal === "SIGTERM") return told > 0 && (!registered || report !== null) ? null : "it should have stopped gracefully";
  switch (code) {
    case 0:
      if (run.stderr.includes(endedFromInside)) return "a handler has ended it";
      if (kind === "worker") return told > 0 ? null : "nobody has told it to stop";
      if (report === null) return "it has printed no report";
      return report.dead === 0 ? null : `it had ${report.dead} dead letters`;
    case 1:
      return run.stderr.includes(endedFromInside) ? null : "nothing in it has ended it";
    case 3:
      return kind === "drain" && report !== null && report.dead > 0 ? null : "it has told of no dead letter";
    case 69:
      if (isSlow && run.stderr.includes("timeout exceeded when trying to connect")) return null;
      return kind === "drain" && hits.some(({ fault, from, to }) => awayBy.has(fault.kind) && from < run.endedAt && to > run.startedAt) ? null : "the database was there";
    case 143:
      return told > 1 ? null : "it was told to stop once";
    default:
      return "no such end is documented";
  }
}

/** What a drain has printed, or a worker logged at its end. Null: it has not come to that. */
function reportOf({ kind, stdout, stderr }: Run): { done: number; dead: number } | null {
  const text = kind === "drain" ? stdout : (stderr.split("\n").find((line) => line.includes('"worker_stopped"')) ?? "");
  return text.trim() === "" ? null : (JSON.parse(text) as { done: number; dead: number }); // as jobs-drain.ts and jobs-worker.ts print it
}

/** What a database that is away, or on its way out or in, makes the driver say. */
const passing = /terminat|ECONN|EPIPE|time-?out|timed out|not accepting|starting up|shutting down|recovery|hang up|not queryable|not yet accepting|Client has encountered/i;

/** Lines of stderr that no fault accounts for. */
function unexpected({ name, stderr }: Run): string[] {
  const odd = stderr.split("\n").filter((line) => {
    if (line.trim() === "") return false;
    if (!line.startsWith("{")) return !line.includes(endedFromInside) && !line.startsWith("Stopping on ") && !line.startsWith("The database cannot be reached");
    const { level, event, error = "" } = JSON.parse(line) as { level: number; event?: string; error?: string }; // pino's
    if (event === "database_failed") return !passing.test(error);
    return level >= 50 && event !== "job_dead";
  });
  return odd.slice(0, 3).map((line) => `I8 told: ${name} wrote what nobody expected: ${line}`);
}
