// testOutbox's drainAll: a drain as cron would run it, and then everything that a test must not overlook is thrown.

import type { Database } from "../outbox/database.ts";
import type { DrainReport } from "../outbox/drain.ts";
import type { Duration } from "../outbox/duration.ts";
import type { Emit, OutboxEvent } from "../outbox/events.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import type { ScheduleDeclaration } from "../outbox/schedule.ts";
import { endless, heldBack, notLoaded, theFailures, unhandled } from "./overlooked.ts";
import { errorOf } from "./thrown.ts";

export interface DrainAllOptions {
  /** Only these types; what is due of others waits. Default: all, and a due job without a handler is an error. */
  readonly types?: readonly string[];
  /** Attempts altogether, at most: more are taken for a loop. Default: 1000. */
  readonly maxJobs?: number;
  /** How long it may take. Default: "30s". */
  readonly maxTime?: Duration;
  /** Jobs running at once. Default: 20, as in production; 1 for one after the other. */
  readonly concurrency?: number;
  /** Failed attempts are thrown, all in one Error, once everything has run; or they are in the report only. Default: "throw". */
  readonly failures?: "throw" | "report";
}

export interface DrainAllReport extends DrainReport {
  /** Every attempt that failed, oldest first. */
  readonly failures: readonly FailedAttempt[];
}

export interface FailedAttempt {
  readonly jobId: string;
  readonly type: string;
  /** From 1. */
  readonly attempt: number;
  /** "completed": it failed after ctx.complete had committed, so that the job is done. */
  readonly outcome: "retried" | "timed_out" | "dead" | "lost" | "completed";
  /** With the name, message and stack of what was thrown. */
  readonly error: Error;
}

export interface DrainAllParts {
  readonly database: Database;
  readonly outbox: Outbox;
  readonly handlers: readonly HandlerEntry[];
  readonly schedules: readonly ScheduleDeclaration[];
  /** Told of the outbox's events. */
  readonly listeners: Set<Emit>;
}

export async function drainAll({ database, outbox, handlers, schedules, listeners }: DrainAllParts, options: DrainAllOptions): Promise<DrainAllReport> {
  const { types, maxJobs = 1000, maxTime = "30s", concurrency = 20, failures: whatFailed = "throw" } = options;
  const [before] = await database.query("select coalesce(max(id), 0)::text as id from outbox_attempt");
  const events: OutboxEvent[] = [];
  const listen: Emit = (event) => void events.push(event);
  listeners.add(listen);
  let report: DrainReport;
  try {
    report = await outbox.drain({ handlers, schedules, maxJobs, maxTime, concurrency, grace: 0, ...(types === undefined ? {} : { types }) });
  } finally {
    listeners.delete(listen);
  }
  const failures = [...(await failedAttempts(database, String(before?.id))), ...events.flatMap(failedAfterCompletion)];
  const problems = [
    ...events.flatMap(notLoaded),
    ...(whatFailed === "throw" && failures.length > 0 ? [theFailures(failures)] : []),
    ...endless(report, events, maxJobs, maxTime),
    ...(await heldBack(outbox, report)),
    ...(types === undefined ? await unhandled(database, handlers, report) : []),
  ];
  if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join("\n"), { cause: problems.find(({ cause }) => cause !== undefined)?.cause });
  return { ...report, failures };
}

async function failedAttempts(database: Database, after: string): Promise<FailedAttempt[]> {
  const rows = await database.query(
    `select attempt.job_id, attempt.attempt, attempt.outcome, attempt.error_class, attempt.message, attempt.stack, outbox.type
     from outbox_attempt as attempt
     join outbox on outbox.id = attempt.job_id
     where attempt.id > $1::text::bigint and attempt.outcome <> 'snoozed'
     order by attempt.id`,
    [after],
  );
  return rows.map((row) => ({
    jobId: String(row.job_id),
    type: String(row.type),
    attempt: Number(row.attempt),
    outcome: row.outcome as FailedAttempt["outcome"], // what settle.ts and the rescue write
    error: errorOf({ errorClass: String(row.error_class), message: String(row.message), stack: row.stack as string | null }), // the column's type
  }));
}

function failedAfterCompletion(event: OutboxEvent): FailedAttempt[] {
  if (event.event !== "job_failed_after_completion") return [];
  return [{ jobId: event.job.id, type: event.job.type, attempt: event.job.attempt, outcome: "completed", error: errorOf(event.failure) }];
}
