// The statement of the busy path: what became of the last batch, and the next batch, in one round trip and one commit.

import type { Sql } from "../database.ts";
import type { ClaimedJob, Lease } from "../job.ts";
import type { Claim } from "./claim.ts";
import { claimed, claimedJob } from "./claim.ts";
import { isHeld } from "./limits.ts";

/** A job that is done, as the statement takes it. */
export interface Done {
  readonly lease: Lease;
  /** JSON text, or null. */
  readonly result: string | null;
}

/** Where a claim begins in a lane: at the first row after this one. A hint, never the truth: rows may appear behind it. */
export interface Cursor {
  /** As `utc()` of store/claim.ts writes it, or "-infinity". */
  readonly runAt: string;
  readonly id: string;
}

export interface Lane {
  readonly type: string;
  readonly priority: number;
}

export interface Exchange {
  /** The ids of those whose lease was lost: nothing was written for them. */
  readonly lost: ReadonlySet<string>;
  /** In the order in which they are to start: greater priority first, oldest first within it. */
  readonly jobs: { readonly job: ClaimedJob; readonly at: Cursor }[];
}

// "is not distinct from" in the fence, and no plain "=": no index can serve it, so that the planner has only the primary
// key to find the rows by. With "=" and old statistics it goes through outbox_processing and its dead entries. And "= any"
// for the id, by which rows can be looked up but not merged: a plan made while the table was small would read the whole
// primary key in its order, and be kept while the table grows.
const settledThenClaimed = `
  with done as materialized (
    select * from unnest($3::uuid[], $4::bigint[], $5::text[]) as done (id, token, result)
  ),
  settled as (
    update outbox
    set status = 'done',
        updated_at = clock_timestamp(),
        finished_at = clock_timestamp(),
        suspect = false,
        last_error = null,
        result = done.result::jsonb
    from done
    where outbox.id = any (array[done.id])
      and outbox.locked_by is not distinct from $1
      and outbox.lease_token is not distinct from done.token
      and outbox.status is not distinct from 'processing'
    returning outbox.id
  ),
  settlement as materialized (
    select
      array(select id from done where id not in (select id from settled)) as lost,
      -- A claim alone need not wait for the disk. Should the server crash before it is written, the job is pending again,
      -- and whoever has begun it meanwhile finds its fence gone. What settles anything waits.
      case when cardinality($3::uuid[]) = 0 then set_config('synchronous_commit', 'off', true) end as durability
  ),
  picked as materialized (
    select job.ctid
    -- In the order given, whatever way the planner finds to leave types out: the limit below takes what comes first.
    from (
      select *
      from unnest($6::text[], $7::smallint[], $8::timestamptz[], $9::uuid[], $11::integer[]) with ordinality as offered (type, priority, run_at, id, skip, nth)
      where not ${isHeld("offered.type")}
      order by nth
    ) as lane
    -- Behind what other claims are expected to take. Only counted, not locked: whatever is locked from there on is passed
    -- over for what follows it, so that nobody who holds some rows for long holds up the lane.
    left join lateral (
      select run_at, id
      from outbox
      where lane.skip > 0
        and status = 'pending'
        and type = lane.type
        and priority = lane.priority
        and run_at <= statement_timestamp()
        and (run_at, id) > (lane.run_at, lane.id)
        and not suspect
      order by run_at, id
      offset greatest(lane.skip - 1, 0)
      limit 1
    ) as passed on true
    cross join lateral (
      select ctid
      from outbox
      where status = 'pending'
        and type = lane.type
        and priority = lane.priority
        and run_at <= statement_timestamp()
        and (run_at, id) > (coalesce(passed.run_at, lane.run_at), coalesce(passed.id, lane.id))
        and not suspect
      order by run_at, id
      limit $10
      for no key update skip locked
    ) as job
    -- The settlement comes first, to its end. A claim may lock a row that it then leaves, because somebody else has
    -- just claimed it; whoever held such a lock while waiting to settle could stand in a ring with another who does.
    where (select lost is not null from settlement)
    limit $10
  ),
  ${claimed("picked")}
  select settlement.lost, claimed.*
  from settlement
  left join claimed on true`;

/**
 * Settles jobs that are done, each only if its fence still holds; then takes up to `limit` due jobs from the lanes in the
 * order given, passing over the first `skip` of each, every job for exactly one claimer, and counts their attempts. Types
 * with a pause or a limit are left alone, and a worker that has been buried takes nothing.
 */
export async function exchange(
  sql: Sql,
  claim: Claim,
  done: readonly Done[],
  lanes: readonly (Lane & { readonly from: Cursor; readonly skip?: number })[],
  limit: number,
): Promise<Exchange> {
  // In the order of their ids, so that two that settle the same jobs meet in the same order.
  const sorted = [...done].sort((a, b) => (a.lease.jobId < b.lease.jobId ? -1 : 1));
  const rows = await sql.query(settledThenClaimed, [
    claim.worker,
    claim.token,
    sorted.map(({ lease }) => lease.jobId),
    sorted.map(({ lease }) => lease.token),
    sorted.map(({ result }) => result),
    lanes.map(({ type }) => type),
    lanes.map(({ priority }) => priority),
    lanes.map(({ from }) => instantOf(from)),
    lanes.map(({ from }) => from.id),
    limit,
    lanes.map(({ skip = 0 }) => skip),
  ]);
  const jobs = rows
    .filter((row) => row.id !== null)
    .map((row) => ({ job: claimedJob(row, claim), at: { runAt: row.run_at as string, id: row.id as string } }))
    .sort((a, b) => b.job.priority - a.job.priority || compareCursors(a.at, b.at));
  return { lost: new Set(rows[0]?.lost as string[]), jobs };
}

/** A cursor's instant as text that Postgres reads, whatever the session's time zone. */
export function instantOf({ runAt }: Cursor): string {
  return runAt.endsWith("infinity") ? runAt : `${runAt}Z`;
}

export function compareCursors(a: Cursor, b: Cursor): number {
  if (a.runAt !== b.runAt) return a.runAt < b.runAt ? -1 : 1;
  return a.id === b.id ? 0 : a.id < b.id ? -1 : 1;
}
