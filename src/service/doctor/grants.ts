// `doctor --grants`: SQL for the three database roles. Proved by test/commands/grants.test.ts, which runs exactly this.

/** The roles have no login: a login of yours becomes a member of one of them. */
export const roles = { enqueuer: "outbox_enqueuer", drainer: "outbox_drainer", viewer: "outbox_viewer" } as const;

/** What an enqueue may say of a job. The rest has its default, and belongs to the engine. */
const enqueued = ["id", "type", "payload", "priority", "max_attempts", "run_at", "owner", "dedupe_key", "dedupe_until", "ordering_key", "block_on_dead", "concurrency_key", "version", "tags", "traceparent", "tracestate"];
/** Prisma's create and createMany write these with their defaults, whether they are named or not. */
const writtenByPrisma = ["status", "attempts", "suspect", "dedupe_released"];
/** What is read to find out who holds a dedupe key. */
const deduped = ["id", "type", "status", "dedupe_key", "dedupe_until", "dedupe_released"];
/** What the engine and operators change of a job: not what it is, only how it fares. */
const changed = [
  ...["status", "priority", "attempts", "max_attempts", "run_at", "updated_at", "started_at", "finished_at", "locked_by", "lease_token", "suspect"],
  ...["last_error", "result", "dedupe_released", "sequence", "checkpoint", "progress", "progress_note"],
];

/** Every table of ours, and what a drainer may do with it. All of them it may read, as a viewer may. */
export const drainerRights: readonly (readonly [table: string, rights: string])[] = [
  ["outbox", `insert, update (${changed.join(", ")}), delete`],
  ["outbox_worker", "insert, update, delete"],
  ["outbox_lock", "insert, update, delete"],
  ["outbox_attempt", "insert"],
  ["outbox_effect", "insert, update, delete"],
  ["outbox_action", "insert, update (count)"],
  ["outbox_action_job", "insert"],
  ["outbox_alert", "insert, update, delete"],
  ["outbox_redrive", "insert, update, delete"],
  ["outbox_type", "insert, update"],
  ["outbox_schedule", "insert, update"],
  ["outbox_slot", "insert, update, delete"],
  ["outbox_key_lock", "insert, update"],
  ["outbox_unpromoted", "insert, update, delete"],
  ["outbox_waiter", "insert, update, delete"],
  ["notification", "insert"],
  ["audit_log", "insert"],
];
const drainerSequences = ["outbox_sequence", "outbox_attempt_id_seq", "outbox_action_id_seq", "outbox_unpromoted_id_seq", "audit_log_id_seq"];
const drainerFunctions = ["outbox_key_lock(text)", "outbox_take_place(text)", "outbox_promote(text[], bigint[])", "outbox_promote_left()", "outbox_in_turn(outbox)"];
const readingFunctions = ["outbox_normalised(text)", "outbox_top_frame(text)", "outbox_fingerprint(text, text, text)"];

/** One transaction; run by the owner of the tables it may be run again at any time, and takes back whatever else the roles had. */
export function grantsSql(): string {
  const { enqueuer, drainer: drains, viewer } = roles;
  const everyRole = Object.values(roles).join(", ");
  const tables = drainerRights.map(([table]) => table).join(", ");
  return `-- Roles for postcommit. Run as the owner of its tables who may create roles:
--   npm run -s app:cli -- doctor --grants | psql "$DATABASE_URL"
-- Then make a login of yours a member of one:  grant ${enqueuer} to my_app;

begin;

do $$
declare
    role text;
begin
    foreach role in array array[${Object.values(roles).map((role) => `'${role}'`).join(", ")}] loop
        if not exists (select from pg_roles where rolname = role) then
            begin
                execute format('create role %I nologin', role);
            exception when duplicate_object or unique_violation then
                null; -- somebody else has, at this moment
            end;
        end if;
        execute format('grant usage on schema %I to %I', (select relnamespace::regnamespace::name from pg_class where oid = 'outbox'::regclass), role);
    end loop;
    if to_regclass('_prisma_migrations') is not null then
        grant select on _prisma_migrations to ${drains}, ${viewer};
    end if;
end
$$;

revoke all on ${tables} from ${everyRole};
revoke all on sequence ${drainerSequences.join(", ")} from ${everyRole};

-- ${enqueuer}: stores jobs, and nothing else. It reads no payload and no other job but who holds a dedupe key. Of
-- dedupe_released it changes only that of a key whose time has passed: see the trigger outbox_keep_key.
grant insert (${enqueued.join(", ")}) on outbox to ${enqueuer};
grant insert (${writtenByPrisma.join(", ")}) on outbox to ${enqueuer}; -- for Prisma, which writes their defaults; of its create, select the id alone
grant select (${deduped.join(", ")}), update (dedupe_released) on outbox to ${enqueuer};
grant select (listening) on outbox_worker to ${enqueuer}; -- whether to ring the doorbell

-- ${drains}: runs jobs, fires schedules, retries, cancels, pauses and prunes. No DDL; of a job it changes how it
-- fares, never its type or payload; of the ledgers of attempts and actions and of the audit log it deletes nothing.
grant select on ${tables} to ${drains};
${drainerRights.map(([table, rights]) => `grant ${rights} on ${table} to ${drains};`).join("\n")}
grant usage on sequence ${drainerSequences.join(", ")} to ${drains};
grant execute on function ${[...drainerFunctions, ...readingFunctions].join(", ")} to ${drains};

-- ${viewer}: reads everything, payloads too, and changes nothing.
grant select on ${tables} to ${viewer};
grant execute on function ${readingFunctions.join(", ")} to ${viewer};

commit;

-- A superuser may let them see what other roles' sessions do, for doctor to find who holds an old snapshot since when:
--   grant pg_read_all_stats to ${viewer}, ${drains};
`;
}
