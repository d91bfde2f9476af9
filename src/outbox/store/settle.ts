// SQL that writes what became of claimed jobs. Every statement names the fence: id, worker, token, and status
// 'processing'. Zero rows for a job means that the lease was lost, and then nothing of the attempt is written.

import type { Sql } from "../database.ts";
import type { Lease } from "../job.ts";

/** One job's new state, as the statement takes it. */
export interface Settlement {
  readonly lease: Lease;
  readonly status: "done" | "pending" | "error";
  /** Due again after this many milliseconds; null leaves `run_at` as it is. */
  readonly delayMs: number | null;
  /** False gives the attempt back. */
  readonly counted: boolean;
  /** JSON text, or null. */
  readonly result: string | null;
  /** What goes into the ledger of attempts; null for an attempt that succeeded or was given back. */
  readonly entry: {
    readonly outcome: "retried" | "dead" | "timed_out" | "snoozed";
    /** Null for what is no failure. */
    readonly errorClass: string | null;
    readonly message: string | null;
    readonly stack: string | null;
    /** The trace that the attempt was part of. */
    readonly traceId?: string | null;
  } | null;
}

/** Writes all of them, each only if its fence still holds, together with the ledger of failures. Gives back the ids that were written. */
export async function settleJobs(sql: Sql, settlements: readonly Settlement[]): Promise<Set<string>> {
  const sorted = [...settlements].sort((a, b) => (a.lease.jobId < b.lease.jobId ? -1 : 1)); // two that settle the same jobs meet in the same order
  const rows = await sql.query(
    `with outcome as materialized (
       select * from jsonb_to_recordset($1::text::jsonb) as outcome (
         id uuid, worker uuid, token bigint, status text, delay_ms bigint, counted boolean, result jsonb,
         outcome text, error_class text, message text, stack text, trace_id text)
     ),
     settled as (
       update outbox
       set status = outcome.status,
           attempts = attempts - case when outcome.counted then 0 else 1 end,
           run_at = coalesce(clock_timestamp() + outcome.delay_ms * interval '1 millisecond', run_at),
           updated_at = clock_timestamp(),
           finished_at = case when outcome.status in ('done', 'error') then clock_timestamp() end,
           suspect = suspect and not outcome.counted,
           last_error = case
             when outcome.status = 'done' then null
             when outcome.error_class is null then last_error
             else outcome.error_class || ': ' || outcome.message
           end,
           result = outcome.result
       from outcome
       -- No plain "=": the planner shall have only the primary key to look the rows up by (see exchange.ts).
       where outbox.id = any (array[outcome.id])
         and outbox.locked_by is not distinct from outcome.worker
         and outbox.lease_token is not distinct from outcome.token
         and outbox.status is not distinct from 'processing'
       returning outbox.id, outbox.attempts, outbox.started_at
     ),
     ledger as (
       insert into outbox_attempt (job_id, attempt, outcome, worker, started_at, error_class, message, stack, trace_id)
       select settled.id, settled.attempts + case when outcome.counted then 0 else 1 end, outcome.outcome, outcome.worker, settled.started_at, outcome.error_class, outcome.message, outcome.stack, outcome.trace_id
       from settled
       join outcome using (id)
       where outcome.outcome is not null
     )
     select id from settled`,
    [`[${sorted.map(outcomeJson).join(",")}]`],
  );
  return new Set(rows.map((row) => String(row.id)));
}

/**
 * Finds those that have been settled already as they say: asked when the answer to a settlement, or to the commit of
 * one, got lost on the way. A rescue and a reset by hand leave the names of the fence in the row, so those alone prove
 * nothing: the status must be the one that was to be written, and the ledger must have its entry, or none of a rescue.
 */
export async function findSettled(sql: Sql, settlements: readonly Settlement[]): Promise<Set<string>> {
  const rows = await sql.query(
    `select outbox.id
     from jsonb_to_recordset($1::text::jsonb) as asked (id uuid, worker uuid, token bigint, status text, outcome text, counted boolean)
     join outbox on outbox.id = any (array[asked.id]) and outbox.locked_by = asked.worker and outbox.lease_token = asked.token
     where outbox.status = asked.status
       and (asked.outcome is not null) = exists (
         select from outbox_attempt as entry
         where entry.job_id = outbox.id
           and entry.attempt = outbox.attempts + case when asked.outcome is null or asked.counted then 0 else 1 end
           and entry.worker = asked.worker
           and entry.outcome = coalesce(asked.outcome, 'lost')
       )`,
    [JSON.stringify(settlements.map(({ lease, status, counted, entry }) => ({ id: lease.jobId, worker: lease.worker, token: lease.token, status, counted, outcome: entry?.outcome ?? null })))],
  );
  return new Set(rows.map((row) => String(row.id)));
}

function outcomeJson({ lease, status, delayMs, counted, result, entry }: Settlement): string {
  const columns = {
    id: lease.jobId,
    worker: lease.worker,
    token: lease.token,
    status,
    delay_ms: delayMs,
    counted,
    outcome: entry?.outcome ?? null,
    error_class: entry?.errorClass ?? null,
    message: entry?.message ?? null,
    stack: entry?.stack ?? null,
    trace_id: entry?.traceId ?? null,
  };
  // The result is JSON text already; it is put in as it is rather than parsed and written again.
  return `${JSON.stringify(columns).slice(0, -1)},"result":${result ?? "null"}}`;
}
