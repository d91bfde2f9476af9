// What the engine tells the world. The core only emits; the sentences stand in service/log-events.ts.

import type { Alert } from "./alerts.ts";
import type { ClaimedJob, Failure } from "./job.ts";
import type { Tally } from "./settle.ts";

export type OutboxEvent =
  | { readonly event: "worker_registered"; readonly worker: string; readonly types: readonly string[] }
  | { readonly event: "worker_left"; readonly worker: string }
  | { readonly event: "worker_lost_lease"; readonly worker: string; readonly running: number }
  | { readonly event: "worker_buried"; readonly worker: string; readonly host: string; readonly pid: number }
  | { readonly event: "jobs_rescued"; readonly returned: number; readonly dead: number }
  | { readonly event: "jobs_pruned"; readonly done: number; readonly cancelled: number; readonly dead: number }
  | { readonly event: "worker_beat"; readonly running: number; readonly waiting: number; readonly tally: Tally; readonly silentMs: number; readonly memoryMb: number }
  /** The database has answered a claim, which settles what was done before it. */
  | { readonly event: "claim_answered"; readonly durationMs: number }
  | { readonly event: "handler_not_loaded"; readonly type: string; readonly error: unknown }
  | { readonly event: "job_done"; readonly job: ClaimedJob; readonly durationMs: number }
  | { readonly event: "job_retried"; readonly job: ClaimedJob; readonly durationMs: number; readonly failure: Failure; readonly delayMs: number; readonly timedOut: boolean }
  /** Without `durationMs` when its worker died of it: `job` is no more than a name then. */
  | { readonly event: "job_dead"; readonly job: ClaimedJob; readonly durationMs: number; readonly message: string }
  | { readonly event: "job_dead"; readonly job: JobName; readonly durationMs?: undefined; readonly message: string }
  | { readonly event: "breaker_opened"; readonly type: string; readonly until: Date }
  | { readonly event: "breaker_closed"; readonly type: string }
  | { readonly event: "newer_jobs_left"; readonly type: string; readonly version: number; readonly known: number }
  | { readonly event: "job_snoozed"; readonly job: ClaimedJob; readonly durationMs: number; readonly delayMs: number }
  | { readonly event: "job_released"; readonly job: ClaimedJob }
  | { readonly event: "job_cancelled"; readonly job: ClaimedJob; readonly durationMs: number }
  | { readonly event: "job_lost"; readonly job: ClaimedJob }
  | { readonly event: "job_failed_after_completion"; readonly job: ClaimedJob; readonly failure: Failure }
  | { readonly event: "job_logged"; readonly job: ClaimedJob; readonly level: "info" | "warn"; readonly message: string; readonly fields: Record<string, unknown> }
  | { readonly event: "schedule_fired"; readonly schedule: string; readonly type: string; readonly slotAt: Date; readonly jobId: string }
  | { readonly event: "schedule_failed"; readonly schedule: string; readonly error: unknown }
  | { readonly event: "jobs_redriven"; readonly type: string; readonly count: number }
  | { readonly event: "alert_told"; readonly alert: Alert; readonly jobs: number }
  | { readonly event: "alert_not_told"; readonly alert: string; readonly receiver: string; readonly error: unknown }
  | { readonly event: "database_failed"; readonly doing: string; readonly error: unknown; readonly retryInMs: number | null };

/** Enough of a job to name it in a line. */
export type JobName = Pick<ClaimedJob, "id" | "type" | "attempt">;

/** Must not throw. */
export type Emit = (event: OutboxEvent) => void;
