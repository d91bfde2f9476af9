// The chores of a drain (schedules, redrive) and of a worker (schedules, redrive, retention, alerts). A drain looks for alerts
// at its end.

import type { Alerts } from "./alerts.ts";
import { checkAlerts } from "./alerts.ts";
import { jittered } from "./backoff.ts";
import type { Chore } from "./chores.ts";
import type { Database } from "./database.ts";
import type { Emit } from "./events.ts";
import { declareSchedules, fireDueSchedules } from "./fire.ts";
import { pruneFinished } from "./maintenance.ts";
import type { RedrivePolicy } from "./redrive-policy.ts";
import { redriveByPolicy } from "./redrive-policy.ts";
import type { RetentionMs } from "./retention.ts";
import type { Schedule } from "./schedule.ts";
import type { IdRange } from "./store/prune.ts";

/** Slots that failed, or that somebody set back by hand, are looked for so often. */
const maxFireMs = 60_000;
const pruneMs = { first: 60_000, most: 3_600_000 };
const alertsMs = 60_000;
const redriveMs = { idle: 60_000, more: 5000 };

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

/**
 * Deletes what retention does not keep, soon after the start and then every hour, or as often as the shortest retention;
 * one that was interrupted goes on where it was.
 */
export function pruneChore(database: Database, retention: RetentionMs, emit: Emit): Chore {
  let from: readonly IdRange[] = [];
  let first = true;
  // What is kept for less than an hour must not stay for two.
  const everyMs = Math.min(pruneMs.most, ...[retention.done, retention.cancelled, retention.dead].filter((ms) => ms !== null));
  return {
    name: "prune",
    async run(signal) {
      if (first) {
        first = false;
        return jittered(pruneMs.first); // workers that start together do not prune together
      }
      const { rest, done, cancelled, dead } = await pruneFinished(database, retention, { from, signal });
      from = rest;
      if (done + cancelled + dead > 0) emit({ event: "jobs_pruned", done, cancelled, dead });
      return jittered(everyMs);
    },
  };
}

/** Redrives the dead letters whose time has come, at once and then about every minute. Empty without a policy. */
export function redriveChores(database: Database, policies: readonly RedrivePolicy[], emit: Emit): Chore[] {
  if (policies.length === 0) return [];
  return [
    {
      name: "redrive dead letters",
      async run(signal) {
        const { more } = await redriveByPolicy(database, policies, emit, signal);
        return jittered(more ? redriveMs.more : redriveMs.idle);
      },
    },
  ];
}

/** Looks for alerts, at once and then about every minute. Empty when none is configured. */
export function alertChores(database: Database, alerts: Alerts | null, emit: Emit): Chore[] {
  if (alerts === null) return [];
  return [
    {
      name: "look for alerts",
      async run() {
        await checkAlerts(database, alerts, emit);
        return jittered(alertsMs);
      },
    },
  ];
}

/** The same once, at the end of a drain, which does not fail by it. True: jobs that tell of alerts are due. */
export async function lookForAlerts(database: Database, alerts: Alerts | null, emit: Emit): Promise<boolean> {
  if (alerts === null) return false;
  try {
    return (await checkAlerts(database, alerts, emit)) > 0;
  } catch (error) {
    emit({ event: "database_failed", doing: "look for alerts", error, retryInMs: null });
    return false;
  }
}
