// Databases for tests, made and dropped, without anything of the test runner: the loops that are commands use it too.

import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";

export interface TestDatabase {
  /** For the program under test: through PgBouncer where the tests run behind it. */
  readonly url: string;
  /** Straight to Postgres, as the test's own pool goes. */
  readonly direct: string;
  readonly pool: pg.Pool;
  /** Ends the pool and drops the database, with whatever is still connected to it. */
  close(): Promise<void>;
}

/** Where databases are made: what global-setup.ts provides. */
export interface TestServer {
  /** A database that is not a test's own, from which databases are made and dropped. */
  readonly adminUrl: string;
  /** The database with all migrations applied. */
  readonly template: string;
  /** In the name of every database of this run. */
  readonly runId: string;
  /** Host and port of the PgBouncer that stands between the programs under test and their database; none unless said. */
  readonly pooler?: string | null;
}

/** `from`: "template …", of which it is a copy. */
export async function createDatabase({ adminUrl, runId, pooler = null }: Omit<TestServer, "template">, from: string): Promise<TestDatabase> {
  const name = `postcommit_test_${runId}_${randomBytes(6).toString("hex")}`;
  await asAdmin(adminUrl, (admin) => retryWhileBusy(() => admin.query(`create database ${name} ${from}`)));
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: url.href, max: 10, connectionTimeoutMillis: 10_000 });
  // Tests end connections on purpose; one that breaks while nobody waits for it would end the test process.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  let closed: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    // Not for ever: pool.end() waits for clients that a failed test has not given back. The drop ends those.
    if (!pool.ending) await Promise.race([pool.end(), pause(2_000)]);
    await asAdmin(adminUrl, (admin) => admin.query(`drop database if exists ${name} with (force)`));
  };
  return { url: behindPooler(url, pooler).href, direct: url.href, pool, close: () => (closed ??= close()) };
}

function behindPooler(url: URL, pooler: string | null): URL {
  if (pooler === null) return url;
  const behind = Object.assign(new URL(url), { host: pooler });
  behind.searchParams.set("pgbouncer", "true");
  return behind;
}

async function asAdmin(adminUrl: string, work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const admin = new pg.Client({ connectionString: adminUrl, connectionTimeoutMillis: 10_000, query_timeout: 60_000 });
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
