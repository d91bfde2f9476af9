// The outbox as an app holds it, over whatever database it is given. service/create-outbox.ts gives it Postgres.

import type { AnyTransaction, Database } from "./database.ts";
import type { Contract } from "./define.ts";
import type { DrainOptions, DrainReport } from "./drain.ts";
import { drain } from "./drain.ts";
import type { Enqueued, EnqueueOptions, JobRequest } from "./enqueue.ts";
import { enqueueJobs, storeJobs } from "./enqueue.ts";
import type { Emit } from "./events.ts";
import { countByStatus } from "./inspect.ts";
import type { Status } from "./job.ts";
import type { Worker, WorkerOptions } from "./worker.ts";
import { createWorker } from "./worker.ts";

export interface Outbox {
  /**
   * Stores a job inside the caller's transaction: when that commits the job will run, when it rolls back there never
   * was one. Anything that is no transaction is refused: at compile time, and with NotInTransactionError at run time.
   */
  enqueue<Input, Output>(tx: AnyTransaction, contract: Contract<Input, Output>, payload: NoInfer<Input>, options?: EnqueueOptions): Promise<Enqueued>;
  /** The same for many jobs, made by `contract.job(payload, options)`, in one statement. */
  enqueueMany(tx: AnyTransaction, jobs: readonly JobRequest[]): Promise<Enqueued[]>;
  /** Stores a job that belongs to no business write, in a transaction of its own. */
  enqueueAlone<Input, Output>(contract: Contract<Input, Output>, payload: NoInfer<Input>, options?: EnqueueOptions): Promise<Enqueued>;
  /** Runs what is due, then comes back. Failed jobs are in the report, not thrown. */
  drain(options: DrainOptions): Promise<DrainReport>;
  /** Runs what is due until it is stopped. */
  worker(options: WorkerOptions): Worker;
  /** Number of jobs by status. */
  counts(): Promise<Record<Status, number>>;
  /** Closes the outbox's own connections. */
  close(): Promise<void>;
}

export function outboxOver(database: Database, version: string, emit: Emit): Outbox {
  return {
    enqueue: (tx, contract, payload, options = {}) => only(() => enqueueJobs(tx, [contract.job(payload, options)])),
    enqueueMany: (tx, jobs) => settledEarly(() => enqueueJobs(tx, jobs)),
    enqueueAlone: (contract, payload, options = {}) => only(() => storeJobs(database, [contract.job(payload, options)])),
    drain: (options) => drain(database, options, version, emit),
    worker: (options) => createWorker(database, options, version, emit),
    counts: () => countByStatus(database),
    close: () => database.close(),
  };
}

async function only(store: () => Promise<Enqueued[]>): Promise<Enqueued> {
  const [enqueued] = await store();
  if (enqueued === undefined) throw new Error("one job was stored, but no id came back"); // storeJobs answers for each
  return enqueued;
}

/** What is refused is refused by the promise, never thrown past an `await`. */
async function settledEarly(store: () => Promise<Enqueued[]>): Promise<Enqueued[]> {
  return store();
}
