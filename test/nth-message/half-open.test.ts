// Connections that die without a word: nothing comes through any more, and nobody is told. New ones do get through.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Database } from "../../src/outbox/database.ts";
import { postgres } from "../../src/service/database.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, worksBy } from "../support/outbox.ts";
import type { Proxy } from "../support/proxy.ts";
import { proxy } from "../support/proxy.ts";
import { until } from "../support/until.ts";
import { oneHourMs, workersOfEachTest } from "../support/workers.ts";

const noticedWithinMs = 15_000;

let test: TestOutbox;
let proxied: Proxy;
let database: Database;
const startWorker = workersOfEachTest(); // its afterEach comes last, so the network is there until the workers have left
beforeAll(async () => {
  test = await testOutbox();
  await test.pool.query("create table held (n integer primary key)");
});
afterAll(() => test.close());
beforeEach(async () => {
  await test.empty();
  proxied = await proxy(test.url);
  database = postgres(proxied.url);
});
afterEach(async () => {
  await proxied.close();
});

const isDone = async (id: string) => (await test.job(id)).status === "done";
const listens = async () => (await test.pool.query("select from outbox_worker where listening")).rowCount === 1;

/** The session on which the worker has beaten last, as long as it is there. */
const beating = async () =>
  (await test.pool.query<{ pid: number }>("select pid from pg_stat_activity where datname = current_database() and query like 'update outbox_worker set beat_at%' order by query_start desc limit 1")).rows[0]?.pid ?? null;

describe("a statement", { timeout: 60_000 }, () => {
  it("whose connection has died without a word fails within 15 s, and what its transaction held is free", async () => {
    const startedAt = performance.now();
    const lost = database.transaction(async (tx) => {
      await tx.query("insert into held values (1)");
      proxied.halfOpen();
      await tx.query("insert into held values (2)");
    });
    await expect(lost).rejects.toThrow("without a word");
    expect(performance.now() - startedAt).toBeLessThan(noticedWithinMs);
    await test.pool.query("set lock_timeout = '5s'; insert into held values (1)"); // would wait for a transaction that is still open
    expect(await database.query("select 1 as one")).toEqual([{ one: 1 }]);
    await database.close();
  });

  it("that takes long is left alone", async () => {
    expect(await database.query("select 1 as one from pg_sleep(8)")).toEqual([{ one: 1 }]);
    await database.close();
  });
});

describe("a worker all of whose connections have died without a word", { timeout: 90_000 }, () => {
  it("while it was idle notices it within 15 s, is woken again by what is enqueued, and runs it", async () => {
    const outbox = test.over(database);
    const worker = startWorker(outbox, { handlers: [worksBy(() => Promise.resolve())], pollMs: oneHourMs });
    await until("it listens", listens);
    const listener = await beating();
    proxied.halfOpen();
    await until("it has another connection to listen on", async () => ![null, listener].includes(await beating()), noticedWithinMs);
    for (const withinMs of [noticedWithinMs, 5000]) {
      const id = await test.aJob(); // no poll would find it
      await until("the job is done", () => isDone(id), withinMs);
    }
    await worker.stop();
    await outbox.close();
  });

  it("while it was busy settles what has run, within 15 s and in its first attempt", async () => {
    const outbox = test.over(database);
    const gate = barrier();
    let running = 0;
    const handler = worksBy(async () => {
      running += 1;
      await gate.reached;
    });
    const ids = [await test.aJob(), await test.aJob()];
    const worker = startWorker(outbox, { handlers: [handler] });
    await until("both run", () => running === 2);
    await sleep(100); // nothing is on its way
    proxied.halfOpen();
    gate.open();
    for (const id of ids) await until("the job is done", () => isDone(id), noticedWithinMs);
    for (const id of ids) expect(await test.job(id)).toMatchObject({ attempts: 1 });
    expect(running).toBe(2);
    await worker.stop();
    await outbox.close();
  });
});
