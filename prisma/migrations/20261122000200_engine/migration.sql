-- Ordering keys, the doorbell, limits and pauses by type, schedules.

-- Checks are parsed anew by every statement that writes: two of the three cost each batch of the engine more than what
-- they kept out could do harm. The enqueue checks both.
alter table outbox drop constraint outbox_type_named, drop constraint outbox_attempts_counted;

alter table outbox
    add column ordering_key text,
    add column sequence bigint,
    add column block_on_dead boolean not null default false,
    add column concurrency_key text;

alter table outbox_worker add column listening boolean not null default false;

-- Serves the question whether a job of a key is under way. As large as the number of keys in use. With the sequence in
-- it the question can pass over what has finished: nothing else hides those entries while a snapshot is held open.
create index outbox_ordering_active on outbox (ordering_key, sequence)
    where ordering_key is not null and (status in ('pending', 'processing') or status = 'error' and block_on_dead);

-- Serves the promotion: the head of each key's line.
create index outbox_ordering_waiting on outbox (ordering_key, sequence) where status = 'waiting';

-- Serves the claim of types whose concurrency is limited by key. Has no entries for others.
create index outbox_concurrency_keys on outbox (type, concurrency_key, priority desc, run_at, id)
    where status = 'pending' and concurrency_key is not null;

-- Order. Jobs of one ordering key run one at a time, in the order in which their transactions committed. The jobs of a
-- key that have not ended are its line: at most one is under way (pending, processing, or a dead letter that blocks),
-- the others are 'waiting' behind it, each with a greater sequence. Two rules keep it so, in whatever order things happen:
--   who joins a line (an enqueue, a redrive) holds the key's lock until it commits: nobody else joins meanwhile;
--   who leaves it promotes the next one, or leaves a note, if it cannot tell what the next one is.
-- Leaving never waits for anybody, so a settlement does not hang on a transaction of an app's.

create sequence outbox_sequence;

-- What is locked for a key: one of 2^20 rows, chosen by hash, made when it is first needed and never changed. Not
-- advisory locks: the server has room for some 12,000 of them in all, one enqueueMany could use that up for everybody;
-- and with few enough of them for that not to happen, writers of different keys would deadlock on each other.
create table outbox_key_lock (
    id integer not null,
    constraint outbox_key_lock_pkey primary key (id)
);

-- Keys whose next job could not be promoted at once: a writer of the key had not committed yet, somebody held the next
-- job's row, or an old snapshot was all there was to look with. The next worker or drain that looks tries again. Several
-- notes about one key, and notes about nothing, do no harm.
create table outbox_unpromoted (
    id bigserial not null,
    ordering_key text not null,
    constraint outbox_unpromoted_pkey primary key (id)
)
with (autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0);

create function outbox_key_lock(key text) returns integer language sql immutable parallel safe as $$
    select (hashtextextended(key, 7020261122) & 1048575)::integer
$$;

-- The functions below forbid sequential scans: a session may plan them while the table is small and keep the plan.

-- Takes a place in the key's line, waiting for its turn among those who do the same until the one before has committed:
-- so the order of sequences is the order of commits. Gives back the status that a job in this place begins with.
create function outbox_take_place(key text) returns text language plpgsql set enable_seqscan = off as $$
declare
    mine constant integer := outbox_key_lock(key);
    busy boolean;
    queued boolean;
begin
    loop
        perform from outbox_key_lock where id = mine for no key update;
        exit when found;
        -- Whoever inserts it holds it; others wait here until that is committed, and then lock it above.
        insert into outbox_key_lock (id) values (mine) on conflict do nothing;
        exit when found;
    end loop;
    if current_setting('transaction_isolation') = 'read committed' then
        -- One statement, for one snapshot: between two a job could be promoted, and be seen by neither. Backwards, for
        -- the newest entries are the ones that live.
        select (
            select true from outbox
            where ordering_key = key and (status in ('pending', 'processing') or status = 'error' and block_on_dead)
            order by sequence desc limit 1
        ), (
            select true from outbox
            where ordering_key = key and status = 'waiting'
            order by sequence desc limit 1
        ) into busy, queued;
        if busy then
            return 'waiting';
        elsif queued is null then
            return 'pending';
        end if;
    end if;
    -- An older snapshot may not see the jobs before this one. Or there are some, but none is under way: then there is a
    -- note already, and a second one makes sure.
    insert into outbox_unpromoted (ordering_key) values (key);
    return 'waiting';
end
$$;

-- Makes the first waiting job of each key pending, unless one is under way. Looks at places from the given ones on, for
-- all before them have ended. It cannot tell of those that are
-- `undecided`, and has to be asked again. Waits for nobody. Many keys
-- at once, because an update costs ten times as much to begin as it does for each further row.
create function outbox_promote(keys text[], places bigint[], out promoted text[], out undecided text[]) language plpgsql set enable_seqscan = off as $$
declare
    heads uuid[];
    head_keys text[];
    went_on text[];
    locks integer[];
begin
    promoted := '{}';
    undecided := '{}';
    if current_setting('transaction_isolation') <> 'read committed' then
        undecided := keys; -- the transaction's snapshot may be older than the jobs that wait
        return;
    end if;
    for look in 1..2 loop
        select array_agg(head) filter (where head is not null), array_agg(key) filter (where head is not null),
            array_agg(key) filter (where head is null), array_agg(place) filter (where head is null)
        into heads, head_keys, keys, places
        from (
            select key, place, (
                select id from outbox
                where ordering_key = key and sequence >= place and status = 'waiting'
                order by sequence limit 1
            ) as head
            from unnest(keys, places) as line (key, place)
            where (
                select true from outbox
                where ordering_key = key and sequence >= place
                    and (status in ('pending', 'processing') or status = 'error' and block_on_dead)
                order by sequence desc limit 1
            ) is null
            offset 0 -- or the head would be looked for once for each of the columns above
        ) as seen;
        if heads is not null then
            -- Somebody else may hold a head's row: promoting it, cancelling it, editing it. Skipping to the one behind
            -- it could break the order, waiting could take long. "is not distinct from", for no index can serve that:
            -- with old statistics "=" leads through all that wait, rather than to these by their ids.
            with went as (
                update outbox
                set status = 'pending', run_at = greatest(run_at, clock_timestamp()), updated_at = clock_timestamp()
                where id = any (array(
                    select id from outbox
                    where id = any (heads) and status is not distinct from 'waiting'
                    for no key update skip locked
                ))
                returning ordering_key
            )
            select coalesce(array_agg(ordering_key), '{}') into went_on from went;
            promoted := promoted || went_on;
            undecided := undecided || array(select unnest(head_keys) except select unnest(went_on));
        end if;
        exit when look = 2 or keys is null;
        -- None is waiting as far as can be seen. A writer of the key that has not committed yet holds its lock. With
        -- the lock in hand a second look sees whatever was committed in the meantime, and who comes later sees us.
        locks := array(
            select id from outbox_key_lock
            where id = any (array(select outbox_key_lock(key) from unnest(keys) as key))
            for no key update skip locked
        );
        select array_agg(key) filter (where mine), array_agg(place) filter (where mine), undecided || array_agg(key) filter (where not mine)
        into keys, places, undecided
        from (select key, place, outbox_key_lock(key) = any (locks) as mine from unnest(keys, places) as line (key, place)) as line;
        exit when keys is null;
    end loop;
    if promoted <> '{}' and exists (select from outbox_worker where listening) then
        perform pg_notify('outbox', '');
    end if;
end
$$;

create function outbox_line_up() returns trigger language plpgsql as $$
declare
    place constant text := outbox_take_place(new.ordering_key);
begin
    new.sequence := nextval('outbox_sequence');
    if new.status in ('pending', 'waiting') then
        new.status := place;
    end if;
    return new;
end
$$;

create trigger outbox_line_up before insert on outbox
    for each row when (new.ordering_key is not null)
    execute function outbox_line_up();

-- However a job leaves its line (settled, completed, rescued, cancelled, deleted, unblocked, by hand), the next one is
-- promoted with it: the rows that leave are gathered, in a setting of the transaction, and at the end of the statement
-- their lines go on. The conditions of triggers on the status are parsed for each statement, so they are short, and the
-- functions ask for the rest.

create function outbox_leave() returns trigger language plpgsql as $$
declare
    -- One that has only been sent back has left nothing behind it.
    place constant bigint := case when tg_op = 'UPDATE' and new.status = 'waiting' then 0 else old.sequence end;
    left_so_far text;
begin
    if (old.status in ('pending', 'processing') or old.status = 'error' and old.block_on_dead)
        and (tg_op = 'DELETE' or not (new.status in ('pending', 'processing') or new.status = 'error' and new.block_on_dead)) then
        left_so_far := coalesce(current_setting('outbox.left', true), '') || jsonb_build_array(old.ordering_key, place) || ',';
        left_so_far := set_config('outbox.left', left_so_far, true);
        if length(left_so_far) > 2000 then
            perform outbox_promote_left();
        end if;
    end if;
    return null;
end
$$;

create function outbox_promote_left() returns void language plpgsql as $$
declare
    lines constant jsonb := '[' || rtrim(current_setting('outbox.left'), ',') || ']';
    keys text[];
    places bigint[];
begin
    perform set_config('outbox.left', '', true);
    select array_agg(key), array_agg(place) into keys, places
    from (select line->>0 as key, min((line->>1)::bigint) as place from jsonb_array_elements(lines) as line group by 1) as line;
    insert into outbox_unpromoted (ordering_key) select unnest(undecided) from outbox_promote(keys, places);
end
$$;

create function outbox_left() returns trigger language plpgsql as $$
begin
    if current_setting('outbox.left', true) <> '' then
        perform outbox_promote_left();
    end if;
    return null;
end
$$;

create trigger outbox_leave after update of status, block_on_dead on outbox
    for each row when (old.ordering_key is not null and new.status <> 'processing')
    execute function outbox_leave();

create trigger outbox_leave_deleted after delete on outbox
    for each row when (old.ordering_key is not null)
    execute function outbox_leave();

create trigger outbox_left after update of status, block_on_dead on outbox
    for each statement execute function outbox_left();

create trigger outbox_left_deleted after delete on outbox
    for each statement execute function outbox_left();

create function outbox_keep_place() returns trigger language plpgsql as $$
begin
    raise exception 'The ordering key of job % never changes: its line is kept by it.', old.id
        using hint = 'Cancel the job and enqueue another one.';
end
$$;

create trigger outbox_keep_place after update of ordering_key on outbox
    for each row when (old.ordering_key is distinct from new.ordering_key)
    execute function outbox_keep_place();

-- Is it the turn of this job, which somebody has set from waiting to pending?
create function outbox_in_turn(job outbox) returns boolean language plpgsql set enable_seqscan = off as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        insert into outbox_unpromoted (ordering_key) values (job.ordering_key);
        return false;
    end if;
    return not exists (
        select from outbox
        where ordering_key = job.ordering_key
            and (status in ('pending', 'processing') or status = 'error' and block_on_dead)
            and id <> job.id
    ) and not exists (
        select from outbox
        where ordering_key = job.ordering_key and status = 'waiting' and sequence < job.sequence
    );
end
$$;

-- A reset by hand is a complete redrive: due now, with one attempt more when it had used up its own, and not finished
-- any longer. In the line of its ordering key it takes a new place, at the end; a dead letter that blocks its line has
-- never left it, and goes on at its head. A waiting job that is set to pending by hand goes back to where it was until
-- it is its turn. After the update and not before it: with a trigger before the update, every update of the engine's would
-- lock its rows twice.
create or replace function outbox_reopen() returns trigger language plpgsql as $$
declare
    lines_up constant boolean := new.ordering_key is not null and not (old.status = 'error' and old.block_on_dead);
begin
    if old.status in ('pending', 'processing') then
        return null;
    end if;
    if old.status = 'waiting' then
        -- Inside another trigger it is outbox_promote that does it.
        if old.ordering_key is not null and pg_trigger_depth() = 1 and not outbox_in_turn(new) then
            update outbox set status = 'waiting' where id = new.id;
        end if;
        return null;
    end if;
    if lines_up then
        perform outbox_take_place(new.ordering_key);
    end if;
    -- At the end of this statement outbox_left lets the first of the line go on, which may be this one.
    update outbox
    set status = case when lines_up then 'waiting' else status end,
        sequence = case when lines_up then nextval('outbox_sequence') else sequence end,
        max_attempts = greatest(max_attempts, attempts + 1),
        run_at = case when run_at = old.run_at then greatest(run_at, clock_timestamp()) else run_at end,
        finished_at = null,
        updated_at = clock_timestamp()
    where id = new.id;
    return null;
end
$$;

drop trigger outbox_reopen on outbox;

create trigger outbox_reopen after update of status on outbox
    for each row when (new.status = 'pending')
    execute function outbox_reopen();

-- The dedupe key of a job that is redriven may have been taken over since by a later job. It is taken back, unless that
-- job still holds it: then the redrive is refused, for it would run what the key was to keep from running twice. After
-- the statement, so that of two jobs of one key in one redrive each sees the other.
create function outbox_retake_key() returns trigger language plpgsql set enable_seqscan = off as $$
declare
    holder outbox;
begin
    if old.status not in ('done', 'error', 'cancelled') or new.status not in ('waiting', 'pending') then
        return null;
    end if;
    select * into holder from outbox
    where type = new.type and dedupe_key = new.dedupe_key and not dedupe_released
    for no key update;
    if holder.dedupe_until > clock_timestamp()
        or holder.dedupe_until is null and holder.status not in ('done', 'error', 'cancelled') then
        raise exception 'Job % cannot be redriven: job % (%) holds its dedupe key "%" now.', new.id, holder.id, holder.status, new.dedupe_key
            using errcode = 'object_in_use', hint = 'Leave out the jobs whose dedupe key a later one has taken over (dedupe_released).';
    end if;
    update outbox set dedupe_released = true where id = holder.id;
    update outbox set dedupe_released = false where id = new.id;
    return null;
end
$$;

create trigger outbox_retake_key after update of status on outbox
    for each row when (new.dedupe_released)
    execute function outbox_retake_key();

-- The doorbell. A notification makes all commits of the server queue up, so it is rung only when a worker sleeps.

create function outbox_ring() returns trigger language plpgsql as $$
begin
    if exists (select from outbox_worker where listening) then
        perform pg_notify('outbox', '');
    end if;
    return null;
end
$$;

create trigger outbox_ring after insert on outbox
    for each statement execute function outbox_ring();

-- What is said about a type as a whole: pauses by people, limits by contracts. A type without either has no row.

create table outbox_type (
    type text not null,
    paused_at timestamptz(6),
    paused_until timestamptz(6),
    paused_by text,
    pause_reason text,
    concurrency integer,
    concurrency_by_key boolean not null default false,
    rate_limit integer,
    rate_ms bigint,
    tokens double precision,
    refilled_at timestamptz(6),
    blocked_until timestamptz(6),
    last_key text,
    constraint outbox_type_pkey primary key (type),
    constraint outbox_type_concurrency check (concurrency >= 1),
    constraint outbox_type_rate check (rate_limit >= 1 and rate_ms >= 1)
)
with (fillfactor = 50, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0);

-- Schedules, as the programs that know them have declared them. A slot is one moment of one schedule; its row is what
-- makes it fire once.

create table outbox_schedule (
    name text not null,
    type text not null,
    cron text not null,
    time_zone text not null,
    missed text not null,
    next_slot_at timestamptz(6),
    last_slot_at timestamptz(6),
    paused_at timestamptz(6),
    paused_by text,
    pause_reason text,
    constraint outbox_schedule_pkey primary key (name),
    constraint outbox_schedule_missed check (missed in ('none', 'last', 'all'))
);

create table outbox_slot (
    schedule text not null,
    slot_at timestamptz(6) not null,
    job_id uuid not null,
    fired_at timestamptz(6) not null default clock_timestamp(),
    constraint outbox_slot_pkey primary key (schedule, slot_at)
);
