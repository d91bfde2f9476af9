// What workers and drains do beside their jobs: schedules fire once, whoever is there, and retention deletes; neither
// holds up a job.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { defineSchedule } from "../../src/index.ts";
import { pruneChore } from "../../src/outbox/housekeeping.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, work, worksBy } from "../support/outbox.ts";
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
beforeEach(() => test.empty());

const quick = worksBy(() => Promise.resolve());
const hourly = defineSchedule({ name: "hourly", cron: "@hourly", contract: work, payload: { n: 1 } });
const hourAgo = () => test.pool.query("update outbox_schedule set next_slot_at = next_slot_at - interval '1 hour' where name = 'hourly'");
const fired = () => test.events.filter(({ event }) => event === "schedule_fired").length;
const schedulesKnown = async () => (await test.pool.query("select from outbox_schedule")).rowCount === 1;
const isDone = async (id: string) => (await test.job(id)).status === "done";

describe("a slot that has come", () => {
  it("is fired once by three drains and two workers at once, and its job runs", async () => {
    await test.outbox.drain({ handlers: [quick], schedules: [hourly] }); // makes it known
    await hourAgo();
    const options = { handlers: [quick], schedules: [hourly] };
    startWorker(test.outbox, options);
    startWorker(test.other, options);
    await Promise.all([test.outbox.drain(options), test.other.drain(options), test.outbox.drain(options)]);
    await until("its job is done", async () => (await test.jobs("status = 'done'")).length === 1);
    expect(await test.jobs()).toHaveLength(1);
    expect(fired()).toBe(1);
    expect((await test.pool.query("select from outbox_slot")).rowCount).toBe(1);
  });

  it("is fired by a drain, and its job runs in the same drain", async () => {
    await test.outbox.drain({ handlers: [quick], schedules: [hourly] });
    await hourAgo();
    expect(await test.outbox.drain({ handlers: [quick], schedules: [hourly] })).toMatchObject({ done: 1, remaining: 0, stopReason: "empty" });
    expect(await test.outbox.drain({ handlers: [quick], schedules: [hourly] })).toMatchObject({ done: 0 });
  });

  it("is fired by a worker when it comes, without a poll, and again when the next one does", async () => {
    const everySecond = defineSchedule({ name: "every second", cron: "* * * * * *", contract: work, payload: {} });
    startWorker(test.outbox, { handlers: [quick], schedules: [everySecond], pollMs: oneHourMs });
    await until("two are done", async () => (await test.jobs("status = 'done'")).length >= 2, 5000);
    const { rows } = await test.pool.query<{ late: number }>(
      "select extract(epoch from outbox.finished_at - slot_at)::float8 * 1000 as late from outbox_slot join outbox on outbox.id = job_id where outbox.status = 'done'",
    );
    for (const { late } of rows) expect(late).toBeLessThan(900);
  });

  it("keeps nobody from its job when the chore cannot go on: jobs run, also one that a worker died of", async () => {
    const lock = await test.pool.connect();
    await lock.query("begin");
    await lock.query("lock table outbox_schedule in access exclusive mode");
    const waits = async () => ((await test.pool.query("select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and query ilike '%outbox_schedule%'")).rowCount ?? 0) > 0;
    try {
      startWorker(test.outbox, { handlers: [quick], schedules: [hourly], pollMs: oneHourMs });
      await until("the chore waits", waits);
      const ids = [await test.aJob(), await test.aJob({ suspect: true })];
      for (const id of ids) await until("it runs", () => isDone(id), 3000);
      expect(await waits()).toBe(true);
    } finally {
      await lock.query("rollback");
      lock.release();
    }
    await until("the chore has gone on", schedulesKnown);
  });
});

describe("retention", () => {
  it("deletes what it does not keep, a while after a worker's start and then every hour", async () => {
    await test.aJob({ status: "done", finished_at: new Date(Date.now() - 8 * 86_400_000) });
    const young = await test.aJob({ status: "done", finished_at: new Date() });
    const chore = pruneChore(test.database, { done: 7 * 86_400_000, cancelled: null, dead: null }, (event) => test.events.push(event));
    const { signal } = new AbortController();
    const first = await chore.run(signal);
    expect(first).toBeGreaterThan(30_000);
    expect(first).toBeLessThan(90_000);
    expect(await test.jobs()).toHaveLength(2);
    expect(await chore.run(signal)).toBeGreaterThan(1_800_000);
    expect((await test.jobs()).map(({ id }) => id)).toEqual([young]);
    expect(test.events).toContainEqual({ event: "jobs_pruned", done: 1, cancelled: 0, dead: 0 });
  });

  it("that is shorter than an hour is looked after as often", async () => {
    const chore = pruneChore(test.database, { done: 120_000, cancelled: null, dead: 7 * 86_400_000 }, (event) => test.events.push(event));
    const { signal } = new AbortController();
    await chore.run(signal);
    const again = await chore.run(signal);
    expect(again).toBeGreaterThanOrEqual(90_000);
    expect(again).toBeLessThanOrEqual(150_000);
  });
});
