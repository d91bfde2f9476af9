// createOutbox over a pg pool of the app's: where it leads is taken over, its connections are left alone.

import { PrismaPg } from "@prisma/adapter-pg";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { createOutbox, handle, OutboxError } from "../../src/index.ts";
import { work } from "../support/outbox.ts";
import { PrismaClient } from "./prisma-7/generated/with-outbox/client.ts";
import type { Shop } from "./shop.ts";
import { openShop } from "./shop.ts";

let shop: Shop;
beforeAll(async () => {
  shop = await openShop();
});
afterAll(() => shop.close());
beforeEach(() => shop.empty());

/** A pool of the app's, and an outbox over it, both ended with the test. */
function over(config: pg.PoolConfig = { connectionString: shop.url }) {
  const pool = new pg.Pool(config);
  const outbox = createOutbox({ connection: pool });
  onTestFinished(async () => {
    await outbox.close();
    if (!pool.ended) await pool.end();
  });
  return { pool, outbox };
}

const settings = "select current_setting('plan_cache_mode') as plans, current_setting('enable_seqscan') as scans, current_setting('jit') as jit, current_setting('application_name') as name";

describe("an outbox over the pool that is under PrismaPg", () => {
  it("stores jobs in the app's transactions and by itself, and runs them", async () => {
    const { pool, outbox } = over();
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    await prisma.$transaction(async (tx) => {
      await tx.proposal.create({ data: { title: "a" } });
      await outbox.enqueue(tx, work, { n: 1 });
    });
    await outbox.enqueueAlone(work, { n: 2 });
    const report = await outbox.drain({ handlers: [handle(work, () => Promise.resolve())] });
    expect(report.done).toBe(2);
    expect(await outbox.counts()).toMatchObject({ done: 2, pending: 0 });
    await prisma.$disconnect();
  });

  it("leaves the app's sessions as they were", async () => {
    const { pool, outbox } = over({ connectionString: shop.url, max: 1, application_name: "shop" });
    const before = (await pool.query(settings)).rows;
    await outbox.enqueueAlone(work, {});
    await outbox.drain({ handlers: [handle(work, () => Promise.resolve())] });
    expect((await pool.query(settings)).rows).toEqual(before);
    expect(before).toEqual([{ plans: "auto", scans: "on", jit: expect.any(String), name: "shop" }]);
  });

  it("waits for none of its connections: they may all be busy", async () => {
    const { pool, outbox } = over({ connectionString: shop.url, max: 1 });
    const client = await pool.connect();
    try {
      await client.query("begin");
      await outbox.enqueue(client, work, { n: 1 });
      await outbox.enqueueAlone(work, { n: 2 });
      expect((await outbox.counts()).pending).toBe(1);
      await client.query("commit");
    } finally {
      client.release();
    }
    expect((await outbox.counts()).pending).toBe(2);
  });

  it("outlives it, and is outlived by it", async () => {
    const first = over();
    await first.pool.end();
    await first.outbox.enqueueAlone(work, { n: 1 });
    const second = over();
    await second.outbox.enqueueAlone(work, { n: 2 });
    await second.outbox.close();
    expect((await second.pool.query("select payload from outbox order by id")).rows).toEqual([{ payload: { n: 1 } }, { payload: { n: 2 } }]);
  });
});

it("address, credentials that are fetched anew, and session options of a pool are taken over; its limits are not", async () => {
  const { hostname, port, username, password, pathname } = new URL(shop.url);
  const { outbox } = over({
    host: hostname,
    port: Number(port),
    user: decodeURIComponent(username),
    password: () => Promise.resolve(decodeURIComponent(password)),
    database: pathname.slice(1),
    options: "-c work_mem=5MB",
    statement_timeout: 1,
    query_timeout: 1,
  });
  await outbox.enqueueAlone(work, {});
  let seen: unknown;
  const report = await outbox.drain({
    handlers: [handle(work, (_, ctx) => ctx.complete(async (tx) => void ([seen] = await tx.query("select current_setting('work_mem') as memory, current_setting('statement_timeout') as time_limit"))))],
  });
  expect(report.done).toBe(1);
  expect(seen).toEqual({ memory: "5MB", time_limit: "1min" });
});

it.each<[string, unknown, string]>([
  ["nothing", undefined, "undefined"],
  ["null", null, "null"],
  ["an empty text", "", "an empty text"],
  ["a pg client", new pg.Client(), "an object that is neither"],
  ["a number", 5432, "number"],
])("%s as connection is refused", (_, connection, got) => {
  expect(() => createOutbox({ connection: connection as string })).toThrow(OutboxError);
  expect(() => createOutbox({ connection: connection as string })).toThrow(got);
});
