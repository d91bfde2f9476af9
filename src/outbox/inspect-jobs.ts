// What people ask of single jobs: which there are, and all that is known of one, with what happened to it in order.

import type { Database, Row, Sql } from "./database.ts";
import { OutboxError, shown } from "./errors.ts";
import type { JobFilter } from "./filter.ts";
import { checkJobId, selectionOf } from "./filter.ts";
import type { Status } from "./job.ts";
import { reading } from "./reading.ts";
import { listEffects } from "./store/effect-actions.ts";
import type { Effect } from "./store/running.ts";
import { conditionsOf } from "./store/selection.ts";

/** A job as a list shows it: without its payload. */
export interface JobSummary {
  readonly id: string;
  readonly type: string;
  readonly status: Status;
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly priority: number;
  readonly runAt: Date;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly lastError: string | null;
  readonly owner: string | null;
  readonly dedupeKey: string | null;
  readonly orderingKey: string | null;
  readonly tags: readonly string[];
  /** Percent, as the handler says. */
  readonly progress: number | null;
  readonly progressNote: string | null;
}

export interface JobDetails extends JobSummary {
  /** As stored: the validated input. */
  readonly payload: unknown;
  readonly result: unknown;
  readonly checkpoint: unknown;
  readonly version: number;
  /** `OutboxWorker.id` of the worker of the latest attempt. */
  readonly worker: string | null;
  readonly suspect: boolean;
  readonly effects: readonly Effect[];
  /** Everything that is on record, oldest first. */
  readonly timeline: readonly TimelineEntry[];
}

export interface TimelineEntry {
  readonly at: Date;
  /** An attempt's outcome (retried, dead, timed_out, lost, snoozed, cancelled), an operator's action such as jobs:retry, or enqueued, started, done. */
  readonly what: string;
  readonly attempt: number | null;
  /** The worker's id, or who acted. */
  readonly who: string | null;
  /** The error, or the reason that was given. */
  readonly detail: string | null;
  readonly stack: string | null;
}

export interface ListOptions {
  /** Jobs at most, 1 to 1,000. Default: 50. */
  readonly limit?: number;
  /** The id of the last job of the page before. */
  readonly after?: string;
}

const maxLimit = 1000;
const summary = `outbox.id, type, status, attempts, max_attempts, priority, run_at, created_at, started_at, finished_at, last_error,
       owner, dedupe_key, ordering_key, tags, progress, progress_note`;

/** The jobs of a filter, by their ids, which are given out in the order of time: newest first. */
export async function listJobs(database: Database, filter: JobFilter, { limit = 50, after }: ListOptions = {}): Promise<JobSummary[]> {
  if (!Number.isInteger(limit) || limit < 1 || limit > maxLimit) throw new OutboxError("INVALID_OPTION", `Expected limit to be a whole number from 1 to ${maxLimit}, got ${shown(limit)}.`);
  const where = conditionsOf(selectionOf(filter), 3);
  const rows = await reading(database, (sql) =>
    sql.query(
      `select ${summary}
       from outbox
       where ${where.sql}
         and ($2::uuid is null or outbox.id < $2)
       order by outbox.id desc
       limit $1`,
      [limit, after === undefined ? null : checkJobId(after), ...where.values],
    ),
  );
  return rows.map(summaryOf);
}

/** The number of jobs of a filter, counted up to `atMost`. */
export async function countJobs(database: Database, filter: JobFilter, atMost: number): Promise<number> {
  const where = conditionsOf(selectionOf(filter), 2);
  const [row] = await reading(database, (sql) => sql.query(`select count(*)::int as count from (select from outbox where ${where.sql} limit $1) as found`, [atMost, ...where.values]));
  return Number(row?.count ?? 0);
}

/** All that is known of one job; null when there is none of that id. */
export async function getJob(database: Database, id: string): Promise<JobDetails | null> {
  const jobId = checkJobId(id);
  return reading(database, async (sql) => {
    const [row] = await sql.query(
      `select ${summary}, payload, result, checkpoint, version, locked_by, suspect
       from outbox
       where id = $1`,
      [jobId],
    );
    if (row === undefined) return null;
    const job = summaryOf(row);
    return {
      ...job,
      payload: row.payload,
      result: row.result,
      checkpoint: row.checkpoint,
      version: Number(row.version),
      worker: row.locked_by as string | null, // the columns' types are those of the table
      suspect: row.suspect === true,
      effects: await listEffects(sql, jobId),
      timeline: timelineOf(job, row.locked_by as string | null, await listAttempts(sql, jobId), await listActions(sql, jobId)),
    };
  });
}

async function listAttempts(sql: Sql, jobId: string): Promise<Row[]> {
  return sql.query(
    `select attempt, outcome, worker, started_at, ended_at, error_class, message, stack
     from outbox_attempt
     where job_id = $1
     order by id`,
    [jobId],
  );
}

/** What operators did to this job, alone or among others. */
async function listActions(sql: Sql, jobId: string): Promise<Row[]> {
  return sql.query(
    `select action.at, action.action, action.actor, action.reason, action.count
     from outbox_action_job as about
     join outbox_action as action on action.id = about.action_id
     where about.job_id = $1
     order by action.id`,
    [jobId],
  );
}

function timelineOf(job: JobSummary, worker: string | null, attempts: readonly Row[], actions: readonly Row[]): TimelineEntry[] {
  const entry = { attempt: null, who: null, detail: null, stack: null };
  const entries: TimelineEntry[] = [{ ...entry, at: job.createdAt, what: "enqueued" }];
  for (const row of attempts) {
    const attempt = Number(row.attempt);
    const who = row.worker as string | null;
    if (row.started_at !== null) entries.push({ ...entry, at: row.started_at as Date, what: "started", attempt, who });
    const detail = [row.error_class as string | null, row.message as string | null].filter((part) => part !== null).join(": ") || null;
    entries.push({ at: row.ended_at as Date, what: String(row.outcome), attempt, who, detail, stack: row.stack as string | null });
  }
  for (const row of actions) {
    const among = Number(row.count) > 1 ? `one of ${String(row.count)} jobs` : null;
    const detail = [row.reason as string | null, among].filter((part) => part !== null).join("; ");
    entries.push({ ...entry, at: row.at as Date, what: String(row.action), who: String(row.actor), detail: detail === "" ? null : detail });
  }
  // An attempt that succeeded, or that runs, is on the job itself.
  if (job.startedAt !== null && ["processing", "done"].includes(job.status)) entries.push({ ...entry, at: job.startedAt, what: "started", attempt: job.attempts, who: worker });
  if (job.finishedAt !== null && job.status === "done") entries.push({ ...entry, at: job.finishedAt, what: "done", attempt: job.attempts, who: worker });
  return entries.sort((a, b) => a.at.getTime() - b.at.getTime());
}

export function summaryOf(row: Row): JobSummary {
  // The columns' types are those of the table.
  return {
    id: row.id as string,
    type: row.type as string,
    status: row.status as Status,
    attempts: row.attempts as number,
    maxAttempts: row.max_attempts as number,
    priority: row.priority as number,
    runAt: instant(row.run_at),
    createdAt: instant(row.created_at),
    startedAt: row.started_at as Date | null,
    finishedAt: row.finished_at as Date | null,
    lastError: row.last_error as string | null,
    owner: row.owner as string | null,
    dedupeKey: row.dedupe_key as string | null,
    orderingKey: row.ordering_key as string | null,
    tags: (row.tags ?? []) as string[],
    progress: row.progress as number | null,
    progressNote: row.progress_note as string | null,
  };
}

/** pg gives infinity as a number; as a Date it is the end of time. */
function instant(value: unknown): Date {
  return value instanceof Date ? value : new Date(8.64e15);
}
