import { drizzle as overPg } from "drizzle-orm/node-postgres";
import { pgTable, text, uuid } from "drizzle-orm/pg-core";
import { drizzle as overPostgresJs } from "drizzle-orm/postgres-js";
import pg from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AnyTransaction } from "../../src/index.ts";
import { NotInTransactionError } from "../../src/index.ts";
import { work } from "../support/outbox.ts";
import type { Shop } from "./shop.ts";
import { nothing, openShop } from "./shop.ts";

const proposal = pgTable("client_proposal", { id: uuid().defaultRandom().primaryKey(), title: text().notNull() });

let shop: Shop;
let pool: pg.Pool;
let sql: postgres.Sql;
beforeAll(async () => {
  shop = await openShop();
  pool = new pg.Pool({ connectionString: shop.url });
  sql = postgres(shop.url, { max: 2 });
});
afterAll(async () => {
  await pool.end();
  await sql.end();
  await shop.close();
});
beforeEach(() => shop.empty());

// The same promises over both drivers. Their databases have types of their own, so the first's stands for both.
const drivers: [string, () => ReturnType<typeof overPg>][] = [
  ["node-postgres", () => overPg(pool)],
  ["postgres.js", () => overPostgresJs(sql) as unknown as ReturnType<typeof overPg>],
];

describe.each(drivers)("a Drizzle transaction over %s", (_, open) => {
  it("commits the business write and the job together, and rolls them back together", async () => {
    const db = open();
    await db.transaction(async (tx) => {
      await tx.insert(proposal).values({ title: "a" });
      await shop.outbox.enqueue(tx, work, { n: 1 }, { dedupeKey: "k" });
    });
    const failing = db.transaction(async (tx) => {
      await tx.insert(proposal).values({ title: "b" });
      await shop.outbox.enqueueMany(tx, [work.job({ n: 2 }), work.job({ n: 3 })]);
      tx.rollback();
    });
    await expect(failing).rejects.toThrow("Rollback");
    expect(await shop.committed()).toEqual({ proposals: ["a"], jobs: [{ n: 1 }] });
  });

  it("is told who holds a dedupe key", async () => {
    const held = await shop.outbox.enqueueAlone(work, { n: 1 }, { dedupeKey: "k" });
    expect(await open().transaction((tx) => shop.outbox.enqueue(tx, work, { n: 2 }, { dedupeKey: "k" }))).toEqual({ id: held.id, deduplicated: true });
  });

  it("whose commit fails leaves neither", async () => {
    const failing = open().transaction(async (tx) => {
      await tx.insert(proposal).values([{ title: "twice" }, { title: "twice" }]);
      await shop.outbox.enqueue(tx, work, { n: 1 });
    });
    await expect(failing).rejects.toThrow();
    expect(await shop.committed()).toEqual(nothing);
  });

  it("a nested one that rolls back takes its job with it and leaves the outer one", async () => {
    await open().transaction(async (tx) => {
      await tx.insert(proposal).values({ title: "a" });
      await shop.outbox.enqueue(tx, work, { n: 1 });
      const inner = tx.transaction(async (nested) => {
        await shop.outbox.enqueue(nested, work, { n: 2 });
        nested.rollback();
      });
      await expect(inner).rejects.toThrow("Rollback");
    });
    expect(await shop.committed()).toEqual({ proposals: ["a"], jobs: [{ n: 1 }] });
  });

  it("the Drizzle database itself is refused", async () => {
    const refused = shop.outbox.enqueue(open() as never, work, { n: 1 });
    await expect(refused).rejects.toThrow(NotInTransactionError);
    await expect(refused).rejects.toThrow("got the Drizzle database itself");
    expect(await shop.committed()).toEqual(nothing);
  });
});

it("a Drizzle transaction over node-postgres that has ended is refused", async () => {
  let kept: AnyTransaction | null = null;
  await overPg(pool).transaction((tx) => Promise.resolve(void (kept = tx)));
  await expect(shop.outbox.enqueue(kept!, work, { n: 1 })).rejects.toThrow(NotInTransactionError);
  expect(await shop.committed()).toEqual(nothing);
});
