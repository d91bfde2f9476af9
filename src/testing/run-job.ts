// Runs one attempt of a handler by itself, as a worker would, without a job in the table. Next: one-attempt.ts.

import type { AnyTransaction } from "../outbox/database.ts";
import type { Duration } from "../outbox/duration.ts";
import type { EnqueueOptions } from "../outbox/enqueue.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { keepNothing } from "./memory-writes.ts";
import { runKept } from "./one-attempt.ts";
import type { TestOutbox } from "./test-outbox.ts";

export interface RunJobOptions {
  /** From 1. Default: 1. */
  readonly attempt?: number;
  /** Default: the contract's. */
  readonly maxAttempts?: number;
  /** The job's id, which is the idempotency key too: a UUID. Default: a new one each time. */
  readonly jobId?: string;
  /** When it was enqueued. Default: now. */
  readonly createdAt?: Date;
  readonly owner?: string;
  /** What the attempt before this one failed with. */
  readonly lastError?: string;
  /** What an earlier attempt has saved by ctx.checkpoint. */
  readonly checkpoint?: unknown;
  /** The contract's version that the payload was enqueued under. Default: the contract's now. */
  readonly version?: number;
  /**
   * Where ctx.complete and ctx.checkpoint write: the test's own open transaction (in a savepoint of it), or a test outbox
   * (in a transaction of its own, which is committed). A handler that uses neither needs none.
   */
  readonly tx?: AnyTransaction | TestOutbox;
  /** Time limit of the attempt. Default: the contract's. */
  readonly timeout?: Duration;
  /** Aborted: the attempt is ended, as by a worker that must stop. */
  readonly signal?: AbortSignal;
}

/** What one attempt came to. */
export interface JobRun {
  /**
   * done (also by ctx.complete); retried: it failed and has attempts left; dead: it failed for good; snoozed; released: it
   * was ended by `signal`; lost: ctx.complete was refused, because the job had been completed before (runTwice).
   */
  readonly outcome: "done" | "retried" | "dead" | "snoozed" | "released" | "cancelled" | "lost";
  /** As it would be stored: JSON; null when there is none. */
  readonly result: unknown;
  /** What the handler threw; or what else the attempt failed with (a payload that does not fit, the time limit); null. */
  readonly error: unknown;
  /** Retried and snoozed: milliseconds until the job would be due again. Else null. */
  readonly delayMs: number | null;
  readonly logs: readonly LoggedLine[];
  /** Jobs that ctx.enqueue has stored; none of a ctx.complete that was rolled back. */
  readonly enqueued: readonly FollowUp[];
  readonly progress: readonly { readonly percent: number; readonly note: string | null }[];
  /** What ctx.checkpoint has saved last; null when nothing. */
  readonly checkpoint: unknown;
  /** As the handler was given it. */
  readonly idempotencyKey: string;
}

export interface LoggedLine {
  readonly level: "info" | "warn";
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

export interface FollowUp {
  readonly id: string;
  readonly type: string;
  readonly payload: unknown;
  readonly options: EnqueueOptions;
}

/**
 * Runs `handler` once on `payload`, which is what a producer would enqueue: it goes through JSON and the contract's schema,
 * so that the handler is given what a stored job would give it. What the handler throws is in the answer; what could not
 * be stored as a payload at all (a Date, a BigInt) is thrown as PayloadError.
 */
export async function runJob(handler: HandlerEntry, payload: unknown, options: RunJobOptions = {}): Promise<JobRun> {
  return runKept(handler, payload, options, keepNothing());
}
