// The claim of the busy path does not ask how many may run: what is held back is not its business, however stale the look is
// that it goes by.

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { declareLimits } from "../../src/outbox/store/limits.ts";
import { registerWorker } from "../../src/outbox/store/workers.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { claimJobs, testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(() => test.empty());

const limits = { type: "work", concurrency: null, concurrencyByKey: false, rateLimit: null, rateMs: null };

it.each<[string, () => Promise<unknown>]>([
  ["paused", () => test.outbox.pause("work")],
  ["limited in its concurrency", () => declareLimits(test.database, [{ ...limits, concurrency: 1 }])],
  ["limited in its rate", () => declareLimits(test.database, [{ ...limits, rateLimit: 1, rateMs: 60_000 }])],
])("an ordinary claim takes nothing of a type that is %s, though its lane was offered", async (_what, hold) => {
  const worker = randomUUID();
  await registerWorker(test.database, { id: worker, host: "h", pid: 1, version: "test", types: ["work", "other"], versions: [1, 1], leaseMs: 30_000 });
  for (let n = 0; n < 3; n += 1) await test.aJob();
  await test.aJob({ type: "other" });
  await hold();
  const lanes = [{ type: "work", priority: 0 }, { type: "other", priority: 0 }];
  expect((await claimJobs(test.database, { worker, token: 1 }, 20, lanes)).map(({ type }) => type)).toEqual(["other"]);
});
