// SQL about the limits of types: one row of outbox_type for each type that has any, the same truth for all workers.
// Next: claim-limited.ts (the claim that keeps them), pauses.ts (what people add).

import type { Sql } from "../database.ts";
import type { TypeLimits } from "../limits.ts";

/** SQL that is true while the pause of `row`, a row of outbox_type, holds. One whose time is over does not. */
export const isPaused = (row: string) => `(${row}.paused_at is not null and (${row}.paused_until is null or ${row}.paused_until > statement_timestamp()))`;

/** SQL that is true while `row`, a row of outbox_type, holds its type back: by a limit, a circuit breaker or a pause. */
export const holds = (row: string) => `(${row}.concurrency is not null or ${row}.rate_limit is not null or ${row}.breaker_opened > 0 or ${isPaused(row)})`;

/** SQL that is true while `type`, an expression, is limited or paused: then claimLimited alone may claim it. */
export const isHeld = (type: string) => `exists (select from outbox_type as held where held.type = ${type} and ${holds("held")})`;

/**
 * SQL for the tokens of `row`, a row of outbox_type, at the instant `at`: those it had and what has come since, as many
 * as the limit at most. A clock that was set back brings none.
 */
export const tokensAt = (row: string, at: string) =>
  `least(${row}.rate_limit, ${row}.tokens + greatest(extract(epoch from ${at} - ${row}.refilled_at)::float8, 0) * 1000 * ${row}.rate_limit / ${row}.rate_ms)`;

/**
 * SQL of one update of the type's row ($3) for one claim, `picked`: what it spends and which key it served last. A
 * worker ($1) that has been buried takes nothing, and so spends nothing.
 */
export const spend = (which: string, lastKey = "last_key") => `
  spent as (
    update outbox_type
    set tokens = ${tokensAt("outbox_type", "statement_timestamp()")} - (select count(*) from picked),
        refilled_at = case when rate_limit is not null then statement_timestamp() end,
        last_key = ${lastKey}
    where type = $3
      and ${which}
      and exists (select from outbox_worker where id = $1)
  )`;

/**
 * Makes the limits of these types known to all workers; a type that comes without any loses those it had. What people
 * have paused stays paused. A changed rate keeps its tokens as far as they fit: a restart is no new bucket.
 */
export async function declareLimits(sql: Sql, limits: readonly TypeLimits[]): Promise<void> {
  await sql.query(
    `insert into outbox_type as known (type, concurrency, concurrency_by_key, rate_limit, rate_ms, tokens, refilled_at)
     select type, declared.concurrency, declared.by_key, declared.rate_limit, declared.rate_ms, declared.rate_limit,
       case when declared.rate_limit is not null then clock_timestamp() end
     from jsonb_to_recordset($1::text::jsonb) as declared (type text, concurrency integer, by_key boolean, rate_limit integer, rate_ms bigint)
     left join outbox_type using (type)
     -- A program that says what the last one said writes nothing, and waits for no claim.
     where (declared.concurrency, declared.by_key, declared.rate_limit, declared.rate_ms)
       is distinct from (outbox_type.concurrency, coalesce(outbox_type.concurrency_by_key, false), outbox_type.rate_limit, outbox_type.rate_ms)
     -- Programs that start at once lock the rows in one order.
     order by type
     on conflict (type) do update
     set concurrency = excluded.concurrency,
         concurrency_by_key = excluded.concurrency_by_key,
         rate_limit = excluded.rate_limit,
         rate_ms = excluded.rate_ms,
         tokens = case when excluded.rate_limit is not null then least(excluded.rate_limit, ${tokensAt("known", "clock_timestamp()")}) end,
         refilled_at = case when excluded.rate_limit is not null then clock_timestamp() end,
         blocked_until = case when excluded.rate_limit is not null then known.blocked_until end`,
    [JSON.stringify(limits.map((each) => ({ type: each.type, concurrency: each.concurrency, by_key: each.concurrencyByKey, rate_limit: each.rateLimit, rate_ms: each.rateMs })))],
  );
}

/**
 * A receiver has asked to wait: no worker claims the type for `ms` from now. Never shortens a wait, and touches only
 * types with a rate limit: for others the job alone waits.
 */
export async function blockType(sql: Sql, type: string, ms: number): Promise<void> {
  await sql.query(
    `update outbox_type
     set blocked_until = greatest(blocked_until, clock_timestamp() + $2::float8 * interval '1 millisecond')
     where type = $1
       and rate_limit is not null
       and (blocked_until is null or blocked_until < clock_timestamp() + $2::float8 * interval '1 millisecond')`,
    [type, ms],
  );
}

/**
 * Opens the circuit breaker of a type: no worker claims a job of it for `pauseMs`, twice as long each time it opens in a
 * row, 64 times at most. Gives back until when; null: it is open already.
 */
export async function openBreaker(sql: Sql, type: string, pauseMs: number): Promise<Date | null> {
  const [row] = await sql.query(
    `insert into outbox_type as known (type, breaker_opened, breaker_until)
     values ($1, 1, clock_timestamp() + $2::float8 * interval '1 millisecond')
     on conflict (type) do update
     set breaker_opened = known.breaker_opened + 1,
         breaker_until = clock_timestamp() + $2::float8 * power(2, least(known.breaker_opened, 6)) * interval '1 millisecond'
     where known.breaker_until is null or known.breaker_until <= clock_timestamp()
     returning breaker_until`,
    [type, pauseMs],
  );
  return (row?.breaker_until ?? null) as Date | null;
}

/** Closes the circuit breaker of a type. False: it was closed. */
export async function closeBreaker(sql: Sql, type: string): Promise<boolean> {
  const rows = await sql.query(
    `update outbox_type
     set breaker_opened = 0, breaker_until = null
     where type = $1 and breaker_opened > 0
     returning type`,
    [type],
  );
  return rows.length === 1;
}
