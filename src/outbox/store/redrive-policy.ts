// SQL of the automatic redrive. Each dead letter of a type has its turn once, in the order in which they died: a row of
// outbox_redrive says how far that is. So no pass reads again what earlier ones have decided about.

import type { Sql } from "../database.ts";
import type { RedrivePolicy } from "../redrive-policy.ts";
import { shownDuration } from "../retention.ts";

/** The place of a dead letter among those of its type. */
export interface Place {
  /** As text, for a Date would cut its microseconds off. */
  readonly finishedAt: string;
  readonly id: string;
}

export interface DeadJob {
  readonly id: string;
  readonly orderingKey: string | null;
}

/** Who redrives, in the ledger. What stands there is counted by `atMost`. */
export const redriveActor = "redrive policy";

/** Dead letters that are looked at for one batch, at most. */
const looks = 1000;
/** A dead letter that somebody holds is waited for, by its turn, for so long. */
const patienceMs = 600_000;

/**
 * Takes the turn of a type to the end of the transaction. Null: another has it, or nobody had one before; then it begins
 * with the jobs whose time comes from now on. Those that died long before the policy came are for people.
 */
export async function takeTurn(tx: Sql, { type, afterMs }: RedrivePolicy): Promise<Place | null> {
  await tx.query(`select set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true), set_config('lock_timeout', '5000', true), set_config('idle_in_transaction_session_timeout', '5000', true)`);
  const [row] = await tx.query(
    `select to_jsonb(finished_at) as finished_at, job_id
     from outbox_redrive
     where type = $1
     for no key update skip locked`,
    [type],
  );
  if (row !== undefined) return { finishedAt: String(row.finished_at), id: String(row.job_id) };
  await tx.query(
    `insert into outbox_redrive (type, finished_at, job_id)
     select $1, clock_timestamp() - $2::float8 * interval '1 millisecond', '00000000-0000-0000-0000-000000000000'
     -- One that is there and locked would be waited for.
     where not exists (select from outbox_redrive where type = $1)
     on conflict (type) do nothing`,
    [type, afterMs],
  );
  return null;
}

/**
 * Locks up to `limit` of the dead letters from the place on that the policy is for. Left out are those it has redriven as
 * often as it may, those with another error, and those whose dedupe key a later job has taken over. One that somebody else
 * holds, or whose ordering key somebody is enqueuing for, keeps its turn: `upTo` stops before it.
 */
export async function lockDead(tx: Sql, { type, afterMs, atMost, only }: RedrivePolicy, from: Place, limit: number): Promise<{ jobs: DeadJob[]; upTo: Place | null; more: boolean }> {
  const rows = await tx.query(
    `with looked as materialized (
       select id, finished_at, ordering_key, sequence, block_on_dead, dedupe_released
       from outbox
       where status = 'error'
         and type = $1
         and (finished_at, id) > ($2::timestamptz, $3::uuid)
         and finished_at <= statement_timestamp() - $4::float8 * interval '1 millisecond'
       order by finished_at, id
       limit ${looks}
     ),
     meant as materialized (
       select *
       from looked
       where not dedupe_released
         and (
           select count(*)
           from outbox_action_job
           join outbox_action on outbox_action.id = outbox_action_job.action_id
           where outbox_action_job.job_id = looked.id and outbox_action.actor = '${redriveActor}'
         ) < $5
         and ($6::text[] is null or (
           select error_class from outbox_attempt where job_id = looked.id order by id desc limit 1
         ) = any ($6))
       order by finished_at, id
       limit $7
     ),
     -- To join a line one holds the lock of its key. Whoever has it may keep it for as long as his transaction lasts.
     lines as materialized (
       select id
       from outbox_key_lock
       where id = any (array(select outbox_key_lock(ordering_key) from meant where ordering_key is not null and not block_on_dead))
       for no key update skip locked
     ),
     locked as materialized (
       select id
       from outbox
       where id = any (array(
           select id
           from meant
           where ordering_key is null
             or block_on_dead
             or outbox_key_lock(ordering_key) in (select id from lines)
             or not exists (select from outbox_key_lock where id = outbox_key_lock(meant.ordering_key))
         ))
         -- Asked again of the row as it is once it is locked. No plain "=", which the planner would look for by an index.
         and status is not distinct from 'error'
         and not dedupe_released
       for no key update skip locked
     ),
     held as (
       select finished_at, id
       from meant
       where id not in (select id from locked) and finished_at > statement_timestamp() - ($4::float8 + ${patienceMs}) * interval '1 millisecond'
       order by finished_at, id
       limit 1
     ),
     -- Decided are all before the first that is held. A full batch may have left some undecided behind its last.
     decided as (
       select finished_at, id
       from looked
       where ((select count(*) from meant) < $7 or (finished_at, id) <= (select finished_at, id from meant order by finished_at desc, id desc limit 1))
         and not exists (select from held where (held.finished_at, held.id) <= (looked.finished_at, looked.id))
     )
     select
       (select jsonb_agg(jsonb_build_object('id', meant.id, 'orderingKey', ordering_key) order by ordering_key collate "C" nulls first, sequence, finished_at, meant.id) from meant join locked using (id)) as jobs,
       (select jsonb_build_object('finishedAt', finished_at, 'id', id) from decided order by finished_at desc, id desc limit 1) as up_to,
       not exists (select from held) and ((select count(*) from looked) = ${looks} or (select count(*) from meant) = $7) as more`,
    [type, from.finishedAt, from.id, afterMs, atMost, only, limit],
  );
  const [row] = rows;
  // The shapes that are built above.
  return { jobs: (row?.jobs ?? []) as DeadJob[], upTo: (row?.up_to ?? null) as Place | null, more: row?.more === true };
}

/**
 * Makes them pending, due now, with attempts added to those they have used; and writes it into the ledger. Jobs of an
 * ordering key join its line one after the other, as they stood in it before: see the trigger outbox_reopen.
 */
export async function reopen(tx: Sql, policy: RedrivePolicy, jobs: readonly DeadJob[]): Promise<void> {
  if (jobs.length === 0) return;
  const inLines = jobs.filter(({ orderingKey }) => orderingKey !== null);
  const others = jobs.filter(({ orderingKey }) => orderingKey === null);
  for (const ids of [others.map(({ id }) => id), ...inLines.map(({ id }) => [id])]) {
    if (ids.length === 0) continue;
    await tx.query(
      `update outbox
       set status = 'pending', max_attempts = greatest(max_attempts, attempts + $2)
       where id = any ($1)`,
      [ids, policy.attempts],
    );
  }
  const { type, afterMs, atMost, only, attempts } = policy;
  await tx.query(
    `with action as (
       insert into outbox_action (actor, action, filter, change, count)
       values ('${redriveActor}', 'jobs:retry', $2::text::jsonb, $3::text::jsonb, $4)
       returning id
     ),
     about as (
       insert into outbox_action_job (job_id, action_id)
       select job, action.id
       from unnest($1::uuid[]) as job
       cross join action
     )
     select case when exists (select from outbox_worker where listening) then pg_notify('outbox', '') end from action`,
    [jobs.map(({ id }) => id), JSON.stringify({ type, status: "error", after: shownDuration(afterMs), atMost, ...(only && { only }) }), JSON.stringify({ status: "pending", attempts }), jobs.length],
  );
}

/** Says how far the turn went. */
export async function endTurn(tx: Sql, type: string, { finishedAt, id }: Place): Promise<void> {
  await tx.query(
    `update outbox_redrive
     set finished_at = $2::text::timestamptz, job_id = $3
     where type = $1`,
    [type, finishedAt, id],
  );
}
