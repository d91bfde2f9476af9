// SQL that takes jobs for a worker. One lane for each type and priority; the index outbox_lanes holds every lane in
// order, so a claim reads the heads of the lanes and the rows that it takes, and nothing else.

import type { Sql } from "../database.ts";
import type { ClaimedJob } from "../job.ts";
import { lanes } from "./lanes.ts";

const take = (picked: string) => `
  claimed as (
    update outbox
    set status = 'processing',
        attempts = attempts + 1,
        locked_by = $1,
        lease_token = $2,
        started_at = clock_timestamp(),
        updated_at = clock_timestamp()
    -- By the address of rows that this statement has locked: there is no join for the planner to get wrong.
    where ctid = any (array(select ctid from ${picked}))
      and exists (select from outbox_worker where id = $1)
    returning id, type, payload, priority, attempts, max_attempts, run_at, created_at, started_at, owner, last_error, suspect
  )
  select * from claimed order by priority desc, run_at, id`;

// "for no key update": "for update skip locked" would skip a job while any transaction inserts a row that refers to it.
// statement_timestamp() and not clock_timestamp(): a volatile function cannot be an index condition.

const claimDue = `
  with recursive ${lanes("$3")},
  offered as (
    select type, priority
    from lane
    where head <= statement_timestamp()
    order by priority desc, head
  ),
  picked as materialized (
    select job.ctid
    from offered
    cross join lateral (
      select ctid
      from outbox
      where status = 'pending'
        and type = offered.type
        and priority = offered.priority
        and run_at <= statement_timestamp()
        and not suspect
      order by run_at, id
      limit $4
      for no key update skip locked
    ) as job
    limit $4
  ),
  ${take("picked")}`;

const claimOneSuspect = `
  with picked as materialized (
    select ctid
    from outbox
    where status = 'pending' and suspect and run_at <= statement_timestamp() and type = any ($3)
    order by run_at, id
    limit 1
    for no key update skip locked
  ),
  ${take("picked")}`;

export interface Claim {
  readonly worker: string;
  /** Greater than that of every claim before it. */
  readonly token: number;
  readonly types: readonly string[];
}

/**
 * Takes up to `limit` due jobs, greater priority first, oldest first within it, each for exactly one claimer, and
 * counts the attempt. A worker that has been buried takes nothing.
 */
export async function claimJobs(sql: Sql, claim: Claim, limit: number): Promise<ClaimedJob[]> {
  const rows = await sql.query(claimDue, [claim.worker, claim.token, claim.types, limit]);
  return rows.map((row) => claimedJob(row, claim));
}

/** Takes one due job that a worker died of, to be run while nothing else is. */
export async function claimSuspect(sql: Sql, claim: Claim): Promise<ClaimedJob[]> {
  const rows = await sql.query(claimOneSuspect, [claim.worker, claim.token, claim.types]);
  return rows.map((row) => claimedJob(row, claim));
}

/**
 * Gives back, uncounted, whatever was taken by a claim whose answer never arrived. Its token is named by nothing else,
 * so no job that is being run is touched.
 */
export async function unclaim(sql: Sql, worker: string, token: number): Promise<number> {
  const rows = await sql.query(
    `update outbox
     set status = 'pending', attempts = attempts - 1, updated_at = clock_timestamp()
     where status = 'processing' and locked_by = $1 and lease_token = $2
     returning id`,
    [worker, token],
  );
  return rows.length;
}

function claimedJob(row: Record<string, unknown>, claim: Claim): ClaimedJob {
  // The columns' types are those of the table; this is the one place where rows become jobs.
  return {
    id: row.id as string,
    type: row.type as string,
    payload: row.payload,
    priority: row.priority as number,
    attempt: row.attempts as number,
    maxAttempts: row.max_attempts as number,
    runAt: row.run_at as Date,
    createdAt: row.created_at as Date,
    startedAt: row.started_at as Date,
    owner: row.owner as string | null,
    lastError: row.last_error as string | null,
    suspect: row.suspect as boolean,
    lease: { jobId: row.id as string, worker: claim.worker, token: claim.token },
  };
}
