// The outbox as an app holds it, over whatever database it is given. service/create-outbox.ts gives it Postgres.

import type { Alerts } from "./alerts.ts";
import type { AnyTransaction, Database, InTransaction } from "./database.ts";
import type { Contract } from "./define.ts";
import type { CompileSchedules, DrainOptions, DrainReport, RunParts } from "./drain.ts";
import { drain } from "./drain.ts";
import type { Enqueued, EnqueueOptions, JobRequest } from "./enqueue.ts";
import { enqueueJob, enqueueJobs, jobOf, storeJobs, theOnly } from "./enqueue.ts";
import type { ResolveEffectOptions } from "./effects.ts";
import { resolveEffect } from "./effects.ts";
import { OutboxError } from "./errors.ts";
import type { JobFilter } from "./filter.ts";
import { checkJobId } from "./filter.ts";
import type { Emit } from "./events.ts";
import type { Conceal } from "./failure.ts";
import { concealNothing } from "./failure.ts";
import { countByStatus } from "./inspect.ts";
import type { Stats } from "./inspect-stats.ts";
import { readStats } from "./inspect-stats.ts";
import type { Measures } from "./inspect-measures.ts";
import { measure } from "./inspect-measures.ts";
import type { TypeState } from "./inspect-types.ts";
import { listTypes } from "./inspect-types.ts";
import type { JobDetails, JobSummary, ListOptions } from "./inspect-jobs.ts";
import { getJob, listJobs } from "./inspect-jobs.ts";
import type { Status } from "./job.ts";
import type { ActionOptions, ActionReport, RetryOptions } from "./job-actions.ts";
import { cancelJobs, retryJobs } from "./job-actions.ts";
import { jobWrites } from "./job-writes.ts";
import type { PauseOptions, ResumeOptions } from "./pause.ts";
import { pauseType, resumeType } from "./pause.ts";
import type { PruneOptions, PruneReport } from "./prune.ts";
import { prune } from "./prune.ts";
import type { RedrivePolicy } from "./redrive-policy.ts";
import type { RetentionMs } from "./retention.ts";
import { defaultRetention } from "./retention.ts";
import type { Schedule, ScheduleDeclaration } from "./schedule.ts";
import { listEffects } from "./store/effect-actions.ts";
import type { Pause } from "./store/pauses.ts";
import type { Effect } from "./store/running.ts";
import type { Tracing } from "./tracing.ts";
import type { WaitOptions } from "./wait.ts";
import { waitForJob } from "./wait.ts";
import type { Why } from "./why.ts";
import { why } from "./why.ts";
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
  /** The same for many, in one transaction of their own. */
  enqueueManyAlone(jobs: readonly JobRequest[]): Promise<Enqueued[]>;
  /** Runs what is due, then comes back. Failed jobs are in the report, not thrown. */
  drain(options: DrainOptions): Promise<DrainReport>;
  /** Runs what is due until it is stopped. */
  worker(options: WorkerOptions): Worker;
  /** All that is known of a job: its payload, what became of it, and everything that happened to it in order. Null: there is none. */
  get(id: string): Promise<JobDetails | null>;
  /** Jobs of a filter, newest first. Ended after 10 s (TOO_SLOW) when no index serves it. */
  list(filter: JobFilter, options?: ListOptions): Promise<JobSummary[]>;
  /** Every gate that keeps a job from running, in order, with the fact behind each and the command that lifts it. Null: there is none. */
  why(id: string): Promise<Why | null>;
  /** Waits until a job has ended. Throws when it has not in time (TOO_SLOW), or when there is none (NOT_FOUND). */
  wait(id: string, options?: WaitOptions): Promise<JobDetails>;
  /** Makes jobs due now: dead letters, or those in the status that the filter names. All of them or, when it throws, none. */
  retry(filter: JobFilter, options?: RetryOptions): Promise<ActionReport>;
  /** Cancels jobs that have not ended; the signals of handlers that run fire within two seconds, on whatever host. */
  cancel(filter: JobFilter, options?: ActionOptions): Promise<ActionReport>;
  /** What is due, what has failed, how fast jobs run; as cheap at ten million jobs as at ten. What is estimated says so. */
  stats(): Promise<Stats>;
  /** Number of jobs by status. */
  counts(): Promise<Record<Status, number>>;
  /** What monitoring keeps an eye on, by type; bounded, whatever the size of the table. `createMetrics` makes Prometheus's text of it. */
  measure(): Promise<Measures>;
  /** Deletes finished jobs that are old enough, by retention or by what is asked for, and writes it into the ledger of actions. */
  prune(options?: PruneOptions): Promise<PruneReport>;
  /** Holds a type back: no claim that begins after this takes a job of it. What runs goes on, what is pending stays pending. */
  pause(type: string, options?: PauseOptions): Promise<Pause>;
  /** Ends the pause of a type. False: it was not paused, and nothing was changed. */
  resume(type: string, options?: ResumeOptions): Promise<boolean>;
  /** The types that have pending or running jobs, a pause or limits: what waits, what runs, what holds them back. */
  types(): Promise<TypeState[]>;
  /** What a job's handler did through `ctx.effect`, in the order in which it was begun. */
  effects(jobId: string): Promise<Effect[]>;
  /**
   * Says what became of an effect in doubt, so that the job can be retried: it happened, and is not done again, or it did
   * not, and is begun anew. False: there is no such effect, it is done, or its job is running; nothing was changed.
   */
  resolveEffect(jobId: string, name: string, options: ResolveEffectOptions): Promise<boolean>;
  /** Closes the outbox's own connections. */
  close(): Promise<void>;
}

/** What the edge adds to the core. */
export interface Edge {
  readonly version: string;
  readonly emit: Emit;
  readonly retention?: RetentionMs;
  /** The app's own way to a transaction, for what handlers write. Default: the engine's. */
  readonly inTransaction?: InTransaction;
  /** Reads cron expressions. */
  readonly compileSchedules?: CompileSchedules;
  /** Dead letters that are redriven by themselves. */
  readonly redrive?: readonly RedrivePolicy[];
  /** Thresholds, and who is told when one is reached. */
  readonly alerts?: Alerts | null;
  /** Default: nothing is traced. */
  readonly tracing?: Tracing | null;
  /** Keeps secrets out of what is stored, logged and traced of a failure. Default: nothing is taken for one. */
  readonly conceal?: Conceal;
}

export function outboxOver(database: Database, { version, emit, retention = defaultRetention, inTransaction, compileSchedules = refuseSchedules, redrive = [], alerts = null, tracing = null, conceal = concealNothing }: Edge): Outbox {
  const writes = jobWrites(database, inTransaction ?? ((work) => database.transaction(work)));
  const parts: RunParts = { database, writes, version, emit, retention, compileSchedules, redrive, alerts, tracing, conceal };
  return {
    enqueue: (tx, contract, payload, options) => enqueueJob(tx, contract, payload, options, tracing),
    enqueueMany: (tx, jobs) => settledEarly(() => enqueueJobs(tx, jobs, tracing)),
    enqueueAlone: async (contract, payload, options) => theOnly(await storeJobs(database, [jobOf(contract, payload, options)], tracing)),
    enqueueManyAlone: (jobs) => database.transaction((tx) => storeJobs(tx, jobs, tracing)),
    drain: (options) => drain(parts, options),
    worker: (options) => createWorker(parts, options),
    get: (id) => getJob(database, id),
    list: (filter, options) => listJobs(database, filter, options),
    why: (id) => why(database, id),
    wait: (id, options) => waitForJob(database, id, options),
    retry: (filter, options) => retryJobs(database, filter, options),
    cancel: (filter, options) => cancelJobs(database, filter, options),
    stats: () => readStats(database, { since: null }),
    counts: () => countByStatus(database),
    measure: () => measure(database),
    prune: (options) => prune(database, retention, options),
    pause: (type, options) => pauseType(database, type, options),
    resume: (type, options) => resumeType(database, type, options),
    types: () => listTypes(database),
    effects: (jobId) => listEffects(database, checkJobId(jobId)),
    resolveEffect: (jobId, name, options) => resolveEffect(database, checkJobId(jobId), name, options),
    close: () => database.close(),
  };
}

/** What is refused is refused by the promise, never thrown past an `await`. */
async function settledEarly(store: () => Promise<Enqueued[]>): Promise<Enqueued[]> {
  return store();
}

function refuseSchedules(declarations: readonly ScheduleDeclaration[]): Promise<Schedule[]> {
  if (declarations.length === 0) return Promise.resolve([]);
  return Promise.reject(new OutboxError("CONFIGURATION", "Expected an outbox that can read cron expressions, got one without: make it with createOutbox."));
}
