// SQL that deletes the slots of schedules that fired long ago. A slot's row is what makes it fire once, so one that its
// schedule has yet to come to stays.

import type { Sql } from "../database.ts";

// The names are found by skipping through the primary key, one entry for each; then each schedule's oldest slots.
const oldSlots = (limit: string, lock: string) => `
  with recursive fired (schedule) as (
    (select schedule from outbox_slot order by schedule limit 1)
    union all
    select (select schedule from outbox_slot where schedule > fired.schedule order by schedule limit 1)
    from fired
    where fired.schedule is not null
  ),
  old as materialized (
    select slot.address
    from fired
    cross join lateral (
      select ctid as address
      from outbox_slot
      where schedule = fired.schedule
        and slot_at < statement_timestamp() - $1::float8 * interval '1 millisecond'
        and fired_at < statement_timestamp() - $1::float8 * interval '1 millisecond'
        and not exists (select from outbox_schedule where name = fired.schedule and next_slot_at <= slot_at)
      order by slot_at
      ${limit}
      ${lock}
    ) as slot
    ${limit}
  )`;

/** Deletes up to `limit` slots that came, and were fired, more than `olderThanMs` ago. Gives back how many. */
export async function pruneSlots(sql: Sql, olderThanMs: number, limit: number): Promise<number> {
  const rows = await sql.query(
    `${oldSlots("limit $2", "for update skip locked")}
     delete from outbox_slot
     where ctid = any (array(select address from old))
     returning schedule`,
    [olderThanMs, limit],
  );
  return rows.length;
}

/** How many `pruneSlots` would delete in the end. */
export async function countOldSlots(sql: Sql, olderThanMs: number): Promise<number> {
  const [row] = await sql.query(`${oldSlots("", "")} select count(*)::integer as count from old`, [olderThanMs]);
  return Number(row?.count);
}
