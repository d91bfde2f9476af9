// What people do to a schedule: have it run now, pause it, resume it. Each is written into the ledger of actions.

import type { Database, Sql } from "./database.ts";
import type { Enqueued } from "./enqueue.ts";
import { storeJobs } from "./enqueue.ts";
import { OutboxError } from "./errors.ts";
import { listSchedules } from "./inspect-schedules.ts";
import type { Schedule } from "./schedule.ts";
import type { By } from "./store/schedule-actions.ts";
import * as store from "./store/schedule-actions.ts";

/** Enqueues one job of the schedule now, beside its slots, also while it is paused. Its payload is that of a slot at this moment. */
export function runSchedule(database: Database, schedule: Schedule, by: By): Promise<Enqueued> {
  return database.transaction(async (tx) => {
    const [job] = await storeJobs(tx, [schedule.request(await store.readClock(tx))]);
    if (job === undefined) throw new Error("one job was stored, but no id came back"); // storeJobs answers for each
    await store.recordRun(tx, schedule.name, job.id, by);
    return job;
  });
}

/** From now on its slots pass unfired. False: it is paused already, and nothing was changed. */
export async function pauseSchedule(sql: Sql, name: string, by: By): Promise<boolean> {
  return (await store.pauseSchedule(sql, name, by)) ?? noSuchSchedule(sql, name);
}

/** From now on its slots are fired again; those of the pause are not. False: it is not paused, and nothing was changed. */
export async function resumeSchedule(sql: Sql, name: string, by: By): Promise<boolean> {
  return (await store.resumeSchedule(sql, name, by)) ?? noSuchSchedule(sql, name);
}

async function noSuchSchedule(sql: Sql, name: string): Promise<never> {
  const names = (await listSchedules(sql)).map((schedule) => schedule.name);
  throw new OutboxError("NOT_FOUND", `Expected the name of a schedule (${names.length === 0 ? "there is none" : names.join(", ")}), got ${JSON.stringify(name)}.`);
}
