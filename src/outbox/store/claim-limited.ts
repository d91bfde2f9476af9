// The claim of types that are limited or paused. A claimer locks the type's row (gate.ts) and only then looks at what is
// running: a statement of its own, whose snapshot shows what the claimer before has committed. That is why this claim
// is a short transaction and not one statement. Next: claim-by-key.ts.

import { jittered } from "../backoff.ts";
import type { Database, Sql } from "../database.ts";
import type { ClaimedJob } from "../job.ts";
import type { Claim } from "./claim.ts";
import { claimedJob, take } from "./claim.ts";
import { takeByKey } from "./claim-by-key.ts";
import { firstDue } from "./first-due.ts";
import { enterGate, soonMs } from "./gate.ts";
import { spend } from "./limits.ts";

export interface LimitedClaim {
  readonly jobs: ClaimedJob[];
  /** When it is worth asking again: 0 when there may be more now, null when only a finished job, a person or a new due job can help. */
  readonly retryInMs: number | null;
}

/** How soon to ask again when many keys were looked at and none had room, while others were left out. */
const laterMs = 100;

/**
 * Takes up to `limit` due jobs of one type: as many as its pause, its concurrency and its rate leave room for, counted
 * over all workers. With concurrency by key the keys take turns, and priority counts among the jobs of one key.
 */
export async function claimLimited(database: Database, claim: Claim, type: string, limit: number): Promise<LimitedClaim> {
  return database.transaction(async (tx) => {
    const gate = await enterGate(tx, type);
    if (!gate.open) return { jobs: [], retryInMs: gate.retryInMs };
    const wanted = Math.min(limit, gate.tokens);
    const { concurrency, byKey, lastKey } = gate;
    const { jobs, lookedAtAll } =
      byKey && concurrency !== null
        ? await takeByKey(tx, claim, type, wanted, { concurrency, lastKey })
        : { jobs: await takeFirst(tx, claim, type, wanted, concurrency), lookedAtAll: true };
    if (jobs.length === limit) return { jobs, retryInMs: 0 };
    if (jobs.length === wanted) return { jobs, retryInMs: gate.nextTokenMs };
    return { jobs, retryInMs: lookedAtAll ? null : jittered(jobs.length > 0 ? soonMs : laterMs) };
  });
}

const running = (and = "") => `(select count(*) from outbox as running where running.status = 'processing' and running.type = $3 ${and})`;

const claimFirst = `
  with picked as materialized (
    select ctid
    from ${firstDue("type = $3", "$4")} as due
    limit case when $5::int is null then $4::int else greatest(least($4::int, $5::int - ${running()}), 0) end
  ),
  ${spend("rate_limit is not null and exists (select from picked)")},
  ${take("picked")}`;

async function takeFirst(tx: Sql, claim: Claim, type: string, limit: number, concurrency: number | null): Promise<ClaimedJob[]> {
  const rows = await tx.query(claimFirst, [claim.worker, claim.token, type, limit, concurrency]);
  return rows.map((row) => claimedJob(row, claim));
}

const claimOneSuspect = `
  with picked as materialized (
    select ctid
    from outbox
    where status = 'pending'
      and suspect
      and run_at <= statement_timestamp()
      and type is not distinct from $3 -- no index on it: see claim.ts
      and ($4::int is null or $4::int > ${running("and (not $5::boolean or running.concurrency_key is not distinct from outbox.concurrency_key)")})
    order by run_at, id
    limit 1
    for no key update skip locked
  ),
  ${spend("rate_limit is not null and exists (select from picked)")},
  ${take("picked")}`;

/** Takes one due job of the type that a worker died of, to be run while nothing else is, if the type leaves room for it. */
export async function claimLimitedSuspect(database: Database, claim: Claim, type: string): Promise<ClaimedJob[]> {
  return database.transaction(async (tx) => {
    const gate = await enterGate(tx, type);
    if (!gate.open) return [];
    const rows = await tx.query(claimOneSuspect, [claim.worker, claim.token, type, gate.concurrency, gate.byKey]);
    return rows.map((row) => claimedJob(row, claim));
  });
}
