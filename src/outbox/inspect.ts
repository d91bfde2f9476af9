// Every read that people and checks ask for: counts, what is due, what is stuck, what nobody handles.

import type { Sql } from "./database.ts";
import type { Status } from "./job.ts";
import { statuses } from "./job.ts";
import { lanesOf } from "./store/first-due.ts";
import { everyLane, typesOf } from "./store/skips.ts";

/** Number of jobs by status; every status is there. */
export async function countByStatus(sql: Sql): Promise<Record<Status, number>> {
  const rows = await sql.query(`select status, count(*)::float8 as count from outbox group by status`);
  const found = new Map(rows.map((row) => [row.status, Number(row.count)]));
  return Object.fromEntries(statuses.map((status) => [status, found.get(status) ?? 0])) as Record<Status, number>; // one entry for each
}

/** Number of jobs of these types that are due now. */
export async function countDue(sql: Sql, types: readonly string[]): Promise<number> {
  const [row] = await sql.query(
    `select count(*)::float8 as count
     from outbox
     where status = 'pending' and type = any ($1) and run_at <= statement_timestamp()`,
    [types],
  );
  return Number(row?.count ?? 0);
}

/** Number of due jobs of each of these types, most first. */
export async function countDueByType(sql: Sql, types: readonly string[]): Promise<{ type: string; count: number }[]> {
  const rows = await sql.query(
    `select type, count(*)::float8 as count
     from outbox
     where status = 'pending' and type = any ($1) and run_at <= statement_timestamp()
     group by type
     order by count(*) desc, type`,
    [types],
  );
  return rows.map((row) => ({ type: String(row.type), count: Number(row.count) }));
}

/** The jobs that a drain would begin with. */
export async function nextJobs(sql: Sql, types: readonly string[], limit: number): Promise<{ id: string; type: string; priority: number; attempts: number; runAt: Date }[]> {
  const rows = await sql.query(
    `select id, type, priority, attempts, run_at
     from outbox
     where status = 'pending' and type = any ($1) and run_at <= statement_timestamp()
     order by priority desc, run_at, id
     limit $2`,
    [types, limit],
  );
  return rows.map((row) => ({
    id: String(row.id),
    type: String(row.type),
    priority: Number(row.priority),
    attempts: Number(row.attempts),
    runAt: row.run_at as Date,
  }));
}

/** When the next pending job of these types is due: in the past when one is due now, null when there is none. */
export async function nextDueAt(sql: Sql, types: readonly string[]): Promise<Date | null> {
  const [row] = await sql.query(
    `select min(first.head) as due_at
     from unnest($1::text[]) as handled (type)
     cross join lateral (
       with recursive ${lanesOf("type = handled.type")}
       select min(head) as head from lane
     ) as first`,
    [types],
  );
  return (row?.due_at ?? null) as Date | null;
}

/** Types of pending jobs that are not among `types`, with how many wait. Reads one index entry for each type, then counts. */
export async function unhandledTypes(sql: Sql, types: readonly string[]): Promise<{ type: string; count: number }[]> {
  const rows = await sql.query(
    `with recursive ${typesOf("status = 'pending'")}
     select type, (select count(*)::float8 from outbox where status = 'pending' and outbox.type = found.type) as count
     from found
     where type is not null and type <> all ($1)
     order by type`,
    [types],
  );
  return rows.map((row) => ({ type: String(row.type), count: Number(row.count) }));
}

/** The pending job that has been due longest. Reads a few index entries for each lane. */
export async function oldestDue(sql: Sql): Promise<{ id: string; type: string; runAt: Date; ageMs: number } | null> {
  const [row] = await sql.query(
    `with recursive ${everyLane}
     select id, type, head, extract(epoch from clock_timestamp() - head)::float8 * 1000 as age_ms
     from lane
     where head <= statement_timestamp()
     order by head, id
     limit 1`,
  );
  return row === undefined ? null : { id: String(row.id), type: String(row.type), runAt: row.head as Date, ageMs: Number(row.age_ms) };
}

/** Jobs that have been processing for longer than `olderThanMs`, oldest first, at most `limit`, with whether their worker is alive. */
export async function stuckJobs(
  sql: Sql,
  olderThanMs: number,
  limit: number,
): Promise<{ id: string; type: string; since: Date; worker: string | null; workerAlive: boolean }[]> {
  const rows = await sql.query(
    `select id, type, updated_at, locked_by,
       exists (select from outbox_worker where outbox_worker.id = outbox.locked_by) as worker_alive
     from outbox
     where status = 'processing' and updated_at < clock_timestamp() - $1::float8 * interval '1 millisecond'
     order by updated_at
     limit $2`,
    [olderThanMs, limit],
  );
  return rows.map((row) => ({
    id: String(row.id),
    type: String(row.type),
    since: row.updated_at as Date,
    worker: row.locked_by as string | null,
    workerAlive: row.worker_alive === true,
  }));
}
