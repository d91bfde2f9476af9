// Prisma on our own terms: what a transaction with limits cannot do.

import { afterAll, beforeAll, expect, it } from "vitest";
import { limitedTransaction, openPrisma } from "../../src/service/prisma.ts";
import type { TestDatabase } from "../support/database.ts";
import { testDatabase } from "../support/database.ts";

let db: TestDatabase;
let client: Awaited<ReturnType<typeof openPrisma>>;
beforeAll(async () => {
  db = await testDatabase();
  client = await openPrisma(db.url);
});
afterAll(async () => {
  await client.close();
  await db.close();
});

const limits = { readOnly: false, statementTimeoutMs: 5000, timeoutMs: 10_000 };

it("a read-only transaction cannot write", async () => {
  const readOnly = limitedTransaction(client.prisma, { ...limits, readOnly: true }, (tx) => tx.outbox.create({ data: { type: "a", payload: {} } }));
  await expect(readOnly).rejects.toThrow("read-only transaction");
  expect((await db.pool.query("select 1 from outbox")).rowCount).toBe(0);
});

it("a statement ends at its time limit, a transaction at its own, and both roll back", async () => {
  const slowStatement = limitedTransaction(client.prisma, { ...limits, statementTimeoutMs: 100 }, async (tx) => {
    await tx.outbox.create({ data: { type: "a", payload: {} } });
    await tx.$queryRaw`select 1 from pg_sleep(5)`;
  });
  await expect(slowStatement).rejects.toThrow("57014");
  const slowTransaction = limitedTransaction(client.prisma, { ...limits, timeoutMs: 200 }, async (tx) => {
    await tx.outbox.create({ data: { type: "a", payload: {} } });
    await tx.$queryRaw`select 1 from pg_sleep(0.5)`;
    await tx.outbox.count();
  });
  await expect(slowTransaction).rejects.toMatchObject({ code: "P2028" });
  expect((await db.pool.query("select 1 from outbox")).rowCount).toBe(0);
});

it("its settings end with it: the next transaction on the connection can write and has its own limit", async () => {
  await limitedTransaction(client.prisma, { ...limits, readOnly: true, statementTimeoutMs: 100 }, (tx) => tx.outbox.count());
  await limitedTransaction(client.prisma, limits, async (tx) => {
    await tx.$queryRaw`select 1 from pg_sleep(0.2)`;
    await tx.outbox.create({ data: { type: "a", payload: {} } });
  });
  expect((await db.pool.query("select 1 from outbox")).rowCount).toBe(1);
});

it("a session is in UTC whatever the database's zone, and keeps the options of its URL", async () => {
  await db.pool.query(`alter database ${new URL(db.url).pathname.slice(1)} set timezone to 'America/New_York'`);
  const other = await openPrisma(`${db.url}?options=${encodeURIComponent("-c work_mem=5MB")}`);
  try {
    const settings = await other.prisma.$queryRaw`select current_setting('TimeZone') as zone, current_setting('work_mem') as memory`;
    expect(settings).toEqual([{ zone: "UTC", memory: "5MB" }]);
  } finally {
    await other.close();
  }
});

it("no more than two connections are open at once, and none after close", async () => {
  const other = await openPrisma(`${db.url}?application_name=counted`);
  const open = "select count(*)::int as count from pg_stat_activity where datname = current_database() and application_name = 'counted'";
  await Promise.all(Array.from({ length: 6 }, () => other.prisma.$queryRaw`select 1 from pg_sleep(0.05)`));
  const { rows } = await db.pool.query<{ count: number }>(open);
  expect(rows[0]?.count).toBeGreaterThan(0);
  expect(rows[0]?.count).toBeLessThanOrEqual(2);
  await other.close();
  // A backend leaves the list a moment after its client has gone.
  await expect.poll(async () => (await db.pool.query<{ count: number }>(open)).rows[0]?.count, { timeout: 5000 }).toBe(0);
});
