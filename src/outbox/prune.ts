// prune: what the pass of maintenance.ts does, as somebody's action: counted first if they like, and in the ledger.

import { by } from "./actor.ts";
import type { Database } from "./database.ts";
import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";
import { OutboxError, shown } from "./errors.ts";
import { previewPrune, pruneFinished, slotRetentionMs } from "./maintenance.ts";
import type { FinishedStatus, RetentionMs } from "./retention.ts";
import { finishedStatuses, shownDuration } from "./retention.ts";
import type { PrunedSample } from "./store/prune.ts";
import { recordPrune, samplesOf } from "./store/prune.ts";
import { countOldSlots } from "./store/prune-slots.ts";

const maxSamples = 5;

export interface PruneOptions {
  /** Jobs that finished longer ago than this. Default: what retention says for their status. */
  readonly olderThan?: Duration;
  /** Default: done and cancelled. Dead letters are only pruned by age when they are named. */
  readonly statuses?: readonly FinishedStatus[];
  /** Deletes no more jobs than this. */
  readonly limit?: number;
  /** Counts, shows up to five, and deletes nothing. */
  readonly dryRun?: boolean;
  /** Who wants it, for the ledger of actions. */
  readonly actor?: string;
  /** Why, for the ledger of actions. */
  readonly reason?: string | null;
  /** Aborted: the step that runs is the last. */
  readonly signal?: AbortSignal;
}

export interface PruneReport {
  /** Jobs that were deleted, or in a dry run that would be. */
  readonly count: number;
  readonly done: number;
  readonly cancelled: number;
  /** Dead letters. */
  readonly dead: number;
  /** Old slots of schedules; they go only with what retention says. */
  readonly slots: number;
  /** False when the signal or the limit has ended it before it had seen everything. */
  readonly complete: boolean;
  /** In a dry run, up to five of the jobs. */
  readonly samples: readonly PrunedSample[];
}

/**
 * Deletes finished jobs: without `olderThan` and `statuses` what retention says, otherwise what they say. A dead letter
 * that blocks its ordering key, and a job that still holds its dedupe key, stay whatever is asked for.
 */
export async function prune(database: Database, configured: RetentionMs, options: PruneOptions = {}): Promise<PruneReport> {
  const retention = wanted(configured, options);
  const byRetention = options.olderThan === undefined && options.statuses === undefined;
  const { signal, limit = Number.POSITIVE_INFINITY } = options;
  if (limit !== Number.POSITIVE_INFINITY && (!Number.isInteger(limit) || limit < 1)) {
    throw new OutboxError("INVALID_OPTION", `Expected limit to be a whole number from 1, got ${shown(limit)}.`);
  }
  if (options.dryRun === true) {
    const { first, ...found } = await previewPrune(database, retention, maxSamples, { signal });
    const slots = byRetention ? await countOldSlots(database, slotRetentionMs) : 0;
    return { ...found, count: found.done + found.cancelled + found.dead, slots, samples: await samplesOf(database, first) };
  }
  const action = { ...by(options), filter: filterOf(retention) };
  let id: string | null = null;
  const pass = await pruneFinished(database, retention, {
    signal,
    limit,
    withSlots: byRetention,
    whenBusy: "wait",
    // With each step, so that what was deleted is in the ledger however this ends.
    record: async (tx, deleted) => {
      id = await recordPrune(tx, { id, ...action }, deleted);
    },
  });
  const { done, cancelled, dead, slots, complete } = pass;
  return { count: done + cancelled + dead, done, cancelled, dead, slots, complete, samples: [] };
}

function wanted(configured: RetentionMs, { olderThan, statuses }: PruneOptions): RetentionMs {
  if (olderThan === undefined && statuses === undefined) return configured;
  const ms = olderThan === undefined ? null : durationMs(olderThan, "olderThan");
  const retention: Record<keyof RetentionMs, number | null> = { done: null, cancelled: null, dead: null };
  for (const status of expectFinished(statuses ?? ["done", "cancelled"])) {
    const kept = ms ?? configured[finishedStatuses[status]];
    if (kept === null) throw new OutboxError("INVALID_OPTION", `Expected olderThan beside the status "${status}": retention keeps those jobs for ever, so it says nothing about their age.`);
    retention[finishedStatuses[status]] = kept;
  }
  return retention;
}

/** Throws for a status that is not finished, or none at all. */
export function expectFinished(statuses: readonly string[]): FinishedStatus[] {
  const known = Object.keys(finishedStatuses) as FinishedStatus[]; // the keys that it was written with
  if (statuses.length === 0) throw new OutboxError("INVALID_OPTION", `Expected at least one status to prune, got none. Finished are ${known.join(", ")}.`);
  return Array.from(statuses, (status) => {
    const found = known.find((each) => each === status);
    if (found !== undefined) return found;
    throw new OutboxError("INVALID_OPTION", `Expected statuses that are finished (${known.join(", ")}), got ${shown(status)}: only finished jobs are pruned.`);
  });
}

/** For the ledger: `{"olderThan":{"done":"7d","error":"30d"}}`. */
function filterOf(retention: RetentionMs): object {
  const ages = Object.entries(finishedStatuses).flatMap(([status, name]) => {
    const ms = retention[name];
    return ms === null ? [] : [[status, shownDuration(ms)] as const];
  });
  return { olderThan: Object.fromEntries(ages) };
}
