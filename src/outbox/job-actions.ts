// What operators do to jobs: retry and cancel. All or nothing, in the ledger, and never more than was agreed to.
// The statements are in store/job-actions.ts.

import type { ActorOptions } from "./actor.ts";
import { by } from "./actor.ts";
import type { Database } from "./database.ts";
import { OutboxError, shown } from "./errors.ts";
import type { JobFilter, Selection } from "./filter.ts";
import { selectionOf } from "./filter.ts";
import type { JobSummary } from "./inspect-jobs.ts";
import { listJobs } from "./inspect-jobs.ts";
import type { Status } from "./job.ts";
import { isTimeout, reading, tooSlow } from "./reading.ts";
import * as store from "./store/job-actions.ts";

export interface ActionOptions extends ActorOptions {
  /** Counts, shows up to five, and changes nothing. */
  readonly dryRun?: boolean;
  /** Changes nothing unless exactly so many jobs are selected. */
  readonly expect?: number;
}

export interface RetryOptions extends ActionOptions {
  /** Attempts that each job has left at least. Default: 1, and what it has left anyway. */
  readonly attempts?: number;
}

export interface ActionReport {
  /** Jobs that were changed, or in a dry run that would be. */
  readonly count: number;
  /** Of those that were cancelled: how many were running. Their handlers' signals fire within two seconds. */
  readonly running: number;
  /** Selected, but left out of a retry because a later job holds their dedupe key. */
  readonly keysTaken: number;
  /** In a dry run, up to five of the jobs. */
  readonly samples: readonly JobSummary[];
}

const retriable: readonly Status[] = ["error", "cancelled", "pending"];
const cancellable: readonly Status[] = ["waiting", "pending", "processing"];
const timeoutMs = 120_000;
const maxSamples = 5;
const maxTries = 3;
const maxAttempts = 1000;

/**
 * Makes jobs due now. Without a status in the filter: dead letters; those that are named by their ids also when they are
 * cancelled, or pending and not yet due. A job whose dedupe key a later one holds is left out and counted.
 */
export async function retryJobs(database: Database, filter: JobFilter, { attempts = 1, ...options }: RetryOptions = {}): Promise<ActionReport> {
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > maxAttempts) throw new OutboxError("INVALID_OPTION", `Expected attempts to be a whole number from 1 to ${maxAttempts}, got ${shown(attempts)}.`);
  const selection = selectionOf(filter);
  const from = selection.statuses === null && selection.ids === null ? (["error"] as const) : within(selection, retriable, "retried");
  const keysTaken = await reading(database, (sql) => store.countKeysTaken(sql, { selection, from }), timeoutMs);
  const report = await act(database, filter, { ...options, action: "retry", selection, from }, async (sql, action) => ({ count: await store.retryJobs(sql, action, attempts), running: 0 }));
  return { ...report, keysTaken };
}

/** Cancels jobs that have not ended; those that run lose their lease, and their handlers' signals fire within two seconds. */
export async function cancelJobs(database: Database, filter: JobFilter, options: ActionOptions = {}): Promise<ActionReport> {
  const selection = selectionOf(filter);
  const from = within(selection, cancellable, "cancelled");
  return act(database, filter, { ...options, action: "cancel", selection, from }, store.cancelJobs);
}

interface Act extends ActionOptions {
  readonly action: "retry" | "cancel";
  readonly selection: Selection;
  readonly from: readonly Status[];
}

type Statement = (sql: Parameters<typeof store.cancelJobs>[0], action: store.JobAction) => Promise<{ count: number; running: number }>;

async function act(database: Database, filter: JobFilter, { action, selection, from, dryRun = false, expect, actor, reason }: Act, change: Statement): Promise<ActionReport> {
  if (dryRun) {
    const { count, running, ids } = await reading(database, (sql) => store.previewAction(sql, { selection, from }, action, maxSamples), timeoutMs);
    const samples = ids.length === 0 ? [] : await listJobs(database, { id: ids }, { limit: maxSamples });
    return { count, running, keysTaken: 0, samples };
  }
  const request = { selection, from, filter: JSON.stringify(filter), ...by({ actor, reason }) };
  for (let tries = 1; ; tries += 1) {
    try {
      const changed = await database.transaction(async (tx) => {
        await tx.query(`set local statement_timeout = ${timeoutMs}`);
        const { count, running } = await change(tx, request);
        if (expect !== undefined && count !== expect) throw new OutboxError("CONFLICT", `Expected ${expect} jobs to be changed, found ${count}. Nothing was changed.`);
        return { count, running };
      });
      return { ...changed, keysTaken: 0, samples: [] };
    } catch (error) {
      if (isTimeout(error)) throw tooSlow(`The ${action}`, timeoutMs, error);
      // Workers settle jobs at the same time, and ordering keys have locks of their own: now and then two stand in a ring.
      if (tries === maxTries || !isConflict(error)) throw error;
    }
  }
}

/** The statuses to act on: those that are asked for, or all that can be. */
function within({ statuses }: Selection, possible: readonly Status[], verb: string): readonly Status[] {
  if (statuses === null) return possible;
  const others = statuses.filter((status) => !possible.includes(status));
  if (others.length === 0) return statuses;
  throw new OutboxError("INVALID_OPTION", `Expected status to be among ${possible.join(", ")}, got ${others.join(", ")}: those jobs cannot be ${verb}.`);
}

function isConflict(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "40P01" || error.code === "40001");
}
