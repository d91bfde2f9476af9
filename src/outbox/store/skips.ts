// How to go through what there is without reading every job of it: from one index entry to the first of the next kind. Each
// stands behind `with recursive`. The lanes of one type, and the jobs in them: first-due.ts.

/** `found (type)`: the types of the jobs that `jobs`, a condition, selects, and after the last one null. Reads one index entry for each. */
export const typesOf = (jobs: string) => `
  found (type) as (
    (select type from outbox where ${jobs} order by type limit 1)
    union all
    select (select type from outbox where ${jobs} and type > found.type order by type limit 1)
    from found
    where found.type is not null
  )`;

/** `lane (type, priority, head, id)`: every lane, with when its first job is due, and that job's id. Goes through outbox_lanes. */
export const everyLane = `
  lane (type, priority, head, id) as (
    (select type, priority, run_at, id from outbox where status = 'pending' order by type, priority desc, run_at, id limit 1)
    union all
    select next.type, next.priority, next.run_at, next.id
    from lane
    cross join lateral (
      (
        select type, priority, run_at, id
        from outbox
        where status = 'pending' and type = lane.type and priority < lane.priority
        order by priority desc, run_at, id
        limit 1
      )
      union all
      (
        select type, priority, run_at, id
        from outbox
        where status = 'pending' and type > lane.type
        order by type, priority desc, run_at, id
        limit 1
      )
      limit 1
    ) as next
  )`;
