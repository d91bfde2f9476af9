// The claim of a type whose concurrency counts for each concurrency key by itself. Keys take turns: a claim begins behind
// the key that was served last and goes round. It skips from key to key through the index outbox_concurrency_keys, so a
// key with very many jobs costs as much as one with a few.

import type { Sql } from "../database.ts";
import type { ClaimedJob } from "../job.ts";
import type { Claim } from "./claim.ts";
import { claimedJob, take } from "./claim.ts";
import { firstDue, lanesOf } from "./first-due.ts";
import { spend } from "./limits.ts";

/** So many steps from key to key are made by one claim, at most. */
const maxSteps = 500;
/** So many jobs of a lane are looked at in one go for those without a concurrency key, at most. */
const maxLooked = 1000;

/** Keys with room, in turn; the key null is that of jobs without one. */
interface KeysWithRoom {
  readonly keys: readonly (string | null)[];
  readonly rooms: readonly number[];
  /** The last key that was looked at. */
  readonly lastKey: string | null;
  /** All keys were looked at. */
  readonly wentRound: boolean;
}

// A step goes to the key's next priority while what it has looked at is not due, else to the next key; behind the last
// key come the jobs without one, then the keys from the beginning to where it began.
const walkKeys = `
  with recursive running as materialized (
    -- One document, in which a key is found at once, however many are running.
    select jsonb_object_agg(key, jobs) as jobs
    from (
      select coalesce('=' || concurrency_key, 'none') as key, count(*) as jobs
      from outbox
      where status = 'processing' and type = $1
      group by concurrency_key
    ) as counted
  ),
  walk (step, lap, key, priority, head, room, found) as (
    select 0, 1, $2::text, null::smallint, null::timestamptz, 0, 0
    union all
    select walk.step + 1, next.lap, next.key, next.priority, next.head, free.room, walk.found + (free.room > 0 and next.key is not null)::int
    from walk
    cross join lateral (
      (
        select walk.lap, concurrency_key, priority, run_at
        from outbox
        where status = 'pending' and type = $1 and concurrency_key = walk.key and priority < walk.priority and walk.head > statement_timestamp()
        order by priority desc, run_at, id
        limit 1
      )
      union all
      (
        select walk.lap, concurrency_key, priority, run_at
        from outbox
        where status = 'pending' and type = $1 and concurrency_key > walk.key
        order by concurrency_key, priority desc, run_at, id
        limit 1
      )
      union all
      select 2, null, null, null where walk.lap = 1
      union all
      (
        select walk.lap, concurrency_key, priority, run_at
        from outbox
        where status = 'pending' and type = $1 and concurrency_key is not null and walk.lap = 2 and walk.key is null
        order by concurrency_key, priority desc, run_at, id
        limit 1
      )
      limit 1
    ) as next (lap, key, priority, head)
    cross join lateral (
      select case
        when next.head > statement_timestamp() then 0
        else greatest($3::int - coalesce((select jobs from running) ->> coalesce('=' || next.key, 'none'), '0')::int, 0)
      end as room
    ) as free
    where walk.step < ${maxSteps}
      and walk.found < $4::int
      and (next.lap = 1 or next.key is null or next.key <= $2::text)
  )
  select
    coalesce(array_agg(key order by step) filter (where room > 0), '{}') as keys,
    coalesce(array_agg(room order by step) filter (where room > 0), '{}') as rooms,
    (array_agg(key order by step desc))[1] as last_key,
    max(step) < ${maxSteps} and max(found) < $4::int as went_round
  from walk`;

async function keysWithRoom(tx: Sql, type: string, after: string | null, concurrency: number, limit: number): Promise<KeysWithRoom> {
  const [row] = await tx.query(walkKeys, [type, after ?? "", concurrency, limit]);
  return {
    keys: row?.keys as (string | null)[], // the columns named above, of one row
    rooms: row?.rooms as number[],
    lastKey: row?.last_key as string | null,
    wentRound: row?.went_round === true,
  };
}

// Jobs without a key have no index of their own: they were stored before the contract had one, or by raw SQL. They are
// looked for at the heads of the lanes and then from some instant on, so that no crowd before them hides them for ever.
const keyless = `(
  with recursive ${lanesOf("type = $3")},
  searched as (
    select priority, head + luck * (statement_timestamp() - head) as since
    from lane
    cross join (values (0), (random())) as start (luck)
    where head <= statement_timestamp()
    order by luck, priority desc
  )
  select ctid
  from outbox
  where status = 'pending'
    and ctid = any (array(
      select looked.ctid
      from searched
      cross join lateral (
        select ctid, concurrency_key
        from outbox
        where status = 'pending'
          and type = $3
          and priority = searched.priority
          and run_at >= searched.since
          and run_at <= statement_timestamp()
          and not suspect
        order by run_at, id
        limit ${maxLooked}
      ) as looked
      where looked.concurrency_key is null
      limit offered.room
    ))
  for no key update skip locked
)`;

const claimOfKeys = `
  with offered as (
    select key, room, turn from unnest($4::text[], $5::int[]) with ordinality as offered (key, room, turn)
  ),
  picked as materialized (
    select job.ctid, offered.key, offered.turn
    from offered
    cross join lateral (
      select ctid from ${firstDue("type = $3 and concurrency_key = offered.key", "offered.room")} as due
      union all
      select ctid from ${keyless} as due where offered.key is null
    ) as job
    limit $6
  ),
  ${spend("true", "case when (select count(*) from picked) < $6 then $7 else (select key from picked order by turn desc limit 1) end")},
  ${take("picked")}`;

/** Takes up to `limit` due jobs, at most `concurrency` of a key with those that run. `lookedAtAll` is false when keys were left out. */
export async function takeByKey(
  tx: Sql,
  claim: Claim,
  type: string,
  limit: number,
  { concurrency, lastKey }: { concurrency: number; lastKey: string | null },
): Promise<{ jobs: ClaimedJob[]; lookedAtAll: boolean }> {
  const found = await keysWithRoom(tx, type, lastKey, concurrency, limit);
  if (found.keys.length === 0 && found.wentRound) return { jobs: [], lookedAtAll: true };
  const rows = await tx.query(claimOfKeys, [claim.worker, claim.token, type, found.keys, found.rooms, limit, found.lastKey]);
  return { jobs: rows.map((row) => claimedJob(row, claim)), lookedAtAll: found.wentRound };
}
