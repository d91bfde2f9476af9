// What people ask of the schedules: which there are, when each fires next, whether it is paused.

import type { Sql } from "./database.ts";

export interface ListedSchedule {
  readonly name: string;
  readonly type: string;
  readonly cron: string;
  readonly timeZone: string;
  readonly missed: string;
  /** Null: it has no more. In the past: no program has looked since, or it is paused. */
  readonly nextSlotAt: Date | null;
  /** The newest slot that was fired. */
  readonly lastSlotAt: Date | null;
  readonly pausedAt: Date | null;
  readonly pausedBy: string | null;
  readonly pauseReason: string | null;
}

/** Every schedule that any program has declared, by name. */
export async function listSchedules(sql: Sql): Promise<ListedSchedule[]> {
  const rows = await sql.query(
    `select name, type, cron, time_zone, missed, next_slot_at, last_slot_at, paused_at, paused_by, pause_reason
     from outbox_schedule
     order by name`,
  );
  // The columns' types are those of the table.
  return rows.map((row) => ({
    name: String(row.name),
    type: String(row.type),
    cron: String(row.cron),
    timeZone: String(row.time_zone),
    missed: String(row.missed),
    nextSlotAt: row.next_slot_at as Date | null,
    lastSlotAt: row.last_slot_at as Date | null,
    pausedAt: row.paused_at as Date | null,
    pausedBy: row.paused_by as string | null,
    pauseReason: row.pause_reason as string | null,
  }));
}
