// What becomes of a job is what becomes of the transaction that enqueued it, while real workers and drains are looking all
// the time: nothing runs for a transaction that is rolled back, and nothing is lost because it commits late.

import { randomUUID } from "node:crypto";
import type pg from "pg";
import { expect, it } from "vitest";
import { sceneOfEachTest, until } from "../support/scene.ts";

const scene = sceneOfEachTest();

async function begun(): Promise<pg.PoolClient> {
  const client = await scene.test.pool.connect();
  await client.query("begin");
  return client;
}
async function ended(client: pg.PoolClient, how: "commit" | "rollback"): Promise<void> {
  await client.query(how);
  client.release();
}
/** The business write and its job, in this transaction. */
async function order(client: pg.PoolClient): Promise<string> {
  const id = randomUUID();
  await client.query("insert into orders (job) values ($1)", [id]);
  await client.query(`insert into outbox (id, type, payload) values ($1, 'effect', '{"then":"return"}')`, [id]);
  return id;
}
const ran = async () => (await scene.effects()).map(({ job }) => job).sort();

it("workers and a drain run the job of each order that was committed, however late, and none of one that was rolled back, whole or to a savepoint", async () => {
  const workers = [1, 2].map(() => scene.run("jobs:worker", "--poll", "100ms"));
  for (const worker of workers) await scene.asleep(worker);

  const first = await begun();
  const early = await order(first);
  const rolledBack = await begun();
  await order(rolledBack);
  const partly = await begun();
  const committed = [await order(partly)];
  await partly.query("savepoint inner_one");
  await order(partly);
  await partly.query("rollback to savepoint inner_one");
  committed.push(await order(partly));

  // All of these are claimed and done while the three stay open: the cursors have passed them.
  const load = await begun();
  for (let n = 0; n < 100; n += 1) committed.push(await order(load));
  await ended(load, "commit");
  await until("those of the load are done", async () => (await ran()).length === 100);
  await ended(rolledBack, "rollback");
  await ended(partly, "commit");
  expect((await scene.run("jobs:drain").ended).code).toBe(0);
  await until("what was committed late is done", async () => (await ran()).length === committed.length);
  await ended(first, "commit");
  await until("what was committed last is done", async () => (await ran()).length === committed.length + 1);
  expect(await ran()).toEqual([...committed, early].sort());

  for (const { child } of workers) child.kill("SIGTERM");
  for (const worker of workers) expect((await worker.ended).code).toBe(0);
  expect(await scene.test.outbox.counts()).toMatchObject({ pending: 0, processing: 0, done: committed.length + 1 });
});
