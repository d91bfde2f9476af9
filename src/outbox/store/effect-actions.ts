// SQL by which people say what became of an effect in doubt. The change and its row in the ledger of actions are one statement.

import type { Sql } from "../database.ts";
import type { Effect } from "./running.ts";

/** The effects of a job, in the order in which they were begun. */
export async function listEffects(sql: Sql, jobId: string): Promise<Effect[]> {
  const rows = await sql.query(
    `select name, state, attempt, result
     from outbox_effect
     where job_id = $1
     order by began_at, name`,
    [jobId],
  );
  // The columns' types are those of the table.
  return rows.map((row) => ({ name: row.name as string, state: row.state as Effect["state"], attempt: row.attempt as number, result: row.result }));
}

export interface EffectResolution {
  readonly jobId: string;
  readonly name: string;
  readonly happened: boolean;
  /** JSON text; what `ctx.effect` gives back from now on. */
  readonly result: string | null;
  readonly actor: string;
  readonly reason: string | null;
}

/**
 * An effect that is begun or in doubt, of a job that is not running, becomes done, or is taken out of the ledger so that
 * the next attempt begins it anew. False: there is no such effect, or its job is running; nothing was done.
 */
export async function resolveEffect(sql: Sql, { jobId, name, happened, result, actor, reason }: EffectResolution): Promise<boolean> {
  const rows = await sql.query(
    `with job as materialized (
       select id
       from outbox
       where id = $1 and status <> 'processing'
       for no key update
     ),
     finished as (
       update outbox_effect
       set state = 'done', result = $4::text::jsonb, ended_at = clock_timestamp()
       where $3 and job_id = (select id from job) and name = $2 and state <> 'done'
       returning name
     ),
     withdrawn as (
       delete from outbox_effect
       where not $3 and job_id = (select id from job) and name = $2 and state <> 'done'
       returning name
     ),
     resolved as (
       select name from finished
       union all
       select name from withdrawn
     ),
     action as (
       insert into outbox_action (actor, action, filter, change, count, reason)
       select $5, 'jobs:resolve', jsonb_build_object('id', $1::uuid, 'effect', name), jsonb_build_object('happened', $3::boolean), 1, $6
       from resolved
       returning id
     )
     insert into outbox_action_job (job_id, action_id)
     select $1, id
     from action
     returning action_id`,
    [jobId, name, happened, result, actor, reason],
  );
  return rows.length === 1;
}
