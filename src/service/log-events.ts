// The sentences of the log: one line an event, past tense, stable fields. The core emits, this file words.

import { failureOf } from "../outbox/failure.ts";
import { sentenceOf } from "./alerts.ts";
import type { Emit, JobName, OutboxEvent } from "../outbox/events.ts";
import { spanOf } from "../outbox/tracing.ts";
import type { Log, Severity } from "./log.ts";

interface Line {
  readonly severity: Severity;
  readonly sentence: string;
  readonly fields: Record<string, unknown>;
}

export function logEvents(log: Log): Emit {
  return (event) => {
    const { severity, sentence, fields } = lineOf(event);
    log.write(severity, { event: event.event, ...fields }, sentence, event.event === "job_logged" ? event.job.payload : undefined);
  };
}

/** The ids of the span are those that OpenTelemetry's own logs have. */
function named(job: JobName): Record<string, unknown> {
  const span = spanOf(job);
  return { job: job.id, type: job.type, attempt: job.attempt, ...(span && { trace_id: span.traceId, span_id: span.spanId }) };
}

const line = (severity: Severity, sentence: string, fields: Record<string, unknown>): Line => ({ severity, sentence, fields });

function lineOf(event: OutboxEvent): Line {
  switch (event.event) {
    case "worker_registered":
      return line("debug", `worker ${event.worker} registered for ${event.types.join(", ")}`, { worker: event.worker });
    case "worker_left":
      return line("debug", `worker ${event.worker} left`, { worker: event.worker });
    case "worker_lost_lease":
      return line("warn", `worker ${event.worker} lost its lease with ${event.running} jobs running; it went on under a new id`, { worker: event.worker, running: event.running });
    case "worker_buried":
      return line("info", `worker ${event.worker} (pid ${event.pid} on ${event.host}) was silent for longer than its lease and was removed`, { worker: event.worker, host: event.host, pid: event.pid });
    case "jobs_rescued":
      return line("info", `${event.returned} jobs of dead workers were returned, ${event.dead} had used up their attempts`, { returned: event.returned, dead: event.dead });
    case "jobs_pruned":
      return line("info", `${event.done} done jobs, ${event.cancelled} cancelled ones and ${event.dead} dead letters were pruned, as retention says`, { done: event.done, cancelled: event.cancelled, dead: event.dead });
    case "worker_beat": {
      const { done, retried, dead } = event.tally;
      const sentence = `worker alive: ${event.running} running, ${event.waiting} waiting; ${done} done, ${retried} retried, ${dead} dead since it started; ${event.memoryMb} MB`;
      return line("info", sentence, { running: event.running, waiting: event.waiting, ...event.tally, databaseSilentMs: event.silentMs, memoryMb: event.memoryMb });
    }
    case "claim_answered":
      return line("debug", `a claim was answered in ${Math.round(event.durationMs)} ms`, { durationMs: Math.round(event.durationMs) });
    case "handler_not_loaded":
      return line("error", `the handler of ${event.type} did not load, so its jobs wait, no attempt spent: ${failureOf(event.error).message}`, { type: event.type, error: failureOf(event.error).message });
    case "job_done":
      return line("info", `${event.job.type} ${event.job.id} was done in ${Math.round(event.durationMs)} ms`, { ...named(event.job), durationMs: Math.round(event.durationMs) });
    case "job_retried":
      return line(
        "info",
        `${event.job.type} ${event.job.id} failed in attempt ${event.job.attempt} of ${event.job.maxAttempts} and is tried again in ${Math.round(event.delayMs / 1000)} s: ${event.failure.errorClass}: ${event.failure.message}`,
        { ...named(event.job), error: event.failure.message, errorClass: event.failure.errorClass, retryInMs: event.delayMs, timedOut: event.timedOut },
      );
    case "job_dead":
      return line("error", `${event.job.type} ${event.job.id} became a dead letter in attempt ${event.job.attempt}: ${event.message}`, { ...named(event.job), error: event.message });
    case "breaker_opened":
      return line("warn", `the circuit breaker of ${event.type} opened: its jobs wait until ${event.until.toISOString()}, then one is tried`, { type: event.type, until: event.until.toISOString() });
    case "breaker_closed":
      return line("info", `the circuit breaker of ${event.type} closed: its jobs go on`, { type: event.type });
    case "newer_jobs_left":
      return line("warn", `there are jobs of ${event.type} in version ${event.version}, and this program knows ${event.known}; it leaves them to newer ones`, { type: event.type, version: event.version, known: event.known });
    case "job_snoozed":
      return line("info", `${event.job.type} ${event.job.id} asked to be run again in ${Math.round(event.delayMs / 1000)} s; the attempt does not count`, { ...named(event.job), runAgainInMs: event.delayMs });
    case "job_released":
      return line("info", `${event.job.type} ${event.job.id} was given back unfinished; the attempt does not count`, named(event.job));
    case "job_cancelled":
      return line("info", `${event.job.type} ${event.job.id} was cancelled while it ran; nothing of attempt ${event.job.attempt} was written after that`, named(event.job));
    case "job_lost":
      return line("warn", `the lease on ${event.job.type} ${event.job.id} was lost; nothing of attempt ${event.job.attempt} was written`, named(event.job));
    case "job_failed_after_completion":
      return line("warn", `${event.job.type} ${event.job.id} was complete when its handler failed: ${event.failure.message}`, { ...named(event.job), error: event.failure.message });
    case "job_logged":
      return line(event.level, `${event.job.type} ${event.job.id}: ${event.message}`, { ...event.fields, ...named(event.job) });
    case "schedule_fired":
      return line("info", `schedule ${event.schedule} fired its slot of ${event.slotAt.toISOString()}: ${event.type} ${event.jobId}`, { schedule: event.schedule, slotAt: event.slotAt.toISOString(), job: event.jobId, type: event.type });
    case "schedule_failed": {
      const { message } = failureOf(event.error);
      return line("error", `schedule ${event.schedule} could not be fired and is tried again; its slots are kept: ${message}`, { schedule: event.schedule, error: message });
    }
    case "jobs_redriven":
      return line("info", `${event.count} ${event.count === 1 ? "dead letter" : "dead letters"} of ${event.type} redriven, as the redrive policy says`, { type: event.type, count: event.count });
    case "alert_told": {
      const { name, state, kind, value, threshold } = event.alert;
      return line(state === "over" ? "info" : "error", `alert: ${sentenceOf(event.alert)}`, { alert: name, state, kind, value, threshold, jobs: event.jobs });
    }
    case "alert_not_told": {
      const { message } = failureOf(event.error);
      return line("error", `the alert "${event.alert}" could not be told to ${event.receiver}: ${message}`, { alert: event.alert, receiver: event.receiver, error: message });
    }
    case "database_failed": {
      const { message } = failureOf(event.error);
      const next = event.retryInMs === null ? "gave up" : `trying again in ${event.retryInMs} ms`;
      return line("warn", `the database failed at "${event.doing}", ${next}: ${message}`, { doing: event.doing, error: message, retryInMs: event.retryInMs });
    }
  }
}
