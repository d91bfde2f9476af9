// Pauses and limits, as workers and drains keep them: over all of them, without starving what is not limited, and
// without asking the database in vain.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Handler, JobContext } from "../../src/index.ts";
import { defineJob, handle, RetryAfter } from "../../src/index.ts";
import type { Database } from "../../src/outbox/database.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, worksBy } from "../support/outbox.ts";
import { until } from "../support/until.ts";
import { oneHourMs, workersOfEachTest } from "../support/workers.ts";

const startWorker = workersOfEachTest();
let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
});
afterAll(async () => {
  await test.close();
});
beforeEach(() => test.empty());

const done = async () => (await test.jobs("status = 'done'")).length;
const asleep = () => until("a worker listens", async () => (await test.pool.query("select from outbox_worker where listening")).rowCount === 1);
const enqueue = (count: number, type = "work") =>
  test.pool.query("insert into outbox (type, payload, run_at) select $2, '{}', clock_timestamp() from generate_series(1, $1::int)", [count, type]);

/** A handler that says how many run at once, at most, of what `keyOf` calls the same. */
function counting(contract: ReturnType<typeof defineJob<{ n?: number }>>, run: (ctx: JobContext) => Promise<void>, keyOf: (payload: { n?: number }) => string = () => "") {
  const running = new Map<string, number>();
  const seen = { started: 0, most: 0 };
  const handler: Handler = handle(contract, async (payload, ctx) => {
    const key = keyOf(payload);
    seen.started += 1;
    running.set(key, (running.get(key) ?? 0) + 1);
    seen.most = Math.max(seen.most, running.get(key) ?? 0);
    try {
      await run(ctx);
    } finally {
      running.set(key, (running.get(key) ?? 0) - 1);
    }
  });
  return { handler, seen };
}

describe("a pause under a running worker", () => {
  it("lets what runs end, and nothing else begin, until somebody resumes the type", async () => {
    const gate = barrier();
    let started = 0;
    await enqueue(10);
    const handler = worksBy(() => {
      started += 1;
      return gate.reached;
    });
    startWorker(test.outbox, { handlers: [handler], concurrency: 2, pollMs: oneHourMs });
    await until("two run", () => started === 2);
    await test.outbox.pause("work", { reason: "test" });
    gate.open();
    await until("the two are done", async () => (await done()) === 2);
    await asleep();
    expect(started).toBe(2);
    expect(await test.jobs("status = 'processing'")).toEqual([]);

    await test.outbox.resume("work");
    await until("all are done", async () => (await done()) === 10, 2000);
  });

  it("leaves the other types alone", async () => {
    await test.outbox.pause("work");
    await enqueue(3);
    startWorker(test.outbox, { handlers: [worksBy(() => Promise.resolve()), handle(defineJob({ type: "free" }), () => Promise.resolve())], pollMs: oneHourMs });
    await asleep();
    const id = await test.aJob({ type: "free" });
    await until("the other runs", async () => (await test.job(id)).status === "done");
    expect(await done()).toBe(1);
  });

  it("with an end is over by itself", async () => {
    await test.outbox.pause("work", { until: new Date(Date.now() + 1500) });
    await enqueue(3);
    startWorker(test.outbox, { handlers: [worksBy(() => Promise.resolve())] });
    await asleep();
    expect(await done()).toBe(0);
    await until("they run", async () => (await done()) === 3, 6000);
    const { rows } = await test.pool.query("select from outbox join outbox_type using (type) where started_at < paused_until");
    expect(rows).toEqual([]);
  });
});

describe("a drain", () => {
  const handlers = [worksBy(() => Promise.resolve())];

  it("says that what is due is paused", async () => {
    await test.outbox.pause("work");
    await enqueue(3);
    expect(await test.outbox.drain({ handlers })).toMatchObject({ done: 0, remaining: 3, stopReason: "paused" });
    await test.outbox.resume("work");
    expect(await test.outbox.drain({ handlers })).toMatchObject({ done: 3, remaining: 0, stopReason: "empty" });
  });

  it("says so too when a worker died of what is paused", async () => {
    await test.outbox.pause("work");
    await test.aJob({ suspect: true });
    expect(await test.outbox.drain({ handlers })).toMatchObject({ done: 0, remaining: 1, stopReason: "paused" });
  });
});

describe("a concurrency", () => {
  it("of 2 holds over two workers, and is used", async () => {
    const { handler, seen } = counting(defineJob<{ n?: number }>({ type: "work", concurrency: 2 }), () => sleep(5));
    await enqueue(60);
    startWorker(test.outbox, { handlers: [handler], pollMs: oneHourMs });
    startWorker(test.other, { handlers: [handler], pollMs: oneHourMs });
    await until("all are done", async () => (await done()) === 60);
    expect(seen.most).toBe(2);
  });

  it("of 1 for each key holds for each by itself, over two workers", async () => {
    const contract = defineJob<{ n?: number }>({ type: "work", concurrency: { limit: 1, key: ({ n = 0 }) => String(n % 4) } });
    const { handler, seen } = counting(contract, () => sleep(10), ({ n = 0 }) => String(n % 4));
    for (let n = 0; n < 40; n += 1) await test.outbox.enqueueAlone(contract, { n });
    startWorker(test.outbox, { handlers: [handler] });
    startWorker(test.other, { handlers: [handler] });
    await until("all are done", async () => (await done()) === 40);
    expect(seen.most).toBe(1);
    expect(seen.started).toBe(40);
  });

  it("lets the next one in when one has ended elsewhere", async () => {
    const gate = barrier();
    const contract = defineJob<{ n?: number }>({ type: "work", concurrency: 1 });
    const first = counting(contract, () => gate.reached);
    const second = counting(contract, () => Promise.resolve());
    const holder = startWorker(test.outbox, { handlers: [first.handler], concurrency: 1 });
    await test.aJob();
    await until("the first runs", () => first.seen.started === 1);
    await test.aJob();
    startWorker(test.other, { handlers: [second.handler] });
    const stopping = holder.stop();
    expect(second.seen.started).toBe(0);
    gate.open();
    await stopping;
    await until("the second runs", () => second.seen.started === 1);
  });

  it("of a type whose handler is loaded late must be known from its contract: else it is told of, and nothing runs", async () => {
    const limited = defineJob<{ n?: number }>({ type: "work", concurrency: 2 });
    const handler = handle(limited, () => Promise.resolve());
    await enqueue(2);
    const without = await test.outbox.drain({ handlers: [{ type: "work", load: () => Promise.resolve(handler) }] });
    expect(without).toMatchObject({ done: 0, unloadable: ["work"] });
    expect(test.events.find(({ event }) => event === "handler_not_loaded")).toMatchObject({ type: "work", error: expect.objectContaining({ message: expect.stringContaining("`contract`") as string }) as Error });
    expect(await test.jobs("status = 'pending' and attempts = 0")).toHaveLength(2);
    expect(await test.outbox.drain({ handlers: [{ type: "work", contract: limited, load: () => Promise.resolve(handler) }] })).toMatchObject({ done: 2 });
  });

  it("asks for nothing while every slot is taken", async () => {
    const gate = barrier();
    let queries = 0;
    const counted: Database = {
      ...test.database,
      query: (text, values) => {
        queries += 1;
        return test.database.query(text, values);
      },
      transaction: (run) => {
        queries += 1;
        return test.database.transaction(run);
      },
    };
    const { handler, seen } = counting(defineJob<{ n?: number }>({ type: "work", concurrency: 2 }), () => gate.reached);
    await enqueue(3);
    startWorker(test.over(counted), { handlers: [handler], concurrency: 1 });
    await until("the slot is taken", () => seen.started === 1);
    const before = queries;
    await sleep(2000);
    const asked = queries - before;
    gate.open();
    await until("all run", () => seen.started === 3);
    expect(asked).toBeLessThan(10);
  });
});

describe("a type with a limit, beside a flood of one without", () => {
  it.each([0, 10])("has its turns, although there are never free slots (its priority: %i)", async (priority) => {
    const flood = counting(defineJob<{ n?: number }>({ type: "flood" }), () => sleep(60));
    const limited = counting(defineJob<{ n?: number }>({ type: "work", concurrency: 5 }), () => Promise.resolve());
    await enqueue(1000, "flood");
    startWorker(test.outbox, { handlers: [flood.handler, limited.handler], concurrency: 1, pollMs: oneHourMs });
    await until("the flood is under way", () => flood.seen.started > 2);
    await test.aJob({ type: "work", priority });
    const before = flood.seen.started;
    await until("it runs", () => limited.seen.started === 1);
    expect(flood.seen.started - before).toBeLessThan(12);
  });

  it("does not keep the others waiting either", async () => {
    const flood = counting(defineJob<{ n?: number }>({ type: "flood", concurrency: 1 }), () => sleep(60));
    const free = counting(defineJob<{ n?: number }>({ type: "work" }), () => Promise.resolve());
    await enqueue(1000, "flood");
    startWorker(test.outbox, { handlers: [flood.handler, free.handler], concurrency: 1, pollMs: oneHourMs });
    await until("the flood is under way", () => flood.seen.started > 2);
    await test.aJob({ type: "work" });
    const before = flood.seen.started;
    await until("it runs", () => free.seen.started === 1);
    expect(flood.seen.started - before).toBeLessThan(12);
  });
});

describe("a rate limit", () => {
  it("of 5 a minute lets 5 of 20 begin; the others wait, a drain does not", async () => {
    const { handler, seen } = counting(defineJob<{ n?: number }>({ type: "work", rateLimit: { limit: 5, per: "1m" } }), () => Promise.resolve());
    await enqueue(20);
    expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 5, remaining: 15, stopReason: "paused" });
    startWorker(test.other, { handlers: [handler] });
    await asleep();
    expect(seen.started).toBe(5);
    expect(await test.jobs("attempts = 0 and status = 'pending'")).toHaveLength(15);
  });

  it("whose tokens come soon is waited for by a drain, which then does all", async () => {
    const { handler } = counting(defineJob<{ n?: number }>({ type: "work", rateLimit: { limit: 5, per: "500ms" } }), () => Promise.resolve());
    await enqueue(12);
    expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 12, remaining: 0, stopReason: "empty" });
    const { rows } = await test.pool.query<{ ms: number }>("select extract(epoch from max(started_at) - min(started_at))::float8 * 1000 as ms from outbox");
    expect(rows[0]!.ms).toBeGreaterThan(500); // seven more than there were at once, 100 ms apart
  });

  it("whose tokens are spent is waited for by a worker, with no poll", async () => {
    const { handler, seen } = counting(defineJob<{ n?: number }>({ type: "work", rateLimit: { limit: 2, per: "1s" } }), () => Promise.resolve());
    await enqueue(4);
    startWorker(test.outbox, { handlers: [handler], pollMs: oneHourMs });
    await until("all have run", () => seen.started === 4, 5000);
  });

  it("is joined by what a receiver asks for: RetryAfter holds the type back for all", async () => {
    const contract = defineJob<{ n?: number }>({ type: "work", rateLimit: { limit: 100, per: "1s" } });
    let asked = 0;
    const refused = handle(contract, () => {
      asked += 1;
      return Promise.reject(new RetryAfter(2));
    });
    const served = counting(contract, () => Promise.resolve());
    await test.aJob();
    const first = startWorker(test.outbox, { handlers: [refused], pollMs: oneHourMs });
    await until("the receiver has asked to wait", async () => asked === 1 && (await test.pool.query("select from outbox_type where blocked_until > clock_timestamp()")).rowCount === 1);
    await first.stop();
    startWorker(test.other, { handlers: [served.handler], pollMs: oneHourMs });
    await enqueue(3);
    await until("all are done", async () => (await done()) === 4);
    expect(await test.jobs("started_at < (select blocked_until from outbox_type where type = 'work')")).toEqual([]);
  });
});
