// The job as its next attempt would be given it. It is read and nothing more.

import type { Sql } from "../../outbox/database.ts";
import type { ClaimedJob, Status } from "../../outbox/job.ts";

export interface StoredJob {
  readonly status: Status;
  /** Attempts so far. */
  readonly attempts: number;
  readonly job: ClaimedJob;
}

const nobody = "00000000-0000-0000-0000-000000000000";

/** Null: there is no such job. A dead letter is given an attempt more, as its retry gives it one. */
export async function readStoredJob(sql: Sql, id: string): Promise<StoredJob | null> {
  const [row] = await sql.query(
    `select id, type, payload, status, priority, attempts, max_attempts, run_at, created_at, owner, ordering_key, last_error, suspect, checkpoint, version
     from outbox
     where id = $1`,
    [id],
  );
  if (row === undefined) return null;
  // The columns' types are those of the table.
  const attempts = row.attempts as number;
  const attempt = row.status === "processing" ? Math.max(attempts, 1) : attempts + 1;
  return {
    status: row.status as Status,
    attempts,
    job: {
      id,
      type: row.type as string,
      payload: row.payload,
      priority: row.priority as number,
      attempt,
      maxAttempts: Math.max(row.max_attempts as number, attempt),
      runAt: row.run_at as Date,
      createdAt: row.created_at as Date,
      startedAt: new Date(),
      owner: row.owner as string | null,
      orderingKey: row.ordering_key as string | null,
      lastError: row.last_error as string | null,
      suspect: row.suspect as boolean,
      checkpoint: row.checkpoint,
      version: row.version as number,
      lease: { jobId: id, worker: nobody, token: 0 },
    },
  };
}
