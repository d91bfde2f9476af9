// What a drain has come to that a test must not overlook, as sentences.

import type { Database } from "../outbox/database.ts";
import type { DrainReport } from "../outbox/drain.ts";
import type { Duration } from "../outbox/duration.ts";
import type { OutboxEvent } from "../outbox/events.ts";
import { failureOf } from "../outbox/failure.ts";
import { countDueByType } from "../outbox/inspect.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { typeOf } from "../outbox/registry.ts";
import type { FailedAttempt } from "./drain-all.ts";

export interface Problem {
  readonly message: string;
  readonly cause?: unknown;
}

const maxListed = 20;

export function theFailures(failures: readonly FailedAttempt[]): Problem {
  const shown = failures.slice(0, maxListed).map(({ type, jobId, attempt, outcome, error }) => `  - ${type} ${jobId}, attempt ${attempt} (${outcome}): ${error.name}: ${error.message}`);
  const more = failures.length > maxListed ? `\n  and ${failures.length - maxListed} more` : "";
  return {
    message: `Expected every attempt to succeed, but ${failures.length} failed:\n${shown.join("\n")}${more}\nThe first is the cause of this error. Where a test expects failures: drainAll({ failures: "report" }).`,
    cause: failures[0]?.error,
  };
}

export function notLoaded(event: OutboxEvent): Problem[] {
  if (event.event === "handler_not_loaded") return [{ message: `Expected the handler of "${event.type}" to load: ${failureOf(event.error).message}`, cause: event.error }];
  if (event.event === "schedule_failed") return [{ message: `Expected the schedule "${event.schedule}" to fire: ${failureOf(event.error).message}`, cause: event.error }];
  return [];
}

export function endless(report: DrainReport, events: readonly OutboxEvent[], maxJobs: number, maxTime: Duration): Problem[] {
  if (report.stopReason === "max_jobs" && report.remaining > 0) {
    const ran = counted(events.flatMap((event) => (event.event === "job_done" || event.event === "job_retried" ? [event.job.type] : [])));
    return [{ message: `Expected nothing to be due after ${maxJobs} attempts, but there still is: it looks like a loop. What ran: ${ran}. Does a handler enqueue its own type, or fail with a retry that waits for nothing? If all of it is meant, raise maxJobs.` }];
  }
  if (report.stopReason !== "max_time") return [];
  const cut = events.flatMap((event) => (event.event === "job_released" ? [`${event.job.type} ${event.job.id}`] : []));
  return [{ message: `Expected all jobs to be done within ${String(maxTime)}, but they were not${cut.length === 0 ? "" : `: ${cut.slice(0, maxListed).join(", ")} still ran and had to be given back`}. If they are only slow, raise maxTime.` }];
}

/** A pause is the test's own doing. A limit may be news to it. */
export async function heldBack(outbox: Outbox, { remaining, stopReason }: DrainReport): Promise<Problem[]> {
  if (stopReason !== "paused" || remaining === 0) return [];
  const limited = (await outbox.types()).filter(({ pending, pausedAt, concurrency, rateLimit, breaker }) => pending > 0 && pausedAt === null && (concurrency !== null || rateLimit !== null || breaker !== "closed"));
  return limited.map(({ type, pending, breaker }) => ({
    message: `Expected no job to be left, but ${pending} of "${type}" wait for ${breaker === "closed" ? "the limits of that type" : `its circuit breaker, which is ${breaker}`}. Let time pass in between: advance("1m").`,
  }));
}

export async function unhandled(database: Database, handlers: readonly HandlerEntry[], report: DrainReport): Promise<Problem[]> {
  const known = new Set(handlers.map(typeOf));
  const missing = report.unhandled.map(({ type }) => type).filter((type) => !known.has(type));
  const due = missing.length === 0 ? [] : await countDueByType(database, missing);
  return due.map(({ type, count }) => ({
    message: `Expected a handler for "${type}", of which ${count} due ${count === 1 ? "job waits" : "jobs wait"}, got none. Add one to testOutbox's handlers, or say which types are to run: drainAll({ types: [${handlers.map((entry) => JSON.stringify(typeOf(entry))).join(", ")}] }).`,
  }));
}

function counted(types: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].sort(([, one], [, other]) => other - one).map(([type, count]) => `${count} × ${type}`).join(", ");
}
