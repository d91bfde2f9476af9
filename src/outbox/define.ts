// What a type of job is. A contract (defineJob) is what producers import: its name, schema and policy, no handler code.
// A handler (handle) is what workers load. Next: enqueue.ts, run-job.ts.

import type { Retry } from "./backoff.ts";
import type { Transaction } from "./database.ts";
import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";
import type { EnqueueOptions, JobRequest } from "./enqueue.ts";
import { OutboxError } from "./errors.ts";
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
  /** Default: 3 attempts, exponential backoff. */
  retry?: Retry;
  /** Time limit of one attempt. Default: "5m". */
  timeout?: Duration;
  /** Jobs running at once, over all workers: a number, or `{ limit, key }` for so many of each key. Default: no limit. */
  concurrency?: Concurrency<Input>;
  /** Attempts begun in a while, over all workers, such as `{ limit: 100, per: "1m" }`. Default: no limit. */
  rateLimit?: RateLimit;
  /**
   * When a job with an ordering key becomes a dead letter: the next one of the key goes on, or all later ones wait
   * until somebody redrives, cancels or deletes it. Default: "continue".
   */
  onDead?: OnDead;
}

export const defaultMaxAttempts = 3;
const defaultTimeoutMs = 300_000;

/** Declares a type of job. Safe to import anywhere: it loads no handler. */
export function defineJob<Input = unknown, Output = Input>(definition: ContractDefinition<Input, Output>): Contract<Input, Output> {
  const { type, schema = null, retry = {}, timeout, concurrency, rateLimit, onDead = "continue" } = definition;
  if (typeof type !== "string" || type.length < 1 || type.length > 200) {
    throw new OutboxError("INVALID_OPTION", `Expected a job's type to be a name of 1 to 200 characters, got ${JSON.stringify(type)}.`);
  }
  const contract: Contract<Input, Output> = {
    type,
    schema,
    retry,
    maxAttempts: checkMaxAttempts(type, maxAttemptsOf(retry)),
    timeoutMs: timeout === undefined ? defaultTimeoutMs : durationMs(timeout, `the timeout of "${type}"`),
    concurrency: checkConcurrency(type, concurrency),
    concurrencyKey: (payload) => (typeof concurrency === "object" ? concurrency.key(payload) : null),
    rateLimit: checkRateLimit(type, rateLimit),
    onDead: checkOnDead(type, onDead),
    job: (payload, options = {}) => ({ contract, payload, options }),
  };
  return contract;
}

function checkOnDead(type: string, onDead: unknown): OnDead {
  if (onDead === "continue" || onDead === "block") return onDead;
  throw new OutboxError("INVALID_OPTION", `Expected onDead of "${type}" to be "continue" or "block", got ${JSON.stringify(onDead)}.`);
}

function maxAttemptsOf(retry: Retry): number {
  if (typeof retry === "function") return defaultMaxAttempts;
  return retry.maxAttempts ?? ("delays" in retry ? retry.delays.length + 1 : defaultMaxAttempts);
}

/** Refuses a number of attempts that the table would refuse. */
export function checkMaxAttempts(type: string, maxAttempts: number): number {
  if (Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= 10_000) return maxAttempts;
  throw new OutboxError("INVALID_OPTION", `Expected maxAttempts of "${type}" to be a whole number from 1 to 10000, got ${String(maxAttempts)}.`);
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
  /**
   * Runs `work` and completes the job in one transaction: its writes and the completion are both committed or neither.
   * When the lease has been lost it throws LeaseLostError and rolls back. At most once in a handler, as its last step.
   * The job is done then, and what the handler returns afterwards is not stored: `result` makes the job's result of what
   * `work` gave back.
   */
  complete<Value>(work: (tx: Transaction) => Promise<Value>, result?: (value: Value) => unknown): Promise<Value>;
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
