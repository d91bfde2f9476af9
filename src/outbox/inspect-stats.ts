// The figures of `stats`, as cheap at ten million jobs as at ten. What an index of its own serves is counted, up to a
// bound; what is finished has no index, and is counted while the table is small and estimated when it is large.

import type { Row, Sql } from "./database.ts";
import type { Status } from "./job.ts";
import { statuses } from "./job.ts";
import { countFinishedSince } from "./inspect-finished.ts";
import { everyLane, typesOf } from "./store/skips.ts";

/** Jobs of a status are counted up to this number; beyond it Postgres's own statistics say how many there are. */
export const countedUpTo = 10_000;
const defaultSmallBytes = 64 * 1024 * 1024;

export interface Count {
  readonly count: number;
  /** True: an estimate, from statistics of the last vacuum or analyze. */
  readonly estimated: boolean;
}

export interface Stats {
  /** The database's clock. */
  readonly at: Date;
  readonly statuses: Readonly<Record<Status, Count>>;
  /** Pending jobs that are due now. */
  readonly due: Count;
  /** When the next pending job is due; null: one is due now, or none is pending. */
  readonly nextDueAt: Date | null;
  readonly oldestDue: { readonly type: string; readonly runAt: Date; readonly ageMs: number } | null;
  readonly workers: { readonly alive: number; readonly silent: number };
  readonly throughput: Throughput;
}

export interface Throughput {
  /** The time that it is over: a minute, or since the look before. */
  readonly overMs: number;
  readonly done: number;
  /** True: of a large table only jobs near the ends of it were looked at, where those that finish are found. */
  readonly estimated: boolean;
  /** Attempts that did not succeed. */
  readonly failed: number;
}

/** Which index has an entry for each job of the status, and no others; the others' share is in the table's statistics. */
const indexOf: Partial<Record<Status, string>> = { waiting: "outbox_ordering_waiting", pending: "outbox_lanes", processing: "outbox_processing", error: "outbox_dead_letters" };

/** Columns with the number of jobs of each of these statuses, up to `$1`. */
const countedByIndex = Object.keys(indexOf).map((status) => `(select count(*)::float8 from (select from outbox where status = '${status}' limit $1) as counted) as ${status}`).join(",\n       ");

export interface StatsOptions {
  /** Done and failed are counted since then; null: over the last minute. */
  readonly since: Date | null;
  /** Counts that must be exact up to so many, because somebody compares them. */
  readonly exactUpTo?: number;
  /** A table of up to so many bytes is counted row by row. Default: 64 MB, some 100 ms. */
  readonly smallBytes?: number;
}

/** A minute. */
const lastMs = 60_000;

export async function readStats(sql: Sql, { since, exactUpTo = 0, smallBytes = defaultSmallBytes }: StatsOptions): Promise<Stats> {
  const bound = Math.max(countedUpTo, exactUpTo + 1);
  const [row = {}] = await sql.query(
    `with recursive ${everyLane}
     select clock_timestamp() as now,
       pg_relation_size('outbox')::float8 as bytes,
       ${countedByIndex},
       (
         select coalesce(sum(jobs), 0)::float8
         from (select type, priority from lane where head <= statement_timestamp()) as due
         cross join lateral (
           select count(*) as jobs
           from (
             select
             from outbox
             where status = 'pending' and type = due.type and priority = due.priority and run_at <= statement_timestamp()
             limit $1
           ) as counted
         ) as each
       ) as due,
       (select min(head) from lane) as first_due_at,
       (select type from lane order by head, type limit 1) as first_type,
       extract(epoch from clock_timestamp() - (select min(head) from lane))::float8 * 1000 as first_ms,
       (select count(*)::int from outbox_worker where beat_at >= clock_timestamp() - lease_ms * interval '1 millisecond') as alive,
       (select count(*)::int from outbox_worker where beat_at < clock_timestamp() - lease_ms * interval '1 millisecond') as silent`,
    [bound],
  );
  const now = row.now as Date; // timestamptz
  const small = Number(row.bytes) <= smallBytes;
  const counts = await finishCounts(sql, row, bound, small);
  const firstDue = row.first_due_at as Date | null;
  const isDue = Number(row.first_ms ?? -1) >= 0;
  const due = Number(row.due);
  return {
    at: now,
    statuses: counts,
    due: due >= bound ? { ...counts.pending, estimated: true } : { count: due, estimated: false },
    nextDueAt: isDue ? null : firstDue,
    oldestDue: firstDue !== null && isDue ? { type: String(row.first_type), runAt: firstDue, ageMs: Math.round(Number(row.first_ms)) } : null,
    workers: { alive: Number(row.alive), silent: Number(row.silent) },
    throughput: await throughputSince(sql, since ?? new Date(now.getTime() - lastMs), now, small),
  };
}

/** How many jobs there are of each status, for checks that ask again and again: a few hundred pages at most of a large table, all of a small one. */
export async function countStatuses(sql: Sql, smallBytes = defaultSmallBytes): Promise<Record<Status, Count>> {
  const [row = {}] = await sql.query(`select pg_relation_size('outbox')::float8 as bytes, ${countedByIndex}`, [countedUpTo]);
  return finishCounts(sql, row, countedUpTo, Number(row.bytes) <= smallBytes);
}

/** Adds what has no index, and puts the statistics' figures in the place of counts that have come to their bound. */
async function finishCounts(sql: Sql, counted: Row, bound: number, small: boolean): Promise<Record<Status, Count>> {
  const rows = small
    ? await sql.query("select status, count(*)::float8 as count from outbox group by status")
    : await sql.query(
        // pg_class has what vacuum and analyze have seen; the table may have grown since, so its rows are taken by its pages.
        `select share.status, share.fraction * class.reltuples / greatest(class.relpages, 1) * pg_relation_size('outbox') / current_setting('block_size')::int as count
         from pg_class as class
         left join pg_stats as stats on stats.schemaname = class.relnamespace::regnamespace::text and stats.tablename = class.relname and stats.attname = 'status'
         cross join lateral unnest(stats.most_common_vals::text::text[], stats.most_common_freqs) as share (status, fraction)
         where class.oid = 'outbox'::regclass`,
      );
  const known = new Map(rows.map((row) => [String(row.status), Number(row.count)]));
  return Object.fromEntries(
    statuses.map((status): [Status, Count] => {
      if (small) return [status, { count: known.get(status) ?? 0, estimated: false }];
      const exact = status in indexOf ? Number(counted[status]) : null;
      if (exact !== null && exact < bound) return [status, { count: exact, estimated: false }];
      return [status, { count: Math.max(Math.round(known.get(status) ?? 0), exact ?? 0), estimated: true }];
    }),
  ) as Record<Status, Count>; // one entry for each
}

/** Entries of the ledger are looked at from the newest back, so many at most. */
const maxFailures = 50_000;

async function throughputSince(sql: Sql, since: Date, now: Date, small: boolean): Promise<Throughput> {
  const done = await countFinishedSince(sql, since, small);
  const [row] = await sql.query(
    `select count(*)::float8 as failed
     from (select ended_at, outcome from outbox_attempt order by id desc limit $2) as newest
     where ended_at > $1 and outcome not in ('snoozed', 'cancelled')`,
    [since.toISOString(), maxFailures],
  );
  return { overMs: Math.max(1, now.getTime() - since.getTime()), done, estimated: !small, failed: Number(row?.failed) };
}

/** Dead letters of a type are counted up to this number. */
export const deadCountedUpTo = 10_000;

/** How many dead letters there are of each type that has any, by name. Skips from type to type through the index outbox_dead. */
export async function countDeadByType(sql: Sql): Promise<Map<string, number>> {
  const rows = await sql.query(
    `with recursive ${typesOf("status = 'error'")}
     select type, (select count(*)::int from (select from outbox where status = 'error' and outbox.type = found.type limit ${deadCountedUpTo}) as counted) as dead
     from found
     where type is not null
     order by type`,
  );
  return new Map(rows.map((row) => [String(row.type), Number(row.dead)]));
}
