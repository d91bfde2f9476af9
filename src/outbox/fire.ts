// Fires what has come: for every slot a row, so that it fires once, and a job, in one transaction. Called by every drain
// and every worker, as often as they like. Next: enqueue.ts.

import type { Database } from "./database.ts";
import { storeJobs } from "./enqueue.ts";
import type { Emit } from "./events.ts";
import type { Schedule } from "./schedule.ts";
import { slotsToFire } from "./slots.ts";
import { findFired, findUndeclared, findUpcoming, lockDue, recordSlots, upsertSchedules } from "./store/schedules.ts";
import { isTransient } from "./transient.ts";

export interface FiredSlot {
  readonly schedule: string;
  readonly slotAt: Date;
  readonly jobId: string;
}

export interface FireReport {
  readonly fired: readonly FiredSlot[];
  /** When to call again at the latest; null when no slot is to come. What has failed is not waited for: call at least once a minute. */
  readonly nextDueAt: Date | null;
  /** Until then, by the database's clock; 0 when more are due already. */
  readonly dueInMs: number | null;
}

/** So many slots are fired by one call, at most; the others by the next. */
const maxSlots = 100;

/**
 * Makes the schedules known, once, before the first `fireDueSchedules`. The first slot of a new one, or of one with another
 * expression or time zone, is the first from now on. What others have declared is left alone.
 */
export async function declareSchedules(database: Database, schedules: readonly Schedule[]): Promise<void> {
  if (schedules.length === 0) return;
  const undeclared = await findUndeclared(database, schedules);
  if (undeclared === null) return;
  const changed = schedules.filter(({ name }) => undeclared.names.has(name));
  await upsertSchedules(database, changed.map((schedule) => ({ ...schedule, nextSlotAt: schedule.nextAfter(undeclared.now) })));
}

/**
 * Fires the slots that have come. Each schedule is a transaction of its own: all of it happens or nothing, and one that
 * fails is told of, tried again by the next call, and stops no other. Throws what the database fails with in passing;
 * what had been fired by then stays fired.
 */
export async function fireDueSchedules(database: Database, schedules: readonly Schedule[], emit: Emit): Promise<FireReport> {
  const startedAt = performance.now();
  const fired: FiredSlot[] = [];
  const coming: Date[] = [];
  const upcoming = schedules.length === 0 ? [] : await findUpcoming(database, schedules);
  const byName = new Map(schedules.map((schedule) => [schedule.name, schedule]));
  for (const { name, nextSlotAt, due, now } of upcoming) {
    const schedule = byName.get(name);
    const room = maxSlots - fired.length;
    if (schedule === undefined || !due || room === 0) {
      coming.push(nextSlotAt);
      continue;
    }
    try {
      const done = await fireSchedule(database, schedule, room);
      for (const slot of done?.fired ?? []) emit({ event: "schedule_fired", type: schedule.type, ...slot });
      fired.push(...(done?.fired ?? []));
      // Another caller has taken it over: its next slot is the next that could be ours.
      const next = done === null ? schedule.nextAfter(now) : done.next;
      if (next !== null) coming.push(next);
    } catch (error) {
      if (isTransient(error)) throw error;
      emit({ event: "schedule_failed", schedule: name, error });
    }
  }
  const [first] = upcoming;
  if (first === undefined || coming.length === 0) return { fired, nextDueAt: null, dueInMs: null };
  const nextDueAt = new Date(Math.min(...coming.map(Number)));
  return { fired, nextDueAt, dueInMs: Math.max(0, nextDueAt.getTime() - first.now.getTime() - (performance.now() - startedAt)) };
}

/** Null: it is not due any more, or another caller is at it. */
function fireSchedule(database: Database, schedule: Schedule, room: number): Promise<{ fired: FiredSlot[]; next: Date | null } | null> {
  return database.transaction(async (tx) => {
    const due = await lockDue(tx, schedule);
    if (due === null) return null;
    const { slots, next } = slotsToFire(schedule, due.nextSlotAt, due.now, room);
    // Looked for although nobody else can fire them now: somebody may have set the schedule back by hand.
    const before = slots.length === 0 ? new Set<number>() : await findFired(tx, schedule.name, slots);
    const open = slots.filter((slotAt) => !before.has(slotAt.getTime()));
    const jobs = await storeJobs(tx, open.map((slotAt) => schedule.request(slotAt)));
    const fired = jobs.map(({ id }, nth) => ({ schedule: schedule.name, slotAt: open[nth] as Date, jobId: id })); // storeJobs answers for each, in order
    await recordSlots(tx, schedule.name, fired, next);
    return { fired, next };
  });
}
