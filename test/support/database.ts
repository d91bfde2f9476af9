// A real Postgres database for one test file, with the outbox's tables in it, and gone afterwards:
//   let db: TestDatabase;
//   beforeAll(async () => { db = await testDatabase(); });
//   afterAll(() => db.close());

import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { inject } from "vitest";

export interface TestDatabase {
  readonly url: string;
  readonly pool: pg.Pool;
  /** Ends the pool and drops the database, with whatever is still connected to it. */
  close(): Promise<void>;
}

/** A database with all migrations applied. */
export function testDatabase(): Promise<TestDatabase> {
  return createDatabase(`template ${inject("template")}`);
}

/** A database with nothing in it, for tests of migrations. */
export function emptyDatabase(): Promise<TestDatabase> {
  return createDatabase("template template0");
}

async function createDatabase(from: string): Promise<TestDatabase> {
  const name = `postcommit_test_${inject("runId")}_${randomBytes(6).toString("hex")}`;
  await asAdmin((admin) => retryWhileBusy(() => admin.query(`create database ${name} ${from}`)));
  const url = new URL(inject("adminUrl"));
  url.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: url.href, max: 10, connectionTimeoutMillis: 10_000 });
  // Tests end connections on purpose; one that breaks while nobody waits for it would end the test process.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  let closed: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    // Not for ever: pool.end() waits for clients that a failed test has not given back. The drop ends those.
    await Promise.race([pool.end(), pause(2_000)]);
    await asAdmin((admin) => admin.query(`drop database if exists ${name} with (force)`));
  };
  return { url: url.href, pool, close: () => (closed ??= close()) };
}

async function asAdmin(work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const admin = new pg.Client({ connectionString: inject("adminUrl"), connectionTimeoutMillis: 10_000, query_timeout: 60_000 });
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}

/** Another database is being made from the same template at this moment. */
async function retryWhileBusy(work: () => Promise<unknown>): Promise<void> {
  for (let left = 50; ; left -= 1) {
    try {
      await work();
      return;
    } catch (error) {
      const busy = error instanceof pg.DatabaseError && error.code === "55006";
      if (!busy || left === 0) throw error;
      await pause(100 + Math.random() * 100);
    }
  }
}
