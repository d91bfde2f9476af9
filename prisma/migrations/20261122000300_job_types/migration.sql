-- What job types need beside the engine: the version of a payload, what a running job says of itself, circuit breakers,
-- the ledger of effects, and the audit log that the job type audit.log writes.

alter table outbox
    add column version integer not null default 1,
    add column checkpoint jsonb,
    add column progress smallint,
    add column progress_note text;

-- The circuit breaker of a type: how often it has opened in a row, 0 when it is closed, and until when it stays open. After
-- that it is half open: one job at a time, until one succeeds.
alter table outbox_type
    add column breaker_opened integer not null default 0,
    add column breaker_until timestamptz(6);

-- What handlers did outside the database, by name. The row is committed before the effect begins and finished after it, so
-- that whoever comes after a crash knows what may have happened.
create table outbox_effect (
    job_id uuid not null,
    name text not null,
    state text not null,
    attempt integer not null,
    began_at timestamptz(6) not null default clock_timestamp(),
    ended_at timestamptz(6),
    result jsonb,
    constraint outbox_effect_pkey primary key (job_id, name),
    constraint outbox_effect_job_id_fkey foreign key (job_id) references outbox (id) on delete cascade on update no action,
    constraint outbox_effect_state check (state in ('begun', 'done', 'in doubt'))
);

create table audit_log (
    id bigserial not null,
    at timestamptz(6) not null default clock_timestamp(),
    event text not null,
    actor text,
    subject text,
    data jsonb,
    job_id uuid not null,
    enqueued_at timestamptz(6) not null,
    constraint audit_log_pkey primary key (id)
);

create index audit_log_subject_id_idx on audit_log (subject, id);

create function audit_log_keep() returns trigger language plpgsql as $$
begin
    raise exception 'The audit log is append-only: nobody may % its rows.', lower(tg_op)
        using hint = 'Whoever must remove old rows by law disables the trigger audit_log_keep in a transaction of his own, and says so in a new row.';
end
$$;

create trigger audit_log_keep before update or delete or truncate on audit_log
    for each statement execute function audit_log_keep();
