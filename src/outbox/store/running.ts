// SQL by which a running attempt says something of its job. Each statement names the fence, as those of settle.ts do: no
// row back means that the lease was lost, and that nothing was written.

import type { Sql } from "../database.ts";
import type { Lease } from "../job.ts";

/** The job of the lease, if the lease still holds: $1 is its id, $2 the worker, $3 the token. */
const held = `
       where id = $1
         and locked_by is not distinct from $2
         and lease_token is not distinct from $3
         and status is not distinct from 'processing'`;

const fence = ({ jobId, worker, token }: Lease) => [jobId, worker, token];

/** Stores how far the job is. False: the lease was lost. */
export async function writeProgress(sql: Sql, lease: Lease, percent: number, note: string | null): Promise<boolean> {
  const rows = await sql.query(
    `update outbox
     set progress = $4, progress_note = $5, updated_at = clock_timestamp()
     ${held}
     returning id`,
    [...fence(lease), percent, note],
  );
  return rows.length === 1;
}

/** Stores where the job is to go on from, JSON text. False: the lease was lost. */
export async function writeCheckpoint(sql: Sql, lease: Lease, checkpoint: string): Promise<boolean> {
  const rows = await sql.query(
    `update outbox
     set checkpoint = $4::text::jsonb, updated_at = clock_timestamp()
     ${held}
     returning id`,
    [...fence(lease), checkpoint],
  );
  return rows.length === 1;
}

/** Of these leases those that hold no longer, with the status that their jobs have now; "gone" for one that was deleted. */
export async function findTaken(sql: Sql, leases: readonly Lease[]): Promise<Map<string, string>> {
  const rows = await sql.query(
    `select held.id, coalesce(outbox.status, 'gone') as status
     from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as held (id, worker, token)
     left join outbox on outbox.id = any (array[held.id])
     where not coalesce(outbox.status = 'processing' and outbox.locked_by = held.worker and outbox.lease_token = held.token, false)`,
    [leases.map(({ jobId }) => jobId), leases.map(({ worker }) => worker), leases.map(({ token }) => token)],
  );
  return new Map(rows.map((row) => [String(row.id), String(row.status)]));
}

/** An effect as the ledger has it. */
export interface Effect {
  readonly name: string;
  /** "in doubt": it was begun, and nobody knows whether it happened. */
  readonly state: "begun" | "done" | "in doubt";
  /** The attempt that began it. */
  readonly attempt: number;
  readonly result: unknown;
}

/** Writes down that an effect begins, unless the ledger has it already: then that is given back, and nothing written. */
export async function beginEffect(sql: Sql, lease: Lease, name: string, attempt: number): Promise<{ readonly held: boolean; readonly earlier: Effect | null }> {
  const [row] = await sql.query(
    `with job as materialized (
       select id
       from outbox
       ${held}
       for key share
     ),
     begun as (
       insert into outbox_effect (job_id, name, state, attempt)
       select id, $4, 'begun', $5
       from job
       on conflict (job_id, name) do nothing
     )
     select exists (select from job) as held, earlier.*
     from (select) as one
     left join outbox_effect as earlier on earlier.job_id = $1 and earlier.name = $4`,
    [...fence(lease), name, attempt],
  );
  // The columns' types are those of the table.
  const earlier = row?.state == null ? null : { name, state: row.state as Effect["state"], attempt: row.attempt as number, result: row.result };
  return { held: row?.held === true, earlier };
}

/** Writes down what became of an effect: its result, JSON text, or that it is in doubt. False: the lease was lost. */
export async function endEffect(sql: Sql, lease: Lease, name: string, state: "done" | "in doubt", result: string | null): Promise<boolean> {
  const rows = await sql.query(
    `update outbox_effect
     set state = $5, result = $6::text::jsonb, ended_at = clock_timestamp()
     where job_id = (
       select id
       from outbox
       ${held}
     )
       and name = $4
     returning name`,
    [...fence(lease), name, state, result],
  );
  return rows.length === 1;
}

/** Takes an effect that did not happen out of the ledger. */
export async function withdrawEffect(sql: Sql, lease: Lease, name: string): Promise<void> {
  await sql.query(
    `delete from outbox_effect
     where job_id = (
       select id
       from outbox
       ${held}
     )
       and name = $4
       and state = 'begun'`,
    [...fence(lease), name],
  );
}
