// What people ask of the workers: which there are, whether they live, what they know and what they run.

import type { Sql } from "./database.ts";

export interface ListedWorker {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** Of postcommit. */
  readonly version: string;
  readonly types: readonly string[];
  /** The newest version of each of `types` that it knows; null: its handler is not loaded yet. */
  readonly versions: readonly (number | null)[];
  readonly startedAt: Date;
  readonly beatAt: Date;
  /** Since its latest beat, by the database's clock. */
  readonly silentMs: number;
  readonly leaseMs: number;
  /** False: silent for longer than its lease. The next drain or worker that looks returns its jobs. */
  readonly alive: boolean;
  /** Jobs that it is running. */
  readonly running: number;
  /** Since when it has been running the one that it claimed first; null: none. */
  readonly oldestRunningAt: Date | null;
  /** It sleeps, and an enqueue wakes it. */
  readonly listening: boolean;
  /** What it alone does, such as the drain of `--exclusive`. */
  readonly locks: readonly string[];
}

/** Every worker and drain that has a row, longest-lived first. Reads the jobs that are running, no others. */
export async function listWorkers(sql: Sql): Promise<ListedWorker[]> {
  const rows = await sql.query(
    `with running as (
       select locked_by, count(*)::int as jobs, min(updated_at) as oldest_at
       from outbox
       where status = 'processing'
       group by locked_by
     )
     select worker.id, host, pid, version, types, versions, started_at, beat_at, lease_ms, listening,
       extract(epoch from clock_timestamp() - beat_at)::float8 * 1000 as silent_ms,
       beat_at >= clock_timestamp() - lease_ms * interval '1 millisecond' as alive,
       coalesce(running.jobs, 0) as running,
       running.oldest_at,
       array(select name from outbox_lock where outbox_lock.worker = worker.id order by name) as locks
     from outbox_worker as worker
     left join running on running.locked_by = worker.id
     order by started_at, worker.id`,
  );
  // The columns' types are those of the tables.
  return rows.map((row) => {
    const types = (row.types ?? []) as string[];
    const versions = (row.versions ?? []) as (number | null)[];
    return {
      id: String(row.id),
      host: String(row.host),
      pid: Number(row.pid),
      version: String(row.version),
      types,
      versions: types.map((_, index) => versions[index] ?? null),
      startedAt: row.started_at as Date,
      beatAt: row.beat_at as Date,
      silentMs: Math.max(0, Math.round(Number(row.silent_ms))),
      leaseMs: Number(row.lease_ms),
      alive: row.alive === true,
      running: Number(row.running),
      oldestRunningAt: row.oldest_at as Date | null,
      listening: row.listening === true,
      locks: row.locks as string[],
    };
  });
}
