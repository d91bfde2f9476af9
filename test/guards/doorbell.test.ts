// The doorbell by itself, without the looks that a worker takes now and then and finds jobs by as well.

import { afterAll, beforeAll, expect, it } from "vitest";
import { openSession } from "../../src/outbox/session.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, work } from "../support/outbox.ts";
import { until } from "../support/until.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());

it("an enqueue rings for a session that listens, at its commit, and for none that does not", async () => {
  let rings = 0;
  const session = await openSession(test.database, { types: ["work"], versions: () => [1], leaseMs: 30_000, version: "test", emit: () => undefined, onRing: () => (rings += 1) });
  await until("it has connected, which counts as a ring", () => rings === 1);
  await test.outbox.enqueueAlone(work, {});
  await session.listen(true);
  const client = await test.pool.connect();
  await client.query("begin");
  await test.outbox.enqueue(client, work, {});
  expect(rings).toBe(1);
  await client.query("commit");
  client.release();
  await until("it rings", () => rings === 2);
  await test.aJob({ type: "of a raw insert" });
  await until("it rings again", () => rings === 3);
  await session.close();
});
