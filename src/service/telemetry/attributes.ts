// What the spans are called and what they say, as far as OpenTelemetry's conventions for messaging go. Payloads never.

import type { Attributes } from "@opentelemetry/api";
import type { Enqueued } from "../../outbox/enqueue.ts";
import type { ClaimedJob, Failure, Outcome } from "../../outbox/job.ts";

interface Said {
  readonly name: string;
  readonly attributes: Attributes;
}

const system = { "messaging.system": "postcommit" };

/** The type of a job is what the conventions call a destination. */
export function ofEnqueue(types: readonly string[]): Said {
  const [type, ...others] = new Set(types);
  const only = others.length === 0 ? type : undefined;
  return {
    name: only === undefined ? "enqueue" : `enqueue ${only}`,
    attributes: {
      ...system,
      "messaging.operation.name": "enqueue",
      "messaging.operation.type": "send",
      ...(only !== undefined && { "messaging.destination.name": only }),
      ...(types.length > 1 && { "messaging.batch.message_count": types.length }),
    },
  };
}

/** What is known when the jobs are stored. */
export function ofEnqueued(enqueued: readonly Enqueued[]): Attributes {
  const [job, another] = enqueued;
  const deduplicated = enqueued.filter((each) => each.deduplicated).length;
  return {
    ...(job !== undefined && another === undefined && { "messaging.message.id": job.id }),
    ...(deduplicated > 0 && { "postcommit.deduplicated": deduplicated }),
  };
}

export function ofAttempt({ id, type, attempt, maxAttempts, lease }: ClaimedJob): Said {
  return {
    name: `run ${type}`,
    attributes: {
      ...system,
      "messaging.operation.name": "run",
      "messaging.operation.type": "process",
      "messaging.destination.name": type,
      "messaging.message.id": id,
      "messaging.client.id": lease.worker,
      "postcommit.attempt": attempt,
      "postcommit.max_attempts": maxAttempts,
    },
  };
}

/** `failure` is null for what is no error: also a snooze, a cancellation, and what was given back because the worker stops. */
export function ofOutcome(outcome: Outcome): { readonly attributes: Attributes; readonly failure: Failure | null } {
  const failure = failureOf(outcome);
  const kind = outcome.kind === "completed" ? "done" : outcome.kind;
  return { attributes: { "postcommit.outcome": kind, ...(failure !== null && { "error.type": failure.errorClass }) }, failure };
}

function failureOf(outcome: Outcome): Failure | null {
  if (outcome.kind === "retried" || outcome.kind === "dead") return outcome.failure;
  if (outcome.kind === "lost") return { errorClass: "LeaseLostError", message: "the lease was lost, and nothing of this attempt was written", stack: null };
  return null;
}
