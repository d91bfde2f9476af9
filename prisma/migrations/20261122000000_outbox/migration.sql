-- The outbox. Works on PostgreSQL 13 and later. One file is one transaction.

create table outbox (
    id uuid not null default gen_random_uuid(),
    type text not null,
    payload jsonb not null,
    status text not null default 'pending',
    priority smallint not null default 0,
    attempts integer not null default 0,
    max_attempts integer not null default 3,
    run_at timestamptz(6) not null default transaction_timestamp(),
    created_at timestamptz(6) not null default clock_timestamp(),
    updated_at timestamptz(6) not null default clock_timestamp(),
    started_at timestamptz(6),
    finished_at timestamptz(6),
    locked_by uuid,
    lease_token bigint,
    suspect boolean not null default false,
    last_error text,
    result jsonb,
    owner text,
    dedupe_key text,
    dedupe_until timestamptz(6),
    dedupe_released boolean not null default false,
    constraint outbox_pkey primary key (id),
    constraint outbox_status_known check (status in ('waiting', 'pending', 'processing', 'done', 'error', 'cancelled')),
    constraint outbox_type_named check (char_length(type) between 1 and 200),
    constraint outbox_attempts_counted check (attempts >= 0 and max_attempts >= 1)
)
-- A job is written three times in its life (enqueued, claimed, settled). Vacuum that waits for a fifth of a large
-- table to die comes far too late for the indexes below, so it comes after 1,000 rows and 1 %, and does not nap.
with (
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02
);

-- Serves the claim: one lane for each type and priority, oldest first within it.
create index outbox_lanes on outbox (type, priority desc, run_at, id) where status = 'pending';

-- Serves the retry of suspects, which run alone. Almost always empty.
create index outbox_suspects on outbox (run_at, id) where status = 'pending' and suspect;

-- Serves the rescue and the search for stuck jobs: as large as what is running now.
create index outbox_processing on outbox (locked_by) where status = 'processing';

-- Serves the people who look at dead letters. As large as what has failed.
create index outbox_dead_letters on outbox (id) where status = 'error';

-- Makes a dedupe key unique among the jobs that hold one.
create unique index outbox_dedupe on outbox (type, dedupe_key) where dedupe_key is not null and not dedupe_released;

-- The reset made by hand, `update outbox set status = 'pending' where status = 'error'`, is a complete redrive:
-- the job gets one attempt more when it had used up its own, and it is not finished any longer. The fence of a worker
-- that still believes it runs the job no longer matches, for the fence asks for status 'processing' too.
create function outbox_reopen() returns trigger language plpgsql as $$
begin
    new.max_attempts := greatest(new.max_attempts, new.attempts + 1);
    new.finished_at := null;
    new.updated_at := clock_timestamp();
    return new;
end
$$;

create trigger outbox_reopen before update of status on outbox
    for each row when (old.status in ('done', 'error', 'cancelled') and new.status = 'pending')
    execute function outbox_reopen();

create table outbox_worker (
    id uuid not null,
    host text not null,
    pid integer not null,
    version text not null,
    types text[],
    lease_ms integer not null,
    started_at timestamptz(6) not null default clock_timestamp(),
    beat_at timestamptz(6) not null default clock_timestamp(),
    constraint outbox_worker_pkey primary key (id)
)
-- Beats rewrite the same few rows for ever; with half a page free they never leave it.
with (fillfactor = 50, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0);

create table outbox_attempt (
    id bigserial not null,
    job_id uuid not null,
    attempt integer not null,
    outcome text not null,
    worker uuid,
    started_at timestamptz(6),
    ended_at timestamptz(6) not null default clock_timestamp(),
    error_class text,
    message text,
    stack text,
    constraint outbox_attempt_pkey primary key (id),
    constraint outbox_attempt_job_id_fkey foreign key (job_id) references outbox (id) on delete cascade on update no action
);

create index outbox_attempt_job_id_id_idx on outbox_attempt (job_id, id);

create table outbox_action (
    id bigserial not null,
    at timestamptz(6) not null default clock_timestamp(),
    actor text not null,
    action text not null,
    filter jsonb not null,
    change jsonb,
    count integer not null,
    reason text,
    constraint outbox_action_pkey primary key (id)
);

create table notification (
    id uuid not null default gen_random_uuid(),
    user_id text not null,
    type text not null,
    message text not null,
    job_id uuid,
    created_at timestamptz(6) not null default clock_timestamp(),
    read_at timestamptz(6),
    constraint notification_pkey primary key (id)
);

create index notification_user_id_created_at_idx on notification (user_id, created_at);
