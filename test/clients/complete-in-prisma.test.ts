// Handlers write through the app's own Prisma client, 6.19 and 7.10: its rows, follow-up jobs and the job's completion are
// one commit of the app's.

import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaPg as PrismaPg6 } from "@prisma/adapter-pg-6";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AppOutbox, JobContext } from "../../src/index.ts";
import { createOutbox, defineJob, handle } from "../../src/index.ts";
import { auditLog, dataSync, notificationSend } from "../../src/jobs.ts";
import { auditLogHandler } from "../../src/handlers/audit-log.ts";
import { dataSyncHandler } from "../../src/handlers/data-sync.ts";
import { notificationSendHandler } from "../../src/handlers/notification-send.ts";
import type { PrismaClientLike } from "../../src/service/prisma-transactions.ts";
import { work } from "../support/outbox.ts";
import { PrismaClient as Prisma6 } from "./prisma-6/generated/without-outbox/client.ts";
import { PrismaClient as Prisma7 } from "./prisma-7/generated/without-outbox/client.ts";
import type { Shop } from "./shop.ts";
import { nothing, openShop } from "./shop.ts";

/** What an app would say once by declaring `Register`, which would hold for all files here. */
interface AppTx {
  proposal: { create(args: { data: { title: string } }): Promise<{ id: string }> };
}
const app = (tx: unknown) => tx as AppTx;
const later = defineJob<{ title: string }>({ type: "later" });
const clients = { "Prisma 6.19": (url: string) => new Prisma6({ adapter: new PrismaPg6({ connectionString: url }) }), "Prisma 7.10": (url: string) => new Prisma7({ adapter: new PrismaPg({ connectionString: url }) }) };

describe.each(Object.entries(clients))("ctx.complete in transactions of %s", (_, open) => {
  let shop: Shop;
  let prisma: Prisma6 | Prisma7;
  let outbox: AppOutbox;
  beforeAll(async () => {
    shop = await openShop();
    prisma = open(shop.url);
    outbox = createOutbox({ connection: shop.url, prisma });
  });
  afterAll(async () => {
    await outbox.close();
    void prisma.$disconnect(); // 6.19 keeps the connection of a commit that failed, and waits for it for ever
    await shop.close();
  });
  beforeEach(() => shop.empty());

  const drainWith = async (run: (ctx: JobContext) => Promise<unknown>, over = outbox) => {
    await outbox.enqueueAlone(work, { n: 1 });
    return await over.drain({ handlers: [handle(work, (_payload, ctx) => run(ctx))] });
  };
  const job = async () => (await shop.pool.query("select status, attempts, last_error, result, checkpoint from outbox where type = 'work'")).rows[0] as Record<string, unknown>;

  it("the app's row, the follow-up job and the completion are one commit", async () => {
    const report = await drainWith((ctx) =>
      ctx.complete(
        async (tx) => {
          const { id } = await app(tx).proposal.create({ data: { title: "one" } });
          await ctx.enqueue(tx, later, { title: "one" });
          return id;
        },
        (id) => ({ id }),
      ),
    );
    expect(report).toMatchObject({ done: 1 });
    expect(await shop.committed()).toMatchObject({ proposals: ["one"] });
    expect(await job()).toMatchObject({ status: "done", result: { id: expect.any(String) } });
    expect((await shop.pool.query("select from outbox where type = 'later'")).rowCount).toBe(1);
  });

  it("what throws leaves none of them", async () => {
    await drainWith((ctx) =>
      ctx.complete(async (tx) => {
        await app(tx).proposal.create({ data: { title: "one" } });
        await ctx.enqueue(tx, later, { title: "one" });
        throw new Error("no");
      }),
    );
    expect((await shop.committed()).proposals).toEqual([]);
    expect(await job()).toMatchObject({ status: "pending", last_error: "Error: no" });
    expect((await shop.pool.query("select from outbox where type = 'later'")).rowCount).toBe(0);
  });

  it("a commit that fails leaves none of them, and the job is tried again", async () => {
    await shop.pool.query("insert into client_proposal (title) values ('one')");
    await drainWith((ctx) => ctx.complete((tx) => app(tx).proposal.create({ data: { title: "one" } })));
    expect((await shop.committed()).proposals).toEqual(["one"]);
    expect(await job()).toMatchObject({ status: "pending", attempts: 1 });
  });

  it("a commit whose answer is lost is a completion all the same", async () => {
    const client: PrismaClientLike = prisma;
    const unanswered: PrismaClientLike = {
      async $transaction(work, options) {
        await client.$transaction(work, options);
        throw new Error("P1017: Server has closed the connection.");
      },
    };
    const over = createOutbox({ connection: shop.url, prisma: unanswered });
    const report = await drainWith((ctx) => ctx.complete((tx) => app(tx).proposal.create({ data: { title: "one" } })), over);
    await over.close();
    expect(report).toMatchObject({ done: 1, retried: 0 });
    expect((await shop.committed()).proposals).toEqual(["one"]);
  });

  it("an attempt that has lost its lease commits nothing", async () => {
    const report = await drainWith(async (ctx) => {
      await shop.pool.query("update outbox set lease_token = lease_token + 1");
      await ctx.complete((tx) => app(tx).proposal.create({ data: { title: "one" } }));
    });
    expect(report).toMatchObject({ done: 0, lost: 1 });
    expect((await shop.committed()).proposals).toEqual([]);
  });

  it("a checkpoint and the app's rows are one commit", async () => {
    await drainWith(async (ctx) => {
      await ctx.checkpoint(async (tx) => {
        await app(tx).proposal.create({ data: { title: "one" } });
        return { page: 1 };
      });
      await ctx.checkpoint(async (tx) => {
        await app(tx).proposal.create({ data: { title: "two" } });
        throw new Error("halfway");
      });
    });
    expect((await shop.committed()).proposals).toEqual(["one"]);
    expect(await job()).toMatchObject({ checkpoint: { page: 1 } });
  });

  it("the built-in types write through it too", async () => {
    await outbox.enqueueAlone(auditLog, { event: "seen" });
    await outbox.enqueueAlone(notificationSend, { userId: "u", type: "t", message: "seen", channels: ["ops"] });
    await outbox.enqueueAlone(dataSync, { source: "app", target: "proposals", data: { id: "0198f2c4-6f00-7000-8000-000000000001", title: "synced", version: 1 } });
    await shop.pool.query("create table synced (id uuid primary key, title text, version int)");
    const handlers = [
      auditLogHandler(),
      notificationSendHandler({ channels: { ops: { kind: "slack", url: "https://hooks.slack.example/x" } } }),
      dataSyncHandler({ endpoints: { proposals: { kind: "table", table: "synced", key: "id", version: "version" } } }),
    ];
    expect(await outbox.drain({ handlers })).toMatchObject({ done: 3, retried: 0, dead: 0 });
    expect((await shop.pool.query("select event from audit_log")).rows).toEqual([{ event: "seen" }]);
    expect((await shop.pool.query("select message from notification")).rows).toEqual([{ message: "seen" }]);
    expect((await shop.pool.query("select title from synced")).rows).toEqual([{ title: "synced" }]);
    expect((await shop.pool.query("select from outbox where type = 'notification.deliver'")).rowCount).toBe(1);
    expect(nothing.proposals).toEqual((await shop.committed()).proposals);
  });
});

it("what is no Prisma client is refused", () => {
  expect(() => createOutbox({ connection: "postgresql://localhost/x", prisma: {} as never })).toThrow("Expected prisma to be a Prisma client, got object.");
});
