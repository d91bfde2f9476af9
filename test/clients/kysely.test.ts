import type { Generated, Transaction } from "kysely";
import { CamelCasePlugin, Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { NotInTransactionError } from "../../src/index.ts";
import { work } from "../support/outbox.ts";
import type { Shop } from "./shop.ts";
import { nothing, openShop } from "./shop.ts";

interface Tables {
  client_proposal: { id: Generated<string>; title: string };
}

let shop: Shop;
let db: Kysely<Tables>;
beforeAll(async () => {
  shop = await openShop();
  db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: shop.url }) }) });
});
afterAll(async () => {
  await db.destroy();
  await shop.close();
});
beforeEach(() => shop.empty());

describe("a Kysely transaction", () => {
  it("commits the business write and the job together, and rolls them back together", async () => {
    await db.transaction().execute(async (trx) => {
      await trx.insertInto("client_proposal").values({ title: "a" }).execute();
      await shop.outbox.enqueue(trx, work, { n: 1 });
    });
    const failing = db.transaction().execute(async (trx) => {
      await trx.insertInto("client_proposal").values({ title: "b" }).execute();
      await shop.outbox.enqueueMany(trx, [work.job({ n: 2 }), work.job({ n: 3 })]);
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await shop.committed()).toEqual({ proposals: ["a"], jobs: [{ n: 1 }] });
  });

  it("whose commit fails leaves neither", async () => {
    const failing = db.transaction().execute(async (trx) => {
      await trx.insertInto("client_proposal").values([{ title: "twice" }, { title: "twice" }]).execute();
      await shop.outbox.enqueue(trx, work, { n: 1 });
    });
    await expect(failing).rejects.toThrow("duplicate key");
    expect(await shop.committed()).toEqual(nothing);
  });

  it("that is controlled by hand takes a job, and a savepoint that is rolled back takes its job with it", async () => {
    const trx = await db.startTransaction().execute();
    await trx.insertInto("client_proposal").values({ title: "a" }).execute();
    await shop.outbox.enqueue(trx, work, { n: 1 });
    const inner = await trx.savepoint("inner_one").execute();
    await shop.outbox.enqueue(inner, work, { n: 2 });
    await (await inner.rollbackToSavepoint("inner_one").execute()).commit().execute();
    expect(await shop.committed()).toEqual({ proposals: ["a"], jobs: [{ n: 1 }] });
    await expect(shop.outbox.enqueue(trx, work, { n: 3 })).rejects.toThrow("Transaction is already committed");
  });

  it("with plugins that rename what comes back is understood, also about a held dedupe key", async () => {
    const held = await shop.outbox.enqueueAlone(work, { n: 1 }, { dedupeKey: "k" });
    const answers = await db.withPlugin(new CamelCasePlugin({ upperCase: true })).transaction().execute((trx) => shop.outbox.enqueueMany(trx, [work.job({ n: 2 }, { dedupeKey: "k" }), work.job({ n: 3 }, { dedupeKey: "free" })]));
    expect(answers).toEqual([{ id: held.id, deduplicated: true }, { id: expect.any(String), deduplicated: false }]);
  });

  it("that has ended is refused, and so is the Kysely instance itself", async () => {
    let kept: Transaction<Tables> | null = null;
    await db.transaction().execute((trx) => Promise.resolve(void (kept = trx)));
    await expect(shop.outbox.enqueue(kept!, work, { n: 1 })).rejects.toThrow("Transaction is already committed");
    await expect(shop.outbox.enqueue(db as never, work, { n: 1 })).rejects.toThrow(NotInTransactionError);
    await expect(shop.outbox.enqueue(db as never, work, { n: 1 })).rejects.toThrow("got the Kysely instance itself");
    expect(await shop.committed()).toEqual(nothing);
  });
});
