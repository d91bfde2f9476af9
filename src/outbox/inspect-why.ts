// The facts behind why a job does not run, each read where the claim reads it. What they mean is decided in why.ts.

import type { Database } from "./database.ts";
import type { JobSummary } from "./inspect-jobs.ts";
import { summaryOf } from "./inspect-jobs.ts";
import { reading } from "./reading.ts";
import { isPaused, tokensAt } from "./store/limits.ts";

export interface WhyFacts {
  readonly now: Date;
  readonly job: JobSummary & { readonly suspect: boolean; readonly version: number; readonly blockOnDead: boolean; readonly concurrencyKey: string | null };
  /** The job of the same ordering key that is under way: the one that this one waits for. */
  readonly ahead: { readonly id: string; readonly type: string; readonly status: string } | null;
  /** Jobs of the same key that wait before it, counted up to `maxCounted`. */
  readonly waitingBefore: number;
  /** Due jobs that are claimed before it, counted up to `maxCounted`. */
  readonly dueBefore: number;
  /** Null: nothing is said about the type. */
  readonly type: TypeFacts | null;
  /** Running jobs that its concurrency limit counts, oldest first, at most five, and how many there are. */
  readonly running: { readonly count: number; readonly ids: readonly string[] };
  /** Workers with a row that have the type. */
  readonly workers: readonly { readonly id: string; readonly host: string; readonly pid: number; readonly version: number | null; readonly alive: boolean; readonly silentMs: number }[];
  /** Of the worker that has it; null when that has no row. */
  readonly holder: { readonly host: string; readonly pid: number; readonly silentMs: number; readonly leaseMs: number } | null;
}

export interface TypeFacts {
  readonly paused: boolean;
  readonly pausedBy: string | null;
  readonly pauseReason: string | null;
  readonly pausedUntil: Date | null;
  readonly breakerOpened: number;
  readonly breakerUntil: Date | null;
  readonly blockedUntil: Date | null;
  readonly concurrency: number | null;
  readonly concurrencyByKey: boolean;
  readonly rateLimit: number | null;
  readonly rateMs: number | null;
  readonly tokens: number | null;
}

export const maxCounted = 10_000;
const maxIds = 5;

/** Null: there is no job of that id. All from one snapshot, so that no two facts contradict each other. */
export async function whyFacts(database: Database, id: string): Promise<WhyFacts | null> {
  return reading(database, async (sql) => {
    await sql.query("set transaction isolation level repeatable read"); // before the first snapshot
    const [row] = await sql.query(
      `select id, type, status, attempts, max_attempts, priority, run_at, created_at, started_at, finished_at, last_error, owner, dedupe_key,
         ordering_key, tags, progress, progress_note, suspect, version, block_on_dead, concurrency_key, locked_by, clock_timestamp() as now
       from outbox
       where id = $1`,
      [id],
    );
    if (row === undefined) return null;
    const job = { ...summaryOf(row), suspect: row.suspect === true, version: Number(row.version), blockOnDead: row.block_on_dead === true, concurrencyKey: row.concurrency_key as string | null };

    const [line] = await sql.query(
      `select ahead.id, ahead.type, ahead.status,
         (select count(*)::int from (
           select from outbox
           where ordering_key = $1 and status = 'waiting' and sequence < (select sequence from outbox where id = $2)
           limit ${maxCounted}
         ) as before) as waiting_before
       from (select) as one
       left join lateral (
         select id, type, status
         from outbox
         where ordering_key = $1 and id <> $2 and (status in ('pending', 'processing') or status = 'error' and block_on_dead)
         order by sequence desc
         limit 1
       ) as ahead on true`,
      [job.orderingKey, id],
    );
    const [lane] = await sql.query(
      `select count(*)::int as due_before
       from (
         (
           select from outbox
           where status = 'pending' and type = $1 and priority > $2 and run_at <= statement_timestamp()
           limit ${maxCounted}
         )
         union all
         (
           select from outbox
           where status = 'pending' and type = $1 and priority = $2 and run_at <= statement_timestamp()
             and (run_at, id) < ((select run_at from outbox where id = $3), $3::uuid)
           limit ${maxCounted}
         )
         limit ${maxCounted}
       ) as before`,
      [job.type, job.priority, id],
    );
    const [type] = await sql.query(
      `select ${isPaused("outbox_type")} as paused, paused_by, pause_reason, paused_until, breaker_opened, breaker_until, blocked_until,
         concurrency, concurrency_by_key, rate_limit, rate_ms::float8 as rate_ms, ${tokensAt("outbox_type", "clock_timestamp()")} as tokens
       from outbox_type
       where type = $1`,
      [job.type],
    );
    const byKey = type?.concurrency_by_key === true;
    const running = await sql.query(
      `select id, count(*) over ()::int as count
       from outbox
       where status = 'processing' and type = $1 and id <> $2 and (not $3::boolean or concurrency_key is not distinct from $4)
       order by started_at, id
       limit ${maxIds}`,
      [job.type, id, byKey, job.concurrencyKey],
    );
    const workers = await sql.query(
      `select id, host, pid, versions[array_position(types, $1)] as version, beat_at >= clock_timestamp() - lease_ms * interval '1 millisecond' as alive,
         extract(epoch from clock_timestamp() - beat_at)::float8 * 1000 as silent_ms
       from outbox_worker
       where $1 = any (types)
       order by beat_at desc`,
      [job.type],
    );
    const [holder] = await sql.query(
      `select host, pid, lease_ms, extract(epoch from clock_timestamp() - beat_at)::float8 * 1000 as silent_ms
       from outbox_worker
       where id = $1`,
      [row.locked_by],
    );
    // The columns' types are those of the tables.
    return {
      now: row.now as Date,
      job,
      ahead: (line?.id ?? null) === null ? null : { id: String(line?.id), type: String(line?.type), status: String(line?.status) },
      waitingBefore: Number(line?.waiting_before ?? 0),
      dueBefore: Number(lane?.due_before ?? 0),
      type:
        type === undefined
          ? null
          : {
              paused: type.paused === true,
              pausedBy: type.paused_by as string | null,
              pauseReason: type.pause_reason as string | null,
              pausedUntil: type.paused_until as Date | null,
              breakerOpened: Number(type.breaker_opened),
              breakerUntil: type.breaker_until as Date | null,
              blockedUntil: type.blocked_until as Date | null,
              concurrency: type.concurrency as number | null,
              concurrencyByKey: byKey,
              rateLimit: type.rate_limit as number | null,
              rateMs: type.rate_ms as number | null,
              tokens: type.tokens as number | null,
            },
      running: { count: Number(running[0]?.count ?? 0), ids: running.map((each) => String(each.id)) },
      workers: workers.map((each) => ({
        id: String(each.id),
        host: String(each.host),
        pid: Number(each.pid),
        version: each.version as number | null,
        alive: each.alive === true,
        silentMs: Number(each.silent_ms),
      })),
      holder: holder === undefined ? null : { host: String(holder.host), pid: Number(holder.pid), silentMs: Number(holder.silent_ms), leaseMs: Number(holder.lease_ms) },
    };
  });
}
