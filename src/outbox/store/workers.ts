// SQL about the workers themselves, and about the jobs of those that died. A worker is alive as long as it has a row.

import type { Row, Sql } from "../database.ts";

export interface WorkerIdentity {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly types: readonly string[];
  /** The newest version of each type that it knows; null: not known yet. */
  readonly versions: readonly (number | null)[];
  readonly leaseMs: number;
}

/** Makes the worker known, before its first claim. */
export async function registerWorker(sql: Sql, worker: WorkerIdentity): Promise<void> {
  await sql.query(
    `insert into outbox_worker (id, host, pid, version, types, versions, lease_ms)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [worker.id, worker.host, worker.pid, worker.version, worker.types, worker.versions, worker.leaseMs],
  );
}

/** A sign of life. False: the worker has been buried, and its jobs belong to others. */
export async function beat(sql: Sql, worker: string, versions: readonly (number | null)[]): Promise<boolean> {
  const rows = await sql.query(`update outbox_worker set beat_at = clock_timestamp(), versions = $2 where id = $1 returning id`, [worker, versions]);
  return rows.length > 0;
}

/** From here on this connection hears the doorbell. */
export async function listen(sql: Sql): Promise<void> {
  await sql.query("listen outbox");
}

/** Enqueues ring the doorbell while any worker wants it: see the trigger outbox_ring. */
export async function setListening(sql: Sql, worker: string, on: boolean): Promise<void> {
  await sql.query(`update outbox_worker set listening = $2 where id = $1`, [worker, on]);
}

/** Takes leave. Jobs it still had are rescued by the next worker that looks. False: it had been buried already. */
export async function removeWorker(sql: Sql, worker: string): Promise<boolean> {
  const rows = await sql.query(`delete from outbox_worker where id = $1 returning id`, [worker]);
  return rows.length > 0;
}

/** Removes the workers that have been silent for longer than their lease. A beat in the same moment wins. */
export async function buryWorkers(sql: Sql): Promise<{ id: string; host: string; pid: number }[]> {
  const rows = await sql.query(
    `delete from outbox_worker
     where beat_at < clock_timestamp() - lease_ms * interval '1 millisecond'
     returning id, host, pid`,
  );
  return rows as { id: string; host: string; pid: number }[]; // the columns named above
}

/** The lock goes to this worker, unless another has it. It is given up with the worker's row. */
export async function takeLock(sql: Sql, name: string, worker: string): Promise<boolean> {
  const rows = await sql.query(
    `insert into outbox_lock (name, worker)
     values ($1, $2)
     on conflict (name) do nothing
     returning name`,
    [name, worker],
  );
  return rows.length === 1;
}

export interface Rescue {
  readonly returned: number;
  readonly dead: { readonly id: string; readonly type: string; readonly attempt: number; readonly lastError: string }[];
}

/**
 * Returns up to `limit` jobs that are 'processing' for a worker that has no row: due again at once, marked as suspects,
 * or dead letters when their attempts are used up. The attempt stays counted and gets its entry in the ledger.
 */
export async function rescueJobs(sql: Sql, limit: number): Promise<Rescue> {
  const rows = await sql.query(
    `with lost as materialized (
       select job.ctid
       from outbox as job
       where job.status = 'processing'
         and not exists (select from outbox_worker where id = job.locked_by)
       limit $1
       for no key update of job skip locked
     ),
     rescued as (
       update outbox
       set status = case when attempts >= max_attempts then 'error' else 'pending' end,
           finished_at = case when attempts >= max_attempts then clock_timestamp() end,
           updated_at = clock_timestamp(),
           suspect = attempts < max_attempts,
           last_error = 'WorkerDied: the worker died during attempt ' || attempts || ' of ' || max_attempts
       where ctid = any (array(select ctid from lost))
       returning id, type, status, attempts, locked_by, started_at, last_error, traceparent
     ),
     ledger as (
       insert into outbox_attempt (job_id, attempt, outcome, worker, started_at, error_class, message, trace_id)
       select id, attempts, 'lost', locked_by, started_at, 'WorkerDied', last_error, substring(traceparent from '^00-([0-9a-f]{32})-')
       from rescued
     )
     select id, type, status, attempts, last_error from rescued`,
    [limit],
  );
  const dead = rows.filter((row) => row.status === "error");
  return { returned: rows.length - dead.length, dead: dead.map(deadLetter) };
}

function deadLetter(row: Row): Rescue["dead"][number] {
  return { id: String(row.id), type: String(row.type), attempt: Number(row.attempts), lastError: String(row.last_error) };
}
