// The due jobs of one type in the order in which they run, for whoever knows the type beforehand. Found by skipping from
// priority to priority through the index outbox_lanes, so jobs that are not due yet are never walked over.

/** `lane (priority, head)`: the priorities of the pending jobs that `jobs`, a condition, selects, with the time the oldest of each is due. For `with recursive`. */
export const lanesOf = (jobs: string) => `
  lane (priority, head) as (
    (select priority, run_at from outbox where status = 'pending' and ${jobs} order by priority desc, run_at, id limit 1)
    union all
    select next.priority, next.run_at
    from lane
    cross join lateral (
      select priority, run_at
      from outbox
      where status = 'pending' and ${jobs} and priority < lane.priority
      order by priority desc, run_at, id
      limit 1
    ) as next
  )`;

/** The addresses of the first `limit` due jobs that `jobs` selects, locked one after the other as they are asked for. */
export const firstDue = (jobs: string, limit: string) => `(
  with recursive ${lanesOf(jobs)}
  select job.ctid
  from (select priority from lane where head <= statement_timestamp() order by priority desc) as offered_lane
  cross join lateral (
    select ctid
    from outbox
    where status = 'pending'
      and ${jobs}
      and priority = offered_lane.priority
      and run_at <= statement_timestamp()
      and not suspect
    order by run_at, id
    limit ${limit}
    for no key update skip locked
  ) as job
  limit ${limit}
)`;
