// What people, monitors and workers do costs the same in a table with millions of jobs as in a small one. Measured in pages,
// which no busy machine changes, of the built program and of the engine. With SCALE=full there are 10,000,000 done jobs and
// a backlog of 1,000,000, and it takes a few minutes and 5 GB: SCALE=full npx vitest run test/outbox/scale.test.ts

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defineJob, handle } from "../../src/index.ts";
import { postgres } from "../../src/service/database.ts";
import { cli } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { until } from "../support/until.ts";

const full = process.env.SCALE === "full";
const size = full ? { done: 10_000_000, dead: 5000, backlog: 1_000_000 } : { done: 300_000, dead: 500, backlog: 30_000 };
const limitMs = full ? 1_800_000 : 120_000;
const types = ["bulk0", "bulk1", "bulk2", "bulk3"];
const handlers = types.map((type) => handle(defineJob({ type }), () => Promise.resolve()));

let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
  await test.pool.query("alter table outbox set (autovacuum_enabled = off); alter table outbox_attempt set (autovacuum_enabled = off)"); // it reads pages too
});
afterAll(() => test.close());

/** Jobs as enqueue would have made them, the newest of them just now, without what the triggers cost. */
async function fill(count: number, status: "done" | "pending" | "error", withinDays: number): Promise<void> {
  const step = 500_000;
  for (let from = 1; from <= count; from += step) {
    const client = await test.pool.connect();
    await client.query("set session_replication_role = replica");
    await client.query(
      `insert into outbox (id, type, payload, status, attempts, run_at, created_at, updated_at, finished_at, owner, priority, last_error)
       select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5($1 || n), 1, 3) || 'a' || substr(md5($1 || n), 5, 15))::uuid,
         'bulk' || n % 4, jsonb_build_object('n', n, 'to', 'user' || n || '@example.com', 'subject', 'Your payment was confirmed'), $1,
         case $1 when 'pending' then 0 when 'done' then 1 else 3 end, at, at, at, case when $1 <> 'pending' then at end,
         case when n % 5 = 0 then 'user' || n % 10000 end, case when n % 20 = 0 then 10 else 0 end, case when $1 = 'error' then 'Error: it failed' end
       from (select n, now() - $5 * interval '1 day' * (1 - n::float8 / $4) as at from generate_series($2::int, $3::int) as n) as made`,
      [status, from, Math.min(from + step - 1, count), count, withinDays],
    );
    client.release(true);
  }
}

/** On a connection of its own, whose figures are in the statistics once it has gone: counted later, they would be another's. */
async function vacuumed(): Promise<void> {
  const client = await test.pool.connect();
  await client.query("set application_name = 'vacuum'");
  await client.query("vacuum analyze outbox");
  client.release(true);
  await until("it has gone", async () => (await test.pool.query("select from pg_stat_activity where application_name = 'vacuum'")).rowCount === 0, 30_000);
}

/** Pages of the outbox's tables and indexes that were read or written by `work`, once all its connections have gone, and how long it took. */
async function cost(work: () => Promise<unknown>): Promise<{ pages: number; ms: number }> {
  const pages = async () =>
    (await test.pool.query<{ pages: number }>("select sum(coalesce(heap_blks_hit, 0) + coalesce(heap_blks_read, 0) + coalesce(idx_blks_hit, 0) + coalesce(idx_blks_read, 0))::float8 as pages from pg_statio_user_tables where relname like 'outbox%'")).rows[0]!.pages;
  const before = await pages();
  const startedAt = performance.now();
  await work();
  const ms = Math.round(performance.now() - startedAt);
  await until("its connections have gone", async () => (await test.pool.query("select from pg_stat_activity where application_name like 'postcommit%' and datname = current_database()")).rowCount === 0, 30_000);
  return { pages: (await pages()) - before, ms };
}

/** What draining 1,000 jobs more costs: without the beginning and the end of a drain, in which what is left is counted. */
async function costOfThousand(): Promise<number> {
  const drainOf = (maxJobs: number) =>
    cost(async () => {
      const outbox = test.over(postgres(test.url, { maxConnections: 4 }));
      expect(await outbox.drain({ handlers, maxJobs, batch: 20 })).toMatchObject({ done: maxJobs });
      await outbox.close();
    });
  const less = await drainOf(500);
  const more = await drainOf(1500);
  if (full) console.log(`drain of 1,500: ${more.ms} ms, ${more.pages} pages; of 500: ${less.ms} ms, ${less.pages} pages`);
  return more.pages - less.pages;
}

describe(`with ${size.done} done jobs, ${size.dead} dead letters and a backlog of ${size.backlog}`, () => {
  let thousandOfFew: number;
  beforeAll(async () => {
    await fill(2100, "pending", 0.01);
    await vacuumed();
    thousandOfFew = await costOfThousand();
    await test.empty();
    await fill(size.done, "done", 30);
    await fill(size.dead, "error", 3);
    await fill(size.backlog, "pending", 0.1);
    await vacuumed();
  }, limitMs);

  // The bound of stats is one of looks: at jobs near the ends of the table, where those that have just finished are found.
  it.each([
    ['db outbox findMany {"take":5}', 100],
    ['db outbox findMany {"where":{"status":"pending"},"take":5}', 100],
    ['db outbox findMany {"where":{"status":"error"},"take":5}', 100],
    ['db outbox findMany {"where":{"status":"processing","updatedAt":{"lt":"2024-01-01T00:00:00Z"}}}', 100],
    // These count the backlog, by type: not the 26,000 pages of the table, and not its done jobs.
    ["health:db", full ? 120_000 : 10_000],
    ["stats", 25_000],
    ["doctor", full ? 30_000 : 10_000],
    ["types:list", full ? 20_000 : 10_000],
    ["jobs:list", 500],
    ["jobs:list --status error", 500],
    ["jobs:list --owner user5", 500],
    ["jobs:list --type bulk3", 2000],
  ])("%s reads at most %i pages", { timeout: limitMs }, async (line, most) => {
    const { pages, ms } = await cost(async () => expect([0, 4]).toContain((await cli(line.split(" "), { DATABASE_URL: test.url })).code)); // 4: doctor finds fault with such a backlog
    if (full) console.log(`${line}: ${pages} pages, ${ms} ms`);
    expect(pages).toBeLessThanOrEqual(most);
  });

  it("a job costs the engine what it costs when there are few, but for the levels by which the indexes are higher", { timeout: limitMs }, async () => {
    expect(await costOfThousand()).toBeLessThan(2 * thousandOfFew);
  });
});
