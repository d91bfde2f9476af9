// The words everything shares: a job, its statuses, the lease on it, and what an attempt came to.
// Next: define.ts (what a type of job is), enqueue.ts (how a job comes to be).

import type { Trace } from "./tracing.ts";

//     waiting ──▶ pending ──claim──▶ processing ──▶ done
//        │          ▲  ▲                │  │  └──▶ error (dead letter) ──redrive──▶ pending
//        └─cancel   │  └─ retry, snooze, release, rescue
//                   └─────────── cancelled ◀── cancel (pending, waiting, processing)
export const statuses = ["waiting", "pending", "processing", "done", "error", "cancelled"] as const;
export type Status = (typeof statuses)[number];

/**
 * The right to write on one claimed job. `worker` and `token` are the fence: the worker draws a new token with every
 * claim, so a write that names both changes nothing once somebody else has claimed the job.
 */
export interface Lease {
  readonly jobId: string;
  /** `OutboxWorker.id` of the process that claimed the job. */
  readonly worker: string;
  /** Greater with every claim of that worker. */
  readonly token: number;
}

/** A job in the hands of a worker. */
export interface ClaimedJob {
  readonly id: string;
  readonly type: string;
  /** As stored: the validated input, before the contract's defaults and transforms. */
  readonly payload: unknown;
  readonly priority: number;
  /** The number of this attempt, from 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly runAt: Date;
  readonly createdAt: Date;
  readonly startedAt: Date;
  readonly owner: string | null;
  readonly orderingKey: string | null;
  /** What the attempt before this one failed with. */
  readonly lastError: string | null;
  /** True when a worker died while it ran this job. */
  readonly suspect: boolean;
  /** What an earlier attempt has saved by `ctx.checkpoint`; null when none has. */
  readonly checkpoint: unknown;
  /** The version of the contract that it was enqueued under. */
  readonly version: number;
  /** The span that enqueued it, when there was one. */
  readonly trace?: Trace | null;
  readonly lease: Lease;
}

/** A failure as it is stored: every part is readable text that Postgres can hold. */
export interface Failure {
  readonly errorClass: string;
  readonly message: string;
  readonly stack: string | null;
}

/** What an attempt came to. `run-job.ts` decides it, `settle.ts` writes it. */
export type Outcome =
  /** The handler returned; `result` is its JSON text, at most 64 KB. */
  | { readonly kind: "done"; readonly result: string | null }
  /** The handler committed its own completion through `ctx.complete`; nothing is left to write. */
  | { readonly kind: "completed" }
  /** It failed and has attempts left: due again after `delayMs`. */
  | {
      readonly kind: "retried";
      readonly failure: Failure;
      readonly delayMs: number;
      readonly timedOut: boolean;
      /** The receiver has asked to wait, and the type has a rate limit: none of its jobs is begun before. */
      readonly typeWaitsMs: number | null;
    }
  /** It failed for good: a dead letter. */
  | {
      readonly kind: "dead";
      readonly failure: Failure;
      readonly timedOut: boolean;
      /** It was the job's own fault, and not that its attempts are used up. */
      readonly final: boolean;
    }
  /** The handler has asked to be run again later; the attempt does not count. */
  | { readonly kind: "snoozed"; readonly delayMs: number }
  /** Somebody has cancelled it while it ran: nothing is left to write. */
  | { readonly kind: "cancelled" }
  /** The worker is stopping: given back as if it had never been claimed. */
  | { readonly kind: "released" }
  /** The lease was lost on the way; another worker has the job, and nothing may be written. */
  | { readonly kind: "lost" };
