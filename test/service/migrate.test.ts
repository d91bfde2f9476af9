// Migrations: applied once whoever asks, whole or not at all, and never against a database of a newer program.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { migrate, migrationStatus } from "../../src/service/migrate.ts";
import { cli } from "../support/cli.ts";
import { emptyDatabase, type TestDatabase } from "../support/database.ts";
import { diagnose } from "../support/drift.ts";

const ours = resolve(import.meta.dirname, "../../prisma/migrations");
let db: TestDatabase;
let folder: string;

beforeEach(async () => {
  db = await emptyDatabase();
  folder = await mkdtemp(join(tmpdir(), "postcommit-migrate-"));
  await writeFile(join(folder, "migration_lock.toml"), 'provider = "postgresql"\n');
});
afterEach(async () => {
  await db.close();
  await rm(folder, { recursive: true });
});

async function aMigration(name: string, sql: string): Promise<void> {
  await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, name, "migration.sql"), sql);
}

async function tables(): Promise<string[]> {
  const { rows } = await db.pool.query<{ name: string }>("select tablename as name from pg_tables where schemaname = 'public' order by 1");
  return rows.map((row) => row.name);
}

test("migrations are applied in the order of their names, and a second time none is", async () => {
  await aMigration("2_rename", "alter table first rename to second;");
  await aMigration("1_create", "create table first (id int);");
  const seen: string[] = [];
  expect(await migrate(db.url, folder, { onApplied: (name) => seen.push(name) })).toEqual({ applied: ["1_create", "2_rename"], alreadyApplied: [], changed: [] });
  expect(seen).toEqual(["1_create", "2_rename"]);
  expect(await tables()).toEqual(["_prisma_migrations", "second"]);
  expect(await migrate(db.url, folder)).toEqual({ applied: [], alreadyApplied: ["1_create", "2_rename"], changed: [] });
});

test("Prisma sees the migrations as its own", async () => {
  const { applied } = await migrate(db.url, ours);
  const { rows } = await db.pool.query("select migration_name, checksum, finished_at >= started_at as finished, applied_steps_count, logs, rolled_back_at from _prisma_migrations order by 1");
  expect(rows).toEqual(
    await Promise.all(
      applied.map(async (name) => ({
        migration_name: name,
        checksum: createHash("sha256").update(await readFile(join(ours, name, "migration.sql"))).digest("hex"),
        finished: true,
        applied_steps_count: 1,
        logs: null,
        rolled_back_at: null,
      })),
    ),
  );
  expect(await diagnose(db.url, ours)).toMatchObject({ hasMigrationsTable: true, failedMigrationNames: [], editedMigrationNames: [], history: null });
});

test("five processes that migrate at once all succeed, and one of them applies", { timeout: 90_000 }, async () => {
  // Nobody may begin before all five are there, so the lock they need is held until then.
  const barrier = await db.pool.connect();
  await barrier.query("select pg_advisory_lock(72707369)");
  const script = resolve(import.meta.dirname, "../support/migrate-once.ts");
  const run = promisify(execFile);
  const processes = Array.from({ length: 5 }, () => run(process.execPath, ["--import", "tsx", script, db.url, ours], { timeout: 80_000 }));
  const ended = Promise.allSettled(processes);
  try {
    await Promise.all(processes.map(({ child }) => once(child.stderr!, "data"))); // it is a pipe
    expect(await tables()).toEqual([]);
  } finally {
    barrier.release(true);
    await ended;
  }
  const applied = await Promise.all(processes.map(async (child) => JSON.parse((await child).stdout) as string[]));
  expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
  expect(await migrationStatus(db.url, ours)).toMatchObject({ pending: [], failed: [] });
});

test("a migration that fails is rolled back whole and recorded, and the next run refuses and says what to do", async () => {
  await aMigration("1_good", "create table good (id int);");
  await aMigration("2_bad", "create table half (id int);\ninsert into nowhere values (1);");
  await aMigration("3_later", "create table later (id int);");
  await expect(migrate(db.url, folder)).rejects.toMatchObject({ code: "MIGRATION", message: expect.stringContaining('Migration 2_bad failed and was rolled back: relation "nowhere" does not exist') });
  expect(await tables()).toEqual(["_prisma_migrations", "good"]);
  expect(await migrationStatus(db.url, folder)).toEqual({
    applied: ["1_good"],
    pending: ["2_bad", "3_later"],
    failed: [{ name: "2_bad", logs: 'relation "nowhere" does not exist' }],
    changed: [],
    unknown: [],
  });
  expect((await diagnose(db.url, folder)).failedMigrationNames).toEqual(["2_bad"]);

  await aMigration("2_bad", "create table half (id int);");
  await expect(migrate(db.url, folder)).rejects.toThrow(/2_bad failed before: relation "nowhere" does not exist.*--rolled-back 2_bad/);
  await db.pool.query("update _prisma_migrations set rolled_back_at = now() where migration_name = '2_bad' and finished_at is null");
  expect((await migrate(db.url, folder)).applied).toEqual(["2_bad", "3_later"]);
  expect(await migrationStatus(db.url, folder)).toMatchObject({ pending: [], failed: [], changed: [] });
});

test("a migration that begins a transaction of its own and fails is rolled back and recorded", async () => {
  await aMigration("1_bad", "begin; create table half (id int); select 1 / 0; commit;");
  await expect(migrate(db.url, folder)).rejects.toThrow("division by zero");
  expect(await tables()).toEqual(["_prisma_migrations"]);
  expect((await migrationStatus(db.url, folder)).failed).toEqual([{ name: "1_bad", logs: "division by zero" }]);
});

test("a migration that never commits its own transaction is refused instead of being recorded as applied", async () => {
  await aMigration("1_open", "begin; create table half (id int);");
  await expect(migrate(db.url, folder)).rejects.toThrow("it begins a transaction that it does not commit");
  expect(await tables()).toEqual(["_prisma_migrations"]);
});

test("a migration whose connection breaks is not taken for applied, and the next run refuses", async () => {
  await aMigration("1_cut", "create table half (id int); select pg_terminate_backend(pg_backend_pid());");
  await expect(migrate(db.url, folder)).rejects.toThrow("Migration 1_cut was interrupted");
  await expect(migrate(db.url, folder)).rejects.toThrow("1_cut failed before: it was interrupted, and whether it was applied is not known");
});

test("a migration that was changed after it was applied is reported", async () => {
  await aMigration("1_create", "create table first (id int);");
  await migrate(db.url, folder);
  await aMigration("1_create", "create table first (id bigint);");
  expect((await migrationStatus(db.url, folder)).changed).toEqual(["1_create"]);
  expect(await migrate(db.url, folder)).toEqual({ applied: [], alreadyApplied: ["1_create"], changed: ["1_create"] });
});

test("an older program on a newer schema refuses and applies nothing", async () => {
  await aMigration("1_create", "create table first (id int);");
  await aMigration("9_newer", "create table newer (id int);");
  await migrate(db.url, folder);
  await rm(join(folder, "9_newer"), { recursive: true });
  await aMigration("2_own", "create table own (id int);");
  expect((await migrationStatus(db.url, folder)).unknown).toEqual(["9_newer"]);
  await expect(migrate(db.url, folder)).rejects.toMatchObject({ code: "MIGRATION", message: expect.stringContaining("migrations that this program does not know: 9_newer") });
  expect(await tables()).not.toContain("own");
});

test("an older program, as it is built, refuses the database of a newer one by its name, and changes nothing; doctor says so", async () => {
  await migrate(db.url, ours);
  await db.pool.query("insert into _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count) values ('later', 'x', '99990101000000_newer', now(), 1)");
  const before = await tables();
  const { code, stderr } = await cli(["migrate"], { DATABASE_URL: db.url });
  expect(code).not.toBe(0);
  expect(stderr).toContain("migrations that this program does not know: 99990101000000_newer");
  expect(await tables()).toEqual(before);
  expect((await cli(["doctor"], { DATABASE_URL: db.url })).stdout).toContain("99990101000000_newer");
});

test("an index can be made concurrently while another process waits to migrate", async () => {
  await aMigration("1_create", "create table big (id int); insert into big select generate_series(1, 50000);");
  await aMigration("2_index", "create index concurrently big_id on big (id);");
  const [one, two] = await Promise.all([migrate(db.url, folder), migrate(db.url, folder)]);
  expect([...one.applied, ...two.applied]).toEqual(["1_create", "2_index"]);
});

test("asking for the status of a new database writes nothing", async () => {
  await aMigration("1_create", "create table first (id int);");
  expect(await migrationStatus(db.url, folder)).toEqual({ applied: [], pending: ["1_create"], failed: [], changed: [], unknown: [] });
  expect(await tables()).toEqual([]);
});

test("a process that waits for another's migration gives up after its limit and says so", async () => {
  const other = await db.pool.connect();
  try {
    await other.query("select pg_advisory_lock(72707369)");
    await expect(migrate(db.url, folder, { lockTimeoutMs: 300 })).rejects.toMatchObject({ code: "MIGRATION", message: expect.stringContaining("advisory lock 72707369") });
  } finally {
    other.release(true);
  }
});

test("a statement time-out on the role does not cut a migration", async () => {
  const { rows } = await db.pool.query<{ name: string }>("select current_database() as name");
  await db.pool.query(`alter database ${rows[0]!.name} set statement_timeout = '100ms'`);
  await aMigration("1_slow", "select pg_sleep(0.3); create table slow (id int);");
  expect((await migrate(db.url, folder)).applied).toEqual(["1_slow"]);
});

test("a missing folder, a folder without a file and a database that is not there are named", async () => {
  await expect(migrate(db.url, join(folder, "none"))).rejects.toThrow(`Expected a folder of migrations at ${join(folder, "none")}`);
  await mkdir(join(folder, "1_empty"));
  await expect(migrate(db.url, folder)).rejects.toThrow(`Expected ${join(folder, "1_empty")} to hold a migration.sql`);
  await rm(join(folder, "1_empty"), { recursive: true });
  await expect(migrate("postgresql://me:secret@127.0.0.1:1/app", folder)).rejects.toMatchObject({
    code: "DATABASE_UNREACHABLE",
    message: expect.stringMatching(/^Cannot connect to Postgres at 127\.0\.0\.1:1, database app: (?!.*secret)/),
  });
});
