// What every claim has in common: how picked rows become claimed jobs. The claim of the busy path travels with the
// settlement of the batch before it: exchange.ts. Those of limited types are in claim-limited.ts.

import type { Row, Sql } from "../database.ts";
import type { ClaimedJob } from "../job.ts";
import type { Trace } from "../tracing.ts";
import { isHeld } from "./limits.ts";

/** `claimed (…)`: the rows whose addresses are in `picked` become jobs of worker $1 under token $2, the attempt counted. */
export const claimed = (picked: string) => `
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
    returning id, type, payload, priority, attempts, max_attempts, owner, ordering_key, last_error, suspect, checkpoint, version,
      traceparent || coalesce(' ' || tracestate, '') as trace,
      ${utc("run_at")} as run_at, ${utc("created_at")} as created_at, ${utc("started_at")} as started_at
  )`;

/** The same as a whole statement's end: greater priority first, oldest first within it. */
export const take = (picked: string) => `
  ${claimed(picked)}
  select * from claimed order by priority desc, run_at, id`;

/** SQL for an instant as text with its microseconds, which a Date has not, in a form that sorts and that needs no session's time zone. */
export function utc(instant: string): string {
  return `((${instant}) at time zone 'UTC')::text`;
}

// "for no key update": "for update skip locked" would skip a job while any transaction inserts a row that refers to it.
// statement_timestamp() and not clock_timestamp(): a volatile function cannot be an index condition.

const claimOneSuspect = `
  with picked as materialized (
    select ctid
    from outbox
    -- Not "type = any": with old statistics the few suspects would be looked for among all jobs of the types.
    where status = 'pending' and suspect and run_at <= statement_timestamp() and array_position($3::text[], type) is not null
      and not ${isHeld("outbox.type")}
    order by run_at, id
    limit 1
    for no key update skip locked
  ),
  ${take("picked")}`;

export interface Claim {
  readonly worker: string;
  /** Greater than that of every claim before it. */
  readonly token: number;
}

/** Takes one due job that a worker died of, to be run while nothing else is. */
export async function claimSuspect(sql: Sql, claim: Claim, types: readonly string[]): Promise<ClaimedJob[]> {
  const rows = await sql.query(claimOneSuspect, [claim.worker, claim.token, types]);
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

export function claimedJob(row: Row, claim: Claim): ClaimedJob {
  // The columns' types are those of the table; this is the one place where rows become jobs.
  return {
    id: row.id as string,
    type: row.type as string,
    payload: row.payload,
    priority: row.priority as number,
    attempt: row.attempts as number,
    maxAttempts: row.max_attempts as number,
    runAt: instant(row.run_at as string),
    createdAt: instant(row.created_at as string),
    startedAt: instant(row.started_at as string),
    owner: row.owner as string | null,
    orderingKey: row.ordering_key as string | null,
    lastError: row.last_error as string | null,
    suspect: row.suspect as boolean,
    checkpoint: row.checkpoint,
    version: row.version as number,
    trace: row.trace === null ? null : traceOf(row.trace as string),
    lease: { jobId: row.id as string, worker: claim.worker, token: claim.token },
  };
}

/** One column where most jobs have none: the parent and, behind a space, the state. */
function traceOf(text: string): Trace {
  const space = text.indexOf(" ");
  return space === -1 ? { traceparent: text, tracestate: null } : { traceparent: text.slice(0, space), tracestate: text.slice(space + 1) };
}

function instant(text: string): Date {
  return new Date(`${text.replace(" ", "T")}Z`);
}
