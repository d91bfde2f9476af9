// A real Postgres database for one test file, with the outbox's tables in it, and gone afterwards:
//   let db: TestDatabase;
//   beforeAll(async () => { db = await testDatabase(); });
//   afterAll(() => db.close());

import { inject } from "vitest";
import type { TestDatabase } from "./databases.ts";
import { createDatabase } from "./databases.ts";

export type { TestDatabase } from "./databases.ts";

/** A database with all migrations applied. */
export function testDatabase(): Promise<TestDatabase> {
  return createDatabase(server(), `template ${inject("template")}`);
}

/** A database with nothing in it, for tests of migrations. */
export function emptyDatabase(): Promise<TestDatabase> {
  return createDatabase(server(), "template template0");
}

const server = () => ({ adminUrl: inject("adminUrl"), runId: inject("runId"), pooler: inject("pooler") });
