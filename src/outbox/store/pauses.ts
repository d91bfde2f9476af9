// SQL by which people hold back a type and let it go again. Each change and its row in the ledger are one statement.

import type { Row, Sql } from "../database.ts";

/** A pause of a type, as it stands in the table. */
export interface Pause {
  readonly type: string;
  readonly pausedAt: Date;
  /** When it ends by itself; null: when somebody resumes the type. */
  readonly until: Date | null;
  readonly by: string;
  readonly reason: string | null;
}

export interface PauseRequest {
  readonly type: string;
  /** An instant, or milliseconds from now; null: until somebody resumes it. */
  readonly until: Date | number | null;
  readonly reason: string | null;
  readonly actor: string;
}

/**
 * No claim that begins after this takes a job of the type; jobs that run go on. A type that is paused already gets the
 * new end, reason and name, and stays paused since when it was. Null: the end has passed already, and nothing was done.
 */
export async function pauseType(sql: Sql, { type, until, reason, actor }: PauseRequest): Promise<Pause | null> {
  const rows = await sql.query(
    `with wanted as materialized (
       select coalesce($2::timestamptz, clock_timestamp() + $3::float8 * interval '1 millisecond') as ends_at
     ),
     paused as (
       insert into outbox_type as known (type, paused_at, paused_until, paused_by, pause_reason)
       select $1, clock_timestamp(), ends_at, $4, $5
       from wanted
       where ends_at is null or ends_at > clock_timestamp()
       on conflict (type) do update
       set paused_at = case when known.paused_until <= clock_timestamp() then excluded.paused_at else coalesce(known.paused_at, excluded.paused_at) end,
           paused_until = excluded.paused_until,
           paused_by = excluded.paused_by,
           pause_reason = excluded.pause_reason
       returning type, paused_at, paused_until, paused_by, pause_reason
     ),
     ledger as (
       insert into outbox_action (actor, action, filter, change, count, reason)
       select $4, 'types:pause', jsonb_build_object('type', type), jsonb_build_object('pausedUntil', paused_until), 0, $5
       from paused
     )
     select * from paused`,
    [type, until instanceof Date ? until.toISOString() : null, typeof until === "number" ? until : null, actor, reason],
  );
  return rows[0] === undefined ? null : pauseOf(rows[0]);
}

/** Ends the pause of a type and wakes the workers that sleep. False: it was not paused, and nothing was done. */
export async function resumeType(sql: Sql, { type, reason, actor }: Omit<PauseRequest, "until">): Promise<boolean> {
  const rows = await sql.query(
    `with resumed as (
       update outbox_type
       set paused_at = null, paused_until = null, paused_by = null, pause_reason = null
       where type = $1 and paused_at is not null and (paused_until is null or paused_until > clock_timestamp())
       returning type
     ),
     ledger as (
       insert into outbox_action (actor, action, filter, count, reason)
       select $2, 'types:resume', jsonb_build_object('type', type), 0, $3
       from resumed
     )
     select case when exists (select from outbox_worker where listening) then pg_notify('outbox', '') end from resumed`,
    [type, actor, reason],
  );
  return rows.length > 0;
}

function pauseOf(row: Row): Pause {
  return {
    type: String(row.type),
    pausedAt: row.paused_at as Date, // the columns named above
    until: row.paused_until as Date | null,
    by: String(row.paused_by),
    reason: row.pause_reason as string | null,
  };
}
