// SQL of alerts: what is measured, always with an end to the counting, and the rows that make each told once.
// Next: ../alerts.ts (what becomes of it).

import type { AlertRule } from "../alert-rules.ts";
import type { Row, Sql } from "../database.ts";
import { lanesOf } from "./first-due.ts";
import { isPaused } from "./limits.ts";
import { typesOf } from "./skips.ts";

/** What the dedupe keys and ordering keys of the jobs begin with that tell of alerts. */
export const alertKeyPrefix = "postcommit alert: ";

/** Jobs that an alert is about: of those that tell of alerts none is, or one that cannot be delivered would raise the next. */
const ordinary = `(dedupe_key is null or not starts_with(dedupe_key, '${alertKeyPrefix}'))`;

/** Jobs are counted up to this number, or to the threshold if that is greater. */
const maxCounted = 1000;
const statementTimeoutMs = 10_000;
const lockTimeoutMs = 5000;

/** What a rule counts, as it is now. */
export interface Measure {
  /** Dead letters, or milliseconds; 0: there is none. */
  readonly value: number;
  /** The jobs that it is about, by type, most first. */
  readonly types: readonly { readonly type: string; readonly jobs: number }[];
  readonly jobs: number;
  /** There may be more than were counted. */
  readonly more: boolean;
  /** The newest dead letter, or the job that has waited or run longest. */
  readonly sample: {
    readonly id: string;
    readonly type: string;
    /** When it died, was due or began. */
    readonly at: Date;
    /** Of a dead letter: its error, without what differs from job to job. */
    readonly error: string | null;
  } | null;
}

/** Plans as if statistics were never old, and ends what takes too long. Belongs at the beginning of a transaction. */
export async function planForAlerts(tx: Sql): Promise<void> {
  await tx.query(
    `select
       set_config('enable_seqscan', 'off', true),
       set_config('jit', 'off', true),
       set_config('statement_timeout', '${statementTimeoutMs}', true),
       set_config('lock_timeout', '${lockTimeoutMs}', true),
       set_config('idle_in_transaction_session_timeout', '${lockTimeoutMs}', true)`,
  );
}

/** One after the other: who waits for the lock sees what was told before. */
export async function lockAlerts(tx: Sql): Promise<void> {
  // Two numbers are a kind of key of their own, as in prune.ts, which has the 1.
  await tx.query(`select pg_advisory_xact_lock('outbox'::regclass::oid::integer, 2)`);
}

/** What the rule counts, in at most a few thousand index entries and rows. Belongs in a transaction after `planForAlerts`. */
export async function measure(tx: Sql, rule: AlertRule): Promise<Measure> {
  const limit = rule.kind === "deadLetters" ? Math.max(rule.threshold, maxCounted) : maxCounted;
  const rows = await tx.query(statements[rule.kind](rule), [rule.types, rule.except, rule.kind === "deadLetters" ? rule.withinMs : rule.threshold, limit]);
  const jobs = rows.reduce((sum, row) => sum + Number(row.jobs), 0);
  const latest = rule.kind === "deadLetters";
  const [first] = [...rows].sort((a, b) => (latest ? atOf(b) - atOf(a) : atOf(a) - atOf(b)));
  return {
    value: rule.kind === "deadLetters" ? Math.min(jobs, limit) : Number(first?.age_ms ?? 0),
    types: rows.map((row) => ({ type: String(row.type), jobs: Number(row.jobs) })).sort((a, b) => b.jobs - a.jobs || (a.type < b.type ? -1 : 1)),
    jobs: Math.min(jobs, limit),
    more: jobs >= limit,
    sample: first === undefined ? null : { id: String(first.id), type: String(first.type), at: first.at as Date, error: (first.error ?? null) as string | null },
  };
}

/** One that nobody knows when it died is the oldest. */
function atOf(row: Row): number {
  return (row.at as Date | null)?.getTime() ?? 0;
}

const wanted = (type: string) => `${type} is not null and ($1::text[] is null or ${type} = any ($1)) and ${type} <> all ($2::text[])`;
const ago = "statement_timestamp() - $3::float8 * interval '1 millisecond'";

const statements: Readonly<Record<AlertRule["kind"], (rule: AlertRule) => string>> = {
  deadLetters: ({ withinMs }) => `
    with recursive ${typesOf("status = 'error'")},
    dead as materialized (
      select job.*
      from found
      cross join lateral (
        select id, type, finished_at
        from outbox
        where status = 'error' and type = found.type and ${withinMs === null ? "$3::float8 is null" : `finished_at > ${ago}`} and ${ordinary}
        order by finished_at desc, id desc
        limit $4
      ) as job
      where ${wanted("found.type")}
      limit $4
    ),
    newest as (
      select distinct on (type) type, id, finished_at from dead order by type, finished_at desc nulls last
    )
    select
      newest.type,
      newest.id,
      coalesce(newest.finished_at, outbox.updated_at) as at,
      outbox_normalised(outbox.last_error) as error,
      (select count(*)::int from dead where dead.type = newest.type) as jobs
    from newest
    join outbox on outbox.id = any (array[newest.id])`,
  oldestDue: () => `
    with recursive ${typesOf("status = 'pending'")},
    late as materialized (
      select found.type, lane.priority, lane.head
      from found
      cross join lateral (
        with recursive ${lanesOf(`type = found.type and ${ordinary}`)}
        select * from lane
      ) as lane
      where ${wanted("found.type")}
        and lane.head <= ${ago}
        and not exists (select from outbox_type as held where held.type = found.type and ${isPaused("held")})
    ),
    counted as (
      select late.type, late.priority, late.head, waiting.jobs
      from late
      cross join lateral (
        select count(*)::int as jobs
        from (
          select
          from outbox
          where status = 'pending' and type = late.type and priority = late.priority and run_at <= ${ago} and ${ordinary}
          limit $4
        ) as counted
      ) as waiting
    ),
    oldest as (
      select distinct on (type) type, priority, head, sum(jobs) over (partition by type)::int as jobs from counted order by type, head
    )
    select
      oldest.type,
      oldest.jobs,
      job.id,
      job.due_at as at,
      extract(epoch from statement_timestamp() - job.due_at)::float8 * 1000 as age_ms
    from oldest
    cross join lateral (
      -- Due at -infinity: for as long as there is a job.
      select id, case when isfinite(run_at) then run_at else created_at end as due_at
      from outbox
      where status = 'pending' and type = oldest.type and priority = oldest.priority and run_at = oldest.head and ${ordinary}
      order by id
      limit 1
    ) as job
    where job.due_at <= ${ago}`,
  stuck: () => `
    with late as materialized (
      select id, type, updated_at
      from outbox
      where status = 'processing' and updated_at <= ${ago} and ${wanted("type")} and ${ordinary}
      limit $4
    ),
    oldest as (
      select distinct on (type) type, id, updated_at, count(*) over (partition by type)::int as jobs from late order by type, updated_at
    )
    select type, jobs, id, updated_at as at, extract(epoch from statement_timestamp() - updated_at)::float8 * 1000 as age_ms from oldest`,
};

/** An alert that is raised, as its row says. */
export interface RaisedAlert {
  readonly raisedAt: Date;
  /** Its time to be told again has come. */
  readonly due: boolean;
  /** It is below its threshold, as far as anybody has seen. */
  readonly calm: boolean;
  /** It has been so for long enough. */
  readonly over: boolean;
}

/** The alerts that are raised, by name, and the database's time. `repeatMs` null: none is told again. */
export async function findAlerts(sql: Sql, { repeatMs, calmMs }: { readonly repeatMs: number | null; readonly calmMs: number }): Promise<{ now: Date; raised: Map<string, RaisedAlert> }> {
  const rows = await sql.query(
    `select
       now.at as now,
       name,
       raised_at,
       coalesce(told_at <= now.at - $1::float8 * interval '1 millisecond', false) as due,
       calm_since is not null as calm,
       coalesce(calm_since <= now.at - $2::float8 * interval '1 millisecond', false) as over
     from (select clock_timestamp() as at) as now
     left join outbox_alert on true`,
    [repeatMs, calmMs],
  );
  const raised = rows.filter(({ name }) => name !== null);
  // There is always a row, for the time.
  return {
    now: rows[0]?.now as Date,
    raised: new Map(raised.map((row) => [String(row.name), { raisedAt: row.raised_at as Date, due: row.due === true, calm: row.calm === true, over: row.over === true }])),
  };
}

/** Raises it, or says that it has been told again: at `at`, which is what receivers are told as well. */
export async function writeTold(tx: Sql, { name, threshold }: AlertRule, value: number, at: Date): Promise<void> {
  await tx.query(
    `insert into outbox_alert (name, value, threshold, raised_at, told_at)
     values ($1, $2, $3, $4, $4)
     on conflict (name) do update
     set value = excluded.value, threshold = excluded.threshold, told_at = excluded.told_at, calm_since = null`,
    [name, value, threshold, at.toISOString()],
  );
}

/** Says whether it is below its threshold, from now on. */
export async function writeCalm(tx: Sql, name: string, calm: boolean): Promise<void> {
  await tx.query(
    `update outbox_alert
     set calm_since = case when $2 then clock_timestamp() end
     where name = $1`,
    [name, calm],
  );
}

/** The alert is over. */
export async function removeAlert(tx: Sql, name: string): Promise<void> {
  await tx.query(`delete from outbox_alert where name = $1`, [name]);
}

/** Forgets the alerts, not among `names`, that nobody has told of for so long: their rules were taken out of the configuration. */
export async function forgetAlerts(tx: Sql, names: readonly string[], silentMs: number): Promise<void> {
  await tx.query(
    `delete from outbox_alert
     where name <> all ($1) and told_at < clock_timestamp() - $2::float8 * interval '1 millisecond'`,
    [names, silentMs],
  );
}

/** The newest dead letters among the jobs that tell of alerts, not older than `sinceMs`, with their errors. Looks at the newest 1,000 dead letters. */
export async function findUndelivered(sql: Sql, sinceMs: number): Promise<{ id: string; type: string; error: string | null }[]> {
  const rows = await sql.query(
    `select id, type, outbox_normalised(last_error) as error
     from (select id, type, finished_at, last_error, dedupe_key from outbox where status = 'error' order by id desc limit 1000) as dead
     where not ${ordinary} and finished_at > clock_timestamp() - $1::float8 * interval '1 millisecond'
     order by id desc
     limit 5`,
    [sinceMs],
  );
  return rows.map((row) => ({ id: String(row.id), type: String(row.type), error: row.error as string | null }));
}
