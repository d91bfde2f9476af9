// What a test can expect of code that enqueues: inside its own transaction, before anything is committed, and afterwards.
import { PrismaPg } from "@prisma/adapter-pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { PrismaClient } from "../../generated/prisma/client.ts";
import { defineJob } from "postcommit";
import type { TestOutbox } from "postcommit/testing";
import { expectEnqueued, refuteEnqueued, testOutbox } from "postcommit/testing";
import type { TestDatabase } from "../support/database.ts";
import { testDatabase } from "../support/database.ts";

let db: TestDatabase;
let outbox: TestOutbox;
let prisma: PrismaClient;
beforeAll(async () => {
  db = await testDatabase();
  outbox = testOutbox({ connection: db.url });
  prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: db.url }) });
});
afterAll(async () => {
  await Promise.all([outbox.close(), prisma.$disconnect()]);
  await db.close();
});
beforeEach(() => outbox.clear());

const remind = defineJob({ type: "invoice.remind", schema: z.object({ invoiceId: z.string(), to: z.object({ name: z.string(), tags: z.array(z.string()) }).optional(), locale: z.string().default("en") }) });
const other = defineJob<{ n: number }>({ type: "other" });

/** The message that it fails with; the test fails when it does not. */
async function messageOf(expecting: Promise<unknown>): Promise<string> {
  const error: unknown = await expecting.then(
    () => new Error("it did not throw"),
    (reason: unknown) => reason,
  );
  return (error as Error).message; // the assertion says which
}

describe("inside a transaction that is rolled back", () => {
  it("a Prisma transaction sees its own jobs, which nobody else does", async () => {
    const rollback = new Error("roll back");
    await expect(
      prisma.$transaction(async (tx) => {
        await refuteEnqueued(tx, remind);
        const { id } = await outbox.enqueue(tx, remind, { invoiceId: "i-1" });
        expect(await expectEnqueued(tx, remind, { payload: { invoiceId: "i-1" } })).toMatchObject({ id, payload: { invoiceId: "i-1" }, status: "pending", attempts: 0 });
        await refuteEnqueued(outbox, remind);
        throw rollback;
      }),
    ).rejects.toBe(rollback);
    await refuteEnqueued(prisma, remind);
  });

  it("a pg client after BEGIN does too", async () => {
    const client = await db.pool.connect();
    try {
      await client.query("begin");
      await outbox.enqueue(client, remind, { invoiceId: "i-1" });
      await expectEnqueued(client, remind);
      await refuteEnqueued(db.pool, remind);
      await client.query("rollback");
      await refuteEnqueued(client, remind);
    } finally {
      client.release();
    }
  });

  it("and so does the transaction of a test outbox", async () => {
    await outbox.transaction(async (tx) => {
      await outbox.enqueue(tx, remind, { invoiceId: "i-1" });
      await expectEnqueued(tx, remind);
      await refuteEnqueued(outbox, remind);
    });
    await expectEnqueued(outbox, remind);
  });
});

describe("what is expected", () => {
  beforeEach(async () => {
    await outbox.enqueueAlone(remind, { invoiceId: "i-1", to: { name: "Ada", tags: ["vip", "new"] } }, { priority: "high", owner: "u-1", orderingKey: "c-1", dedupeKey: "d-1", maxAttempts: 5 });
    await outbox.enqueueAlone(remind, { invoiceId: "i-2" }, { delay: "2h" });
  });

  it("may be part of the payload at any depth, a matcher of the test runner, or a function", async () => {
    const first = await expectEnqueued(outbox, remind, { payload: { to: { name: "Ada" } } });
    expect(first.payload.invoiceId).toBe("i-1");
    await expectEnqueued(outbox, remind, { payload: { to: { tags: ["vip", "new"] } } });
    await expectEnqueued(outbox, remind, { payload: { invoiceId: expect.stringMatching(/^i-/) as string }, count: 2 });
    await expectEnqueued(outbox, remind, { payload: ({ invoiceId }) => invoiceId === "i-2", count: 1 });
    await refuteEnqueued(outbox, remind, { payload: { to: { tags: ["vip"] } } });
    await refuteEnqueued(outbox, remind, { payload: { locale: "en" } }); // a default: it applies when the job runs
    await refuteEnqueued(outbox, other);
  });

  it("may be options, in the words of enqueue", async () => {
    await expectEnqueued(outbox, remind, { options: { priority: "high", owner: "u-1", orderingKey: "c-1", dedupeKey: "d-1", maxAttempts: 5 } });
    await expectEnqueued(outbox, remind, { options: { priority: 0, delay: "2h" } });
    await refuteEnqueued(outbox, remind, { options: { delay: "3h" } });
    const runAt = new Date("2100-01-01T12:00:00.500Z");
    await outbox.enqueueAlone(other, { n: 1 }, { runAt });
    await expectEnqueued(outbox, other, { options: { runAt } });
    await refuteEnqueued(outbox, other, { options: { runAt: new Date("2100-01-01T12:00:00Z") } });
  });

  it("what does not compile: a property that the payload does not have, and a value of another type", async () => {
    // @ts-expect-error there is no such property
    await refuteEnqueued(outbox, remind, { payload: { invoice: "i-1" } });
    // @ts-expect-error invoiceId is a text
    await refuteEnqueued(outbox, remind, { payload: { invoiceId: 1 } });
    // @ts-expect-error there is no such option
    await refuteEnqueued(outbox, remind, { options: { colour: "red" } });
  });
});

describe("an error", () => {
  it("lists the jobs of the type with what keeps each from fitting, and the others", async () => {
    await outbox.enqueueAlone(remind, { invoiceId: "i-1", to: { name: "Ada", tags: [] } });
    await outbox.enqueueAlone(remind, { invoiceId: "i-2" });
    await outbox.enqueueAlone(other, { n: 1 });
    expect(await messageOf(expectEnqueued(outbox, remind, { payload: { to: { name: "Bob" } } }))).toBe(
      `Expected a job of type "invoice.remind" with payload { to: { name: 'Bob' } }, but no job fits. Of that type there are:
  - invoice.remind {"to":{"name":"Ada","tags":[]},"invoiceId":"i-1"} (pending)
    payload.to.name is 'Ada', expected 'Bob'
  - invoice.remind {"invoiceId":"i-2"} (pending)
    payload.to is missing, expected an object
Other jobs are:
  - other {"n":1} (pending)`,
    );
    expect(await messageOf(expectEnqueued(outbox, other, { count: 2 }))).toBe('Expected 2 jobs of type "other", got 1:\n  - other {"n":1} (pending)');
    expect(await messageOf(refuteEnqueued(outbox, other, { status: "pending" }))).toBe('Expected no job of type "other" with status pending, got 1:\n  - other {"n":1} (pending)');
  });

  it("says where else to look when there is no job at all", async () => {
    expect(await messageOf(expectEnqueued(outbox, remind))).toMatch(/there is no job at all\. What was enqueued in a transaction that is still open can be seen only through that transaction/);
    expect(await messageOf(prisma.$transaction((tx) => expectEnqueued(tx, remind)))).toMatch(/there is no job at all\. Has the code under test been given this transaction\?$/);
  });

  it("is short however many jobs there are", async () => {
    await outbox.transaction((tx) => outbox.enqueueMany(tx, Array.from({ length: 500 }, (_, n) => other.job({ n }))));
    const message = await messageOf(expectEnqueued(outbox, other, { payload: { n: -1 } }));
    expect(message).toContain("and 480 more");
    expect(message.length).toBeLessThan(4000);
  });
});
