// The jobs of a test's database, read through whatever the test has in hand.

import type { Sql } from "../outbox/database.ts";
import type { Status } from "../outbox/job.ts";

/** A job as the table has it. */
export interface StoredJob<Payload = unknown> {
  readonly id: string;
  readonly type: string;
  /** The validated input, before the contract's defaults and transforms. */
  readonly payload: Payload;
  readonly status: Status;
  /** Greater runs first; "high" is 10, "normal" 0, "low" -10. */
  readonly priority: number;
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly runAt: Date;
  readonly createdAt: Date;
  /** When it became done, error or cancelled; null before. */
  readonly finishedAt: Date | null;
  readonly owner: string | null;
  readonly orderingKey: string | null;
  readonly dedupeKey: string | null;
  /** "ErrorClass: message" of the latest failure. */
  readonly lastError: string | null;
  /** What the handler has returned; null when nothing. */
  readonly result: unknown;
}

/** So many are read, the newest. A test's database has fewer. */
const maxJobs = 10_000;

/** All jobs that `sql` sees, oldest first: inside a transaction those of the transaction itself too. */
export async function storedJobs(sql: Sql): Promise<StoredJob[]> {
  // One JSON text a job: clients differ in what they make of uuid, jsonb and times, but not in what they make of text.
  const rows = await sql.query(
    `select jsonb_build_object(
       'id', id, 'type', type, 'payload', payload, 'status', status, 'priority', priority,
       'attempts', attempts, 'maxAttempts', max_attempts,
       'runAt', run_at, 'createdAt', created_at, 'finishedAt', finished_at,
       'owner', owner, 'orderingKey', ordering_key, 'dedupeKey', dedupe_key, 'lastError', last_error, 'result', result
     )::text as job
     from outbox
     order by created_at desc, id desc
     limit ${maxJobs}`,
  );
  return rows.map(({ job }) => read(String(job))).reverse();
}

function read(json: string): StoredJob {
  const job = JSON.parse(json) as Omit<StoredJob, "runAt" | "createdAt" | "finishedAt"> & { runAt: string; createdAt: string; finishedAt: string | null }; // the object built above
  return { ...job, runAt: new Date(job.runAt), createdAt: new Date(job.createdAt), finishedAt: job.finishedAt === null ? null : new Date(job.finishedAt) };
}

/** One line for a message: what it is, and how it stands. */
export function shownJob({ type, payload, status, lastError }: StoredJob): string {
  const text = JSON.stringify(payload);
  return `${type} ${text.length > 300 ? `${text.slice(0, 300)}…` : text} (${status}${lastError === null ? "" : `: ${lastError}`})`;
}
