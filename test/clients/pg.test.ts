import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import pgModule from "pg";
import { NotInTransactionError } from "../../src/index.ts";
import { work } from "../support/outbox.ts";
import type { Shop } from "./shop.ts";
import { nothing, openShop } from "./shop.ts";

let shop: Shop;
let client: pg.PoolClient;
beforeAll(async () => {
  shop = await openShop();
  client = await shop.pool.connect();
});
afterAll(async () => {
  client.release();
  await shop.close();
});
beforeEach(() => shop.empty());

const propose = (title: string) => client.query("insert into client_proposal (title) values ($1)", [title]);

describe("a pg client inside BEGIN", () => {
  it("commits the business write and the job together, and rolls them back together", async () => {
    await client.query("begin");
    await propose("a");
    await shop.outbox.enqueue(client, work, { n: 1 });
    expect(await shop.committed()).toEqual(nothing);
    await client.query("commit");
    await client.query("begin");
    await propose("b");
    await shop.outbox.enqueueMany(client, [work.job({ n: 2 }), work.job({ n: 3 })]);
    await client.query("rollback");
    expect(await shop.committed()).toEqual({ proposals: ["a"], jobs: [{ n: 1 }] });
  });

  it("a savepoint that is rolled back takes its job with it and leaves the outer one", async () => {
    await client.query("begin");
    await propose("a");
    await shop.outbox.enqueue(client, work, { n: 1 });
    await client.query("savepoint inner_one");
    await shop.outbox.enqueue(client, work, { n: 2 });
    await client.query("rollback to savepoint inner_one");
    await client.query("commit");
    expect(await shop.committed()).toEqual({ proposals: ["a"], jobs: [{ n: 1 }] });
  });

  it("whose commit fails leaves neither", async () => {
    await client.query("begin");
    await propose("twice");
    await propose("twice");
    await shop.outbox.enqueue(client, work, { n: 1 });
    await expect(client.query("commit")).rejects.toThrow("duplicate key");
    expect(await shop.committed()).toEqual(nothing);
  });

  it("after a statement of it has failed takes nothing more, in Postgres's own words", async () => {
    await client.query("begin");
    await expect(client.query("select 1/0")).rejects.toThrow("division by zero");
    await expect(shop.outbox.enqueue(client, work, { n: 1 })).rejects.toThrow("current transaction is aborted");
    await client.query("rollback");
  });
});

describe("refused, with one clear error, from JavaScript too", () => {
  const refused = async (tx: unknown, got: string) => {
    const enqueued = shop.outbox.enqueue(tx as pg.Client, work, { n: 1 });
    await expect(enqueued).rejects.toThrow(NotInTransactionError);
    await expect(enqueued).rejects.toThrow(`Expected the transaction that the business write is in, got ${got}.`);
    await expect(shop.outbox.enqueueMany(tx as pg.Client, [work.job({ n: 1 })])).rejects.toThrow(got);
    expect(await shop.committed()).toEqual(nothing);
  };

  it("a pg client outside BEGIN, and one whose transaction has ended", async () => {
    await refused(client, "a pg client outside BEGIN");
    await client.query("begin");
    await client.query("commit");
    await refused(client, "a pg client outside BEGIN");
  });

  it("a pg client that is not connected", () => refused(new pgModule.Client({ connectionString: shop.url }), "a pg client that is not connected"));

  it("a pg pool", () => refused(shop.pool, "a pg pool"));

  it.each<[string, unknown, string]>([
    ["null", null, "null"],
    ["undefined", undefined, "undefined"],
    ["a text", "begin", "string"],
    ["a promise of a transaction", Promise.resolve({ query: () => undefined }), "a promise; await it first"],
    ["a class", pgModule.Client, "a function or class"],
    ["an empty object", {}, "an object that runs no SQL"],
    ["an array", [], "an object that runs no SQL"],
    ["something whose query is no function", { query: {} }, "an object that runs no SQL"],
  ])("%s", (_, tx, got) => refused(tx, got));
});
