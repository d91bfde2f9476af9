// What an attempt may write while it runs. Every write names the lease: one that was lost writes nothing, and throws.

import type { InTransaction, Sql, Transaction } from "./database.ts";
import { sqlOf } from "./database.ts";
import type { EffectOptions } from "./effects.ts";
import { effect } from "./effects.ts";
import { LeaseLostError } from "./errors.ts";
import type { ClaimedJob } from "./job.ts";
import { completeJob } from "./settle.ts";
import { writeCheckpoint, writeProgress } from "./store/running.ts";

export interface JobWrites {
  /** Runs `work` and the completion in one transaction; `result` is JSON text. */
  complete<Value>(job: ClaimedJob, work: (tx: Transaction) => Promise<{ value: Value; result: string | null }>): Promise<Value>;
  progress(job: ClaimedJob, percent: number, note: string | null): Promise<void>;
  /** Stores the checkpoint, JSON text. */
  checkpoint(job: ClaimedJob, checkpoint: string): Promise<void>;
  /** Runs `work` and stores what it gives back, as `json` writes it, in one transaction. */
  checkpointIn<Data>(job: ClaimedJob, work: (tx: Transaction) => Promise<Data>, json: (data: Data) => string): Promise<Data>;
  effect<Result>(job: ClaimedJob, name: string, run: (key: string) => Promise<Result>, options: EffectOptions<Result>): Promise<Result>;
}

/** `sql` commits each statement by itself; `inTransaction` is what handlers are given to write in. */
export function jobWrites(sql: Sql, inTransaction: InTransaction): JobWrites {
  const mustHold = (job: ClaimedJob, held: boolean) => {
    if (!held) throw new LeaseLostError(job.id);
  };
  return {
    complete: (job, work) => completeJob(sql, inTransaction, job, work),
    async progress(job, percent, note) {
      mustHold(job, await writeProgress(sql, job.lease, percent, note));
    },
    async checkpoint(job, checkpoint) {
      mustHold(job, await writeCheckpoint(sql, job.lease, checkpoint));
    },
    checkpointIn: (job, work, json) =>
      inTransaction(async (tx) => {
        const data = await work(tx);
        mustHold(job, await writeCheckpoint(sqlOf(tx), job.lease, json(data)));
        return data;
      }),
    effect: (job, name, run, options) => effect(sql, job, name, run, options),
  };
}
