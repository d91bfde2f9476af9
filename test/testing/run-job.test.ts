// runJob gives a handler what a stored job would give it, and says what the attempt came to; most of it without a database.
import { PrismaPg } from "@prisma/adapter-pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { PrismaClient } from "../../generated/prisma/client.ts";
import { defineJob, FinalError, handle, handleMany, PayloadError, RetryAfter } from "postcommit";
import type { JobContext } from "postcommit";
import type { TestOutbox } from "postcommit/testing";
import { expectEnqueued, refuteEnqueued, runJob, testOutbox } from "postcommit/testing";
import type { TestDatabase } from "../support/database.ts";
import { testDatabase } from "../support/database.ts";

const remind = defineJob({
  type: "invoice.remind",
  schema: z.object({ invoiceId: z.string(), at: z.iso.datetime().transform((text) => new Date(text)).optional(), locale: z.string().default("en") }),
  retry: { delays: ["5s", "30s"] },
});
const other = defineJob<{ n: number }>({ type: "other" });

/** Runs a handler that does `run`. */
const running = (run: (payload: { invoiceId: string; at?: Date | undefined; locale: string }, ctx: JobContext) => unknown) => handle(remind, async (payload, ctx) => await run(payload, ctx));

describe("the payload", () => {
  it("goes through JSON and the schema: what is undefined is gone, defaults and transforms are there", async () => {
    const given: unknown[] = [];
    const handler = running((payload) => void given.push(payload));
    await runJob(handler, { invoiceId: "i-1", at: "2026-01-01T00:00:00Z", extra: undefined });
    expect(given).toEqual([{ invoiceId: "i-1", at: new Date("2026-01-01T00:00:00Z"), locale: "en" }]);
    expect(Object.keys(given[0] as object)).not.toContain("extra");
  });

  it("that does not fit makes a dead letter, as a stored one would, and the handler is not called", async () => {
    const run = await runJob(running(() => Promise.reject(new Error("called"))), { invoiceId: 7 });
    expect(run).toMatchObject({ outcome: "dead", error: { name: "PayloadError" } });
    expect((run.error as Error).message).toContain("payload.invoiceId does not fit");
  });

  it("that could not be stored is refused", async () => {
    await expect(runJob(running(() => null), { invoiceId: "i-1", at: new Date() })).rejects.toThrow(PayloadError);
  });

  it("of an older version is lifted to the contract's", async () => {
    const lifted = defineJob<{ name: string }>({ type: "lifted", version: 2, migrate: (payload) => ({ name: (payload as { first: string }).first }) });
    expect(await runJob(handle(lifted, ({ name }) => Promise.resolve(name)), { first: "Ada" }, { version: 1 })).toMatchObject({ result: "Ada" });
  });
});

describe("the context", () => {
  it("is that of a claimed job, and can be set", async () => {
    const contexts: JobContext[] = [];
    const handler = running((_, ctx) => void contexts.push(ctx));
    const first = await runJob(handler, { invoiceId: "i-1" });
    const jobId = "0198f2c4-6f00-7000-8000-000000000001";
    const third = await runJob(handler, { invoiceId: "i-1" }, { attempt: 3, jobId, owner: "u-1", lastError: "Error: 500", checkpoint: { page: 2 } });
    expect(contexts[0]).toMatchObject({ attempt: 1, maxAttempts: 3, lastError: null, idempotencyKey: first.idempotencyKey, job: { type: "invoice.remind", payload: { invoiceId: "i-1" }, checkpoint: null } });
    expect(contexts[1]).toMatchObject({ attempt: 3, lastError: "Error: 500", idempotencyKey: jobId, job: { id: jobId, owner: "u-1", checkpoint: { page: 2 } } });
    expect(contexts[0]?.deadline.getTime()).toBeGreaterThan(Date.now());
    expect(third.idempotencyKey).toBe(jobId);
  });

  it("what is logged, said of the progress and saved is in the answer", async () => {
    const run = await runJob(
      running(async (_, ctx) => {
        ctx.log.info("began", { page: 1 });
        ctx.log.warn("slow");
        await ctx.progress(10, "page 1");
        await ctx.checkpoint({ page: 1 });
        await ctx.checkpoint({ page: 2 });
      }),
      { invoiceId: "i-1" },
    );
    expect(run).toMatchObject({
      logs: [{ level: "info", message: "began", fields: { page: 1 } }, { level: "warn", message: "slow", fields: {} }],
      progress: [{ percent: 10, note: "page 1" }],
      checkpoint: { page: 2 },
    });
  });

  it("an effect is carried out with its key", async () => {
    const keys: string[] = [];
    const run = await runJob(running((_, ctx) => ctx.effect("charge", (key) => Promise.resolve(keys.push(key)))), { invoiceId: "i-1" });
    expect(run.result).toBe(1);
    expect(keys).toEqual([`${run.idempotencyKey}/charge`]);
  });
});

describe("the outcome", () => {
  const failure = new TypeError("no such customer");
  it.each([
    ["done, with the result as JSON", () => ({ sent: 1, gone: undefined }), {}, { outcome: "done", result: { sent: 1 }, error: null, delayMs: null }],
    ["done without a result", () => undefined, {}, { outcome: "done", result: null }],
    ["retried, with the very error and its backoff", () => Promise.reject(failure), { attempt: 2 }, { outcome: "retried", error: failure }],
    ["dead after the last attempt", () => Promise.reject(failure), { attempt: 3 }, { outcome: "dead", error: failure, delayMs: null }],
    ["dead at once", () => Promise.reject(new FinalError("gone")), {}, { outcome: "dead", error: { message: "gone" } }],
    ["retried when it was asked for", () => Promise.reject(new RetryAfter(120)), {}, { outcome: "retried", delayMs: 120_000 }],
    ["snoozed", (_: unknown, ctx: JobContext) => ctx.snooze("1m"), {}, { outcome: "snoozed", delayMs: 60_000, error: null }],
    ["dead for a result that JSON cannot carry", () => 1n, {}, { outcome: "dead", error: { name: "PayloadError" } }],
    ["retried when null was thrown", () => Promise.resolve().then(() => { throw null as unknown as Error; }), {}, { outcome: "retried", error: null }],
  ])("%s", async (_, run, options, expected) => {
    expect(await runJob(running(run), { invoiceId: "i-1" }, options)).toMatchObject(expected);
  });

  it("a handler that never settles is ended by the time limit that the test sets", async () => {
    const run = await runJob(running(() => new Promise(() => undefined)), { invoiceId: "i-1" }, { timeout: "50ms" });
    expect(run).toMatchObject({ outcome: "retried", error: { name: "AttemptEnded", message: "the attempt took longer than its limit of 50 ms" } });
  });

  it("a handler that passes its signal on is ended by the test's", async () => {
    const stop = new AbortController();
    const run = await runJob(
      running((_, { signal }) => {
        queueMicrotask(() => stop.abort());
        return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
      }),
      { invoiceId: "i-1" },
      { signal: stop.signal },
    );
    expect(run.outcome).toBe("released");
  });

  it("a lazy handler is loaded, and one of several jobs is given one", async () => {
    const many = handleMany(other, (jobs) => Promise.resolve(jobs.map(({ payload }) => payload.n * 2)));
    expect(await runJob({ type: "other", load: () => Promise.resolve(many) }, { n: 21 })).toMatchObject({ outcome: "done", result: 42 });
  });
});

describe("ctx.complete", () => {
  let db: TestDatabase;
  let outbox: TestOutbox;
  let prisma: PrismaClient;
  beforeAll(async () => {
    db = await testDatabase();
    outbox = testOutbox({ connection: db.url });
    prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: db.url }) });
    await db.pool.query("create table sent (invoice text)");
  });
  afterAll(async () => {
    await Promise.all([outbox.close(), prisma.$disconnect()]);
    await db.close();
  });

  const completing = (fails = false) =>
    running(({ invoiceId }, ctx) =>
      ctx.complete(
        async (tx) => {
          await tx.query("insert into sent (invoice) values ($1)", [invoiceId]);
          await ctx.enqueue(tx, other, { n: 1 }, { priority: "high" });
          if (fails) await tx.query("select 1 / 0");
          return invoiceId;
        },
        (value) => ({ of: value }),
      ),
    );

  it("without a transaction the test is told how to give it one", async () => {
    await expect(runJob(completing(), { invoiceId: "i-1" })).rejects.toThrow("Expected a transaction for ctx.complete, got none. Pass the test's own, runJob(handler, payload, { tx }), or a test outbox, which makes one: { tx: outbox }.");
  });

  it("writes in the test's own Prisma transaction, and its follow-up jobs are in the answer", async () => {
    const rollback = new Error("roll back");
    await expect(
      prisma.$transaction(async (tx) => {
        const run = await runJob(completing(), { invoiceId: "i-1" }, { tx });
        expect(run).toMatchObject({ outcome: "done", result: { of: "i-1" }, enqueued: [{ type: "other", payload: { n: 1 }, options: { priority: "high" } }] });
        expect(await tx.$queryRaw`select * from sent`).toEqual([{ invoice: "i-1" }]);
        // An app that has registered its own transaction is given all that it can do.
        const registered = running((_, ctx) => ctx.complete((own) => (own as unknown as typeof tx).notification.create({ data: { userId: "u-1", type: "sent", message: "Sent." } })));
        expect(await runJob(registered, { invoiceId: "i-1" }, { tx })).toMatchObject({ outcome: "done" });
        expect(await tx.notification.count()).toBe(1);
        await expectEnqueued(tx, other, { payload: { n: 1 } });
        throw rollback;
      }),
    ).rejects.toBe(rollback);
  });

  it("that fails is rolled back, and the test's transaction goes on", async () => {
    const client = await db.pool.connect();
    try {
      await client.query("begin");
      const run = await runJob(completing(true), { invoiceId: "i-1" }, { tx: client });
      expect(run).toMatchObject({ outcome: "retried", error: { message: "division by zero" }, enqueued: [] });
      expect((await client.query("select * from sent")).rows).toEqual([]);
      await refuteEnqueued(client, other);
    } finally {
      await client.query("rollback");
      client.release();
    }
  });

  it("is committed when it is given a test outbox; so is the work of a checkpoint", async () => {
    expect(await runJob(completing(), { invoiceId: "i-2" }, { tx: outbox })).toMatchObject({ outcome: "done" });
    const saving = running((_, ctx) => ctx.checkpoint(async (tx) => { await tx.query("insert into sent values ('part')"); return { page: 1 }; })); // prettier-ignore
    expect(await runJob(saving, { invoiceId: "i-3" }, { tx: outbox })).toMatchObject({ checkpoint: { page: 1 } });
    expect((await db.pool.query("select * from sent")).rows).toEqual([{ invoice: "i-2" }, { invoice: "part" }]);
  });
});
