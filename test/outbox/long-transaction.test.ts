// A transaction that enqueues and commits half an hour later. Its jobs carry the time of their enqueue, so they appear
// far behind every cursor; meanwhile it holds an old transaction id, its keys, and whatever vacuum would like to remove.
// Time moves by ageing: the row is inserted as a transaction that began then would have left it.

import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { pruneFinished } from "../../src/outbox/maintenance.ts";
import { defaultRetention } from "../../src/outbox/retention.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, work, worksBy } from "../support/outbox.ts";
import { until } from "../support/until.ts";
import { oneHourMs, workersOfEachTest } from "../support/workers.ts";

const startWorker = workersOfEachTest();
let test: TestOutbox;
let ran: number[] = [];
const handlers = [worksBy(({ n = 0 }) => Promise.resolve(void ran.push(n)))];
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(async () => {
  await test.empty();
  ran = [];
});

async function begun(): Promise<pg.PoolClient> {
  const client = await test.pool.connect();
  await client.query("begin");
  return client;
}
async function ended(client: pg.PoolClient, how: "commit" | "rollback" = "commit"): Promise<void> {
  await client.query(how);
  client.release();
}
/** A job as a transaction enqueued it that began half an hour ago. Nobody is rung for when nobody listened then. */
async function enqueuedHalfAnHourAgo(client: pg.PoolClient, n: number, columns: Record<string, unknown> = {}): Promise<void> {
  const row = { type: "work", payload: { n }, ...columns };
  await client.query(
    `insert into outbox (id, run_at, created_at, updated_at, ${Object.keys(row).join(", ")})
     select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3) || 'a' || substr(md5(random()::text), 1, 15))::uuid, at, at, at, ${Object.keys(row).map((_, index) => `$${index + 1}`).join(", ")}
     from (select now() - interval '30 minutes' as at) as begun`,
    Object.values(row),
  );
}
const backlog = (count: number) => test.pool.query(`insert into outbox (type, payload, run_at) select 'work', '{"n":-1}', now() - interval '1 second' + n * interval '1 microsecond' from generate_series(1, $1::int) as n`, [count]);
const listening = async () => (await test.pool.query("select from outbox_worker where listening")).rowCount === 1;

describe("its job runs within seconds of the commit", () => {
  it("by a worker under load, which has gone past its place with every claim", async () => {
    const long = await begun();
    await enqueuedHalfAnHourAgo(long, 1);
    await backlog(3000);
    const worker = startWorker(test.outbox, { handlers: [worksBy(({ n = 0 }) => (ran.push(n), new Promise((resolve) => setTimeout(resolve, 20))))], pollMs: oneHourMs, concurrency: 4, batch: 4 });
    await until("it is under load", () => ran.length > 100);
    await ended(long);
    await until("it has run", () => ran.includes(1), 12_000);
    expect(ran.length, "the load was still there").toBeLessThan(3000);
    await worker.stop();
  });

  it("by a worker that was under load at the enqueue, so that nobody was rung for, and sleeps at the commit", async () => {
    const long = await begun();
    await backlog(200);
    await enqueuedHalfAnHourAgo(long, 1);
    startWorker(test.outbox, { handlers, pollMs: 200 });
    await until("it has done the others and sleeps", async () => ran.length === 200 && (await listening()));
    await ended(long);
    await until("it has run", () => ran.includes(1), 12_000);
  });

  it("by the next drain, whatever was enqueued and done meanwhile", async () => {
    const long = await begun();
    await enqueuedHalfAnHourAgo(long, 1);
    await backlog(50);
    await test.outbox.drain({ handlers });
    expect(ran).toHaveLength(50);
    await ended(long);
    expect(await test.outbox.drain({ handlers })).toMatchObject({ done: 1 });
    expect(ran.slice(50)).toEqual([1]);
  });
});

describe("while it is open", () => {
  it("jobs of its ordering key that were there before it run and settle, the next writer waits, and order is kept at the end", async () => {
    await test.outbox.enqueueAlone(work, { n: 1 }, { orderingKey: "k" });
    const long = await begun();
    await test.outbox.enqueue(long, work, { n: 2 }, { orderingKey: "k" });
    await test.outbox.enqueueAlone(work, { n: 10 }, { orderingKey: "another" });
    await test.outbox.drain({ handlers });
    expect(ran.sort()).toEqual([1, 10]);

    const impatient = await begun();
    await impatient.query("set local lock_timeout = '200ms'");
    await expect(test.outbox.enqueue(impatient, work, { n: 9 }, { orderingKey: "k" })).rejects.toMatchObject({ code: "55P03" });
    await ended(impatient, "rollback");

    const next = test.outbox.enqueueAlone(work, { n: 3 }, { orderingKey: "k" });
    await until("it waits", async () => (await test.pool.query("select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).rowCount === 1);
    ran = [];
    await ended(long);
    await next;
    await test.outbox.drain({ handlers });
    expect(ran).toEqual([2, 3]);
  });

  it("a prune passes by its place, and deletes its job when that has been finished for long enough", async () => {
    const prune = () => pruneFinished(test.database, { ...defaultRetention, done: 600_000 });
    const long = await begun();
    await enqueuedHalfAnHourAgo(long, 1);
    await prune();
    await ended(long);
    await prune();
    expect(await test.jobs()).toHaveLength(1);
    await test.outbox.drain({ handlers });
    await prune();
    expect(await test.jobs()).toHaveLength(1);
    await test.pool.query("update outbox set finished_at = finished_at - interval '10 minutes'");
    await prune();
    expect(await test.jobs()).toEqual([]);
  });
});
