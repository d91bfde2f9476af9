// SQL of what operators do to jobs. Each change, its row in the ledger of actions and which jobs it was about are one statement.

import type { Sql } from "../database.ts";
import type { Selection } from "../filter.ts";
import type { Status } from "../job.ts";
import { conditionsOf, hasStatus } from "./selection.ts";

export interface JobAction {
  readonly selection: Selection;
  /** Jobs in another status are left as they are. */
  readonly from: readonly Status[];
  readonly actor: string;
  readonly reason: string | null;
  /** What selected them, as JSON text, for the ledger. */
  readonly filter: string;
}

/** A later job holds the dedupe key of this one: it must not run beside it. See the trigger outbox_retake_key. */
const keyTaken = `
  outbox.dedupe_released and exists (
    select from outbox as holder
    where holder.type = outbox.type
      and holder.dedupe_key = outbox.dedupe_key
      and holder.dedupe_key is not null
      and not holder.dedupe_released
      and (holder.dedupe_until > clock_timestamp() or holder.dedupe_until is null and holder.status not in ('done', 'error', 'cancelled'))
  )`;

/** Pending jobs that are due already have nothing to be retried. */
const notDueYet = `(outbox.status <> 'pending' or outbox.run_at > clock_timestamp())`;

const retriable = `${notDueYet} and not (${keyTaken})`;

const ringAfter = (changed: string) => `case when exists (select from ${changed}) and exists (select from outbox_worker where listening) then pg_notify('outbox', '') end`;

/** The end of a change: one row in the ledger of actions if anything was changed, and which jobs it was about. $1 to $4 are actor, reason, filter and change. */
const inLedger = (action: string) => `
  action as (
    insert into outbox_action (actor, action, filter, change, count, reason)
    select $1, '${action}', $3::text::jsonb, $4::text::jsonb, (select count(*) from changed), $2
    where exists (select from changed)
    returning id
  ),
  about as (
    insert into outbox_action_job (job_id, action_id)
    select changed.id, action.id
    from changed
    cross join action
  )`;

/**
 * Makes jobs due now, with at least `attempts` more of them, and wakes the workers that sleep. Those whose dedupe key a
 * later job holds are left out; of several that would take the same key, the newest goes. Gives back how many were changed.
 */
export async function retryJobs(sql: Sql, { selection, from, actor, reason, filter }: JobAction, attempts: number): Promise<number> {
  const where = conditionsOf(selection, 6);
  const [row] = await sql.query(
    `with candidate as materialized (
       select id, type, dedupe_key, dedupe_released and (dedupe_until is null or dedupe_until > clock_timestamp()) as takes_key
       from outbox
       where ${where.sql}
         and ${hasStatus(from)}
         and ${retriable}
       order by id
       for no key update
     ),
     chosen as materialized (
       select id
       from (select id, takes_key, row_number() over (partition by takes_key, type, dedupe_key order by id desc) as nth from candidate) as ranked
       where not takes_key or nth = 1
     ),
     changed as (
       update outbox
       set status = 'pending',
           run_at = clock_timestamp(),
           max_attempts = greatest(max_attempts, attempts + $5::integer),
           updated_at = clock_timestamp()
       where id = any (array(select id from chosen))
       returning id
     ),
     ${inLedger("jobs:retry")}
     select (select count(*)::int from changed) as count, ${ringAfter("changed")}`,
    [actor, reason, filter, JSON.stringify({ status: "pending", attempts }), attempts, ...where.values],
  );
  return Number(row?.count ?? 0);
}

/**
 * Cancels jobs that have not ended. What runs has lost its lease by it: nothing of that attempt is written any more, and
 * the ledger of attempts has its entry. Gives back how many were changed, and how many of them were running.
 */
export async function cancelJobs(sql: Sql, { selection, from, actor, reason, filter }: JobAction): Promise<{ count: number; running: number }> {
  const where = conditionsOf(selection, 5);
  const [row] = await sql.query(
    `with chosen as materialized (
       select id, status = 'processing' as running
       from outbox
       where ${where.sql}
         and ${hasStatus(from)}
       order by id
       for no key update
     ),
     changed as (
       update outbox
       set status = 'cancelled', finished_at = clock_timestamp(), updated_at = clock_timestamp()
       where id = any (array(select id from chosen))
       returning id, attempts, locked_by, started_at
     ),
     stopped as (
       insert into outbox_attempt (job_id, attempt, outcome, worker, started_at, message)
       select changed.id, changed.attempts, 'cancelled', changed.locked_by, changed.started_at, 'cancelled by ' || $1::text || coalesce(': ' || $2::text, '')
       from changed
       join chosen using (id)
       where chosen.running
     ),
     ${inLedger("jobs:cancel")}
     select count(*)::int as count, count(*) filter (where chosen.running)::int as running
     from changed
     join chosen using (id)`,
    [actor, reason, filter, JSON.stringify({ status: "cancelled" }), ...where.values],
  );
  return { count: Number(row?.count ?? 0), running: Number(row?.running ?? 0) };
}

/** What a change would be about: the ids of the first few, newest first, how many in all, and how many of those run. */
export async function previewAction(sql: Sql, { selection, from }: Pick<JobAction, "selection" | "from">, action: "retry" | "cancel", samples: number): Promise<{ count: number; running: number; ids: string[] }> {
  const where = conditionsOf(selection, 2);
  const rows = await sql.query(
    `with chosen as materialized (
       select id, status = 'processing' as running
       from outbox
       where ${where.sql}
         and ${hasStatus(from)}
         ${action === "retry" ? `and ${retriable}` : ""}
     )
     select total.count, total.running, first.id
     from (select count(*)::int as count, count(*) filter (where running)::int as running from chosen) as total
     left join (select id from chosen order by id desc limit $1) as first on true`,
    [samples, ...where.values],
  );
  return { count: Number(rows[0]?.count ?? 0), running: Number(rows[0]?.running ?? 0), ids: rows.flatMap(({ id }) => (typeof id === "string" ? [id] : [])) };
}

/** How many jobs of the selection cannot be retried because a later one holds their dedupe key. */
export async function countKeysTaken(sql: Sql, { selection, from }: Pick<JobAction, "selection" | "from">): Promise<number> {
  const where = conditionsOf(selection);
  const [row] = await sql.query(
    `select count(*)::int as count
     from outbox
     where ${where.sql}
       and ${hasStatus(from)}
       and ${keyTaken}`,
    where.values,
  );
  return Number(row?.count ?? 0);
}
