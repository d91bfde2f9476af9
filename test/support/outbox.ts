// An outbox over a test's own database, with rows built by hand and time moved by ageing rows:
//   const test = await testOutbox();  …  await test.close();

import { randomUUID } from "node:crypto";
import type pg from "pg";
import type { ClaimedJob, Handler, OutboxEvent } from "../../src/index.ts";
import { defineJob, handle } from "../../src/index.ts";
import type { Database } from "../../src/outbox/database.ts";
import type { Outbox } from "../../src/outbox/outbox.ts";
import { outboxOver } from "../../src/outbox/outbox.ts";
import type { Claim } from "../../src/outbox/store/claim.ts";
import type { Lane } from "../../src/outbox/store/exchange.ts";
import { exchange } from "../../src/outbox/store/exchange.ts";
import { postgres } from "../../src/service/database.ts";
import { compileSchedules } from "../../src/service/schedules.ts";
import { testDatabase } from "./database.ts";

export interface JobRow {
  id: string;
  type: string;
  payload: unknown;
  status: string;
  priority: number;
  attempts: number;
  max_attempts: number;
  run_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
  locked_by: string | null;
  suspect: boolean;
  last_error: string | null;
  result: unknown;
  owner: string | null;
  dedupe_key: string | null;
}

export interface TestOutbox {
  /** For the program under test: through PgBouncer where the tests run behind it. */
  readonly url: string;
  /** Straight to Postgres, as `pool` goes. */
  readonly direct: string;
  readonly pool: pg.Pool;
  readonly database: Database;
  readonly outbox: Outbox;
  /** One as if in another process, over the same database. */
  readonly other: Outbox;
  /** One over a way to the database that the test makes, which also closes it. */
  over(database: Database): Outbox;
  readonly events: OutboxEvent[];
  /** Inserts a row as it is; anything left out has the table's default. Gives back its id. */
  aJob(columns?: Record<string, unknown>): Promise<string>;
  job(id: string): Promise<JobRow>;
  jobs(where?: string): Promise<JobRow[]>;
  attempts(id: string): Promise<{ attempt: number; outcome: string; error_class: string | null; message: string | null }[]>;
  empty(): Promise<void>;
  close(): Promise<void>;
}

export async function testOutbox(): Promise<TestOutbox> {
  const test = await testDatabase();
  const { url, direct, pool } = test;
  const database = postgres(url, { maxConnections: 8 });
  const events: OutboxEvent[] = [];
  const over = (through: Database) => outboxOver(through, { version: "test", emit: (event) => events.push(event), compileSchedules });
  const outbox = over(database);
  const other = over(postgres(url));
  const jobs = async (where = "true") => (await pool.query<JobRow>(`select * from outbox where ${where} order by run_at, id`)).rows;
  return {
    url,
    direct,
    pool,
    database,
    outbox,
    other,
    over,
    events,
    jobs,
    async aJob(columns = {}) {
      const row: Record<string, unknown> = { id: randomUUID(), type: "work", payload: {}, ...columns };
      const names = Object.keys(row);
      const values = Object.values(row).map((value) => (typeof value === "object" && value !== null && !(value instanceof Date) ? JSON.stringify(value) : value));
      await pool.query(`insert into outbox (${names.join(", ")}) values (${names.map((_, index) => `$${index + 1}`).join(", ")})`, values);
      return String(row.id);
    },
    async job(id) {
      const { rows } = await pool.query<JobRow>("select * from outbox where id = $1", [id]);
      if (rows[0] === undefined) throw new Error(`there is no job ${id}`);
      return rows[0];
    },
    async attempts(id) {
      return (await pool.query<Awaited<ReturnType<TestOutbox["attempts"]>>[number]>("select attempt, outcome, error_class, message from outbox_attempt where job_id = $1 order by id", [id])).rows;
    },
    async empty() {
      events.length = 0;
      await pool.query("truncate outbox, outbox_worker, outbox_attempt, outbox_effect, outbox_action, outbox_type, outbox_schedule, outbox_slot, outbox_unpromoted, notification cascade");
    },
    async close() {
      await outbox.close();
      await other.close();
      await test.close();
    },
  };
}

/** The type of job that tests use where any will do. */
export const work = defineJob<{ n?: number }>({ type: "work" });

/** One claim of a worker's, from the beginning of each lane. */
export async function claimJobs(database: Database, claim: Claim, limit: number, lanes: readonly Lane[] = [{ type: "work", priority: 0 }]): Promise<ClaimedJob[]> {
  const from = { runAt: "-infinity", id: "00000000-0000-0000-0000-000000000000" };
  const { jobs } = await exchange(database, claim, [], lanes.map((lane) => ({ ...lane, from })), limit);
  return jobs.map(({ job }) => job);
}

/** A handler of it. */
export function worksBy(run: Parameters<typeof handle<{ n?: number }, { n?: number }>>[1]): Handler {
  return handle(work, run);
}

/** A promise to be settled from outside: the barrier of a race. */
export function barrier(): { readonly reached: Promise<void>; readonly open: () => void } {
  let open: () => void = () => undefined;
  const reached = new Promise<void>((resolve) => (open = resolve));
  return { reached, open: () => open() };
}
