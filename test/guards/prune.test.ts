// What is not over is never pruned, whatever else its row says.

import { afterAll, beforeAll, expect, it } from "vitest";
import { pruneFinished } from "../../src/outbox/maintenance.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());

it("a job that waits or runs is never pruned, however old it is, though its row says by mistake when it finished", async () => {
  const longAgo = new Date(Date.now() - 400 * 86_400_000);
  const ids = [];
  for (const status of ["pending", "waiting", "processing"]) ids.push(await test.aJob({ status, created_at: longAgo, run_at: longAgo, finished_at: longAgo }));
  const over = await test.aJob({ status: "done", created_at: longAgo, finished_at: longAgo });
  expect(await pruneFinished(test.database, { done: 0, cancelled: 0, dead: 0 })).toMatchObject({ done: 1, cancelled: 0, dead: 0 });
  expect((await test.jobs()).map(({ id }) => id).sort()).toEqual([...ids].sort());
  expect(ids).not.toContain(over);
});
