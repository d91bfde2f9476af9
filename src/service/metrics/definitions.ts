// Every metric by its name: what it counts, in what unit, by which labels. docs/reference/metrics.md is made of it, and
// docs/grafana is checked against it.

export type Label = "type" | "status" | "outcome" | "state" | "schedule" | "doing";

export interface Definition {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly Label[];
  /** Upper bounds of a histogram's buckets, in seconds. */
  readonly buckets?: readonly number[];
}

/** Up to the default time limit of an attempt. */
const runBuckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10, 30, 60, 300];
const lagBuckets = [0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600];
const claimBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

/** Of what this process does, since it started. */
export const eventMetrics = {
  postcommit_attempts_total: { kind: "counter", help: "Attempts that have come to an end in this process, by type and outcome: done, retried, dead, snoozed, cancelled, released, lost.", labels: ["type", "outcome"] },
  postcommit_run_seconds: { kind: "histogram", help: "How long attempts ran, except those that were given back or lost.", labels: ["type"], buckets: runBuckets },
  postcommit_lag_seconds: { kind: "histogram", help: "How long jobs had been due when their attempt was claimed.", labels: ["type"], buckets: lagBuckets },
  postcommit_claim_seconds: { kind: "histogram", help: "How long the database took to answer a claim, which also settles what was done before it.", labels: [], buckets: claimBuckets },
  postcommit_lost_leases_total: { kind: "counter", help: "Times that this process was silent for longer than its lease and went on as a new worker.", labels: [] },
  postcommit_buried_workers_total: { kind: "counter", help: "Dead workers that this process has removed.", labels: [] },
  postcommit_rescued_jobs_total: { kind: "counter", help: "Jobs of dead workers, by outcome: returned, or dead when their attempts were used up.", labels: ["outcome"] },
  postcommit_breakers_opened_total: { kind: "counter", help: "Times that this process has opened the circuit breaker of a type.", labels: ["type"] },
  postcommit_redriven_jobs_total: { kind: "counter", help: "Dead letters that the redrive policy has put back to pending.", labels: ["type"] },
  postcommit_pruned_jobs_total: { kind: "counter", help: "Finished jobs that retention has deleted, by status.", labels: ["status"] },
  postcommit_slots_fired_total: { kind: "counter", help: "Slots of schedules that this process has fired.", labels: ["schedule"] },
  postcommit_schedule_failures_total: { kind: "counter", help: "Times that a schedule could not be fired; it is tried again.", labels: ["schedule"] },
  postcommit_database_failures_total: { kind: "counter", help: "Statements of the engine that the database failed to carry out, by what was being done; most are tried again.", labels: ["doing"] },
} as const satisfies Record<string, Definition>;

/** Of what is in the database, the same in every process that is asked. */
export const databaseMetrics = {
  postcommit_jobs: { kind: "gauge", help: "Jobs by type and status: waiting, pending, processing, error (dead letters). Each is counted up to 10000.", labels: ["type", "status"] },
  postcommit_oldest_due_seconds: { kind: "gauge", help: "How long the oldest due job of the type has been due; 0 when none is.", labels: ["type"] },
  postcommit_unhandled_jobs: { kind: "gauge", help: "Pending jobs of types that neither this process nor any living worker has a handler for.", labels: ["type"] },
  postcommit_type_paused: { kind: "gauge", help: "1 while somebody has paused the type.", labels: ["type"] },
  postcommit_breaker_state: { kind: "gauge", help: "The circuit breaker of the type: 0 closed, 1 half-open, 2 open.", labels: ["type"] },
  postcommit_workers: { kind: "gauge", help: "Workers and drains by state: alive, or silent for longer than their lease.", labels: ["state"] },
  postcommit_schedule_overdue_seconds: { kind: "gauge", help: "How long the next slot of a schedule that is not paused has been waiting to be fired; 0 when it is yet to come.", labels: ["schedule"] },
  postcommit_database_up: { kind: "gauge", help: "1 when the database has answered the latest question, 0 when it has not; then no other metric about it is shown.", labels: [] },
  postcommit_database_answer_seconds: { kind: "gauge", help: "How long the database took to answer the simplest of questions, with connecting when that came first.", labels: [] },
} as const satisfies Record<string, Definition>;

export type EventMetric = keyof typeof eventMetrics;
export type DatabaseMetric = keyof typeof databaseMetrics;
