// A rescue is called for because somebody has died; others are alive at that moment, and have jobs.

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { buryWorkers, registerWorker, rescueJobs } from "../../src/outbox/store/workers.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());

/** A worker with a row and a job. */
async function aWorker(): Promise<{ id: string; job: string }> {
  const id = randomUUID();
  await registerWorker(test.database, { id, host: "h", pid: 1, version: "test", types: ["work"], versions: [1], leaseMs: 30_000 });
  return { id, job: await test.aJob({ status: "processing", attempts: 1, locked_by: id, lease_token: 1 }) };
}

it("a rescue returns the jobs of the dead alone, and those of the living stay with them", async () => {
  const [dead, living] = [await aWorker(), await aWorker()];
  await test.pool.query("update outbox_worker set beat_at = beat_at - interval '1 minute' where id = $1", [dead.id]);
  expect(await buryWorkers(test.database)).toMatchObject([{ id: dead.id }]);
  expect(await rescueJobs(test.database, 100)).toMatchObject({ returned: 1, dead: [] });
  expect(await test.job(dead.job)).toMatchObject({ status: "pending", attempts: 1 });
  expect(await test.job(living.job)).toMatchObject({ status: "processing", attempts: 1, locked_by: living.id });
});
