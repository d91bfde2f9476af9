// Applies prisma/migrations the way `prisma migrate deploy` does, and records them so that Prisma sees them as its own.
// Prisma's own engine is a native binary that is downloaded; this needs nothing but pg. Next: migration-history.ts.

import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { OutboxError } from "../outbox/errors.ts";
import { isPooled } from "./database.ts";
import { compare, createTable, readMigrations, readRecords, refuse, type MigrationFile, type MigrationStatus } from "./migration-history.ts";

export interface MigrateOptions {
  readonly onApplied?: (name: string) => void;
  /** How long to wait for another process that is migrating, and for the locks of each statement. Default 60 s. */
  readonly lockTimeoutMs?: number;
}

export interface Migrated {
  readonly applied: string[];
  readonly alreadyApplied: string[];
  /** Applied earlier, and edited since: the database does not have what the file now says. */
  readonly changed: string[];
}

/** The key that Prisma Migrate takes, so that the two exclude each other. */
const advisoryLock = 72707369;
const connectTimeoutMs = 10_000;

/** Applies what is pending, in order. Any number of processes may call it at once: one applies, the others find it done. */
export async function migrate(url: string, folder: string, options: MigrateOptions = {}): Promise<Migrated> {
  const { onApplied, lockTimeoutMs = 60_000 } = options;
  const files = await readMigrations(folder);
  return alone(url, lockTimeoutMs, async (client, stillAlone) => {
    // A time-out set on the role is meant for queries, and would cut a migration of a large table in the middle. Behind
    // PgBouncer what is set for a session stays on a connection that others get next, so each file is given it for itself.
    const unhurried = (local: string) => `set ${local} statement_timeout = 0; set ${local} lock_timeout = ${Math.max(1, Math.ceil(lockTimeoutMs))};\n`;
    const pooled = isPooled(url);
    if (!pooled) await client.query(unhurried("session"));
    await client.query(createTable);
    const before = compare(files, await readRecords(client));
    refuse(before);
    const applied: string[] = [];
    for (const file of files) {
      if (!before.pending.includes(file.name)) continue;
      await stillAlone();
      await apply(client, file, pooled && !needsNoTransaction(file) ? unhurried("local") : "");
      applied.push(file.name);
      onApplied?.(file.name);
    }
    return { applied, alreadyApplied: before.applied, changed: before.changed };
  });
}

/** Compares the folder with the database; writes nothing and takes no lock. */
export async function migrationStatus(url: string, folder: string): Promise<MigrationStatus> {
  const files = await readMigrations(folder);
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ found: boolean }>("select to_regclass('_prisma_migrations') is not null as found");
    return compare(files, rows[0]?.found === true ? await readRecords(client) : []);
  });
}

/** Such a statement must stand alone in its file. */
const needsNoTransaction = ({ sql }: MigrationFile) => /\bconcurrently\b/i.test(sql);

async function apply(client: pg.Client, file: MigrationFile, before: string): Promise<void> {
  const id = randomUUID();
  await client.query("insert into _prisma_migrations (id, checksum, started_at, migration_name) values ($1, $2, now(), $3)", [id, file.checksum, file.name]);
  try {
    // Without values pg uses the simple protocol, where a whole file is one implicit transaction. It has no time limit
    // of its own, because an index on a large table may rightly take an hour; its waits for locks have one.
    await client.query(before + file.sql);
    if (client.getTransactionStatus() !== "I") throw new Error("it begins a transaction that it does not commit");
  } catch (cause) {
    const reason = reasonOf(cause);
    const known = await recordFailure(client, id, reason);
    throw new OutboxError(
      "MIGRATION",
      known
        ? `Migration ${file.name} failed and was rolled back: ${reason}. Mend it, mark it as rolled back, and migrate again.`
        : `Migration ${file.name} was interrupted: ${reason}. The connection broke, so whether it was applied is not known: look at the database, mark it as rolled back or applied, and migrate again.`,
      { cause },
    );
  }
  await client.query("update _prisma_migrations set applied_steps_count = applied_steps_count + 1, finished_at = now() where id = $1", [id]);
}

/** False when the connection is no more: then the record stays as it was, unfinished and without a reason. */
async function recordFailure(client: pg.Client, id: string, reason: string): Promise<boolean> {
  try {
    // The file may have begun a transaction by itself, in whose ruins the next statement would be refused.
    await client.query("rollback");
    await client.query("update _prisma_migrations set logs = $2 where id = $1", [id, reason]);
    return true;
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.severity === "ERROR") throw error;
    return false;
  }
}

/**
 * While nobody else migrates. The lock belongs to a transaction, held open on a connection of its own: PgBouncer would
 * leave a session's lock with a connection that others get next. READ COMMITTED, so that it has no snapshot as it waits,
 * for which a `create index concurrently` would wait too. `stillAlone` throws when the connection has broken.
 */
async function alone<Value>(url: string, timeoutMs: number, work: (client: pg.Client, stillAlone: () => Promise<unknown>) => Promise<Value>): Promise<Value> {
  return withClient(url, async (holder) => {
    await lock(holder, timeoutMs);
    return withClient(url, (client) => work(client, () => holder.query("select")));
    // Closing the connection gives the lock back.
  });
}

/** Polls, because a session that sleeps inside `select pg_advisory_lock(…)` holds a snapshot. */
async function lock(client: pg.Client, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    await client.query("begin isolation level read committed; set local idle_in_transaction_session_timeout = 0");
    const { rows } = await client.query<{ locked: boolean }>("select pg_try_advisory_xact_lock($1) as locked", [advisoryLock]);
    if (rows[0]?.locked === true) return;
    await client.query("rollback");
    if (performance.now() >= deadline) {
      throw new OutboxError(
        "MIGRATION",
        `Another process has been migrating this database for over ${Math.round(timeoutMs / 1000)} s (it holds advisory lock ${advisoryLock}). ` +
          "Wait for it and try again, or find it in pg_locks and end it.",
      );
    }
    await pause(Math.min(200, timeoutMs));
  }
}

async function withClient<Value>(url: string, work: (client: pg.Client) => Promise<Value>): Promise<Value> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectTimeoutMs, application_name: "postcommit-migrate", keepAlive: true });
  // A connection that breaks between two statements makes the next one fail; without a listener it would end the process.
  client.on("error", () => undefined);
  try {
    await client.connect();
  } catch (cause) {
    throw new OutboxError("DATABASE_UNREACHABLE", `Cannot connect to Postgres at ${client.host}:${client.port}, database ${String(client.database)}: ${reasonOf(cause)}. Check DATABASE_URL.`, { cause });
  }
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** A refused connection to a name with several addresses is an AggregateError without a message of its own. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0]);
  return cause instanceof Error ? cause.message : String(cause);
}
