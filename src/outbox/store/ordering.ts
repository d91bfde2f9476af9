// SQL that lets the lines of ordering keys go on where that could not be done at once. Everything else about them is
// done by triggers, whoever writes; they stand in the migration, with the reasons.

import type { Sql } from "../database.ts";

/**
 * Takes up to `limit` notes about keys whose next job nobody could promote, and promotes it where one is waiting and
 * none is under way. A note goes when its question is settled; it stays, for a later call, while that cannot be told.
 * Gives back how many keys have gone on. Waits for nobody, so any number of callers may do it at once.
 */
export async function promoteNoted(sql: Sql, limit: number): Promise<number> {
  const [row] = await sql.query(
    // By chance, or a few notes that stay for long would hide the others.
    `with noted as materialized (
       select id, ordering_key
       from outbox_unpromoted
       order by random()
       limit $1
       for update skip locked
     ),
     tried as materialized (
       select outbox_promote(array_agg(ordering_key), array_agg(0::bigint)) as tried
       from (select distinct ordering_key from noted) as key
       having count(*) > 0
     ),
     settled as (
       delete from outbox_unpromoted
       using noted, tried
       where outbox_unpromoted.id = noted.id and noted.ordering_key <> all ((tried.tried).undecided)
     )
     select cardinality((tried).promoted)::float8 as promoted from tried`,
    [limit],
  );
  return Number(row?.promoted ?? 0);
}
