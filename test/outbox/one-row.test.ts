// Two workers, woken by the same bell for one and the same job, a thousand times.

import { afterAll, beforeAll, expect, it } from "vitest";
import { layEvidence, violations } from "../support/evidence.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, worksBy } from "../support/outbox.ts";
import { until } from "../support/until.ts";
import { oneHourMs, workersOfEachTest } from "../support/workers.ts";

const rounds = 1000;

let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
  await layEvidence(test.pool);
});
afterAll(() => test.close());
const startWorker = workersOfEachTest();

it("two workers are after one row, 1,000 times: it runs once each time, both have their share, and nothing fails or is lost", { timeout: 120_000 }, async () => {
  const shares = [test.outbox, test.other].map((outbox) => {
    const share = { runs: 0 };
    const handler = worksBy(async (_, { job, attempt, idempotencyKey }) => {
      share.runs += 1;
      await test.pool.query("insert into effects (job, attempt, key) values ($1, $2, $3)", [job.id, attempt, idempotencyKey]);
    });
    startWorker(outbox, { handlers: [handler], pollMs: oneHourMs });
    return share;
  });
  await until("both sleep", async () => (await test.pool.query("select from outbox_worker where listening")).rowCount === 2);
  for (let round = 1; round <= rounds; round += 1) {
    const id = await test.aJob();
    await until(`round ${round} is over`, () => test.events.some((event) => event.event === "job_done" && event.job.id === id));
    test.events.splice(0, test.events.length, ...test.events.filter(({ event }) => event !== "job_done" && event !== "claim_answered"));
  }
  expect(test.events.filter(({ event }) => event !== "worker_registered" && event !== "worker_beat")).toEqual([]);
  const runs = shares.map((share) => share.runs);
  expect(runs.reduce((sum, some) => sum + some)).toBe(rounds);
  expect(Math.min(...runs)).toBeGreaterThan(0);
  expect(await test.jobs("status <> 'done' or attempts <> 1")).toEqual([]);
  expect(await violations(test.pool)).toEqual([]);
});
