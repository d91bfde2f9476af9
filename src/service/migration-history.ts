// What the folder of migrations holds, what a database says was applied to it, and how the two compare.
// The record is Prisma's table _prisma_migrations.

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import { OutboxError } from "../outbox/errors.ts";

export interface MigrationStatus {
  readonly pending: string[];
  readonly applied: string[];
  readonly failed: { name: string; logs: string | null }[];
  readonly changed: string[];
  /** Applied to the database, but not in the folder: the database belongs to a newer program. */
  readonly unknown: string[];
}

export interface MigrationFile {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

/** The folders in the order of their names, which is the order they are applied in. */
export async function readMigrations(folder: string): Promise<MigrationFile[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new OutboxError("MIGRATION", `Expected a folder of migrations at ${folder}, but it cannot be read. Run from the root of the project.`, { cause });
  });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.sort().map(async (name) => {
      const bytes = await readFile(join(folder, name, "migration.sql")).catch((cause: unknown) => {
        throw new OutboxError("MIGRATION", `Expected ${join(folder, name)} to hold a migration.sql that can be read. Restore the file, or delete the folder.`, { cause });
      });
      return { name, sql: bytes.toString("utf8"), checksum: createHash("sha256").update(bytes).digest("hex") };
    }),
  );
}

/** Column for column what Prisma's engine creates. */
export const createTable = `
create table if not exists _prisma_migrations (
    id varchar(36) primary key not null,
    checksum varchar(64) not null,
    finished_at timestamptz,
    migration_name varchar(255) not null,
    logs text,
    rolled_back_at timestamptz,
    started_at timestamptz not null default now(),
    applied_steps_count integer not null default 0
)`;

interface MigrationRecord {
  readonly migration_name: string;
  readonly checksum: string;
  readonly finished_at: Date | null;
  readonly logs: string | null;
}

/** What Prisma counts as having happened: everything but what was marked as rolled back. */
export async function readRecords(client: pg.Client): Promise<MigrationRecord[]> {
  const { rows } = await client.query<MigrationRecord>(
    `select migration_name, checksum, finished_at, logs from _prisma_migrations
      where rolled_back_at is null order by started_at, migration_name`,
  );
  return rows;
}

/** What of the folder the database has, and what of the database the folder has. */
export function compare(files: MigrationFile[], records: MigrationRecord[]): MigrationStatus {
  const finished = new Map(records.filter((record) => record.finished_at !== null).map((record) => [record.migration_name, record.checksum]));
  const known = new Set(files.map((file) => file.name));
  return {
    pending: files.filter((file) => !finished.has(file.name)).map((file) => file.name),
    applied: files.filter((file) => finished.has(file.name)).map((file) => file.name),
    failed: records.filter((record) => record.finished_at === null).map((record) => ({ name: record.migration_name, logs: record.logs })),
    changed: files.filter((file) => finished.has(file.name) && finished.get(file.name) !== file.checksum).map((file) => file.name),
    unknown: [...finished.keys()].filter((name) => !known.has(name)),
  };
}

/** Throws when nothing may be applied: after a failure, and on the database of a newer program. */
export function refuse({ failed, unknown }: MigrationStatus): void {
  const first = failed[0];
  if (first !== undefined) {
    throw new OutboxError(
      "MIGRATION",
      `Migration ${first.name} failed before: ${first.logs ?? "it was interrupted, and whether it was applied is not known"}. ` +
        `Look at the database and mend the cause; then mark it with "npx prisma migrate resolve --rolled-back ${first.name}" ` +
        `(or: update _prisma_migrations set rolled_back_at = now() where migration_name = '${first.name}' and finished_at is null) and migrate again.`,
    );
  }
  if (unknown.length > 0) {
    throw new OutboxError(
      "MIGRATION",
      `The database has migrations that this program does not know: ${unknown.join(", ")}. It belongs to a newer version of the program: ` +
        "deploy that version. If you deleted a migration's folder on purpose, delete its row from _prisma_migrations too.",
    );
  }
}
