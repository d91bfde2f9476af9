// What people ask when jobs fail: which failures have the same cause, how often, since when, and which jobs died of it.
// Two failures of one type have the same cause when their fingerprints are the same; the function outbox_fingerprint in
// the migration says what goes into one.

import type { Database, Row } from "./database.ts";
import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";
import { OutboxError, shown } from "./errors.ts";
import { reading } from "./reading.ts";

/** Only so many of the newest entries of the ledger, and of the newest dead letters without one, are looked at. */
export const maxFailures = 100_000;
/** And of those, so many different texts. A fingerprint costs some 0.1 ms. */
export const maxTexts = 20_000;
const maxLimit = 1000;
const timeoutMs = 30_000;

export interface ListFailuresOptions {
  readonly types?: readonly string[];
  /** Failures of this time until now. Default: "24h". */
  readonly since?: Duration;
  /** Groups at most, 1 to 1,000. Default: 20. */
  readonly limit?: number;
}

/** Failures of one type with one fingerprint. */
export interface FailureGroup {
  readonly fingerprint: string;
  readonly type: string;
  /** Null: a dead letter that was made by hand. */
  readonly errorClass: string | null;
  /** Attempts that failed so. */
  readonly count: number;
  /** Jobs that are dead letters now, and whose latest failure is one of these. */
  readonly dead: number;
  readonly firstAt: Date;
  readonly lastAt: Date;
  /** Of the newest of them. */
  readonly message: string | null;
  readonly jobId: string;
  /** Where it was thrown: the topmost frame of the stack that is no library's. */
  readonly topFrame: string | null;
}

export interface Failures {
  /** Those that happened last come first. */
  readonly groups: readonly FailureGroup[];
  /** Groups beyond `limit`. */
  readonly more: number;
  /** False: there are more entries or texts than are looked at, and the oldest of the time asked for are missing. */
  readonly complete: boolean;
}

/** What failed, in groups. Snoozed, released and cancelled attempts are no failures. */
export async function listFailures(database: Database, { types, since = "24h", limit = 20 }: ListFailuresOptions = {}): Promise<Failures> {
  if (!Number.isInteger(limit) || limit < 1 || limit > maxLimit) throw new OutboxError("INVALID_OPTION", `Expected limit to be a whole number from 1 to ${maxLimit}, got ${shown(limit)}.`);
  const rows = await reading(
    database,
    async (sql) => {
      await sql.query("set local work_mem = '64MB'");
      return sql.query(statement, [durationMs(since, "since"), types ?? null, maxFailures, limit, maxTexts]);
    },
    timeoutMs,
  );
  const [first] = rows;
  return { groups: rows.map(groupOf), more: Math.max(0, Number(first?.groups ?? 0) - limit), complete: first?.complete !== false };
}

// A fingerprint costs more than reading ten entries. So those that are the same to the letter, as many are in a storm of
// failures, are put together first, and one of them is taken for all.
const statement = `
  with read as materialized (
    select id, job_id, ended_at, error_class is not null as failed, hashtextextended(concat_ws(e'\\n', error_class, message, stack), 0) as same
    from outbox_attempt
    order by id desc
    limit $3
  ),
  failed as materialized (
    select read.*, outbox.type, outbox.status = 'error' and row_number() over (partition by job_id order by read.id desc) = 1 as dead
    from read
    join outbox on outbox.id = read.job_id
    where failed
      and ended_at >= statement_timestamp() - $1::float8 * interval '1 millisecond'
      and ($2::text[] is null or type = any ($2))
  ),
  text as materialized (
    select same, max(id) as id
    from failed
    group by same
    order by max(id) desc
    limit $5
  ),
  kind as materialized (
    select same, outbox_fingerprint(error_class, message, stack) as fingerprint
    from text
    join outbox_attempt using (id)
  ),
  by_hand as materialized (
    select id, type, last_error, coalesce(finished_at, updated_at) as ended_at, outbox_fingerprint(null, last_error, null) as fingerprint
    from (select * from outbox where status = 'error' order by id desc limit $3) as letter
    where coalesce(finished_at, updated_at) >= statement_timestamp() - $1::float8 * interval '1 millisecond'
      and ($2::text[] is null or type = any ($2))
      and not exists (select from outbox_attempt where job_id = letter.id and error_class is not null)
  ),
  grouped as (
    select type, fingerprint, count(*) as count, count(*) filter (where dead) as dead, min(ended_at) as first_at, max(ended_at) as last_at,
      max(id) as entry, null::uuid as letter
    from failed
    join kind using (same)
    group by type, fingerprint
    union all
    select type, fingerprint, 0, count(*), min(ended_at), max(ended_at), null, (array_agg(id order by ended_at desc, id desc))[1]
    from by_hand
    group by type, fingerprint
  )
  select grouped.type, fingerprint, grouped.count::float8 as count, grouped.dead::float8 as dead, first_at, last_at, error_class,
    case when letter is null then message else last_error end as message, coalesce(job_id, letter) as job_id, outbox_top_frame(stack) as top_frame,
    count(*) over ()::float8 as groups,
    (select count(*) < $3 or min(ended_at) < statement_timestamp() - $1::float8 * interval '1 millisecond' from read)
      and (select count(*) < $5 from text) as complete
  from grouped
  left join outbox_attempt on outbox_attempt.id = entry
  left join outbox on outbox.id = letter
  order by last_at desc, fingerprint, grouped.type
  limit $4`;

function groupOf(row: Row): FailureGroup {
  // The columns' types are those of the statement.
  return {
    fingerprint: row.fingerprint as string,
    type: row.type as string,
    errorClass: row.error_class as string | null,
    count: row.count as number,
    dead: row.dead as number,
    firstAt: row.first_at as Date,
    lastAt: row.last_at as Date,
    message: row.message as string | null,
    jobId: row.job_id as string,
    topFrame: row.top_frame as string | null,
  };
}
