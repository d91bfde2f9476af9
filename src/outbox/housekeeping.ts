// The chores of a drain (schedules) and of a worker (schedules, retention).

import { jittered } from "./backoff.ts";
import type { Chore } from "./chores.ts";
import type { Database } from "./database.ts";
import type { Emit } from "./events.ts";
import { declareSchedules, fireDueSchedules } from "./fire.ts";
import { pruneFinished } from "./maintenance.ts";
import type { RetentionMs } from "./retention.ts";
import type { Schedule } from "./schedule.ts";
import type { IdRange } from "./store/prune.ts";

/** Slots that failed, or that somebody set back by hand, are looked for so often. */
const maxFireMs = 60_000;
const pruneMs = 3_600_000;

/** Fires the slots that have come, at once and whenever the next one does. Empty without schedules. */
export function scheduleChores(database: Database, schedules: readonly Schedule[], emit: Emit): Chore[] {
  let declared = false;
  if (schedules.length === 0) return [];
  return [
    {
      name: "fire the schedules",
      async run() {
        if (!declared) await declareSchedules(database, schedules);
        declared = true;
        const { dueInMs } = await fireDueSchedules(database, schedules, emit);
        return Math.min(dueInMs ?? maxFireMs, maxFireMs);
      },
    },
  ];
}

/** Deletes what retention does not keep, soon after the start and then every hour; one that was interrupted goes on where it was. */
export function pruneChore(database: Database, retention: RetentionMs, emit: Emit): Chore {
  let from: readonly IdRange[] = [];
  let first = true;
  return {
    name: "prune",
    async run(signal) {
      if (first) {
        first = false;
        return jittered(pruneMs / 60); // workers that start together do not prune together
      }
      const { rest, done, cancelled, dead } = await pruneFinished(database, retention, { from, signal });
      from = rest;
      if (done + cancelled + dead > 0) emit({ event: "jobs_pruned", done, cancelled, dead });
      return jittered(pruneMs);
    },
  };
}
