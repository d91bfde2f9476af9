import postgres from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { NotInTransactionError } from "../../src/index.ts";
import { work } from "../support/outbox.ts";
import type { Shop } from "./shop.ts";
import { nothing, openShop } from "./shop.ts";

let shop: Shop;
let sql: postgres.Sql;
beforeAll(async () => {
  shop = await openShop();
  sql = postgres(shop.url, { max: 2 });
});
afterAll(async () => {
  await sql.end();
  await shop.close();
});
beforeEach(() => shop.empty());

describe("a postgres.js transaction", () => {
  it("commits the business write and the job together, and rolls them back together", async () => {
    await sql.begin(async (tx) => {
      await tx`insert into client_proposal (title) values ('a')`;
      await shop.outbox.enqueue(tx, work, { n: 1 });
    });
    const failing = sql.begin(async (tx) => {
      await tx`insert into client_proposal (title) values ('b')`;
      await shop.outbox.enqueueMany(tx, [work.job({ n: 2 }), work.job({ n: 3 })]);
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await shop.committed()).toEqual({ proposals: ["a"], jobs: [{ n: 1 }] });
  });

  it("stores the payload as an object, not as a text that holds one, and every option as it was given", async () => {
    const runAt = new Date(Date.now() + 60_000);
    await sql.begin((tx) => shop.outbox.enqueue(tx, work, { n: 1 }, { runAt, priority: "high", owner: "ada", orderingKey: "o" }));
    const { rows } = await shop.pool.query("select jsonb_typeof(payload) as json, run_at, priority, owner, ordering_key from outbox");
    expect(rows).toEqual([{ json: "object", run_at: runAt, priority: 10, owner: "ada", ordering_key: "o" }]);
  });

  it("is told who holds a dedupe key", async () => {
    const held = await shop.outbox.enqueueAlone(work, { n: 1 }, { dedupeKey: "k" });
    expect(await sql.begin((tx) => shop.outbox.enqueue(tx, work, { n: 2 }, { dedupeKey: "k" }))).toEqual({ id: held.id, deduplicated: true });
  });

  it("whose commit fails leaves neither", async () => {
    const failing = sql.begin(async (tx) => {
      await tx`insert into client_proposal (title) values ('twice'), ('twice')`;
      await shop.outbox.enqueue(tx, work, { n: 1 });
    });
    await expect(failing).rejects.toThrow("duplicate key");
    expect(await shop.committed()).toEqual(nothing);
  });

  it("a savepoint that rolls back takes its job with it and leaves the outer one", async () => {
    await sql.begin(async (tx) => {
      await tx`insert into client_proposal (title) values ('a')`;
      await shop.outbox.enqueue(tx, work, { n: 1 });
      const inner = tx.savepoint(async (nested) => {
        await shop.outbox.enqueue(nested, work, { n: 2 });
        throw new Error("only the inner one");
      });
      await expect(inner).rejects.toThrow("only the inner one");
    });
    expect(await shop.committed()).toEqual({ proposals: ["a"], jobs: [{ n: 1 }] });
  });

  it("the sql itself is refused, and so is a reserved connection", async () => {
    const reserved = await sql.reserve();
    try {
      for (const itself of [sql, reserved]) {
        const refused = shop.outbox.enqueue(itself as never, work, { n: 1 });
        await expect(refused).rejects.toThrow(NotInTransactionError);
        await expect(refused).rejects.toThrow("got the sql of postgres.js itself");
      }
    } finally {
      reserved.release();
    }
    expect(await shop.committed()).toEqual(nothing);
  });
});
