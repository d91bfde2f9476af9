// data.sync into a table of a real Postgres: newer versions win, whatever order and company messages come in.

import type { Pool } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { InTransaction } from "../../src/outbox/database.ts";
import { FinalError } from "../../src/outbox/errors.ts";
import { dataSync, dataSyncHandler } from "../../src/handlers/data-sync.ts";
import type { Endpoint } from "../../src/handlers/sync/endpoints.ts";
import type { TestOutbox } from "../../src/testing/index.ts";
import { runJob, testOutbox } from "../../src/testing/index.ts";
import { testDatabase } from "../support/database.ts";
import { serve } from "./local-server.ts";

let database: Awaited<ReturnType<typeof testDatabase>>;
let pool: Pool;
let outbox: TestOutbox;

beforeAll(async () => {
  database = await testDatabase();
  ({ pool } = database);
  outbox = testOutbox({ connection: database.url, handlers: [dataSyncHandler({ endpoints: { customers } })] });
  await pool.query(`
    create table customer (
      id bigint primary key,
      name text,
      email text unique,
      tags jsonb,
      plan text not null default 'free',
      seen_at timestamptz,
      shouted text generated always as (upper(name)) stored,
      version bigint
    );
    create schema crm;
    create table crm."Stock Item" ("storeId" text, sku text, amount int not null check (amount >= 0), "updatedAt" timestamptz, unique ("storeId", sku));
    create table keyless (id bigint, version bigint);
    create table "x""; drop table customer; --" (id bigint primary key, version bigint, "a""; drop table customer; --" text);
  `);
});
afterAll(async () => {
  await outbox.close();
  await database.close();
});
beforeEach(() => pool.query('truncate customer, crm."Stock Item", keyless'));

const customers: Endpoint = { kind: "table", table: "customer", key: "id", version: "version" };
const stock: Endpoint = { kind: "table", table: "crm.Stock Item", key: ["storeId", "sku"], version: "updatedAt" };

/** Runs one attempt; its `ctx.complete` works in a transaction that is committed, with `around` in it. */
async function sync(payload: unknown, endpoints: Record<string, Endpoint> = { customers, stock }, around: InTransaction = (work) => outbox.transaction(work)): Promise<unknown> {
  const { error, result } = await runJob(dataSyncHandler({ endpoints }), payload, { tx: { ...outbox, transaction: around } });
  if (error !== null) throw error as Error; // this handler throws nothing else
  return result;
}

const push = (data: unknown, endpoint: Endpoint = customers) => sync({ source: "app", target: "it", data }, { it: endpoint });

async function rows(table = "customer", columns = "id::int, name, version::int"): Promise<unknown[]> {
  return (await pool.query<Record<string, unknown>>(`select ${columns} from ${table} order by 1, 2`)).rows;
}

async function refusalOf(data: unknown, endpoint: Endpoint = customers): Promise<string> {
  const error = await push(data, endpoint).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(FinalError);
  expect(await rows()).toEqual([]);
  return (error as FinalError).message;
}

describe("versions", () => {
  test("rows are inserted, and a newer version overwrites", async () => {
    expect(await push([{ id: 2, name: "Ben", version: 1 }, { id: 1, name: "Ann", version: 1 }])).toEqual({ received: 2, written: 2, stale: 0 });
    expect(await push({ id: 1, name: "Anna", version: 2 })).toEqual({ received: 1, written: 1, stale: 0 });
    expect(await rows()).toEqual([{ id: 1, name: "Anna", version: 2 }, { id: 2, name: "Ben", version: 1 }]);
  });

  test("a stale message never overwrites a newer row", async () => {
    await push({ id: 1, name: "new", version: 10 });
    expect(await push({ id: 1, name: "old", version: 9 })).toEqual({ received: 1, written: 0, stale: 1 });
    expect(await rows()).toEqual([{ id: 1, name: "new", version: 10 }]);
  });

  test("the same message twice writes once: an equal version is not rewritten", async () => {
    await push({ id: 1, name: "first", version: 5 });
    const before = await rows("customer", "xmin::text, ctid::text");
    expect(await push({ id: 1, name: "second", version: 5 })).toEqual({ received: 1, written: 0, stale: 1 });
    expect(await rows("customer", "xmin::text, ctid::text")).toEqual(before);
  });

  test("of one key's items in one message the highest version is written, compared as the column's type", async () => {
    const data = [{ id: 1, name: "nine", version: "9" }, { id: "1", name: "ten", version: 10 }, { id: 1, name: "eight", version: 8 }];
    expect(await push(data)).toEqual({ received: 3, written: 1, stale: 2 });
    expect(await rows()).toEqual([{ id: 1, name: "ten", version: 10 }]);
  });

  test("a row that has no version yet is overwritten by any", async () => {
    await pool.query("insert into customer (id, name) values (1, 'by hand')");
    expect(await push({ id: 1, name: "synced", version: 0 })).toMatchObject({ written: 1 });
  });

  test("a key of several columns and a time as the version, in a table whose name needs quotes", async () => {
    const item = (amount: number, updatedAt: string) => ({ storeId: "a", sku: "x", amount, updatedAt });
    await push([item(1, "2030-01-01T12:00:00+02:00"), { ...item(7, "2030-01-01T00:00:00Z"), sku: "y" }], stock);
    // An hour earlier than what is stored, though its text is greater.
    expect(await push(item(2, "2030-01-01T09:30:00Z"), stock)).toMatchObject({ written: 0 });
    expect(await push(item(3, "2030-01-01T10:00:00.001Z"), stock)).toMatchObject({ written: 1 });
    expect(await rows('crm."Stock Item"', '"storeId", sku, amount')).toEqual([{ storeId: "a", sku: "x", amount: 3 }, { storeId: "a", sku: "y", amount: 7 }]);
  });

  test("two syncs of one key at the same time end with the newer, whichever commits first", async () => {
    for (const first of ["older", "newer"] as const) {
      await pool.query("truncate customer");
      const messages = { older: { id: 1, name: "older", version: 1 }, newer: { id: 1, name: "newer", version: 2 } };
      const second = first === "older" ? "newer" : "older";
      // The first has written but not committed when the second arrives; it commits once the second waits for its row.
      let other: Promise<unknown> = Promise.resolve();
      await sync({ source: "a", target: "customers", data: messages[first] }, { customers }, (work) =>
        outbox.transaction(async (tx) => {
          const value = await work(tx);
          other = push(messages[second]);
          await somebodyWaitsForALock();
          return value;
        }),
      );
      await other;
      expect(await rows()).toEqual([{ id: 1, name: "newer", version: 2 }]);
    }
  });

  test("messages with the same thousand keys in opposite orders do not deadlock", async () => {
    const data = (version: number) => Array.from({ length: 1000 }, (_, id) => ({ id, name: `v${version}`, version }));
    const messages = [data(1), data(2).reverse(), data(3), data(4).reverse()];
    await Promise.all(messages.map((message) => push(message)));
    expect(await rows("customer", "count(*)::int as count, min(version)::int as oldest")).toEqual([{ count: 1000, oldest: 4 }]);
  });
});

describe("fields and columns", () => {
  test("a field that an item does not have leaves its column as it is; on insert the column's default serves", async () => {
    await push({ id: 1, name: "Ann", email: "ann@example.com", plan: "pro", version: 1 });
    const data = [{ id: 1, name: "Anna", version: 2 }, { id: 2, email: null, version: 1 }, { id: 3, plan: "pro", version: 1 }];
    expect(await push(data)).toEqual({ received: 3, written: 3, stale: 0 });
    expect(await rows("customer", "id::int, name, email, plan")).toEqual([
      { id: 1, name: "Anna", email: "ann@example.com", plan: "pro" },
      { id: 2, name: null, email: null, plan: "free" },
      { id: 3, name: null, email: null, plan: "pro" },
    ]);
  });

  test("with columns configured only their fields are written, under the columns' names", async () => {
    const mapped: Endpoint = { ...customers, columns: { customerNo: "id", displayName: "name", revision: "version", constructor: "email" } };
    const data = { customerNo: 1, displayName: "Ann", revision: 3, name: "ignored", id: 99, toString: "ignored", constructor: "c@example.com" };
    expect(await push(data, mapped)).toMatchObject({ written: 1 });
    expect(await rows("customer", "id::int, name, email, version::int")).toEqual([{ id: 1, name: "Ann", email: "c@example.com", version: 3 }]);
  });

  test("objects, arrays, times and large numbers sent as text arrive as what the columns are", async () => {
    await push({ id: "9007199254740993", tags: [{ a: [1, null] }], seen_at: "2030-01-01T00:00:00Z", version: 1 });
    expect(await rows("customer", "id::text, tags, seen_at")).toEqual([{ id: "9007199254740993", tags: [{ a: [1, null] }], seen_at: new Date("2030-01-01T00:00:00Z") }]);
  });

  test("no items are no rows", async () => {
    expect(await push([])).toEqual({ received: 0, written: 0, stale: 0 });
  });

  test("names that look like SQL are only names", async () => {
    const evil = 'x"; drop table customer; --';
    const endpoint: Endpoint = { kind: "table", table: evil, key: "id", version: "version" };
    await push({ id: 1, version: 1, 'a"; drop table customer; --': "'); drop table customer; --" }, endpoint);
    expect(await rows('"x""; drop table customer; --"', '"a""; drop table customer; --" as value, id')).toMatchObject([{ value: "'); drop table customer; --" }]);
    expect(await refusalOf({ id: 1, version: 1, 'name") values (1); drop table customer; --': 1 })).toContain("drop table");
    expect(await refusalOf({ id: 1, version: 1 }, { ...endpoint, table: "customer; drop table customer" })).toContain("Expected a table");
    expect(await refusalOf({ id: 1, version: 1 }, { ...customers, key: 'id") do nothing; --' })).toContain("to have the column");
    expect(await rows()).toEqual([]);
  });
});

describe("what is refused: final, with nothing written", () => {
  const good = { id: 1, name: "good", version: 1 };

  test("a field that is no column, by its name", async () => {
    const message = await refusalOf([good, { id: 2, version: 1, nickname: "B" }]);
    expect(message).toContain('to have a column in customer, got data[1].nickname. Its columns are "id", "name"');
  });

  test.each(["shouted", "ctid", "xmin", "__proto__", "constructor", "ID", " name"])("the field %s, which is no column that can be written", async (field) => {
    expect(await refusalOf(JSON.parse(`{ "id": 1, "version": 1, ${JSON.stringify(field)}: "x" }`))).toContain(`got data[0].${field}.`);
  });

  test.each([
    [{ name: "x", version: 1 }, "data[1].id, which is part of the key of customer, got no such field"],
    [{ id: null, version: 1 }, "data[1].id, which is part of the key of customer, got null"],
    [{ id: 2 }, "data[1].version, which is the version of customer, got no such field"],
    [{ id: 2, version: null }, "data[1].version, which is the version of customer, got null"],
  ])("an item without key or version: %j", async (bad, message) => {
    expect(await refusalOf([good, bad])).toContain(message);
  });

  test("a missing mapped field is named as the data calls it", async () => {
    const mapped: Endpoint = { ...customers, columns: { customerNo: "id", revision: "version" } };
    expect(await refusalOf({ customerNo: 1 }, mapped)).toContain("data[0].revision, which is the version");
  });

  test("a table or column of the configuration that does not exist", async () => {
    expect(await refusalOf(good, { ...customers, table: "nobody" })).toContain("Expected a table nobody, got none of that name");
    expect(await refusalOf(good, { ...customers, table: "nowhere.customer" })).toContain("Expected a table nowhere.customer");
    expect(await refusalOf(good, { ...customers, version: "revision" })).toContain('Expected the table customer to have the column "revision"');
  });

  test("a key without a unique index", async () => {
    expect(await refusalOf({ id: 1, version: 1 }, { ...customers, table: "keyless" })).toContain("needs a unique index on exactly its columns");
  });

  test("a value of the wrong type, in Postgres' words", async () => {
    expect(await refusalOf([good, { id: "two", version: 1 }])).toContain('invalid input syntax for type bigint: "two" (22P02)');
    expect(await refusalOf({ id: 1, version: 1e15, seen_at: "yesterday-ish" })).toContain("timestamp with time zone");
  });

  test("a NUL, which no payload can hold, but an HTTP source can", async () => {
    const server = await serve((_received, response) => response.end(String.raw`[{ "id": 2, "name": "nul \u0000", "version": 1 }]`));
    const crm: Endpoint = { kind: "http", url: `${server.origin}/customers`, allowPrivate: true };
    const error: unknown = await sync({ source: "crm", target: "customers" }, { crm, customers }).catch((cause: unknown) => cause);
    await server.close();
    expect(error).toBeInstanceOf(FinalError);
    expect((error as FinalError).message).toContain("answer[0].name contains a NUL character");
  });

  test("a constraint that does not hold, by its name or column", async () => {
    expect(await refusalOf({ id: 1, plan: null, version: 1 })).toMatch(/null value in column "plan".*\(23502, column "plan"\)/);
    expect(await refusalOf([{ ...good, email: "a@example.com" }, { id: 2, email: "a@example.com", version: 1 }])).toContain('(23505, constraint "customer_email_key")');
    expect(await refusalOf({ storeId: "a", sku: "x", amount: -1, updatedAt: "2030-01-01" }, stock)).toContain("23514");
  });

  test("a whole number beyond 2^53, which has been rounded on its way", async () => {
    const error = await push(JSON.parse('{ "id": 9007199254740993, "version": 1 }')).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(FinalError);
    expect(String(error)).toContain("data[0].id");
  });

  test("a later group of columns that fails takes the earlier ones back", async () => {
    expect(await refusalOf([good, { id: 2, plan: null, version: 1 }])).toContain("23502");
  });

  test("a deferred constraint that fails at the commit", async () => {
    await pool.query("create table part (id bigint primary key, whole bigint references part deferrable initially deferred, version bigint)");
    expect(await refusalOf({ id: 1, whole: 7, version: 1 }, { kind: "table", table: "part", key: "id", version: "version" })).toContain("23503");
    expect(await rows("part", "id, version")).toEqual([]);
  });
});

describe("failures that pass are not final", () => {
  test("a deadlock is thrown as it came", async () => {
    const deadlock = Object.assign(new Error("deadlock detected"), { code: "40P01" });
    await expect(sync({ source: "a", target: "customers", data: [] }, { customers }, () => Promise.reject(deadlock))).rejects.toBe(deadlock);
  });

  test("a statement that Postgres cancels is thrown as it came", async () => {
    const slow: InTransaction = (work) =>
      outbox.transaction(async (tx) => {
        await tx.query("set local lock_timeout = 50");
        return await work(tx);
      });
    const holder = await pool.connect();
    await holder.query("begin; lock table customer");
    const error: unknown = await sync({ source: "a", target: "customers", data: { id: 1, version: 1 } }, { customers }, slow).catch((cause: unknown) => cause);
    await holder.query("rollback");
    holder.release();
    expect(error).toMatchObject({ code: "55P03" });
    expect(error).not.toBeInstanceOf(FinalError);
  });
});

test("an HTTP source is pulled into a table", async () => {
  const server = await serve((_received, response) => response.end(JSON.stringify({ results: { items: [{ id: 1, name: "Ann", version: 2 }, { id: 2, name: "Ben", version: 1 }] } })));
  const crm: Endpoint = { kind: "http", url: `${server.origin}/customers?all=1`, allowPrivate: true, itemsAt: "results.items", headers: { Authorization: "Bearer abc" } };
  await pool.query("insert into customer (id, name, version) values (2, 'newer', 5)");
  try {
    expect(await sync({ source: "crm", target: "customers" }, { crm, customers })).toEqual({ received: 2, written: 1, stale: 1 });
  } finally {
    await server.close();
  }
  expect(server.received).toMatchObject([{ method: "GET", url: "/customers?all=1", headers: { authorization: "Bearer abc", accept: "application/json" } }]);
  expect(await rows()).toEqual([{ id: 1, name: "Ann", version: 2 }, { id: 2, name: "newer", version: 5 }]);
});

test("run by the engine, the rows and the job's completion are one commit, and the counts are the job's result", async () => {
  const stored = await outbox.enqueueAlone(dataSync, { source: "app", target: "customers", data: { id: 1, name: "Ann", version: 1 } });
  const refused = await outbox.enqueueAlone(dataSync, { source: "app", target: "customers", data: { id: 2, nickname: "B", version: 1 } });
  expect(await outbox.drainAll({ failures: "report" })).toMatchObject({ done: 1, dead: 1, retried: 0, failures: [{ jobId: refused.id, outcome: "dead", error: { name: "FinalError" } }] });
  expect(await outbox.jobs(dataSync)).toMatchObject([
    { id: stored.id, status: "done", attempts: 1, result: { received: 1, written: 1, stale: 0 } },
    { id: refused.id, status: "error", attempts: 1, lastError: expect.stringContaining("data[0].nickname") },
  ]);
  expect(await rows()).toEqual([{ id: 1, name: "Ann", version: 1 }]);
});

/** Comes back when some session of this database waits for a lock. */
async function somebodyWaitsForALock(): Promise<void> {
  const until = performance.now() + 5000;
  while (performance.now() < until) {
    const { rows: waiting } = await pool.query("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'");
    if (waiting.length > 0) return;
    await pool.query("select pg_sleep(0.005)");
  }
  throw new Error("Expected a session that waits for a lock within 5 s, got none.");
}
