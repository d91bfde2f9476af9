// How time passes in a test: what is stored moves back, so that it looks as old as if the time had passed; and schedules,
// whose slots stand in the calendar, are asked at a moment that is as much later.

import type { Database } from "../outbox/database.ts";
import type { Schedule } from "../outbox/schedule.ts";

/** Every instant that the outbox stores, but for the beats of workers: those that live go on living. */
const instants = {
  outbox: ["run_at", "created_at", "updated_at", "started_at", "finished_at", "dedupe_until"],
  outbox_attempt: ["started_at", "ended_at"],
  outbox_effect: ["began_at", "ended_at"],
  outbox_type: ["paused_at", "paused_until", "refilled_at", "blocked_until", "breaker_until"],
  outbox_schedule: ["next_slot_at", "last_slot_at", "paused_at"],
  outbox_action: ["at"],
  outbox_alert: ["raised_at", "told_at", "calm_since"],
  outbox_redrive: ["finished_at"],
} as const;

const back = "$1::float8 * interval '1 millisecond'";

/** Moves everything back by `ms`, in one transaction. */
export async function moveBack(database: Database, ms: number): Promise<void> {
  await database.transaction(async (tx) => {
    for (const [table, columns] of Object.entries(instants)) {
      await tx.query(`update ${table} set ${columns.map((column) => `${column} = ${column} - ${back}`).join(", ")}`, [ms]);
    }
    // By way of a thousand years ago: one slot would else meet the slot before it, which has not moved yet.
    await tx.query("update outbox_slot set slot_at = slot_at - interval '8766000 h'");
    await tx.query(`update outbox_slot set slot_at = slot_at + interval '8766000 h' - ${back}, fired_at = fired_at - ${back}`, [ms]);
  });
}

/** A schedule as it is `passedMs()` later, told in the times of a database that was moved back by as much. */
export function inPassedTime(schedule: Schedule, passedMs: () => number): Schedule {
  const shifted = (instant: Date, ms: number) => new Date(instant.getTime() + ms);
  return {
    ...schedule,
    nextAfter(after) {
      const next = schedule.nextAfter(shifted(after, passedMs()));
      return next === null ? null : shifted(next, -passedMs());
    },
    request: (slotAt) => schedule.request(shifted(slotAt, passedMs())),
  };
}
