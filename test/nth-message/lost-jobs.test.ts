// What becomes of jobs that a drain or worker has lost. Found by the loop over all messages: see docs/reference/nth-message.md.

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Database } from "../../src/outbox/database.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, worksBy } from "../support/outbox.ts";
import { until } from "../support/until.ts";
import { workersOfEachTest } from "../support/workers.ts";

const startWorker = workersOfEachTest();
let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
});
afterAll(() => test.close());
beforeEach(() => test.empty());

/** Over a database that does `after` before it gives out an answer. */
const over = (after: (text: string) => Promise<void>) => {
  const query: Database["query"] = async (text, values) => {
    const rows = await test.database.query(text, values);
    await after(text);
    return rows;
  };
  return test.over({ ...test.database, query });
};

it("a job without a worker whose row is held for a moment is waited for: a drain does not end with 0 and leave it", async () => {
  const id = await test.aJob({ status: "processing", attempts: 1, locked_by: randomUUID(), lease_token: 1, started_at: new Date() });
  // As the transaction of the lost attempt does until it is rolled back.
  const holder = await test.pool.connect();
  await holder.query("begin");
  await holder.query("select from outbox where id = $1 for no key update", [id]);
  let tries = 0;
  const outbox = over(async (text) => {
    if (!text.includes("rescued as")) return;
    tries += 1;
    if (tries === 1) await holder.query("rollback");
  });
  const report = await outbox.drain({ handlers: [worksBy(() => Promise.resolve())] });
  holder.release();
  expect(report).toMatchObject({ done: 1, stopReason: "empty" });
  expect(await test.job(id)).toMatchObject({ status: "done", attempts: 2 });
  expect(tries).toBe(2);
});

it("a drain that was buried and has not noticed does not end with 0 and leave what is due", async () => {
  await test.aJob({ priority: 1 });
  const next = await test.aJob();
  const handler = worksBy(async () => {
    await test.pool.query("delete from outbox_worker");
  });
  // No beat would tell it in time.
  const report = await test.outbox.drain({ handlers: [handler], batch: 1, concurrency: 1, lease: "1h" });
  expect(report).toMatchObject({ remaining: 0, stopReason: "empty" });
  expect(await test.jobs("status <> 'done'")).toEqual([]);
  expect((await test.job(next)).status).toBe("done");
});

it("a worker that has been cut off looks for lost jobs as often as before, however late its look was answered", async () => {
  let away = true;
  const outbox = test.over({
    ...test.database,
    async query(text, values) {
      const rows = await test.database.query(text, values);
      if (text.includes("recursive found")) await until("the network is back", () => !away);
      return rows;
    },
    dedicated: (...args) => (away ? Promise.reject(Object.assign(new Error("there is no way through"), { code: "ECONNRESET" })) : test.database.dedicated(...args)),
  });
  startWorker(outbox, { handlers: [worksBy(() => Promise.resolve())], lease: "1s", pollMs: 100 });
  await until("its lease is lost", () => test.events.some(({ event }) => event === "worker_lost_lease"));
  away = false;
  const first = await test.aJob();
  await until("it works again", async () => (await test.job(first)).status === "done");
  const lost = await test.aJob({ status: "processing", attempts: 1, locked_by: randomUUID(), lease_token: 1, started_at: new Date() });
  await until("what another has lost is done, two deep looks later at most", async () => (await test.job(lost)).status === "done", 10_000);
});

it("a worker whose beats get through and whose outcomes do not gives its jobs up: none stays with it for ever", async () => {
  const id = await test.aJob();
  let refused = 0;
  const outbox = test.over({
    ...test.database,
    query: (text, values) => {
      if (refusing && /done as materialized|outcome as materialized/.test(text) && JSON.stringify(values).includes(id)) {
        refused += 1;
        return Promise.reject(Object.assign(new Error("there is no way through"), { code: "ECONNRESET" }));
      }
      return test.database.query(text, values);
    },
  });
  let refusing = true;
  startWorker(outbox, { handlers: [worksBy(() => Promise.resolve())], lease: "1s", pollMs: 100 });
  await until("it has given up", () => test.events.some(({ event }) => event === "job_lost"));
  refusing = false;
  await until("the job is done", async () => (await test.job(id)).status === "done");
  expect(refused).toBeGreaterThan(1);
  expect(await test.attempts(id)).toMatchObject([{ attempt: 1, outcome: "lost" }]);
});
