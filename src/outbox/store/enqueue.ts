// SQL that stores jobs. The jobs come as one JSON text, so that every driver sends them the same way and no client's
// own type conversion or session time zone is in play.

import type { Sql } from "../database.ts";

const jobs = `jsonb_to_recordset($1::text::jsonb) as job (
    id uuid, type text, payload jsonb, priority smallint, max_attempts integer, run_at timestamptz, delay_ms bigint,
    owner text, dedupe_key text, dedupe_ms bigint)`;

const insertFrom = (source: string) => `
  insert into outbox (id, type, payload, priority, max_attempts, run_at, owner, dedupe_key, dedupe_until)
  select id, type, payload, priority, max_attempts,
    coalesce(run_at, clock_timestamp() + delay_ms * interval '1 millisecond', transaction_timestamp()),
    owner, dedupe_key,
    case when dedupe_ms < 0 then '9999-12-31Z'::timestamptz else clock_timestamp() + dedupe_ms * interval '1 millisecond' end
  from ${source}
  on conflict (type, dedupe_key) where dedupe_key is not null and not dedupe_released do nothing
  returning id`;

/** Stores all of them, in the order given. */
export async function insertJobs(sql: Sql, jobsJson: string): Promise<string[]> {
  const rows = await sql.query(insertFrom(jobs), [jobsJson]);
  return rows.map((row) => String(row.id));
}

/**
 * Stores those whose dedupe key nobody holds, and gives back their ids. A key whose time has passed, or that was to be
 * held until its job had finished, is taken over; the old job keeps its text for searching. Conflicts end in nothing,
 * never in an error that would poison the caller's transaction.
 */
export async function insertKeyedJobs(sql: Sql, jobsJson: string): Promise<string[]> {
  const rows = await sql.query(
    `with wanted as materialized (
       select * from ${jobs}
     ),
     freed as (
       update outbox
       set dedupe_released = true
       from wanted
       where outbox.type = wanted.type
         and outbox.dedupe_key = wanted.dedupe_key
         and not outbox.dedupe_released
         and (outbox.dedupe_until <= clock_timestamp()
           or outbox.dedupe_until is null and outbox.status in ('done', 'error', 'cancelled'))
       returning outbox.id
     ),
     -- Reading the count runs the update to its end before the first row is inserted.
     free as (
       select wanted.* from wanted where (select count(*) from freed) >= 0
     )
     ${insertFrom("free")}`,
    [jobsJson],
  );
  return rows.map((row) => String(row.id));
}

/** Finds which job holds the key that each of these asked for. A statement of its own, so that it sees what has just been committed. */
export async function findKeyHolders(
  sql: Sql,
  jobs: readonly { id: string; type: string; dedupeKey: string | null }[],
): Promise<{ wanted: string; holder: string }[]> {
  const rows = await sql.query(
    `select wanted.id as wanted, outbox.id as holder
     from jsonb_to_recordset($1::text::jsonb) as wanted (id uuid, type text, "dedupeKey" text)
     join outbox on outbox.type = wanted.type and outbox.dedupe_key = wanted."dedupeKey" and not outbox.dedupe_released`,
    [JSON.stringify(jobs.map(({ id, type, dedupeKey }) => ({ id, type, dedupeKey })))],
  );
  return rows.map((row) => ({ wanted: String(row.wanted), holder: String(row.holder) }));
}
