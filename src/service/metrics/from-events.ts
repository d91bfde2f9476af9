// What the engine tells becomes counters and histograms. Called for each job: a few additions in memory, nothing else.

import type { Emit } from "../../outbox/events.ts";
import type { ClaimedJob } from "../../outbox/job.ts";
import type { EventMetric } from "./definitions.ts";
import type { BoundedNames } from "./labels.ts";

/** The metrics by their names, as far as they are used here. */
export interface EventSeries {
  readonly add: (metric: EventMetric, labels: Readonly<Record<string, string>>, by?: number) => void;
  readonly observe: (metric: EventMetric, labels: Readonly<Record<string, string>>, seconds: number) => void;
}

export function countEvents({ add, observe }: EventSeries, types: BoundedNames, schedules: BoundedNames): Emit {
  function ended(outcome: string, job: ClaimedJob, durationMs: number | null): void {
    const type = types.labelOf(job.type);
    add("postcommit_attempts_total", { type, outcome });
    if (durationMs === null) return;
    observe("postcommit_run_seconds", { type }, durationMs / 1000);
    // The database's clock for both; a job that was edited by hand may have become due after its claim, or never.
    const lagMs = job.startedAt.getTime() - job.runAt.getTime();
    if (Number.isFinite(lagMs)) observe("postcommit_lag_seconds", { type }, Math.max(0, lagMs) / 1000);
  }

  return (event) => {
    switch (event.event) {
      case "job_done":
        ended("done", event.job, event.durationMs);
        break;
      case "job_retried":
        ended("retried", event.job, event.durationMs);
        break;
      case "job_dead":
        if (event.durationMs !== undefined) ended("dead", event.job, event.durationMs);
        else add("postcommit_attempts_total", { type: types.labelOf(event.job.type), outcome: "dead" });
        break;
      case "job_snoozed":
        ended("snoozed", event.job, event.durationMs);
        break;
      case "job_cancelled":
        ended("cancelled", event.job, event.durationMs);
        break;
      case "job_released":
        ended("released", event.job, null);
        break;
      case "job_lost":
        ended("lost", event.job, null);
        break;
      case "claim_answered":
        observe("postcommit_claim_seconds", {}, event.durationMs / 1000);
        break;
      case "worker_lost_lease":
        add("postcommit_lost_leases_total", {});
        break;
      case "worker_buried":
        add("postcommit_buried_workers_total", {});
        break;
      case "jobs_rescued":
        add("postcommit_rescued_jobs_total", { outcome: "returned" }, event.returned);
        add("postcommit_rescued_jobs_total", { outcome: "dead" }, event.dead);
        break;
      case "breaker_opened":
        add("postcommit_breakers_opened_total", { type: types.labelOf(event.type) });
        break;
      case "jobs_redriven":
        add("postcommit_redriven_jobs_total", { type: types.labelOf(event.type) }, event.count);
        break;
      case "jobs_pruned":
        add("postcommit_pruned_jobs_total", { status: "done" }, event.done);
        add("postcommit_pruned_jobs_total", { status: "cancelled" }, event.cancelled);
        add("postcommit_pruned_jobs_total", { status: "error" }, event.dead);
        break;
      case "schedule_fired":
        add("postcommit_slots_fired_total", { schedule: schedules.labelOf(event.schedule) });
        break;
      case "schedule_failed":
        add("postcommit_schedule_failures_total", { schedule: schedules.labelOf(event.schedule) });
        break;
      case "database_failed":
        add("postcommit_database_failures_total", { doing: event.doing });
        break;
      default:
        break; // what is for the log alone
    }
  };
}
