// SQL about schedules and their slots. Jobs themselves are stored by store/enqueue.ts, in the same transaction.

import type { Sql } from "../database.ts";
import type { ScheduleDeclaration } from "../schedule.ts";

const asJson = (schedules: readonly ScheduleDeclaration[]) => JSON.stringify(schedules.map(({ name, type, cron, timeZone, missed }) => ({ name, type, cron, timeZone, missed })));

/** The names of those that the table does not have, or has otherwise, and the database's time; null when there is none. */
export async function findUndeclared(sql: Sql, schedules: readonly ScheduleDeclaration[]): Promise<{ names: Set<string>; now: Date } | null> {
  const rows = await sql.query(
    `select mine.name, clock_timestamp() as now
     from jsonb_to_recordset($1::text::jsonb) as mine (name text, type text, cron text, "timeZone" text, missed text)
     left join outbox_schedule as known using (name)
     where (known.type, known.cron, known.time_zone, known.missed) is distinct from (mine.type, mine.cron, mine."timeZone", mine.missed)`,
    [asJson(schedules)],
  );
  const [first] = rows;
  return first === undefined ? null : { names: new Set(rows.map((row) => String(row.name))), now: first.now as Date };
}

/**
 * Writes them down as they are. The next slot is the one given for those that are new, or whose expression or time zone
 * is, and is left alone for the others; so are pauses.
 */
export async function upsertSchedules(sql: Sql, schedules: readonly (ScheduleDeclaration & { readonly nextSlotAt: Date | null })[]): Promise<void> {
  await sql.query(
    `insert into outbox_schedule (name, type, cron, time_zone, missed, next_slot_at)
     select name, type, cron, "timeZone", missed, "nextSlotAt"
     from jsonb_to_recordset($1::text::jsonb) as mine (name text, type text, cron text, "timeZone" text, missed text, "nextSlotAt" timestamptz)
     order by name
     on conflict (name) do update
     set type = excluded.type,
         cron = excluded.cron,
         time_zone = excluded.time_zone,
         missed = excluded.missed,
         next_slot_at = case
           when (outbox_schedule.cron, outbox_schedule.time_zone) = (excluded.cron, excluded.time_zone) then outbox_schedule.next_slot_at
           else excluded.next_slot_at
         end`,
    [JSON.stringify(schedules.map(({ name, type, cron, timeZone, missed, nextSlotAt }) => ({ name, type, cron, timeZone, missed, nextSlotAt })))],
  );
}

export interface Upcoming {
  readonly name: string;
  readonly nextSlotAt: Date;
  readonly due: boolean;
  /** The database's time. */
  readonly now: Date;
}

/**
 * Those of these that are neither paused nor over, earliest slot first. One that another program has declared with
 * another expression or time zone since is that program's to fire.
 */
export async function findUpcoming(sql: Sql, schedules: readonly ScheduleDeclaration[]): Promise<Upcoming[]> {
  const rows = await sql.query(
    `select known.name, known.next_slot_at, known.next_slot_at <= statement_timestamp() as due, statement_timestamp() as now
     from jsonb_to_recordset($1::text::jsonb) as mine (name text, cron text, "timeZone" text)
     join outbox_schedule as known on known.name = mine.name and known.cron = mine.cron and known.time_zone = mine."timeZone"
     where known.paused_at is null and known.next_slot_at is not null
     order by known.next_slot_at, known.name`,
    [asJson(schedules)],
  );
  return rows.map((row) => ({ name: String(row.name), nextSlotAt: row.next_slot_at as Date, due: row.due === true, now: row.now as Date }));
}

/** Locks the schedule if it is due, to the end of the transaction. Null: it is not, or another caller is at it. */
export async function lockDue(sql: Sql, { name, cron, timeZone }: ScheduleDeclaration): Promise<{ nextSlotAt: Date; now: Date } | null> {
  const [row] = await sql.query(
    `select next_slot_at, statement_timestamp() as now
     from outbox_schedule
     where name = $1 and cron = $2 and time_zone = $3 and paused_at is null and next_slot_at <= statement_timestamp()
     for no key update skip locked`,
    [name, cron, timeZone],
  );
  return row === undefined ? null : { nextSlotAt: row.next_slot_at as Date, now: row.now as Date };
}

/** Which of these slots have been fired, in milliseconds since 1970. Nobody can add to them while the schedule is locked. */
export async function findFired(sql: Sql, schedule: string, slots: readonly Date[]): Promise<Set<number>> {
  const rows = await sql.query(
    `select slot_at
     from outbox_slot
     where schedule = $1 and slot_at = any (array(select value::timestamptz from jsonb_array_elements_text($2::text::jsonb)))`,
    [schedule, JSON.stringify(slots)],
  );
  return new Set(rows.map((row) => (row.slot_at as Date).getTime()));
}

/** Writes down that these slots have been fired, and where to go on. A slot that has been fired already makes it fail, and the transaction with it. */
export async function recordSlots(sql: Sql, schedule: string, slots: readonly { slotAt: Date; jobId: string }[], next: Date | null): Promise<void> {
  await sql.query(
    `with fired as (
       insert into outbox_slot (schedule, slot_at, job_id)
       select $1, "slotAt", "jobId"
       from jsonb_to_recordset($2::text::jsonb) as slot ("slotAt" timestamptz, "jobId" uuid)
       returning slot_at
     )
     update outbox_schedule
     set next_slot_at = $3::text::timestamptz,
         last_slot_at = greatest(last_slot_at, (select max(slot_at) from fired))
     where name = $1`,
    [schedule, JSON.stringify(slots), next?.toISOString() ?? null],
  );
}
