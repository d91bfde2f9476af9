// The lock of an ordering key that has been used before. (The first two writers of a new key meet at the insert of its row.)

import type pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, work } from "../support/outbox.ts";
import { until } from "../support/until.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());

async function begun(): Promise<pg.PoolClient> {
  const client = await test.pool.connect();
  await client.query("begin");
  return client;
}

async function committed(client: pg.PoolClient): Promise<void> {
  await client.query("commit");
  client.release();
}

it("who enqueues for a key waits for the one who did before it has committed, however often the key was used", async () => {
  await test.outbox.enqueueAlone(work, { n: 0 }, { orderingKey: "k" });
  await test.pool.query("delete from outbox");
  const [first, second] = [await begun(), await begun()];
  await test.outbox.enqueue(first, work, { n: 1 }, { orderingKey: "k" });
  let isThrough = false;
  const late = test.outbox.enqueue(second, work, { n: 2 }, { orderingKey: "k" }).then(() => (isThrough = true));
  const waits = async () => (await test.pool.query("select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).rowCount === 1;
  await until("it waits, or does not", async () => isThrough || (await waits()));
  expect(isThrough).toBe(false);
  await committed(first);
  await late;
  await committed(second);
  const { rows } = await test.pool.query("select payload->>'n' as n, status from outbox order by sequence");
  expect(rows).toEqual([{ n: "1", status: "pending" }, { n: "2", status: "waiting" }]);
});
