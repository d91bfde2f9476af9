// The lanes of the pending jobs, found by skipping through the index outbox_lanes: two entries for each lane, however
// many jobs are in it. For `with recursive`; used by the claim and by what looks ahead.

/** `lane (type, priority, head)`: each type and priority that has pending jobs, with the time its oldest is due. `types` is the parameter with the types. */
export const lanes = (types: `$${number}`): string => `
  lane (type, priority, head) as (
    select first.type, first.priority, first.run_at
    from unnest(${types}::text[]) as handled (type)
    cross join lateral (
      select type, priority, run_at
      from outbox
      where status = 'pending' and type = handled.type
      order by priority desc, run_at, id
      limit 1
    ) as first
    union all
    select next.type, next.priority, next.run_at
    from lane
    cross join lateral (
      select type, priority, run_at
      from outbox
      where status = 'pending' and type = lane.type and priority < lane.priority
      order by priority desc, run_at, id
      limit 1
    ) as next
  )`;
