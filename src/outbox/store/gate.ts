// The gate before the jobs of a limited type: one claimer at a time, and only when there is something to be had.

import { jittered } from "../backoff.ts";
import type { Sql } from "../database.ts";
import { lanesOf } from "./first-due.ts";
import { isPaused, tokensAt } from "./limits.ts";

export type Gate =
  | {
      readonly open: false;
      /** When it is worth asking again; null: only a person or a new due job can help. */
      readonly retryInMs: number | null;
    }
  | {
      readonly open: true;
      readonly concurrency: number | null;
      readonly byKey: boolean;
      /** The concurrency key that was served last. */
      readonly lastKey: string | null;
      /** Attempts that may begin now; without a rate limit, infinitely many. */
      readonly tokens: number;
      /** How long until one more may, when these are spent. */
      readonly nextTokenMs: number;
    };

/** How soon to ask again for what another claimer is about to let go. */
export const soonMs = 20;
/** While one job tries whether the receiver is back, the others of its type are asked for so often. */
const probeMs = 200;
/** A claimer that falls silent in the middle loses its connection after this time, and the lock with it. */
const silentMs = 5000;

const lockType = `
  with recursive ${lanesOf("type = $1")},
  due as materialized (
    select exists (select from lane where head <= statement_timestamp()) as found
  )
  select
    due.found,
    exists (select from outbox_type where type = $1) as known,
    held.*,
    set_config('idle_in_transaction_session_timeout', '${silentMs}', true),
    -- Statistics from a moment when everything was running must not make what follows read the whole table, nor a large
    -- limit have it compiled first: many short index scans look dear to the planner, and are not.
    set_config('enable_seqscan', 'off', true),
    set_config('jit', 'off', true)
  from due
  left join lateral (
    select
      concurrency,
      concurrency_by_key as by_key,
      last_key,
      ${isPaused("held")} as paused,
      extract(epoch from paused_until - statement_timestamp())::float8 * 1000 as paused_ms,
      extract(epoch from greatest(blocked_until, breaker_until, statement_timestamp()) - statement_timestamp())::float8 * 1000 as blocked_ms,
      breaker_opened > 0 as half_open,
      ${tokensAt("held", "statement_timestamp()")} as tokens,
      rate_ms::float8 / rate_limit as token_ms
    from outbox_type as held
    where type = $1 and due.found
    for no key update skip locked
  ) as held on true`;

/** Locks the type's row to the end of the transaction, if jobs are due, nobody else has it and it lets somebody in. */
export async function enterGate(tx: Sql, type: string): Promise<Gate> {
  const [row] = await tx.query(lockType, [type]);
  if (row?.found !== true || row.known !== true) return { open: false, retryInMs: null };
  if (row.by_key === null) return { open: false, retryInMs: jittered(soonMs) };
  const blockedMs = Math.ceil(Number(row.blocked_ms));
  if (row.paused === true) return { open: false, retryInMs: row.paused_ms === null ? null : Math.max(Math.ceil(Number(row.paused_ms)), blockedMs) };
  if (blockedMs > 0) return { open: false, retryInMs: blockedMs };

  const limited = row.tokens !== null;
  const tokens = limited ? Math.floor(Number(row.tokens)) : Number.POSITIVE_INFINITY;
  const nextTokenMs = limited ? Math.ceil((tokens + 1 - Number(row.tokens)) * Number(row.token_ms)) : 0;
  if (tokens < 1) return { open: false, retryInMs: nextTokenMs };
  // Whether the receiver is back is tried with one job: it closes the breaker, or opens it again.
  if (row.half_open === true) return { open: true, concurrency: 1, byKey: false, lastKey: null, tokens: 1, nextTokenMs: probeMs };
  return {
    open: true,
    concurrency: row.concurrency as number | null, // the columns named above
    byKey: row.by_key === true,
    lastKey: row.last_key as string | null,
    tokens,
    nextTokenMs,
  };
}
