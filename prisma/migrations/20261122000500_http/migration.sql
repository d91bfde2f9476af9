-- Traces: where a job comes from, as W3C Trace Context writes it, and the trace in which an attempt failed. No checks: each
-- would be parsed anew by every statement that updates (ADR 9), and who runs the job reads them with care.

alter table outbox add column traceparent text, add column tracestate text;

alter table outbox_attempt add column trace_id text;

-- Who waits for a job to end (outbox.wait), so that its end rings for them. Not logged: after a crash nobody waits any more.
create unlogged table outbox_waiter (
    job_id uuid not null,
    waiter uuid not null,
    until timestamptz(6) not null,
    constraint outbox_waiter_pkey primary key (job_id, waiter)
)
with (autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0);

-- Whoever changes a status looks whether anybody waits. It says which jobs are waited for, and nothing about them.
grant select on outbox_waiter to public;

-- Rings once for those whose jobs have ended, whatever became of them, and takes away those whose time is over. Rows that
-- another transaction has in hand are its own to ring for. With the owner's rights, as outbox_line_up has them. The status
-- is looked up for each row, so that no plan ever reads the jobs from the first to the last.
create function outbox_ring_waiters() returns void language plpgsql security definer as $$
begin
    delete from outbox_waiter
    where ctid = any (array(
        select waiting.ctid
        from outbox_waiter as waiting
        where (select job.status in ('done', 'error', 'cancelled') from outbox as job where job.id = waiting.job_id)
            or waiting.until < clock_timestamp()
        for no key update skip locked
    ));
    if found then
        perform pg_notify('outbox_ended', '');
    end if;
end
$$;

do $$
begin
    execute format('alter function outbox_ring_waiters() set search_path = %I, pg_temp', current_schema());
    execute 'alter function outbox_ring_waiters() set enable_seqscan = off';
end
$$;

-- At the end of each statement that changes a status: the lines that jobs have left (outbox_leave) go on, and whoever
-- waits is rung for. While nobody does, that costs a look at an empty table for each statement, whatever it changes.
create or replace function outbox_left() returns trigger language plpgsql as $$
begin
    if current_setting('outbox.left', true) <> '' then
        perform outbox_promote_left();
    end if;
    if exists (select from outbox_waiter) then
        perform outbox_ring_waiters();
    end if;
    return null;
end
$$;
