-- What people need who look after the outbox: indexes to find a job by, the versions that workers know, a lock for
-- drains that want to be alone, which jobs an operator's action was about, fingerprints of failures, alerts.

alter table outbox add column tags text[];

-- Each of these has entries only for jobs that carry what it is about: others pay nothing for it. ADR 13 has the prices.

-- Serves the search by owner, newest first.
create index outbox_owner on outbox (owner, id) where owner is not null;

-- Serves the search by tags. Without fastupdate: a list of pending entries would be worked off in the middle of some commit.
create index outbox_tags on outbox using gin (tags) with (fastupdate = off) where tags is not null;

-- Serves the search by a dedupe key, for the jobs that hold it no longer; outbox_dedupe has the others.
create index outbox_dedupe_released on outbox (dedupe_key, id) where dedupe_key is not null and dedupe_released;

-- Serves the search by an ordering key, for the jobs that have left its line. Written once for each, when it ends.
create index outbox_ordering_left on outbox (ordering_key, id)
    where ordering_key is not null and (status in ('done', 'cancelled') or status = 'error' and not block_on_dead);

-- The newest version of each of `types` that the worker knows, in their order; null: its handler is not loaded yet.
alter table outbox_worker add column versions integer[];

-- What only one worker or drain does at a time. It is held by a worker's row: who dies loses it with its lease.
create table outbox_lock (
    name text not null,
    worker uuid not null,
    since timestamptz(6) not null default clock_timestamp(),
    constraint outbox_lock_pkey primary key (name),
    constraint outbox_lock_worker_fkey foreign key (worker) references outbox_worker (id) on delete cascade on update no action
);

create index outbox_lock_worker_idx on outbox_lock (worker);

-- Which jobs an operator's action has changed, for the timeline of each.
create table outbox_action_job (
    job_id uuid not null,
    action_id bigint not null,
    constraint outbox_action_job_pkey primary key (job_id, action_id),
    constraint outbox_action_job_job_id_fkey foreign key (job_id) references outbox (id) on delete cascade on update no action,
    constraint outbox_action_job_action_id_fkey foreign key (action_id) references outbox_action (id) on delete cascade on update no action
);

create index outbox_action_job_action_id_idx on outbox_action_job (action_id);

-- The line of a message that says what failed, without what differs from job to job: ids, numbers, addresses, and what
-- stands in quotes. The names of tables and columns stay, and so does the status of an answer. Each pattern is costly, so
-- each is tried only where it can find something.
create function outbox_normalised(message text) returns text language plpgsql immutable parallel safe as $$
declare
    line text := left(substring(message from '\S[^\n]*'), 600);
    status text;
begin
    -- Prisma begins with where it was called, and ends with what was wrong.
    if line like 'Invalid `%' then
        line := line || ' ' || left(reverse(split_part(reverse(rtrim(message, e' \n')), e'\n', 1)), 600);
    end if;
    if line ~ '[45][0-9][0-9]' then
        status := substring(line from '\m(?:status|status code|code|got|answered|returned|HTTP|HTTP/[0-9.]+)[ :=]+([45][0-9][0-9])\M');
    end if;
    if line ~ '["''“]' then
        line := regexp_replace(line, '\m(constraint|relation|column|table|index|function|schema|role|database|sequence|view) "([[:alpha:]_][[:alnum:]_.$]*)"', '\1 `\2`', 'g');
        -- A message may have been cut off within quotes; an apostrophe within a word begins none.
        line := regexp_replace(line, '"(?:[^"\\]|\\.)*(?:"|$)|“[^”]*”|(?<![[:alnum:]])''[^'']*''(?![[:alnum:]])', '"…"', 'g');
    end if;
    if line like '%://%' then
        line := regexp_replace(line, '(://[^\s?#]*)[?#]\S*', '\1', 'g');
    end if;
    if line like '%@%' then
        line := regexp_replace(line, '[[:alnum:]._%+-]+@[[:alnum:].-]+', '…@…', 'g');
    end if;
    if line ~ '[0-9]' then
        if line like '%\_%' then
            line := regexp_replace(line, '\m([a-z]{2,12})_[[:alpha:]]*[0-9][[:alnum:]]*\M', '\1_…', 'g');
        end if;
        -- Whatever is long and has a digit is an id: a UUID, a hash, a token.
        if line ~ '[[:alnum:]_-]{7}' then
            line := regexp_replace(line, '\m(?:[[:alpha:]_-]*[0-9][[:alnum:]_-]{8,}|[[:alpha:]_-]{8,}[0-9][[:alnum:]_-]*|0x[0-9a-fA-F]+|[0-9]+[a-f][0-9a-f]{5,}|[a-f]+[0-9][0-9a-f]{5,})\M', '…', 'g');
        end if;
        if line like '%:%:%' then
            line := regexp_replace(line, '\[[0-9a-fA-F:.]+\](?::[0-9]+)?|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){3,8}', '#', 'g');
        end if;
        line := regexp_replace(line, '[0-9]+(?:[.,:][0-9]+)*', '#', 'g');
        line := regexp_replace(line, '#(?:, ?#)+', '#', 'g');
    end if;
    return left(line, 300) || coalesce(' (' || status || ')', '');
end
$$;

-- The topmost frame of a stack that is neither Node's nor a library's: its function and its file, as they are called in
-- src and in dist alike, without folders and line.
create function outbox_top_frame(stack text) returns text language sql immutable parallel safe as $$
    select concat_ws(' ',
        nullif(regexp_replace(case when frame like '% (%' then split_part(frame, ' (', 1) else '' end, '^    at (?:async )?(?:new )?(?:Object\.|Module\.)?| \[as .*$', '', 'g'), ''),
        '(' || regexp_replace(frame, '^.*[/\\]|^    at (?:async )?|(?:-[A-Z0-9]{8})?(?:\.[cm]?[jt]sx?)?(?:\?.*)?:[0-9]+:[0-9]+\)?$', '', 'g') || ')')
    from unnest(string_to_array(stack, e'\n')) with ordinality as line (frame, nth)
    where frame like '    at %'
        and frame not like '%node\_modules%' and frame not like '%node:%' and frame not like '%<anonymous>%'
        and frame not like '%(native)%' and frame not like '    at async Promise.%'
    order by nth
    limit 1
$$;

-- What failures have in common: the class, what the message says, and where it was thrown. Twelve characters, the same
-- for the same cause, on every machine and before and after a build.
create function outbox_fingerprint(error_class text, message text, stack text) returns text language sql immutable parallel safe as $$
    select substr(md5(concat_ws(e'\n', error_class, outbox_normalised(message), outbox_top_frame(stack))), 1, 12)
$$;

-- An alert that is raised. Its row is what makes it told once, however many workers see the same.
create table outbox_alert (
    name text not null,
    value double precision not null,
    threshold double precision not null,
    raised_at timestamptz(6) not null default clock_timestamp(),
    told_at timestamptz(6) not null default clock_timestamp(),
    calm_since timestamptz(6),
    constraint outbox_alert_pkey primary key (name)
);

-- How far the automatic redrive of a type has looked: each dead letter has its turn once. Its lock is the turn to look.
create table outbox_redrive (
    type text not null,
    finished_at timestamptz(6) not null,
    job_id uuid not null,
    constraint outbox_redrive_pkey primary key (type)
);

-- Serves the counts of dead letters by type and age, and the redrive, which takes them in the order in which they died.
create index outbox_dead on outbox (type, finished_at, id) where status = 'error';

-- What follows is for database roles that may enqueue and do nothing else (`doctor --grants`).

-- Joining a line takes locks, a sequence and a look at the line's jobs: more than such a role may do by itself. So it
-- joins with the rights of whoever owns the tables, in their schema, whatever a session calls its own. Nobody calls the
-- function but its trigger, for which nobody needs a right.
do $$
begin
    execute format('alter function outbox_line_up() security definer set search_path = %I, pg_temp', current_schema());
end
$$;

revoke execute on function outbox_line_up() from public;

-- To take over a dedupe key whose time has passed, such a role may write dedupe_released. A key that a job still holds
-- it must not release, or the job would be enqueued twice; nor put a released one back.
create function outbox_keep_key() returns trigger language plpgsql as $$
begin
    if has_column_privilege(tg_relid, 'status', 'update')
        or new.dedupe_released and (new.dedupe_until <= clock_timestamp() or new.dedupe_until is null and new.status in ('done', 'error', 'cancelled')) then
        return null;
    end if;
    raise exception 'Job % still holds its dedupe key "%": the role % may take it over only when its time has passed.', new.id, new.dedupe_key, current_user
        using errcode = 'insufficient_privilege';
end
$$;

create trigger outbox_keep_key after update of dedupe_released on outbox
    for each row when (old.dedupe_released is distinct from new.dedupe_released)
    execute function outbox_keep_key();
