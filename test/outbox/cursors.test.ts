// What is due is found and run, wherever in the table and whenever it appears, although a worker reads no entry twice if
// it can help it. Polls are an hour apart wherever something else must be the cause.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Handler } from "../../src/index.ts";
import { defineJob, handle } from "../../src/index.ts";
import type { Database } from "../../src/outbox/database.ts";
import { postgres } from "../../src/service/database.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, work } from "../support/outbox.ts";
import { until } from "../support/until.ts";
import { oneHourMs, workersOfEachTest } from "../support/workers.ts";

const startWorker = workersOfEachTest();
let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
});
afterAll(async () => {
  await test.close();
});
beforeEach(async () => {
  await test.empty();
  started = [];
});

/** In the order in which handlers began. */
let started: { id: string; type: string; priority: number; at: number }[] = [];
const noting = (type: string, run: () => Promise<void> = () => Promise.resolve()): Handler =>
  handle(defineJob({ type }), (_, { job }) => {
    started.push({ id: job.id, type, priority: job.priority, at: performance.now() });
    return run();
  });
const hasStarted = (id: string) => started.some((job) => job.id === id);
const listening = async () => (await test.pool.query("select from outbox_worker where listening")).rowCount;
const asleep = () => until("a worker listens", async () => (await listening()) === 1);

/** `count` due jobs in one statement, oldest first, a microsecond apart from `ageMs` ago on. */
const backlog = (count: number, { type = "work", priority = 0, ageMs = 0 }: { type?: string; priority?: number; ageMs?: number } = {}) =>
  test.pool.query(
    `insert into outbox (type, payload, priority, run_at)
     select $2, '{}', $3, clock_timestamp() - $4::float8 * interval '1 millisecond' + n * interval '1 microsecond' - interval '1 second'
     from generate_series(1, $1::int) as n`,
    [count, type, priority, ageMs],
  );

async function inTransaction(): Promise<pg.PoolClient> {
  const client = await test.pool.connect();
  await client.query("begin");
  return client;
}
const insertInto = async (client: pg.PoolClient, columns = "now()") => {
  const id = randomUUID();
  await client.query(`insert into outbox (id, type, payload, run_at) values ($1, 'work', '{}', ${columns})`, [id]);
  return id;
};
async function commit(client: pg.PoolClient): Promise<void> {
  await client.query("commit");
  client.release();
}

describe("what is committed later than others that were enqueued after it", () => {
  it("runs as soon as it is committed, although the worker has gone past it", async () => {
    startWorker(test.outbox, { handlers: [noting("work")], pollMs: oneHourMs });
    await asleep();
    const slow = await inTransaction();
    const early = await insertInto(slow);
    const { id } = await test.outbox.enqueueAlone(work, {});
    await until("the later one has run", async () => (await test.job(id)).status === "done");
    expect(hasStarted(early)).toBe(false);
    await commit(slow);
    await until("the earlier one runs", () => hasStarted(early), 2000);
  });

  it("runs within about five seconds when its transaction was open for longer than a worker expects", async () => {
    startWorker(test.outbox, { handlers: [noting("work")], pollMs: oneHourMs });
    await asleep();
    const slow = await inTransaction();
    const early = await insertInto(slow, "now() - interval '10 seconds'");
    await sleep(5100); // so that the next look is a deep one, and the one after it is not
    const { id } = await test.outbox.enqueueAlone(work, {});
    await until("the later one has run", async () => (await test.job(id)).status === "done");
    await commit(slow);
    await until("the earlier one runs", () => hasStarted(early), 8000);
  });

  it("runs soon when it was enqueued under load, while nobody listened, and is committed when the worker has gone to sleep", async () => {
    const slow = await inTransaction();
    await backlog(4000);
    startWorker(test.outbox, { handlers: [noting("work")], pollMs: oneHourMs });
    await until("it is under load", () => started.length > 1000);
    const early = await insertInto(slow);
    expect(await listening()).toBe(0);
    await until("it has gone to sleep", async () => started.length === 4000 && (await listening()) === 1);
    await commit(slow);
    await until("it runs", () => hasStarted(early), 3000);
  });

  it("runs within a second or so in the middle of a load, also when claims take their time", async () => {
    // Claims whose answers are slow to arrive, so that one is always under way when a look comes back.
    const slowly: Database = {
      ...test.database,
      async query(text, values) {
        const rows = await test.database.query(text, values);
        if (text.includes("skip locked")) await sleep(300);
        return rows;
      },
    };
    const outbox = test.over(slowly);
    await backlog(400, { ageMs: -1000 });
    startWorker(outbox, { handlers: [noting("work")], pollMs: oneHourMs });
    await until("it is under load", () => started.length > 0);
    const [late] = (await test.pool.query<{ id: string }>("insert into outbox (type, payload, run_at) select 'work', '{}', min(run_at) - interval '1 microsecond' from outbox returning id")).rows;
    const before = started.length;
    await until("it runs", () => hasStarted(late!.id), 20_000);
    const place = started.findIndex(({ id }) => id === late!.id);
    expect(place - before).toBeLessThanOrEqual(100); // two looks, and what was claimed beside them
  });
});

describe("a job that appears far behind, and rings for nobody", () => {
  /** A row in a trigger's absence: as if it had been enqueued an hour ago, by a transaction that commits now. */
  async function appears(): Promise<string> {
    const client = await inTransaction();
    await client.query("set local session_replication_role = replica");
    const id = await insertInto(client, "now() - interval '1 hour'");
    await commit(client);
    return id;
  }

  it("is found by an idle worker within about five seconds, by the poll", async () => {
    startWorker(test.outbox, { handlers: [noting("work")], pollMs: 200 });
    await asleep();
    const id = await appears();
    await until("it runs", () => hasStarted(id), 8000);
  });

  it("is found by a busy worker within about five seconds", async () => {
    await backlog(2000, { ageMs: -1000 });
    // Each slot is taken again at once, for much longer than it may take.
    startWorker(test.outbox, { handlers: [noting("work", () => sleep(20))], pollMs: oneHourMs, concurrency: 2, batch: 2 });
    await until("it is under load", () => started.length > 10);
    const id = await appears();
    await until("it runs", () => hasStarted(id), 8000);
    expect(started.length).toBeLessThan(1900);
  });
});

describe("the order in which jobs of many types and priorities begin", () => {
  const types = ["a", "b", "c", "d", "e"];

  it("two workers and a drain run each of 2,000 jobs once", async () => {
    for (const type of types) for (const [priority, count] of [[10, 133], [0, 134], [-10, 133]] as const) await backlog(count, { type, priority });
    const handlers = types.map((type) => noting(type));
    startWorker(test.outbox, { handlers, pollMs: oneHourMs });
    startWorker(test.other, { handlers, pollMs: oneHourMs });
    await test.outbox.drain({ handlers });
    await until("all are done", async () => (await test.outbox.counts()).done === 2000);
    expect(started.length).toBe(2000);
    expect(new Set(started.map(({ id }) => id)).size).toBe(2000);
    expect(await test.jobs("attempts <> 1")).toEqual([]);
    await until("the workers are asleep", async () => (await listening()) === 2);
  });

  it("two workers share one backlog: neither goes to sleep while the other has more than it can do", async () => {
    await backlog(3000);
    const handlers = [noting("work", () => sleep(5))];
    const both = [startWorker(test.outbox, { handlers, pollMs: oneHourMs, concurrency: 10 }), startWorker(test.other, { handlers, pollMs: oneHourMs, concurrency: 10 })];
    await until("all are done", async () => (await test.jobs("status <> 'done'")).length === 0);
    for (const worker of both) expect(worker.status().tally.done).toBeGreaterThan(1000);
  });

  it("jobs that somebody else has locked, more of them than a batch, are passed over", async () => {
    await backlog(100);
    const lock = await inTransaction();
    try {
      await lock.query("select from outbox order by run_at, id limit 50 for update");
      startWorker(test.outbox, { handlers: [noting("work")], pollMs: oneHourMs, concurrency: 20, batch: 20 });
      await until("all the others are done", async () => (await test.jobs("status = 'done'")).length === 50, 3000);
    } finally {
      await commit(lock);
    }
    await until("these are done too", async () => (await test.jobs("status = 'done'")).length === 100, 5000);
  });

  it("greater priority comes first, over all types", async () => {
    for (const type of types) for (const priority of [10, 0, -10]) await backlog(20, { type, priority });
    await test.outbox.drain({ handlers: types.map((type) => noting(type)), concurrency: 1 });
    expect(started.map(({ priority }) => priority)).toEqual([10, 0, -10].flatMap((priority) => Array.from({ length: 100 }, () => priority)));
  });

  it("a job of greater priority that comes in the middle of a backlog waits for no more than what has been claimed", async () => {
    await backlog(300);
    startWorker(test.outbox, { handlers: [noting("work", () => sleep(5))], pollMs: oneHourMs, concurrency: 1, batch: 10 });
    await until("it is at work", () => started.length > 20);
    const { id } = await test.outbox.enqueueAlone(work, {}, { priority: 10 });
    const before = started.length;
    await until("it runs", () => hasStarted(id));
    // What 200 ms are enough for, until the next look, and what has been claimed by then.
    expect(started.findIndex((job) => job.id === id) - before).toBeLessThan(80);
  });

  it.each([
    ["quick", 5, 20],
    ["slow", 250, 1],
  ])("a flood of one type does not keep a single job of another waiting for more than a few batches, with %s jobs", async (_, jobMs, batch) => {
    await backlog(1000, { type: "flood" });
    startWorker(test.outbox, { handlers: [noting("flood", () => sleep(jobMs)), noting("single")], pollMs: oneHourMs, concurrency: 1, batch });
    await until("the flood is under way", () => started.length > 1);
    const id = await test.aJob({ type: "single" });
    const before = started.length;
    await until("it runs", () => hasStarted(id), 8000);
    expect(started.findIndex((job) => job.id === id) - before).toBeLessThanOrEqual(5 * batch);
  });
});

describe("the doorbell", () => {
  it("is not rung while workers are under load, and is while one sleeps", async () => {
    const rings: string[] = [];
    const listener = await test.pool.connect();
    listener.on("notification", ({ channel }) => rings.push(channel));
    await listener.query("listen outbox");
    await backlog(1500);
    startWorker(test.outbox, { handlers: [noting("work", () => sleep(10))], pollMs: oneHourMs, concurrency: 10, batch: 10 });
    await until("it is under load", () => started.length > 300);
    expect(await listening()).toBe(0);
    rings.length = 0;
    for (let n = 0; n < 5; n += 1) await test.outbox.enqueueAlone(work, { n });
    await listener.query("select"); // whatever there was has been heard by now
    expect(rings).toEqual([]);
    expect(started.length).toBeLessThan(1500);

    await until("the load is over", async () => started.length === 1505 && (await listening()) === 1, 15_000);
    const { id } = await test.outbox.enqueueAlone(work, {});
    await until("it runs", () => hasStarted(id));
    await listener.query("select");
    expect(rings).toEqual(["outbox"]);
    await listener.query("unlisten outbox");
    listener.release(true);
  });
});

describe("waiting for the disk", () => {
  it("is left out by a claim that settles nothing, and by nothing else", async () => {
    await test.pool.query("create table durability (status text, waits text)");
    await test.pool.query(`create function note_durability() returns trigger language plpgsql as $$
      begin insert into durability values (new.status, current_setting('synchronous_commit')); return null; end $$`);
    await test.pool.query("create trigger note_durability after update on outbox for each row execute function note_durability()");
    try {
      await test.pool.query("do $$ begin execute format('alter database %I set synchronous_commit = on', current_database()); end $$"); // tests do without
      const database = postgres(test.url);
      const outbox = test.over(database);
      await backlog(3);
      await outbox.drain({ handlers: [noting("work")], batch: 1, concurrency: 1 });
      const seen = (await test.pool.query<{ status: string; waits: string }>("select distinct status, waits from durability order by 1, 2")).rows;
      expect(seen).toEqual([
        { status: "done", waits: "on" },
        { status: "processing", waits: "off" }, // the first
        { status: "processing", waits: "on" }, // those that travelled with a settlement
      ]);
      expect(await database.query("show synchronous_commit")).toEqual([{ synchronous_commit: "on" }]);
      await outbox.close();
    } finally {
      await test.pool.query("drop trigger note_durability on outbox");
    }
  });
});
