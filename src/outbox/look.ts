// What there is to do, in one read: which lanes have jobs and when the first of each is due, and whether somebody has to
// be rescued. It never counts, and reads a few index entries for each lane. Next: lanes.ts (what is made of the answer).

import type { Sql } from "./database.ts";
import { utc } from "./store/claim.ts";
import type { Cursor, Lane } from "./store/exchange.ts";
import { instantOf } from "./store/exchange.ts";
import { holds, isPaused } from "./store/limits.ts";

/** The priorities of a type between two bounds, both of them left out. */
export interface Gap {
  readonly type: string;
  readonly below: number;
  readonly above: number;
}

export interface Question {
  readonly types: readonly string[];
  /** Lanes that are known, each to be looked at from behind a cursor: entries that claims have consumed before it are not walked over again. */
  readonly known: readonly (Lane & { readonly from: Cursor })[];
  /** Where unknown lanes may have appeared. */
  readonly gaps: readonly Gap[];
  /** Also look for jobs whose worker has no row; as many index entries are read as jobs are running anywhere. */
  readonly orphans: boolean;
}

export interface SeenLane extends Lane {
  /** Its first job. */
  readonly head: Cursor;
  /** Milliseconds until that is due; 0 or less: it is. */
  readonly inMs: number;
  /** Null: anybody may claim from it. */
  readonly held: "paused" | "limited" | null;
}

export interface Look {
  readonly lanes: readonly SeenLane[];
  /** Two seconds ago by the database's clock. What is older than that will hardly be committed any more. */
  readonly horizon: string;
  /** Types, not paused, with a due job that a worker died of. */
  readonly suspects: readonly { readonly type: string; readonly held: boolean }[];
  /** There is such a job of a type that is paused. */
  readonly suspectsPaused: boolean;
  /** Types whose circuit breaker is not closed. */
  readonly tripped: readonly string[];
  /** Workers have been silent for too long, or jobs have lost theirs. */
  readonly rescue: boolean;
  /** Ordering keys wait for another try at their promotion. */
  readonly unpromoted: boolean;
}

const text = `
  with recursive found (type, priority, head, id, above) as (
    select first.type, first.priority, first.run_at, first.id, gap.above
    from unnest($4::text[], $5::integer[], $6::integer[]) as gap (type, below, above)
    cross join lateral (
      select type, priority, run_at, id
      from outbox
      where status = 'pending' and type = gap.type and priority < gap.below and priority > gap.above and not suspect
      order by priority desc, run_at, id
      limit 1
    ) as first
    union all
    select next.type, next.priority, next.run_at, next.id, found.above
    from found
    cross join lateral (
      select type, priority, run_at, id
      from outbox
      where status = 'pending' and type = found.type and priority < found.priority and priority > found.above and not suspect
      order by priority desc, run_at, id
      limit 1
    ) as next
  ),
  lane (type, priority, head, id) as (
    select known.type, known.priority, first.run_at, first.id
    from unnest($1::text[], $2::smallint[], $3::timestamptz[], $9::uuid[]) as known (type, priority, run_at, id)
    cross join lateral (
      select run_at, id
      from outbox
      where status = 'pending' and type = known.type and priority = known.priority and (run_at, id) > (known.run_at, known.id) and not suspect
      order by run_at, id
      limit 1
    ) as first
    union all
    select type, priority, head, id from found
  ),
  suspect as materialized (
    select distinct type, exists (select from outbox_type as held where held.type = due.type and ${isPaused("held")}) as paused
    from (
      select type
      from outbox
      where status = 'pending' and suspect and run_at <= statement_timestamp()
      order by run_at, id
    ) as due
    -- Neither this nor that order is of any use to the index of the lanes: with old statistics the few suspects would be
    -- looked for among all pending jobs of the types.
    where array_position($7::text[], type) is not null
  ),
  now as (
    select
      ${utc("statement_timestamp() - interval '2 s'")} as horizon,
      array(select type from suspect where not paused) as suspects,
      exists (select from suspect where paused) as suspects_paused,
      array(select type from outbox_type where ${holds("outbox_type")}) as held,
      array(select type from outbox_type where breaker_opened > 0) as tripped,
      exists (select from outbox_unpromoted) as unpromoted,
      exists (select from outbox_worker where beat_at < clock_timestamp() - lease_ms * interval '1 millisecond')
        or $8 and exists (
          select from outbox where status = 'processing' and not exists (select from outbox_worker where id = outbox.locked_by)
        ) as rescue
  )
  select
    now.*,
    lane.type,
    lane.priority,
    ${utc("lane.head")} as head,
    lane.id,
    case when isfinite(lane.head) then extract(epoch from lane.head - statement_timestamp())::float8 * 1000
      else extract(epoch from lane.head)::float8 end as in_ms,
    exists (select from outbox_type as held where held.type = lane.type and ${isPaused("held")}) as paused
  from now
  left join lane on true`;

export async function look(sql: Sql, { types, known, gaps, orphans }: Question): Promise<Look> {
  const rows = await sql.query(text, [
    known.map(({ type }) => type),
    known.map(({ priority }) => priority),
    known.map(({ from }) => instantOf(from)),
    gaps.map(({ type }) => type),
    gaps.map(({ below }) => below),
    gaps.map(({ above }) => above),
    types,
    orphans,
    known.map(({ from }) => from.id),
  ]);
  // The columns are those of the statement above; there is always one row, with or without a lane.
  const [first] = rows as { horizon: string; suspects: string[]; suspects_paused: boolean; held: string[]; tripped: string[]; unpromoted: boolean; rescue: boolean }[];
  if (first === undefined) throw new Error("the look at what there is to do gave no row");
  const held = new Set(first.held);
  return {
    horizon: first.horizon,
    suspects: first.suspects.map((type) => ({ type, held: held.has(type) })),
    suspectsPaused: first.suspects_paused,
    tripped: first.tripped,
    unpromoted: first.unpromoted,
    rescue: first.rescue,
    lanes: (rows as { type: string | null; priority: number; head: string; id: string; in_ms: number; paused: boolean }[]).flatMap(({ type, priority, head, id, in_ms: inMs, paused }) =>
      type === null ? [] : [{ type, priority, head: { runAt: head, id }, inMs, held: paused ? "paused" : held.has(type) ? "limited" : null }],
    ),
  };
}
