// Whether the promises I1 to I8 (docs/reference/guarantees.md) were kept, from what the tables say and nothing else. The
// handlers of app/outbox.config.ts write down what they do on a connection of their own; a trigger writes down every
// change of a job's status.
//   await layEvidence(pool);  … enqueue, run, kill, cut …  expect(await violations(pool)).toEqual([]);

import type pg from "pg";

/** To be called once, on a database that has the outbox's tables. */
export async function layEvidence(pool: pg.Pool): Promise<void> {
  await pool.query(`
    -- The business write that a job must follow from: written in the transaction that enqueues it.
    create table orders (job uuid primary key);
    -- A start of a handler, and whether the job could be seen from outside at that moment.
    create table effects (
      start uuid primary key default gen_random_uuid(), job uuid not null, attempt integer not null, key text not null, visible boolean not null default true,
      worker uuid, token bigint, claimed_at timestamptz, at timestamptz not null default clock_timestamp()
    );
    -- What ctx.complete commits with the completion.
    create table completions (job uuid not null, attempt integer not null);
    -- What ctx.effect does outside.
    create table sent (job uuid not null, attempt integer not null, key text not null);
    create table changes (
      id bigint generated always as identity primary key,
      job uuid not null, was text not null, became text not null, worker uuid, token bigint,
      attempts_before integer not null, attempts_after integer not null, at timestamptz not null default clock_timestamp()
    );
    create index on changes (job);
    -- Under whose lease a change was made: the old one, but of a claim the new one.
    create function write_down_change() returns trigger language plpgsql as $$
    declare
      lease outbox := case when new.status = 'processing' then new else old end;
    begin
      insert into changes (job, was, became, worker, token, attempts_before, attempts_after)
      values (old.id, old.status, new.status, lease.locked_by, lease.lease_token, old.attempts, new.attempts);
      return null;
    end $$;
    create trigger write_down_change after update on outbox for each row when (old.status is distinct from new.status) execute function write_down_change();
    -- When whoever plays with fire has crashed the server: from before until after.
    create table crashes (began timestamptz not null, ended timestamptz not null);
    -- Starts under a claim that the server has forgotten. A claim that settles nothing does not wait for the disk (ADR 9):
    -- one in the 0.6 s before a crash may be lost with its attempt; here a second, for a machine with much to do.
    create view forgotten as
      select effects.* from effects
      where worker is not null
        and not exists (select from changes where changes.job = effects.job and became = 'processing' and changes.worker = effects.worker and changes.token = effects.token)
        and exists (select from crashes where claimed_at between began - interval '1 second' and ended);
    create table workers_seen (id uuid not null, pid integer not null);
    create function write_down_worker() returns trigger language plpgsql as $$
    begin
      insert into workers_seen (id, pid) values (new.id, new.pid);
      return null;
    end $$;
    create trigger write_down_worker after insert on outbox_worker for each row execute function write_down_worker();`);
}

/** Takes away what earlier tests have left, jobs included. */
export async function clearEvidence(pool: pg.Pool): Promise<void> {
  await pool.query("truncate outbox, outbox_worker, outbox_attempt, outbox_effect, outbox_action, outbox_type, outbox_schedule, outbox_slot, outbox_unpromoted, orders, effects, completions, sent, changes, crashes, workers_seen cascade");
}

const terminal = "('done', 'error', 'cancelled')";

/** Each is a query whose rows are jobs that break the promise, with what is wrong about them. `rest`: only once nothing runs any more. */
const promises: readonly { readonly name: string; readonly rest?: true; readonly sql: string }[] = [
  {
    name: "I1 no loss: an order without its job",
    sql: "select job, 'there is no such job' as what from orders where not exists (select from outbox where id = job)",
  },
  {
    name: "I1 no loss: nothing is left over once the faults have stopped",
    rest: true,
    sql: `select id as job, 'it is ' || status || ', attempt ' || attempts || ' of ' || max_attempts as what from outbox where status not in ${terminal} and run_at <= clock_timestamp()`,
  },
  {
    name: "I1 no loss: nothing is processing without a worker",
    rest: true,
    sql: "select id as job, 'no worker has it' as what from outbox where status = 'processing' and not exists (select from outbox_worker where outbox_worker.id = locked_by)",
  },
  {
    name: "I2 no phantom: a job without its order",
    sql: "select id as job, 'it has no order' as what from outbox where exists (select from orders) and not exists (select from orders where job = id)",
  },
  {
    name: "I2 no phantom: a handler began before its job was committed, or for one that never was",
    sql: "select job, 'attempt ' || attempt || ' began unseen' as what from effects where not visible",
  },
  {
    name: "I3 attempts: a start above the count of attempts or their maximum",
    rest: true,
    sql: "select job, 'attempt ' || attempt || ' began, of ' || attempts || ' counted and ' || max_attempts || ' allowed' as what from effects join outbox on id = job where attempt > attempts or attempt > max_attempts or attempt < 1",
  },
  {
    name: "I3 attempts: one that began under a lease that was never committed",
    sql: `select job, 'attempt ' || attempt || ' began under token ' || token as what from effects where worker is not null
            and not exists (select from changes where changes.job = effects.job and became = 'processing' and changes.worker = effects.worker and changes.token = effects.token)
            and not exists (select from forgotten where forgotten.start = effects.start)`,
  },
  {
    name: "I3 attempts: begun twice under one lease",
    sql: "select job, 'attempt ' || attempt || ' began ' || count(*) || ' times under token ' || token as what from effects where worker is not null group by job, attempt, worker, token having count(*) > 1",
  },
  {
    name: "I3 attempts: begun twice without having been given back",
    sql: `select job, 'attempt ' || attempt || ' began ' || count(*) || ' times' as what from effects where start not in (select start from forgotten) group by job, attempt
          having count(*) > 1 + (select count(*) from changes where changes.job = effects.job and was = 'processing' and attempts_before = attempt and attempts_after < attempt)`,
  },
  {
    name: "I3 attempts: one that was counted, and neither began nor was lost",
    rest: true,
    sql: `select id as job, 'attempt ' || attempt || ' of ' || attempts || ' never began' as what from outbox cross join generate_series(1, attempts) as attempt
          where type like '%effect' and not exists (select from effects where job = id and effects.attempt = attempt.attempt)
            and not exists (select from outbox_attempt where job_id = outbox.id and outbox_attempt.attempt = attempt.attempt and outcome = 'lost')`,
  },
  {
    name: "I4 terminal is terminal: it was left without an operator's action",
    sql: `select job, string_agg(was || ' became ' || became, ', ') as what from changes where was in ${terminal} group by job
          having count(*) > (select count(*) from outbox_action_job where job_id = job)`,
  },
  {
    name: "I5 one outcome for one lease",
    sql: "select job, count(*) || ' outcomes under token ' || token as what from changes where was = 'processing' group by job, worker, token having count(*) > 1",
  },
  {
    name: "I6 effects: ctx.complete committed other than exactly once for a job that is done, or for one that is not",
    rest: true,
    sql: `select id as job, 'it is ' || status || ' with ' || count(completions.job) || ' completions' as what from outbox left join completions on job = id where payload ->> 'then' = 'complete'
          group by id having count(completions.job) <> case when status = 'done' then 1 else 0 end`,
  },
  {
    name: "I6 effects: more external ones than attempts, or under several keys",
    rest: true,
    sql: `select job, count(*) || ' times under ' || count(distinct key) || ' keys in ' || attempts || ' attempts' as what from sent join outbox on id = job
          group by job, attempts having count(*) > attempts + (select count(*) from forgotten where forgotten.job = sent.job) or count(distinct key) > 1
          union all select job, 'several idempotency keys' from effects group by job having count(distinct key) > 1`,
  },
  {
    name: "I8 told: a dead letter without a readable error",
    sql: "select id as job, 'its last error is ' || coalesce(quote_literal(last_error), 'null') as what from outbox where status = 'error' and coalesce(trim(last_error), '') = ''",
  },
  {
    name: "I8 told: the ledger has not each attempt that failed, once",
    rest: true,
    sql: `select outbox.id as job, status || ' after ' || attempts || ' attempts, in the ledger: ' || coalesce(string_agg(outcome || ' ' || attempt, ', ' order by outbox_attempt.id), 'nothing') as what
          from outbox left join outbox_attempt on job_id = outbox.id and outcome <> 'snoozed' where status in ('done', 'error') group by outbox.id
          having count(distinct attempt) <> count(attempt) or count(attempt) <> attempts - case when status = 'done' then 1 else 0 end`,
  },
];

/** Sentences, none when all was kept. Asked while jobs still run or wait (`atRest: false`), it leaves out what holds only at the end. */
export async function violations(pool: pg.Pool, { atRest = true }: { readonly atRest?: boolean } = {}): Promise<string[]> {
  const found: string[] = [];
  for (const { name, sql } of promises.filter(({ rest }) => atRest || rest !== true)) {
    const { rows } = await pool.query<{ job: string; what: string }>(`${sql} limit 5`);
    found.push(...rows.map(({ job, what }) => `${name}: job ${job}: ${what}`));
  }
  return found;
}
