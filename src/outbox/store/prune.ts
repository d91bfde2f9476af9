// SQL that deletes what has been finished for long enough. No index knows when jobs finished, for every job would pay for
// it; the primary key knows, near enough, when they were made. So it is walked in steps. Next: ../maintenance.ts.

import type { Sql } from "../database.ts";
import type { RetentionMs } from "../retention.ts";

/** Ids from `after` to `before`, both exclusive. */
export interface IdRange {
  readonly after: string;
  readonly before: string;
}

export interface Looked {
  /** How many jobs were looked at; fewer than were allowed means that the range has come to its end. */
  readonly looked: number;
  /** The last of them: where the next step begins. */
  readonly lastId: string | null;
  readonly done: number;
  readonly cancelled: number;
  readonly dead: number;
}

const leastId = "00000000-0000-0000-0000-000000000000";
const greatestId = "ffffffff-ffff-ffff-ffff-ffffffffffff";

const idOf = (instant: string) => `(lpad(to_hex(greatest(0, extract(epoch from ${instant}) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid`;

/**
 * The ids among which there may be jobs that finished more than `shortestMs` ago. Ids of our own making are ordered by
 * time, and what was made since then cannot have finished before it: that part is left out. Ids that others have drawn
 * at random lie below and above it.
 */
export async function rangesToWalk(sql: Sql, shortestMs: number): Promise<IdRange[]> {
  const [row] = await sql.query(
    `select ${idOf("statement_timestamp() - $1::float8 * interval '1 millisecond'")} as made_then,
       ${idOf("statement_timestamp()")} as made_now`,
    [shortestMs],
  );
  return [
    { after: leastId, before: String(row?.made_then) },
    { after: String(row?.made_now), before: greatestId },
  ];
}

// What keeps a finished job: its retention; a line of jobs that waits behind it until a human has looked; a dedupe key
// that it was promised to hold for longer. One without finished_at was not finished by us, and nobody knows when it was.
const due = `
      finished_at < statement_timestamp() - interval '1 millisecond' * case status
        when 'done' then $4::float8
        when 'cancelled' then $5::float8
        when 'error' then $6::float8
      end
      and not (status = 'error' and block_on_dead and ordering_key is not null)
      and (dedupe_key is null or dedupe_released or dedupe_until is null or dedupe_until <= statement_timestamp())`;

/** `looked (id, ctid, status, is_due)`: the next jobs of the range, whatever they are, and never more than the limit. */
const looked = (condition: string) => `
  looked as materialized (
    select id, ctid, status, (${due}) as is_due
    from outbox
    where id > $1 and id < $2 and ${condition}
    order by id
    limit $3
  )`;

const summary = (rows: string) => `
  (select count(*) from looked)::integer as looked,
  (select id from looked order by id desc limit 1) as last_id,
  (select count(*) from ${rows} where status = 'done')::integer as done,
  (select count(*) from ${rows} where status = 'cancelled')::integer as cancelled,
  (select count(*) from ${rows} where status = 'error')::integer as dead`;

/**
 * Looks at the next `looks` jobs of the range and deletes, with their ledger of attempts, up to `deletes` of those that
 * are due; one that somebody has locked is left for another time. Null, and nothing done, while another prune takes a
 * step. Belongs in a transaction.
 */
export async function pruneStep(tx: Sql, { after, before }: IdRange, retention: RetentionMs, looks: number, deletes: number): Promise<Looked | null> {
  await planWithoutValues(tx);
  const [row] = await tx.query(
    `with turn as materialized (
       -- Two numbers are a kind of key of their own: no ordering key's lock can meet it.
       select pg_try_advisory_xact_lock('outbox'::regclass::oid::integer, 1) as mine
     ),
     ${looked("(select mine from turn)")},
     locked as materialized (
       select ctid
       from outbox
       where ctid = any (array(select ctid from looked where is_due))
         -- Asked again of the row as it is once it is locked. One that was redriven since would not be deleted anyway,
         -- for this statement does not see its new version; but that is a thin thread for a delete to hang by.
         and ${due}
       limit $7
       for update skip locked
     ),
     deleted as (
       delete from outbox
       where ctid = any (array(select ctid from locked))
       returning status
     )
     select (select mine from turn) as mine, ${summary("deleted")}`,
    [after, before, looks, retention.done, retention.cancelled, retention.dead, deletes],
  );
  return row?.mine === true ? lookedOf(row) : null;
}

/** Looks at the next jobs of the range as `pruneStep` does and deletes none. `first` are the first of those that are due. */
export async function previewStep(tx: Sql, { after, before }: IdRange, retention: RetentionMs, looks: number, samples: number): Promise<Looked & { first: string[] }> {
  await planWithoutValues(tx);
  const [row = {}] = await tx.query(
    `with ${looked("true")},
     found as (
       select id, status from looked where is_due
     )
     select array(select id from found order by id limit $7) as first, ${summary("found")}`,
    [after, before, looks, retention.done, retention.cancelled, retention.dead, samples],
  );
  return { ...lookedOf(row), first: row.first as string[] }; // an array of uuid
}

/**
 * Planned without its values, a range of ids is read in the order of the primary key, up to the limit. Planned for them,
 * it may look cheaper to read the range to its end and sort it, for each step anew.
 */
async function planWithoutValues(tx: Sql): Promise<void> {
  await tx.query("set local plan_cache_mode = force_generic_plan");
}

function lookedOf(row: Record<string, unknown>): Looked {
  return { looked: Number(row.looked), lastId: row.last_id as string | null, done: Number(row.done), cancelled: Number(row.cancelled), dead: Number(row.dead) };
}

export type PrunedSample = Readonly<{ id: string; type: string; status: string; attempts: number; finishedAt: Date }>;

/** What people need in order to recognise these jobs; no payloads. */
export async function samplesOf(sql: Sql, ids: readonly string[]): Promise<PrunedSample[]> {
  const rows = await sql.query(
    `select id, type, status, attempts, finished_at as "finishedAt"
     from outbox
     where id = any ($1)
     order by id`,
    [ids],
  );
  return rows as unknown as PrunedSample[]; // the columns named above
}

/** Writes the deleted jobs into the ledger of actions: a new row, or, once there is one, more on its count. Gives back its id. */
export async function recordPrune(
  tx: Sql,
  action: { readonly id: string | null; readonly actor: string; readonly filter: object; readonly reason: string | null },
  count: number,
): Promise<string> {
  const [row] =
    action.id === null
      ? await tx.query(
          `insert into outbox_action (actor, action, filter, count, reason)
           values ($1, 'prune', $2::text::jsonb, $3, $4)
           returning id`,
          [action.actor, JSON.stringify(action.filter), count, action.reason],
        )
      : await tx.query(
          `update outbox_action
           set count = count + $2
           where id = $1
           returning id`,
          [action.id, count],
        );
  return String(row?.id);
}
