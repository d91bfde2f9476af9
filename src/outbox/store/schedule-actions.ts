// SQL of what people do to schedules, and of the ledger of actions that it goes into.

import type { Sql } from "../database.ts";

/** The database's time. */
export async function readClock(sql: Sql): Promise<Date> {
  const [row] = await sql.query(`select clock_timestamp() as now`);
  if (row === undefined) throw new Error("Expected the database's time, got no row.");
  return row.now as Date;
}

/** Who acts on a schedule, and why: for the ledger of actions. */
export interface By {
  readonly actor: string;
  readonly reason: string | null;
}

/** Writes down that somebody has had the schedule run out of turn. */
export async function recordRun(sql: Sql, schedule: string, jobId: string, { actor, reason }: By): Promise<void> {
  await sql.query(
    `insert into outbox_action (actor, action, filter, change, count, reason)
     values ($1, 'schedules:run', jsonb_build_object('schedule', $2::text), jsonb_build_object('job', $3::text), 1, $4)`,
    [actor, schedule, jobId, reason],
  );
}

/** Pauses the schedule and writes down who did and why. False: it is paused already. Null: there is none of that name. */
export async function pauseSchedule(sql: Sql, schedule: string, { actor, reason }: By): Promise<boolean | null> {
  const [row] = await sql.query(
    `with paused as (
       update outbox_schedule
       set paused_at = clock_timestamp(), paused_by = $2, pause_reason = $3
       where name = $1 and paused_at is null
       returning name
     ),
     ledger as (
       insert into outbox_action (actor, action, filter, count, reason)
       select $2, 'schedules:pause', jsonb_build_object('schedule', name), 0, $3
       from paused
     )
     select exists (select from paused) as changed
     from outbox_schedule
     where name = $1`,
    [schedule, actor, reason],
  );
  return row === undefined ? null : row.changed === true;
}

/**
 * Ends the pause and writes down who did and why. Slots before this moment are passed over: whoever fires it next goes
 * on from here. False: it is not paused. Null: there is none of that name.
 */
export async function resumeSchedule(sql: Sql, schedule: string, { actor, reason }: By): Promise<boolean | null> {
  const [row] = await sql.query(
    `with resumed as (
       update outbox_schedule
       set paused_at = null, paused_by = null, pause_reason = null,
           next_slot_at = case when next_slot_at is null then null else clock_timestamp() end
       where name = $1 and paused_at is not null
       returning name
     ),
     ledger as (
       insert into outbox_action (actor, action, filter, count, reason)
       select $2, 'schedules:resume', jsonb_build_object('schedule', name), 0, $3
       from resumed
     )
     select exists (select from resumed) as changed
     from outbox_schedule
     where name = $1`,
    [schedule, actor, reason],
  );
  return row === undefined ? null : row.changed === true;
}
