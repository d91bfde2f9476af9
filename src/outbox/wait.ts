// Waits for one job to end. That it has, is heard: ends.ts.

import type { Database } from "./database.ts";
import type { Duration } from "./duration.ts";
import { durationMs, roughly } from "./duration.ts";
import { endsIn } from "./ends.ts";
import { OutboxError } from "./errors.ts";
import type { JobDetails } from "./inspect-jobs.ts";
import { getJob } from "./inspect-jobs.ts";

export interface WaitOptions {
  /** How long to wait. Default: "30s". */
  readonly timeout?: Duration;
  /** Aborted: wait no longer; its reason is thrown. */
  readonly signal?: AbortSignal;
}

/** The job, once it is done, a dead letter or cancelled. Throws when there is none (NOT_FOUND), or when it has not ended in time (TOO_SLOW). */
export async function waitForJob(database: Database, id: string, { timeout = "30s", signal }: WaitOptions = {}): Promise<JobDetails> {
  const timeoutMs = durationMs(timeout, "timeout");
  const startedAt = performance.now();
  for (;;) {
    const job = await getJob(database, id);
    if (job === null) throw new OutboxError("NOT_FOUND", `There is no job ${id}: the transaction that enqueued it has not committed, or it was pruned.`);
    if (["done", "error", "cancelled"].includes(job.status)) return job;
    const leftMs = timeoutMs - (performance.now() - startedAt);
    if (leftMs <= 0) throw new OutboxError("TOO_SLOW", `Job ${id} is still ${job.status} after ${roughly(timeoutMs)}. Why, says \`npm run app:cli jobs:why ${id}\`.`);
    await endsIn(database).ended(job.id, leftMs, signal);
  }
}
