// runTwice finds the handler that does its work twice when a worker dies in the middle.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JobContext } from "postcommit";
import { defineJob, handle, LeaseLostError } from "postcommit";
import type { TestOutbox } from "postcommit/testing";
import { runTwice, testOutbox } from "postcommit/testing";
import type { TestDatabase } from "../support/database.ts";
import { testDatabase } from "../support/database.ts";

const charge = defineJob<{ cents: number }>({ type: "charge" });
const charging = (run: (ctx: JobContext) => unknown) => handle(charge, async (_, ctx) => await run(ctx));

describe("a receiver outside the database", () => {
  let charges: { key: string; attempt: number }[];
  beforeEach(() => {
    charges = [];
  });
  const known = (key: string) => charges.some((each) => each.key === key);

  it("that knows idempotency keys is asked twice and does it once", async () => {
    const handler = charging(({ idempotencyKey: key, attempt }) => {
      if (!known(key)) charges.push({ key, attempt });
    });
    const { first, second } = await runTwice(handler, { cents: 100 }, { effects: () => charges });
    expect(charges).toEqual([{ key: first.idempotencyKey, attempt: 1 }]);
    expect(second).toMatchObject({ outcome: "done", idempotencyKey: first.idempotencyKey });
  });

  it("that is asked without a key does it twice, and both states are shown", async () => {
    const handler = charging(({ attempt }) => void charges.push({ key: "none", attempt }));
    await expect(runTwice(handler, { cents: 100 }, { effects: () => charges })).rejects.toThrow(
      `Expected a second attempt of "charge" to change nothing, but its effects differ.
After the first attempt:  [ { key: 'none', attempt: 1 } ]
After the second attempt: [ { key: 'none', attempt: 1 }, { key: 'none', attempt: 2 } ]
A worker that dies before it has settled a job leaves it to another one`,
    );
  });

  it("is asked once through ctx.effect, whose ledger the second attempt finds; so it does its checkpoint", async () => {
    const checkpoints: unknown[] = [];
    const handler = charging(async (ctx) => {
      checkpoints.push(ctx.job.checkpoint);
      await ctx.effect("charge", () => Promise.resolve(charges.push({ key: "none", attempt: ctx.attempt })));
      await ctx.checkpoint({ charged: true });
    });
    await runTwice(handler, { cents: 100 }, { effects: () => charges });
    expect(checkpoints).toEqual([null, { charged: true }]);
  });
});

describe("a test that would prove nothing", () => {
  it("because effects sees nothing of what the handler does, is refused", async () => {
    await expect(runTwice(charging(() => null), { cents: 100 }, { effects: () => [1] })).rejects.toThrow('Expected effects to see what "charge" does, but they are the same before and after it: [ 1 ]');
  });

  it("because an attempt fails, is refused with its error as the cause", async () => {
    const cause = new Error("billing is down");
    const effects = () => Math.random();
    await expect(runTwice(charging(() => Promise.reject(cause)), { cents: 100 }, { effects })).rejects.toMatchObject({ message: 'Expected the first attempt of "charge" to succeed, got retried: Error: billing is down', cause });
    const second = charging(({ attempt }) => (attempt === 2 ? Promise.reject(cause) : null));
    await expect(runTwice(second, { cents: 100 }, { effects })).rejects.toThrow('Expected the second attempt of "charge" to succeed, got retried');
  });

  it("because effects gives what cannot be compared, is refused", async () => {
    await expect(runTwice(charging(() => null), { cents: 100 }, { effects: () => () => 1 })).rejects.toThrow("Expected effects to give back plain data");
  });
});

describe("writes to the database", () => {
  let db: TestDatabase;
  let outbox: TestOutbox;
  beforeAll(async () => {
    db = await testDatabase();
    outbox = testOutbox({ connection: db.url });
    await db.pool.query("create table charge (cents int)");
  });
  afterAll(async () => {
    await outbox.close();
    await db.close();
  });
  beforeEach(() => db.pool.query("delete from charge"));
  const charged = async () => (await db.pool.query<{ cents: number }>("select * from charge")).rows;

  it("through ctx.complete happen once: the second completion is refused and rolled back", async () => {
    const handler = charging((ctx) => ctx.complete((tx) => tx.query("insert into charge values (100)")));
    const { first, second } = await runTwice(handler, { cents: 100 }, { tx: outbox, effects: charged });
    expect(await charged()).toEqual([{ cents: 100 }]);
    expect(first.outcome).toBe("done");
    expect(second.outcome).toBe("lost");
    expect(second.error).toBeInstanceOf(LeaseLostError);
  });

  it("before ctx.complete, on a connection of the handler's own, happen twice, and that is found", async () => {
    const handler = charging(async (ctx) => {
      await db.pool.query("insert into charge values (100)");
      await ctx.complete(() => Promise.resolve());
    });
    await expect(runTwice(handler, { cents: 100 }, { tx: outbox, effects: charged })).rejects.toThrow("After the second attempt: [ { cents: 100 }, { cents: 100 } ]");
  });

  it("in the test's own transaction are seen through it", async () => {
    const client = await db.pool.connect();
    try {
      await client.query("begin");
      const handler = charging((ctx) => ctx.complete((tx) => tx.query("insert into charge values (100)")));
      await runTwice(handler, { cents: 100 }, { tx: client, effects: async () => (await client.query("select * from charge")).rows as unknown });
    } finally {
      await client.query("rollback");
      client.release();
    }
    expect(await charged()).toEqual([]);
  });
});
