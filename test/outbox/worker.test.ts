// What a worker promises from its start to its end: when it is woken, what it does with its slots, how it stops, and what
// becomes of its jobs when it loses its connections or its life.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Handler } from "../../src/index.ts";
import { defineJob, handle } from "../../src/index.ts";
import type { Database } from "../../src/outbox/database.ts";
import type { Outbox } from "../../src/outbox/outbox.ts";
import type { Worker } from "../../src/outbox/worker.ts";
import { postgres } from "../../src/service/database.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, work, worksBy } from "../support/outbox.ts";
import { proxy } from "../support/proxy.ts";
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

const done = async () => (await test.jobs("status = 'done'")).length;
const isDone = async (id: string) => (await test.job(id)).status === "done";
const workers = async () => (await test.pool.query<{ id: string; listening: boolean }>("select id, listening from outbox_worker")).rows;
const asleep = () => until("a worker listens", async () => (await workers()).some(({ listening }) => listening));
const enqueue = (count: number, type = "work") =>
  test.pool.query("insert into outbox (type, payload, run_at) select $2, '{}', clock_timestamp() from generate_series(1, $1::int)", [count, type]);
/** Ends the engine's connections; with `query` only those whose latest statement was like it. */
const cut = async (query = "%") =>
  (await test.pool.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postcommit' and datname = current_database() and query ilike $1", [query])).rowCount;
const quick = worksBy(() => Promise.resolve());

/** Counts what is asked of the database, and does `after` with each answer before it is given out. */
function watched(after: (text: string) => Promise<void> = () => Promise.resolve()): { outbox: Outbox; asked: string[] } {
  const asked: string[] = [];
  const query: Database["query"] = async (text, values) => {
    asked.push(text);
    const rows = await test.database.query(text, values);
    await after(text);
    return rows;
  };
  const outbox = test.over({
    ...test.database,
    query,
    transaction: (run) => {
      asked.push("transaction");
      return test.database.transaction(run);
    },
    async dedicated(timeoutMs, onNotification) {
      const connection = await test.database.dedicated(timeoutMs, onNotification);
      return {
        ...connection,
        query: (text, values) => {
          asked.push(text);
          return connection.query(text, values);
        },
      };
    },
  });
  return { outbox, asked };
}

describe("an idle worker", () => {
  let worker: Worker;
  let asked: string[];
  let ended: Promise<unknown>;
  beforeAll(async () => {
    await test.empty();
    const idle = watched();
    asked = idle.asked;
    worker = idle.outbox.worker({ handlers: [quick, handle(defineJob({ type: "second" }), () => Promise.resolve()), retriedOnce()], pollMs: oneHourMs });
    ended = worker.start();
    await asleep();
    // It looks again and again at first, and ever less: when it has not for a second, nothing but a ring wakes it in these tests.
    for (let before = -1; before !== looks(); ) {
      before = looks();
      await sleep(1200);
    }
  });
  afterAll(async () => {
    await worker.stop();
    await ended;
  });
  const looks = () => asked.filter((text) => !text.includes("beat_at = clock_timestamp()")).length;
  const retriedOnce = (): Handler =>
    handle(defineJob({ type: "retried", retry: () => 300 }), (_, { attempt }) => (attempt === 1 ? Promise.reject(new Error("not yet")) : Promise.resolve()));

  it("is woken by an enqueue", async () => {
    const { id } = await test.outbox.enqueueAlone(work, {});
    await until("it runs", () => isDone(id), 1000);
  });

  it("is woken by a job of another type that it handles, by a raw insert, and by a priority never seen before", async () => {
    const id = await test.aJob({ type: "second", priority: 7 });
    await until("it runs", () => isDone(id), 1000);
    const lower = await test.aJob({ type: "second", priority: -32_768 });
    await until("it runs", () => isDone(lower), 1000);
  });

  it("is not woken by an enqueue that is rolled back, nor by one that is not committed", async () => {
    // After the load of an earlier test the worker looks again by itself, each time twice as late: such a look may fall into
    // one round, but an enqueue that wakes it would do so in every one.
    const looked: number[] = [];
    for (let round = 0; round < 4 && !looked.includes(0); round += 1) {
      const before = looks();
      const client = await test.pool.connect();
      await client.query("begin");
      const { id } = await test.outbox.enqueue(client, work, {});
      await sleep(300);
      await client.query("rollback");
      client.release();
      await sleep(300);
      looked.push(looks() - before);
      await expect(test.job(id)).rejects.toThrow();
    }
    expect(looked).toContain(0);
  });

  it("runs a job when it is due, without a poll", async () => {
    const { id } = await test.outbox.enqueueAlone(work, {}, { runAt: new Date(Date.now() + 400) });
    expect((await test.job(id)).status).toBe("pending");
    await until("it runs", () => isDone(id), 2000);
    const { rows } = await test.pool.query<{ late: number }>("select extract(epoch from started_at - run_at)::float8 * 1000 as late from outbox where id = $1", [id]);
    expect(rows[0]!.late).toBeGreaterThanOrEqual(0);
    expect(rows[0]!.late).toBeLessThan(500);
  });

  it("runs the second attempt of a job when its short backoff is over, without a poll", async () => {
    const id = await test.aJob({ type: "retried" });
    await until("it is done", () => isDone(id), 3000);
    expect(await test.job(id)).toMatchObject({ attempts: 2 });
  });

  it("listens again when the connection that it listens on is ended, and finds what was enqueued in between", async () => {
    const listens = asked.filter((text) => text === "listen outbox").length;
    await test.pool.query("update outbox_worker set listening = false"); // so that nobody rings, whether or not it listens already
    expect(await cut("update outbox_worker set beat_at%") || (await cut("listen%"))).toBe(1);
    const { id } = await test.outbox.enqueueAlone(work, {});
    await until("it listens again", () => asked.filter((text) => text === "listen outbox").length > listens, 9000);
    await until("it runs", () => isDone(id), 2000);
    await test.pool.query("update outbox_worker set listening = true");
  });

  it("finds within about five seconds what was committed long after it was enqueued", async () => {
    await sleep(5100); // so that the next look goes back to the very beginning, and the one after it does not
    for (let n = 0; n < 2; n += 1) {
      const { id } = await test.outbox.enqueueAlone(work, {});
      await until("it runs", () => isDone(id), 1000);
    }
    const client = await test.pool.connect();
    await client.query("begin");
    const late = randomUUID();
    await client.query("insert into outbox (id, type, payload, run_at) values ($1, 'work', '{}', now() - interval '10 seconds')", [late]);
    await client.query("commit");
    client.release();
    await until("it runs", () => isDone(late), 7000);
  });
});

describe("a worker's slots", () => {
  beforeEach(() => test.empty());

  it("what is finished waits for nothing that is not: with one job that hangs, the quick ones are done meanwhile", async () => {
    const gate = barrier();
    const hangs = await test.aJob({ payload: { n: -1 }, priority: 1 });
    await enqueue(100);
    startWorker(test.outbox, { handlers: [worksBy(({ n }) => (n === -1 ? gate.reached : Promise.resolve()))], concurrency: 2, pollMs: oneHourMs });
    await until("all the others are done", async () => (await done()) === 100);
    expect((await test.job(hangs)).status).toBe("processing");
    gate.open();
    await until("it is done", () => isDone(hangs));
  });

  it("are never idle for longer than a claim takes while jobs are due", async () => {
    const jobMs = 20;
    await enqueue(400);
    startWorker(test.outbox, { handlers: [worksBy(() => sleep(jobMs))], concurrency: 10, batch: 10, pollMs: oneHourMs });
    const tookMs = await until("all are done", async () => (await done()) === 400);
    expect(tookMs).toBeLessThan(3 * ((400 / 10) * jobMs)); // twice as much is left for slow machines
  });

  it("never have more than the concurrency in them, and none is lost to jobs that fail", async () => {
    let running = 0;
    let most = 0;
    const handler = handle(defineJob<{ n?: number }>({ type: "work", retry: () => 0 }), async (_, { attempt }) => {
      most = Math.max(most, (running += 1));
      await sleep(1);
      running -= 1;
      if (attempt === 1) throw new Error("not yet");
    });
    await enqueue(150);
    startWorker(test.outbox, { handlers: [handler], concurrency: 3, batch: 20, pollMs: oneHourMs });
    await until("all are done", async () => (await done()) === 150);
    expect(most).toBe(3);
    expect(await test.jobs("attempts <> 2")).toEqual([]);
  });

  it("a handler that never settles loses its slot at its time limit, and the worker goes on", async () => {
    const stuck = defineJob<{ n?: number }>({ type: "stuck", timeout: "200ms", retry: { maxAttempts: 1 } });
    const id = await test.aJob({ type: "stuck", max_attempts: 1, priority: 1 });
    await enqueue(5);
    startWorker(test.outbox, { handlers: [handle(stuck, () => new Promise(() => undefined)), quick], concurrency: 1, pollMs: oneHourMs });
    await until("the others are done", async () => (await done()) === 5);
    expect(await test.job(id)).toMatchObject({ status: "error", attempts: 1 });
  });
});

describe("stopping", () => {
  beforeEach(() => test.empty());

  it("takes no more, lets what runs end, and gives back uncounted what has not begun; another worker runs it", async () => {
    const gate = barrier();
    let started = 0;
    // Quick ones first, so that it claims ahead.
    const handler = worksBy(({ n }) => {
      started += 1;
      return n === -1 ? gate.reached : Promise.resolve();
    });
    await enqueue(40);
    const worker = startWorker(test.outbox, { handlers: [handler], concurrency: 1, pollMs: oneHourMs });
    await until("the quick ones are done", async () => (await done()) === 40);
    await asleep();
    const client = await test.pool.connect();
    await client.query("begin");
    const hangs = randomUUID();
    await client.query(`insert into outbox (id, type, payload, run_at) values ($1, 'work', '{"n": -1}', now() - interval '1 millisecond')`, [hangs]);
    await client.query("insert into outbox (type, payload) select 'work', '{}' from generate_series(1, 10)");
    await client.query("commit");
    client.release();
    await until("one hangs and others wait behind it", () => worker.status().running === 1 && worker.status().waiting > 0);
    const { waiting } = worker.status();

    const stopped = Promise.all([worker.stop(), worker.stop()]);
    await until("what waits is given back", async () => (await test.jobs("status = 'processing'")).length === 1);
    expect(await test.jobs("status = 'pending' and attempts = 0")).toHaveLength(10);
    expect(started).toBe(41);
    expect((await test.job(hangs)).status).toBe("processing");
    gate.open();
    await stopped;
    expect(await isDone(hangs)).toBe(true);
    expect(started).toBe(41);
    expect(await workers()).toEqual([]);
    expect(worker.status()).toMatchObject({ working: false });
    expect((await worker.start()).released).toBe(waiting);

    startWorker(test.other, { handlers: [quick], pollMs: oneHourMs });
    await until("all are done", async () => (await done()) === 51);
    expect(await test.jobs("attempts <> 1")).toEqual([]);
  });

  it("gives back uncounted what outlives the grace", async () => {
    const id = await test.aJob();
    const worker = startWorker(test.outbox, { handlers: [worksBy(() => new Promise(() => undefined))], grace: "200ms", pollMs: oneHourMs });
    await until("it runs", () => worker.status().running === 1);
    await worker.stop();
    expect(await test.job(id)).toMatchObject({ status: "pending", attempts: 0 });
  });

  it("ends while the database is away", async () => {
    const proxied = await proxy(test.url);
    const outbox = test.over(postgres(proxied.url));
    const worker = startWorker(outbox, { handlers: [quick], lease: "1s" });
    await asleep();
    proxied.cut();
    await until("it has noticed", () => test.events.some(({ event }) => event === "database_failed"));
    await worker.stop();
    expect(worker.status().working).toBe(false);
    await outbox.close();
    await proxied.close();
  });

  it("before the start: nothing is claimed", async () => {
    const id = await test.aJob();
    const worker = test.outbox.worker({ handlers: [quick] });
    await worker.stop();
    expect(await worker.start()).toMatchObject({ done: 0 });
    expect((await test.job(id)).status).toBe("pending");
  });

  it("by itself, when there has been nothing to do for its idle time-out, however long the poll is", async () => {
    await enqueue(3);
    const worker = test.outbox.worker({ handlers: [quick], idleTimeout: "500ms", pollMs: oneHourMs });
    const startedAt = performance.now();
    const tally = await worker.start();
    expect(tally).toMatchObject({ done: 3 });
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(500);
    expect(performance.now() - startedAt).toBeLessThan(4000);
    expect(await workers()).toEqual([]);
  });
});

describe("a worker that loses its connections or its row", () => {
  beforeEach(() => test.empty());

  it("all of them, twice in the middle of a batch: every job ends done, none is lost", async () => {
    const started = new Map<string, number>();
    const handler = worksBy(async (_, { job }) => {
      started.set(job.id, (started.get(job.id) ?? 0) + 1);
      await sleep(2);
    });
    await enqueue(600);
    startWorker(test.outbox, { handlers: [handler], concurrency: 10, batch: 10, pollMs: oneHourMs });
    for (const count of [100, 300]) {
      await until("it is at work", () => started.size >= count);
      await cut();
    }
    await until("all are done", async () => (await done()) === 600);
    expect(await test.jobs("status <> 'done'")).toEqual([]);
    for (const { id, attempts } of await test.jobs()) expect(started.get(id)).toBe(attempts);
  });

  it.each(["a claim", "a settlement and claim in one"])("the answer to %s that took the last jobs is lost: they run all the same, with no poll", async (which) => {
    let lose = false;
    let lost = 0;
    const { outbox } = watched((text) => {
      if (!lose || !text.includes("settlement as materialized")) return Promise.resolve();
      lose = false;
      lost += 1;
      return Promise.reject(Object.assign(new Error("the connection broke before the answer came"), { code: "ECONNRESET" }));
    });
    const gate = barrier();
    const handler = worksBy(({ n }) => (n === 1 ? gate.reached : Promise.resolve()));
    if (which !== "a claim") await test.aJob({ payload: { n: 1 } });
    const worker = startWorker(outbox, { handlers: [handler], concurrency: 1, pollMs: oneHourMs });
    if (which === "a claim") await asleep();
    else await until("the first runs", () => worker.status().running === 1);
    await enqueue(1);
    lose = true;
    gate.open();
    if (which === "a claim") await test.outbox.enqueueAlone(work, {});
    await until("all are done", async () => (await test.jobs("status <> 'done'")).length === 0, 5000);
    expect(lost).toBe(1);
    expect(await test.jobs("attempts <> 1")).toEqual([]);
  });

  it("its row: it goes on under a new id, its jobs run again with a counted attempt, and nothing of it is written", async () => {
    const gate = barrier();
    const told: string[] = [];
    const ids = [await test.aJob({ payload: { n: 1 } }), await test.aJob({ payload: { n: 2 } })];
    const handler = worksBy(async (_, { attempt, signal }) => {
      if (attempt > 1) return { attempt };
      signal.addEventListener("abort", () => told.push((signal.reason as Error).message));
      await gate.reached;
      return { attempt };
    });
    startWorker(test.outbox, { handlers: [handler], concurrency: 2, lease: "1s" });
    await until("both run", async () => (await test.jobs("status = 'processing'")).length === 2);
    const [before] = await workers();
    await test.pool.query("delete from outbox_worker");
    await until("they have run again", async () => (await done()) === 2);
    gate.open();
    expect(told).toHaveLength(2);
    for (const id of ids) {
      expect(await test.job(id)).toMatchObject({ attempts: 2, result: { attempt: 2 } });
      expect(await test.attempts(id)).toMatchObject([{ attempt: 1, outcome: "lost" }]);
    }
    const after = await workers();
    expect(after).toHaveLength(1);
    expect(after[0]!.id).not.toBe(before!.id);
    expect(test.events.filter(({ event }) => event === "job_done")).toHaveLength(2);
  });

  it("its row, with jobs that have not begun: those run again too, and did not run twice", async () => {
    const gate = barrier();
    const started: string[] = [];
    const handler = worksBy(({ n }, { job }) => {
      started.push(job.id);
      return n === -1 && job.attempt === 1 ? gate.reached : Promise.resolve();
    });
    await enqueue(40);
    const worker = startWorker(test.outbox, { handlers: [handler], concurrency: 1, lease: "1s" });
    await until("the quick ones are done", async () => (await done()) === 40);
    await test.pool.query(`insert into outbox (type, payload, priority) select 'work', jsonb_build_object('n', -n), 2 - n from generate_series(1, 11) as n`);
    await until("one hangs and others wait behind it", () => worker.status().running === 1 && worker.status().waiting > 0);
    await test.pool.query("delete from outbox_worker");
    await until("all are done", async () => (await done()) === 51);
    gate.open();
    const [hung] = await test.jobs("payload ->> 'n' = '-1'");
    expect(started.filter((id) => id === hung!.id)).toHaveLength(2);
    expect(new Set(started).size).toBe(started.length - 1);
  });

  it("its row, while the answer to a claim is on its way: what that took does not run under the lost lease", async () => {
    const gate = barrier();
    let held = false;
    let holding = false;
    const { outbox } = watched(async (text) => {
      if (!holding || !text.includes("settlement as materialized")) return;
      if ((await test.jobs("status = 'processing'")).length === 0) return; // a claim that was on its way before the job was there
      holding = false;
      held = true;
      await gate.reached;
    });
    const started: number[] = [];
    startWorker(outbox, { handlers: [worksBy((_, { attempt }) => Promise.resolve(void started.push(attempt)))], lease: "1s" });
    await asleep();
    holding = true;
    const id = await test.aJob();
    await until("the claim has been carried out", () => held);
    expect(await test.job(id)).toMatchObject({ status: "processing" });
    await test.pool.query("delete from outbox_worker");
    await until("it has noticed", () => test.events.some(({ event }) => event === "worker_lost_lease"));
    gate.open();
    await until("it has run again", () => isDone(id));
    expect(started).toEqual([2]);
  });
});

describe("what a worker tells", () => {
  beforeEach(() => test.empty());

  it("what runs, what waits, what has become of the others", async () => {
    const gate = barrier();
    const worker = test.outbox.worker({ handlers: [worksBy(({ n }) => (n === 1 ? gate.reached : Promise.resolve()))], concurrency: 2 });
    expect(worker.status()).toMatchObject({ working: false, running: 0, waiting: 0, tally: { done: 0 } });
    await test.aJob({ payload: { n: 1 } });
    await test.aJob();
    const ended = worker.start();
    await until("one runs and one is done", () => worker.status().running === 1 && worker.status().tally.done === 1);
    expect(worker.status()).toMatchObject({ working: true, waiting: 0, tally: { done: 1, retried: 0, dead: 0, released: 0, lost: 0 } });
    expect(worker.status().silentMs).toBeLessThan(2000);
    gate.open();
    await until("both are done", () => worker.status().tally.done === 2);
    await worker.stop();
    await ended;
  });

  it("that the database answers, also while a job that a worker died of runs alone for long", async () => {
    const gate = barrier();
    await test.aJob({ suspect: true });
    const worker = startWorker(test.outbox, { handlers: [worksBy(() => gate.reached)], lease: "1s" });
    await until("it runs", async () => (await test.jobs("status = 'processing'")).length === 1);
    await sleep(2500);
    const { silentMs, running } = worker.status();
    gate.open();
    expect(silentMs).toBeLessThan(1500); // it beats three times a second
    expect(running).toBe(1);
  });

  it("that the database does not answer", async () => {
    const proxied = await proxy(test.url);
    const outbox = test.over(postgres(proxied.url));
    const worker = startWorker(outbox, { handlers: [quick], lease: "1s", pollMs: 100 });
    await asleep();
    proxied.blackHole();
    await until("it has been silent for a second", () => worker.status().silentMs > 1000);
    proxied.resume();
    await until("it answers again", () => worker.status().silentMs < 500);
    const id = await test.aJob();
    await until("it works again", () => isDone(id));
    await worker.stop();
    await outbox.close();
    await proxied.close();
  });

  it("nothing, at most once a second, to the database while it is idle, and holds no transaction open", async () => {
    const { outbox, asked } = watched();
    startWorker(outbox, { handlers: [quick] });
    await asleep();
    await until("it has calmed down", () => asked.length > 8, 5000);
    await sleep(1500);
    const before = asked.length;
    await sleep(10_000);
    expect(asked.length - before).toBeLessThanOrEqual(10);
    const { rows } = await test.pool.query("select from pg_stat_activity where application_name = 'postcommit' and datname = current_database() and state like '%transaction%'");
    expect(rows).toEqual([]);
  });
});
