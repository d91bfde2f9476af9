// What a handler may say and do while it runs: each write names the lease, and is all or nothing.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JobContext } from "../../src/index.ts";
import { defineJob, LeaseLostError } from "../../src/index.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, work, worksBy } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(() => test.empty());

/** Drains once with a handler that does this with its context. */
const drainWith = (run: (ctx: JobContext) => Promise<unknown>) => test.outbox.drain({ handlers: [worksBy((_, ctx) => run(ctx))] });
const column = async (id: string, name: string) => (await test.pool.query<{ value: unknown }>(`select ${name} as value from outbox where id = $1`, [id])).rows[0]!.value;
const dueAgain = (id: string) => test.pool.query("update outbox set run_at = clock_timestamp() where id = $1", [id]);
/** As a rescue and another worker's claim do. */
const takeAway = (id: string) => test.pool.query("update outbox set lease_token = lease_token + 1 where id = $1", [id]);
const note = (ctx: JobContext, text: string) => (tx: { query(sql: string, values: unknown[]): Promise<unknown> }) =>
  tx.query("insert into notification (user_id, type, message, job_id) values ('u', 't', $1, $2)", [text, ctx.job.id]);
const notes = async () => (await test.pool.query<{ message: string }>("select message from notification order by created_at")).rows.map(({ message }) => message);

describe("a follow-up job", () => {
  const later = defineJob<{ of: string }>({ type: "later" });

  it("is committed with the completion", async () => {
    const id = await test.aJob();
    await drainWith((ctx) => ctx.complete((tx) => ctx.enqueue(tx, later, { of: ctx.job.id }, { priority: "high" })));
    expect(await test.jobs("type = 'later'")).toMatchObject([{ payload: { of: id }, status: "pending", priority: 10 }]);
  });

  it("does not exist when the completion fails", async () => {
    await test.aJob();
    await drainWith((ctx) =>
      ctx.complete(async (tx) => {
        await ctx.enqueue(tx, later, { of: "x" });
        throw new Error("no");
      }),
    );
    expect(await test.jobs("type = 'later'")).toEqual([]);
  });

  it("is run by the same drain", async () => {
    await test.aJob({ payload: { n: 1 } });
    const ran: unknown[] = [];
    const handler = worksBy(async ({ n }, ctx) => {
      ran.push(n);
      if (n === 1) await ctx.complete((tx) => ctx.enqueue(tx, work, { n: 2 }));
    });
    expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 2 });
    expect(ran).toEqual([1, 2]);
  });
});

describe("progress", () => {
  it("is on the job while it runs, and stays when it is done", async () => {
    const id = await test.aJob();
    const seen: unknown[] = [];
    await drainWith(async (ctx) => {
      await ctx.progress(40.4, "page 4 of 10");
      seen.push(await column(id, "progress"), await column(id, "progress_note"));
      await ctx.progress(41); // half a second has not passed
      seen.push(await column(id, "progress"));
      await ctx.progress(100);
    });
    expect(seen).toEqual([40, "page 4 of 10", 40]);
    expect([await column(id, "progress"), await column(id, "progress_note")]).toEqual([100, null]);
  });

  it.each([[-1], [101], [Number.NaN], ["50" as never]])("of %s is refused", async (percent) => {
    const id = await test.aJob({ max_attempts: 1 });
    await drainWith((ctx) => ctx.progress(percent));
    expect((await test.job(id)).last_error).toContain("from 0 to 100");
  });

  it("of an attempt that has lost its lease is not written, and the attempt is told", async () => {
    const id = await test.aJob();
    let told: unknown;
    const report = await drainWith(async (ctx) => {
      await takeAway(id);
      await ctx.progress(50).catch((error: unknown) => {
        told = error;
        throw error;
      });
    });
    expect(told).toBeInstanceOf(LeaseLostError);
    expect(await column(id, "progress")).toBeNull();
    expect(report).toMatchObject({ done: 0, lost: 1 });
  });
});

describe("a checkpoint", () => {
  it("is what the next attempt goes on from", async () => {
    const id = await test.aJob();
    const seen: unknown[] = [];
    const run = async (ctx: JobContext) => {
      seen.push(ctx.job.checkpoint);
      await ctx.checkpoint({ page: ctx.attempt });
      if (ctx.attempt < 3) throw new Error("the power is out");
    };
    for (let round = 0; round < 3; round += 1) {
      await drainWith(run);
      await dueAgain(id);
    }
    expect(seen).toEqual([null, { page: 1 }, { page: 2 }]);
  });

  it("is committed together with the work, or neither is", async () => {
    const id = await test.aJob();
    const run = async (ctx: JobContext) => {
      await ctx.checkpoint(async (tx) => (await note(ctx, "page 1")(tx), { page: 1 }));
      await ctx.checkpoint(async (tx) => {
        await note(ctx, "page 2")(tx);
        throw new Error("halfway");
      });
    };
    await drainWith(run);
    expect(await column(id, "checkpoint")).toEqual({ page: 1 });
    expect(await notes()).toEqual(["page 1"]);
  });

  it("of an attempt that has lost its lease takes its work with it", async () => {
    const id = await test.aJob();
    const report = await drainWith(async (ctx) => {
      await takeAway(id);
      await ctx.checkpoint(async (tx) => (await note(ctx, "page 1")(tx), { page: 1 }));
    });
    expect([await column(id, "checkpoint"), await notes()]).toEqual([null, []]);
    expect(report).toMatchObject({ lost: 1 });
  });

  it.each([
    ["a BigInt", { n: 1n }, "the checkpoint.n is a BigInt"],
    ["65 KB", "x".repeat(66_000), "65536"],
  ])("of %s is refused", async (_, data, message) => {
    const id = await test.aJob();
    await drainWith((ctx) => ctx.checkpoint(data));
    expect((await test.job(id)).last_error).toContain(message);
  });
});

describe("a snoozed job", () => {
  it("is due again then, its attempt uncounted, and the ledger says so", async () => {
    const id = await test.aJob({ last_error: "Error: before" });
    expect(await drainWith((ctx) => ctx.snooze("10m"))).toMatchObject({ released: 1, retried: 0, dead: 0 });
    const job = await test.job(id);
    expect(job).toMatchObject({ status: "pending", attempts: 0, last_error: "Error: before" });
    expect(job.run_at.getTime()).toBeGreaterThan(Date.now() + 500_000);
    expect(await test.attempts(id)).toEqual([{ attempt: 1, outcome: "snoozed", error_class: null, message: null }]);
    expect(test.events.some(({ event }) => event === "job_snoozed")).toBe(true);
  });

  it("is snoozed also when the handler keeps the error from going up", async () => {
    const id = await test.aJob();
    await drainWith(async (ctx) => {
      await Promise.resolve()
        .then(() => ctx.snooze("1h"))
        .catch(() => undefined);
      return "done";
    });
    expect(await test.job(id)).toMatchObject({ status: "pending", attempts: 0, result: null });
  });

  it("never uses up its attempts, and waits a second at least", async () => {
    const id = await test.aJob({ max_attempts: 1 });
    for (let round = 0; round < 4; round += 1) {
      expect(await drainWith((ctx) => ctx.snooze(0))).toMatchObject({ released: 1 });
      await dueAgain(id);
    }
    await drainWith(() => Promise.resolve());
    expect(await test.job(id)).toMatchObject({ status: "done", attempts: 1 });
  });

  it("cannot be completed as well", async () => {
    const id = await test.aJob();
    await drainWith(async (ctx) => {
      await ctx.complete(() => Promise.resolve());
      ctx.snooze("1h");
    });
    expect((await test.job(id)).status).toBe("done");
    expect(test.events).toContainEqual(expect.objectContaining({ event: "job_failed_after_completion" }));
  });
});

it("everything can be taken out of the context", async () => {
  const id = await test.aJob();
  await test.outbox.drain({
    handlers: [
      worksBy(async (_, { job, signal, deadline, log, progress, checkpoint, complete, enqueue }) => {
        log.info("begun", { until: deadline.getTime() > Date.now(), aborted: signal.aborted });
        await progress(10);
        await checkpoint(1);
        await complete((tx) => enqueue(tx, defineJob({ type: "other" }), { of: job.id }));
      }),
    ],
  });
  expect(await test.job(id)).toMatchObject({ status: "done" });
  expect(await test.jobs("type = 'other'")).toHaveLength(1);
});
