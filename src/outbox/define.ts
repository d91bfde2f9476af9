// What a type of job is. A contract (defineJob) is what producers import: its name, schema and policy, no handler code.
// A handler (handle) is what workers load. Next: enqueue.ts, run-job.ts.

import type { Retry } from "./backoff.ts";
import type { Breaker } from "./breaker.ts";
import { checkBreaker } from "./breaker.ts";
import type { AnyTransaction, Transaction } from "./database.ts";
import type { Duration } from "./duration.ts";
import { durationMs, timerMs } from "./duration.ts";
import type { EffectOptions } from "./effects.ts";
import type { Enqueued, EnqueueOptions, JobRequest } from "./enqueue.ts";
import { OutboxError, refuseUnknown, shown } from "./errors.ts";
import type { ClaimedJob } from "./job.ts";
import type { Concurrency, RateLimit } from "./limits.ts";
import { checkConcurrency, checkRateLimit } from "./limits.ts";

/** The part of Standard Schema (https://standardschema.dev) that is used here: zod, valibot and arktype schemas fit. */
export interface Schema<Input, Output> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type SchemaResult<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export interface Contract<Input = unknown, Output = unknown> {
  readonly type: string;
  readonly schema: Schema<Input, Output> | null;
  /** Of the payload's form; stored with every job. */
  readonly version: number;
  /** Lifts a payload that was enqueued under an older version. */
  readonly migrate: (payload: unknown, version: number) => unknown;
  readonly retry: Retry;
  /** Attempts before a failure makes a dead letter, unless the job was enqueued with its own number. */
  readonly maxAttempts: number;
  /** How long one attempt may take. */
  readonly timeoutMs: number;
  /** How many of its jobs run at once over all workers; with `byKey`, of each concurrency key. Null: as many as there is room for. */
  readonly concurrency: { readonly limit: number; readonly byKey: boolean } | null;
  /** What a job's concurrency is counted by; null when it is not counted by key. */
  concurrencyKey(payload: Input): string | null;
  /** How many of its attempts begin in a while over all workers. Null: no limit. */
  readonly rateLimit: { readonly limit: number; readonly perMs: number } | null;
  /** Failures in a row that make all jobs of the type wait, and for how long. Null: no circuit breaker. */
  readonly breaker: { readonly failures: number; readonly pauseMs: number } | null;
  /** What becomes of the later jobs of its ordering key when a job of this type becomes a dead letter. */
  readonly onDead: OnDead;
  /** A job of this type, for `enqueueMany`. */
  job(payload: Input, options?: EnqueueOptions): JobRequest<Input, Output>;
}

export type OnDead = "continue" | "block";

export interface ContractDefinition<Input, Output> {
  /** A name of up to 200 characters, for example "invoice.remind". It is stored with every job, so it never changes. */
  type: string;
  /** What the payload must look like. Checked when a job is enqueued and again when it runs; without one any JSON goes. */
  schema?: Schema<Input, Output>;
  /**
   * Goes up when the payload's form changes in a way that older handlers cannot read: they leave newer jobs alone. A
   * whole number from 1 on. Default: 1.
   */
  version?: number;
  /** Makes a payload of this version out of one that was enqueued under the older `version`. Default: it fits as it is. */
  migrate?: (payload: unknown, version: number) => unknown;
  /** Default: 3 attempts, exponential backoff. */
  retry?: Retry;
  /** Time limit of one attempt. Default: "5m". */
  timeout?: Duration;
  /** Jobs running at once, over all workers: a number, or `{ limit, key }` for so many of each key. Default: no limit. */
  concurrency?: Concurrency<Input>;
  /** Attempts begun in a while, over all workers, such as `{ limit: 100, per: "1m" }`. Default: no limit. */
  rateLimit?: RateLimit;
  /** Circuit breaker, such as `{ failures: 5, pause: "1m" }`: so many failures in a row make all jobs of the type wait, no attempt spent. Default: none. */
  breaker?: Breaker;
  /**
   * When a job with an ordering key becomes a dead letter: the next one of the key goes on, or all later ones wait
   * until somebody redrives, cancels or deletes it. Default: "continue".
   */
  onDead?: OnDead;
}

const settings = ["type", "schema", "version", "migrate", "retry", "timeout", "concurrency", "rateLimit", "breaker", "onDead"] satisfies (keyof ContractDefinition<unknown, unknown>)[];
export const defaultMaxAttempts = 3;
const defaultTimeoutMs = 300_000;

/** Declares a type of job. Safe to import anywhere: it loads no handler. */
export function defineJob<Input = unknown, Output = Input>(definition: ContractDefinition<Input, Output>): Contract<Input, Output> {
  refuseUnknown("the settings of a job's type", definition, settings);
  const { type, schema = null, version = 1, migrate = (payload: unknown) => payload, retry = {}, timeout, concurrency, rateLimit, breaker, onDead = "continue" } = definition;
  if (typeof type !== "string" || type.length < 1 || type.length > 200) {
    throw new OutboxError("INVALID_OPTION", `Expected a job's type to be a name of 1 to 200 characters, got ${shown(type)}.`);
  }
  const contract: Contract<Input, Output> = {
    type,
    schema,
    version: checkVersion(type, version),
    migrate,
    retry,
    maxAttempts: checkMaxAttempts(type, maxAttemptsOf(type, retry)),
    timeoutMs: timeout === undefined ? defaultTimeoutMs : timerMs(timeout, `the timeout of "${type}"`),
    concurrency: checkConcurrency(type, concurrency),
    concurrencyKey: (payload) => (typeof concurrency === "object" ? concurrency.key(payload) : null),
    rateLimit: checkRateLimit(type, rateLimit),
    breaker: checkBreaker(type, breaker),
    onDead: checkOnDead(type, onDead),
    job: (payload, options = {}) => ({ contract, payload, options }),
  };
  return contract;
}

function checkVersion(type: string, version: unknown): number {
  if (typeof version === "number" && Number.isInteger(version) && version >= 1 && version <= 1_000_000) return version;
  throw new OutboxError("INVALID_OPTION", `Expected version of "${type}" to be a whole number from 1 to 1000000, got ${shown(version)}.`);
}

function checkOnDead(type: string, onDead: unknown): OnDead {
  if (onDead === "continue" || onDead === "block") return onDead;
  throw new OutboxError("INVALID_OPTION", `Expected onDead of "${type}" to be "continue" or "block", got ${shown(onDead)}.`);
}

/** Here, and not when the first job has failed and is to wait. */
function maxAttemptsOf(type: string, retry: Retry): number {
  if (typeof retry === "function") return defaultMaxAttempts;
  const given: unknown = retry;
  if (typeof given !== "object" || given === null || ("delays" in given && !Array.isArray(given.delays))) {
    throw new OutboxError("INVALID_OPTION", `Expected retry of "${type}" to be { maxAttempts }, { delays: ["10s", "5m"] } or a function, got ${shown(given)}.`);
  }
  if ("delays" in retry) for (const delay of retry.delays) durationMs(delay, `a retry delay of "${type}"`);
  return retry.maxAttempts ?? ("delays" in retry ? retry.delays.length + 1 : defaultMaxAttempts);
}

/** Refuses a number of attempts that the table would refuse. */
export function checkMaxAttempts(type: string, maxAttempts: number): number {
  if (Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= 10_000) return maxAttempts;
  throw new OutboxError("INVALID_OPTION", `Expected maxAttempts of "${type}" to be a whole number from 1 to 10000, got ${shown(maxAttempts)}.`);
}

/** Writes lines to the worker's log, with the job's id and type on each. Do not log payloads. */
export interface JobLog {
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
}

/** What a handler is given beside its payload. */
export interface JobContext {
  readonly job: ClaimedJob;
  /** The number of this attempt, from 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** The same on every attempt of this job: send it to receivers that know idempotency keys. */
  readonly idempotencyKey: string;
  /** What the attempt before this one failed with; null on the first. */
  readonly lastError: string | null;
  /** Aborted when the time limit is reached, the lease is lost, or the worker is forced to stop. Pass it to fetch. */
  readonly signal: AbortSignal;
  /** When `signal` will be aborted at the latest. */
  readonly deadline: Date;
  readonly log: JobLog;
  /** Stores a follow-up job in a transaction: that of `complete` or `checkpoint`, or one of the handler's own. As `outbox.enqueue`. */
  readonly enqueue: <Input, Output>(tx: AnyTransaction, contract: Contract<Input, Output>, payload: NoInfer<Input>, options?: EnqueueOptions) => Promise<Enqueued>;
  /**
   * Says how far the job is: `percent` from 0 to 100, and a note of up to 500 characters, for people who look at it.
   * Written at most twice a second; what is said in between is left out, except 100.
   */
  readonly progress: (percent: number, note?: string) => Promise<void>;
  /**
   * Saves where the job is to go on from: JSON, at most 64 KB. The next attempt finds it as `job.checkpoint`. Given a
   * function, it is run in a transaction, and what it gives back is saved: its writes and the checkpoint are one commit,
   * so that each part of the work is done exactly once. Throws LeaseLostError, and nothing is committed, when the lease
   * has been lost.
   */
  readonly checkpoint: <Data>(data: Data | ((tx: Transaction) => Promise<Data>)) => Promise<Data>;
  /** Ends the attempt, which does not count, and runs the job again after `delay` (a second at least). Never returns. */
  readonly snooze: (delay: Duration) => never;
  /**
   * Does something outside the database, and keeps a ledger of it: its intent is committed before, its result after. In
   * a later attempt what was done is not done again, its result comes from the ledger. What was begun and not finished
   * is in doubt: `verify` says whether it happened, or it is done again when it is `repeatable` (the receiver knows the
   * `key`, which is the same in every attempt), or else the job becomes a dead letter for people to look into. `run`
   * says by FinalError or RetryAfter that nothing happened; any other error leaves it in doubt. `name`: of up to 200
   * characters, different for each effect of the job. The result is JSON, at most 64 KB.
   */
  readonly effect: <Result>(name: string, run: (key: string) => Promise<Result>, options?: EffectOptions<Result>) => Promise<Result>;
  /**
   * Runs `work` and completes the job in one transaction: its writes and the completion are both committed or neither.
   * When the lease has been lost it throws LeaseLostError and rolls back. At most once in a handler, as its last step.
   * The job is done then, and what the handler returns afterwards is not stored: `result` makes the job's result of what
   * `work` gave back.
   */
  readonly complete: <Value>(work: (tx: Transaction) => Promise<Value>, result?: (value: Value) => unknown) => Promise<Value>;
}

export interface Handler {
  readonly contract: Contract;
  /** `payload` has passed the contract's schema. */
  readonly run: (payload: unknown, context: JobContext) => Promise<unknown>;
}

/** A handler that is loaded when the first job of its type is claimed: an empty drain loads none. */
export interface LazyHandler {
  readonly type: string;
  /** Needed when the contract has limits: they must be known before the first job of the type is claimed. */
  readonly contract?: Contract;
  readonly load: () => Promise<Handler>;
}

/**
 * Joins a contract and the function that does the work. What the function returns is stored as the job's result
 * (JSON, at most 64 KB).
 */
export function handle<Input, Output>(
  contract: Contract<Input, Output>,
  run: (payload: Output, context: JobContext) => Promise<unknown>,
): Handler {
  // Sound, because run-job.ts calls it only with what this very contract's schema has returned.
  return { contract: contract, run: run as Handler["run"] };
}
