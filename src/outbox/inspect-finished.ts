// How many jobs have finished lately. No index knows when jobs finished (every job would pay for it), but ids are ordered
// by time, and jobs of a lane run in the order of theirs: those that have just finished are among the newest of all, or
// lie right before the first one that is still pending in their lane.

import type { Sql } from "./database.ts";
import { everyLane } from "./store/skips.ts";

/** Jobs looked at, in each place; enough for what some thousand jobs a second leave behind in a few seconds. */
const looks = 20_000;
const places = 8;

/** Jobs that became done after `since`: of a small table all, of a large one those that are found where they should be. */
export async function countFinishedSince(sql: Sql, since: Date, small: boolean): Promise<number> {
  if (small) {
    const [row] = await sql.query("select count(*)::float8 as done from outbox where status = 'done' and finished_at > $1", [since.toISOString()]);
    return Number(row?.done);
  }
  const [row] = await sql.query(
    `with recursive ${everyLane},
     -- Ids that others have drawn at random lie behind those of our own making: the newest of ours is made now.
     place (id) as materialized (
       select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint + 1), 12, '0') || repeat('f', 20))::uuid
       union all
       (select id from lane order by id limit ${places})
     ),
     near as (
       select job.id, job.status, job.finished_at
       from place
       cross join lateral (
         select id, status, finished_at
         from outbox
         where outbox.id < place.id
         order by id desc
         limit ${looks}
       ) as job
     )
     select count(distinct id)::float8 as done from near where status = 'done' and finished_at > $1`,
    [since.toISOString()],
  );
  return Number(row?.done);
}
