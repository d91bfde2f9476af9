// What people ask of the types: which there are, what waits and what runs, who has paused them and what limits them.

import type { Sql } from "./database.ts";
import type { TypeLimits } from "./limits.ts";
import { holds, isPaused, tokensAt } from "./store/limits.ts";
import { everyLane } from "./store/skips.ts";

/** Pending jobs of a type are counted up to this number, so that a backlog of millions costs no more. */
export const maxCounted = 10_000;

export interface TypeState extends TypeLimits {
  /** Pending jobs; 10,000 means so many or more. */
  readonly pending: number;
  readonly running: number;
  /** When the next pending job is due: in the past when one is due now, null when none is pending. */
  readonly nextDueAt: Date | null;
  /** Null: not paused. */
  readonly pausedAt: Date | null;
  /** Null: until somebody resumes it. */
  readonly pausedUntil: Date | null;
  readonly pausedBy: string | null;
  readonly pauseReason: string | null;
  /** Attempts that may begin at this moment; null without a rate limit. */
  readonly tokens: number | null;
  /** A receiver has asked to wait (Retry-After), or the circuit breaker is open; null when neither, or the time is over. */
  readonly blockedUntil: Date | null;
  /** Open: its jobs wait until `blockedUntil`. Half-open: one at a time is tried, until one succeeds. */
  readonly breaker: "closed" | "open" | "half-open";
}

/**
 * Every type that has pending or running jobs, a pause or limits, by name. Skips from lane to lane through the index
 * outbox_lanes; only the jobs that are counted are read one by one.
 */
export async function listTypes(sql: Sql): Promise<TypeState[]> {
  const rows = await sql.query(
    `with recursive ${everyLane},
     waiting as (
       select type, min(head) as next_due_at from lane group by type
     ),
     running as (
       select type, count(*)::int as jobs from outbox where status = 'processing' group by type
     ),
     held as (
       select *, ${isPaused("outbox_type")} as paused
       from outbox_type
       where ${holds("outbox_type")}
     )
     select
       type,
       (select count(*)::int from (select from outbox where status = 'pending' and outbox.type = known.type limit ${maxCounted}) as counted) as pending,
       coalesce(running.jobs, 0) as running,
       waiting.next_due_at,
       case when held.paused then held.paused_at end as paused_at,
       case when held.paused then held.paused_until end as paused_until,
       case when held.paused then held.paused_by end as paused_by,
       case when held.paused then held.pause_reason end as pause_reason,
       held.concurrency,
       coalesce(held.concurrency_by_key, false) as concurrency_by_key,
       held.rate_limit,
       held.rate_ms::float8 as rate_ms,
       floor(${tokensAt("held", "statement_timestamp()")}) as tokens,
       case when greatest(held.blocked_until, held.breaker_until) > statement_timestamp() then greatest(held.blocked_until, held.breaker_until) end as blocked_until,
       case
         when held.breaker_until > statement_timestamp() then 'open'
         when held.breaker_opened > 0 then 'half-open'
         else 'closed'
       end as breaker
     from (select type from waiting union select type from running union select type from held) as known
     left join waiting using (type)
     left join running using (type)
     left join held using (type)
     order by type`,
  );
  // The columns' types are those of the table.
  return rows.map((row) => ({
    type: String(row.type),
    pending: Number(row.pending),
    running: Number(row.running),
    nextDueAt: row.next_due_at as Date | null,
    pausedAt: row.paused_at as Date | null,
    pausedUntil: row.paused_until as Date | null,
    pausedBy: row.paused_by as string | null,
    pauseReason: row.pause_reason as string | null,
    concurrency: row.concurrency as number | null,
    concurrencyByKey: row.concurrency_by_key === true,
    rateLimit: row.rate_limit as number | null,
    rateMs: row.rate_ms as number | null,
    tokens: row.tokens as number | null,
    blockedUntil: row.blocked_until as Date | null,
    breaker: row.breaker as TypeState["breaker"],
  }));
}
