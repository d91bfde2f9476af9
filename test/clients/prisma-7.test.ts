import { PrismaPg } from "@prisma/adapter-pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { work } from "../support/outbox.ts";
import { PrismaClient as WithOutbox } from "./prisma-7/generated/with-outbox/client.ts";
import { PrismaClient as WithoutOutbox } from "./prisma-7/generated/without-outbox/client.ts";
import { describePrisma } from "./prisma-promises.ts";
import type { Shop } from "./shop.ts";
import { openShop } from "./shop.ts";

describePrisma("7.10", (url) => {
  const adapter = new PrismaPg({ connectionString: url });
  return { withOutbox: new WithOutbox({ adapter }), withoutOutbox: new WithoutOutbox({ adapter }) };
});

describe("tx.$transaction, which Prisma 7 nests by savepoints", () => {
  let shop: Shop;
  let prisma: WithOutbox;
  beforeAll(async () => {
    shop = await openShop();
    prisma = new WithOutbox({ adapter: new PrismaPg({ connectionString: shop.url }) });
  });
  afterAll(async () => {
    await prisma.$disconnect();
    await shop.close();
  });

  it("an inner one that rolls back takes its row and its job with it and leaves the outer ones", async () => {
    const client = prisma.$extends(shop.outbox.prismaExtension());
    await client.$transaction(async (tx) => {
      await tx.proposal.create({ data: { title: "outer" } });
      await shop.outbox.enqueue(tx, work, { n: 1 });
      const inner = tx.$transaction(async (tx) => {
        await tx.proposal.create({ data: { title: "inner" } });
        await shop.outbox.enqueue(tx, work, { n: 2 });
        await tx.outbox.enqueue(work, { n: 3 });
        throw new Error("only the inner one");
      });
      await expect(inner).rejects.toThrow("only the inner one");
      await tx.$transaction((tx) => tx.outbox.enqueue(work, { n: 4 }));
    });
    expect(await shop.committed()).toEqual({ proposals: ["outer"], jobs: [{ n: 1 }, { n: 4 }] });
  });

  it("in the form of a list takes no job from inside a transaction, and says so: what was begun is rolled back", async () => {
    const client = prisma.$extends(shop.outbox.prismaExtension());
    const before = await shop.committed();
    let begun: Promise<unknown> = Promise.resolve();
    const nested = client.$transaction((tx) => {
      const enqueued = tx.outbox.enqueue(work, { n: 5 });
      begun = Promise.allSettled([enqueued]);
      return tx.$transaction([tx.proposal.create({ data: { title: "list" } }), enqueued]);
    });
    await expect(nested).rejects.toThrow("Prisma Client promises");
    await begun;
    expect(await shop.committed()).toEqual(before);
  });
});
