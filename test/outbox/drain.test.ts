import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { defineJob, FinalError, handle, RetryAfter } from "../../src/index.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, work, worksBy } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(() => test.empty());

const succeeds = worksBy(() => Promise.resolve());
/** Drains until nothing is due, with the backoff of every failed job passed over. */
async function drainThrough(handlers: Parameters<typeof test.outbox.drain>[0]["handlers"], rounds = 20): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    await test.pool.query("update outbox set run_at = clock_timestamp() where status = 'pending'");
    const { done, retried, dead } = await test.outbox.drain({ handlers });
    if (done + retried + dead === 0) return;
  }
  throw new Error(`jobs were still being run after ${rounds} drains`);
}

describe("what a drain does", () => {
  it("it runs everything that is due, in batches, and says so", async () => {
    await test.outbox.enqueueMany(clientOf(test), Array.from({ length: 45 }, (_, n) => work.job({ n })));
    await test.aJob({ run_at: new Date("2031-01-01T00:00:00Z") });
    const report = await test.outbox.drain({ handlers: [succeeds] });
    expect(report).toEqual({ done: 45, retried: 0, dead: 0, released: 0, cancelled: 0, lost: 0, remaining: 0, stopReason: "empty", nextDueAt: new Date("2031-01-01T00:00:00Z"), unhandled: [], unloadable: [] });
    expect(await test.outbox.counts()).toMatchObject({ done: 45, pending: 1, processing: 0 });
  });

  it("never more than a batch is taken at a time, and never more than the concurrency runs at once", async () => {
    await test.outbox.enqueueMany(clientOf(test), Array.from({ length: 30 }, () => work.job({})));
    let running = 0;
    let most = 0;
    const counting = worksBy(async () => {
      most = Math.max(most, (running += 1));
      await new Promise(setImmediate);
      running -= 1;
    });
    await test.outbox.drain({ handlers: [counting], batch: 10, concurrency: 4 });
    expect(most).toBeLessThanOrEqual(4);
    const { rows } = await test.pool.query<{ most: number }>("select max(count)::int as most from (select count(*) from outbox group by lease_token) as batches");
    expect(rows[0]!.most).toBeLessThanOrEqual(10);
  });

  it("greater priority runs first, and within one priority the oldest", async () => {
    const order: string[] = [];
    const name = async (label: string, priority: number, age: number) =>
      test.aJob({ payload: { n: label }, priority, run_at: new Date(Date.now() - age * 1000) });
    await name("normal, young", 0, 1);
    await name("low, oldest", -10, 900);
    await name("high, young", 10, 1);
    await name("normal, old", 0, 60);
    await name("high, old", 10, 60);
    await test.outbox.drain({ handlers: [worksBy(({ n }) => Promise.resolve(void order.push(String(n))))], batch: 2, concurrency: 1 });
    expect(order).toEqual(["high, old", "high, young", "normal, old", "normal, young", "low, oldest"]);
  });

  it("over several types too, the oldest of one priority comes first", async () => {
    const order: string[] = [];
    const handlers = ["a", "b", "c"].map((type) => handle(defineJob({ type }), () => Promise.resolve(void order.push(type))));
    await test.aJob({ type: "b", run_at: new Date(Date.now() - 3000) });
    await test.aJob({ type: "c", run_at: new Date(Date.now() - 2000) });
    await test.aJob({ type: "a", run_at: new Date(Date.now() - 1000) });
    await test.outbox.drain({ handlers, concurrency: 1 });
    expect(order).toEqual(["b", "c", "a"]);
  });

  it("what the handler returns is the job's result", async () => {
    const id = await test.aJob();
    await test.outbox.drain({ handlers: [worksBy(() => Promise.resolve({ file: "a.pdf", pages: 3 }))] });
    expect(await test.job(id)).toMatchObject({ status: "done", result: { file: "a.pdf", pages: 3 }, attempts: 1, last_error: null });
  });

  it("a handler sees the schema's defaults, its attempt, and the same idempotency key on every attempt", async () => {
    const greet = defineJob({ type: "greet", schema: z.object({ name: z.string().default("you") }) });
    const seen: unknown[] = [];
    const handler = handle(greet, ({ name }, ctx) => {
      seen.push([name, ctx.attempt, ctx.maxAttempts, ctx.idempotencyKey, ctx.lastError]);
      return ctx.attempt < 2 ? Promise.reject(new Error("not yet")) : Promise.resolve();
    });
    const { id } = await test.outbox.enqueueAlone(greet, {});
    await drainThrough([handler]);
    expect(seen).toEqual([["you", 1, 3, id, null], ["you", 2, 3, id, "Error: not yet"]]);
  });

  it("an empty outbox is drained without leaving a worker behind", async () => {
    expect((await test.outbox.drain({ handlers: [succeeds] })).stopReason).toBe("empty");
    expect((await test.pool.query("select from outbox_worker")).rowCount).toBe(0);
  });
});

describe("a job that fails", () => {
  it("is tried again after its backoff, and is a dead letter after its last attempt", async () => {
    const id = await test.aJob({ max_attempts: 2 });
    const fails = worksBy(() => Promise.reject(new Error("the printer is on fire")));
    expect(await test.outbox.drain({ handlers: [fails] })).toMatchObject({ retried: 1, dead: 0 });
    const waiting = await test.job(id);
    expect(waiting).toMatchObject({ status: "pending", attempts: 1, last_error: "Error: the printer is on fire" });
    expect(waiting.run_at.getTime()).toBeGreaterThan(Date.now() + 5000);
    expect(await test.outbox.drain({ handlers: [fails] })).toMatchObject({ retried: 0, dead: 0 });

    await test.pool.query("update outbox set run_at = clock_timestamp()");
    expect(await test.outbox.drain({ handlers: [fails] })).toMatchObject({ retried: 0, dead: 1 });
    expect(await test.job(id)).toMatchObject({ status: "error", attempts: 2 });
    expect(await test.attempts(id)).toMatchObject([
      { attempt: 1, outcome: "retried", error_class: "Error", message: "the printer is on fire" },
      { attempt: 2, outcome: "dead", error_class: "Error", message: "the printer is on fire" },
    ]);
  });

  it("never harms its neighbours", async () => {
    for (let n = 0; n < 20; n += 1) await test.aJob({ payload: { n } });
    const report = await test.outbox.drain({ handlers: [worksBy(({ n }) => (n === 7 ? Promise.reject(new Error("seven")) : Promise.resolve()))] });
    expect(report).toMatchObject({ done: 19, retried: 1 });
  });

  it("with a FinalError is a dead letter at once, also when another copy of the package threw it", async () => {
    const one = await test.aJob({ payload: { n: 1 } });
    const two = await test.aJob({ payload: { n: 2 } });
    const foreign = Object.assign(new Error("gone"), { name: "FinalError" });
    await test.outbox.drain({ handlers: [worksBy(({ n }) => Promise.reject(n === 1 ? new FinalError("gone") : foreign))] });
    expect(await test.job(one)).toMatchObject({ status: "error", attempts: 1, last_error: "FinalError: gone" });
    expect(await test.job(two)).toMatchObject({ status: "error", attempts: 1 });
  });

  it.each([
    ["seconds", 30, () => 30],
    ["a text of seconds", 120, () => "120"],
    ["a date", 500, () => new Date(Date.now() + 500_000).toUTCString()],
  ])("with RetryAfter and %s is due again after about %i seconds", async (_, seconds, after) => {
    const id = await test.aJob();
    await test.outbox.drain({ handlers: [worksBy(() => Promise.reject(new RetryAfter(after())))] });
    const { rows } = await test.pool.query<{ wait: number }>("select extract(epoch from run_at - updated_at)::float8 as wait from outbox where id = $1", [id]);
    expect(Math.abs(rows[0]!.wait - seconds)).toBeLessThan(5);
  });

  it("whose stored payload does not fit its schema is a dead letter at once, with the path", async () => {
    const strict = defineJob({ type: "strict", schema: z.object({ a: z.object({ b: z.number() }) }) });
    const id = await test.aJob({ type: "strict", payload: { a: { b: "x" } } });
    await test.outbox.drain({ handlers: [handle(strict, () => Promise.resolve())] });
    expect(await test.job(id)).toMatchObject({ status: "error", attempts: 1 });
    expect((await test.job(id)).last_error).toContain("payload.a.b does not fit");
  });

  it("by exceeding its time limit loses its slot, and its handler is told by the signal", async () => {
    const slow = defineJob({ type: "slow", timeout: "100ms" });
    let told = false;
    const handler = handle(slow, (_, { signal }) => new Promise(() => signal.addEventListener("abort", () => (told = true))));
    const id = await test.aJob({ type: "slow" });
    expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ retried: 1 });
    expect(told).toBe(true);
    expect((await test.job(id)).last_error).toContain("limit of 100 ms");
    expect(await test.attempts(id)).toMatchObject([{ attempt: 1, outcome: "timed_out" }]);
  });

  const circular: Record<string, unknown> = {};
  circular.self = circular;
  it.each([
    ["null", null, "the handler threw null"],
    ["undefined", undefined, "undefined"],
    ["a text", "plain text", "plain text"],
    ["a circular object", circular, "Circular"],
    ["a frozen error", Object.freeze(new Error("cold")), "cold"],
    ["an error with a NUL", new Error("a\u0000b"), "a\\u0000b"],
    ["an error with half a surrogate pair", new Error("\ud800!"), "!"],
    ["an error with a getter that throws", Object.defineProperty(new Error("x"), "message", { get: () => { throw new Error("no"); } }), "cannot be shown"], // prettier-ignore
  ])("by throwing %s leaves one readable record", async (_, thrown, text) => {
    const id = await test.aJob();
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- that handlers reject with anything is the point
    await test.outbox.drain({ handlers: [worksBy(() => Promise.reject(thrown))] });
    expect((await test.job(id)).last_error).toContain(text);
    expect(await test.attempts(id)).toHaveLength(1);
  });

  it("with 5 MB of message leaves at most 8 KB of it", async () => {
    const id = await test.aJob();
    await test.outbox.drain({ handlers: [worksBy(() => Promise.reject(new Error("ü".repeat(2_500_000))))] });
    const { last_error } = await test.job(id);
    expect(Buffer.byteLength(last_error!)).toBeLessThan(8 * 1024 + 100);
    expect(last_error).toMatch(/^Error: üü.*\(cut\)$/);
  });

  it("by throwing before its first await is like any other", async () => {
    const id = await test.aJob();
    await test.outbox.drain({ handlers: [worksBy(() => { throw new Error("at once"); })] }); // prettier-ignore
    expect((await test.job(id)).last_error).toBe("Error: at once");
  });

  it.each([
    ["a BigInt", { n: 1n }, "BigInt"],
    ["65 KB", "x".repeat(66_000), "65536"],
    ["a NUL", "\u0000", "NUL"],
  ])("by returning %s, which cannot be stored, is a dead letter that says so", async (_, result, text) => {
    const id = await test.aJob();
    await test.outbox.drain({ handlers: [worksBy(() => Promise.resolve(result))] });
    expect(await test.job(id)).toMatchObject({ status: "error" });
    expect((await test.job(id)).last_error).toContain(text);
  });

  it("to find a handler that loads waits, no attempt spent, is reported, and holds nobody up", async () => {
    const id = await test.aJob();
    for (let n = 0; n < 3; n += 1) await test.aJob();
    const other = await test.aJob({ type: "other" });
    const broken = { type: "work", load: () => Promise.reject(new Error("Cannot find module")) };
    const fine = handle(defineJob({ type: "other" }), () => Promise.resolve());
    const report = await test.outbox.drain({ handlers: [broken, fine] });
    expect(report).toMatchObject({ done: 1, released: 4, stopReason: "empty", unloadable: ["work"], unhandled: [{ type: "work", count: 4 }] });
    expect(await test.job(id)).toMatchObject({ status: "pending", attempts: 0 });
    expect((await test.job(other)).status).toBe("done");
    expect(test.events.filter(({ event }) => event === "handler_not_loaded")).toHaveLength(1);
  });
});

describe("an outcome that the database refuses", () => {
  const refuse = (condition: string) =>
    test.pool.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused by a trigger'; end $$;
      create trigger refuse before update on outbox for each row when (${condition}) execute function refuse()`);
  afterEach(() => test.pool.query("drop trigger refuse on outbox; drop function refuse()"));

  it("is a dead letter that says so, and its neighbours in the batch are done", async () => {
    await refuse(`new.result = '"bad"'`);
    for (let n = 0; n < 10; n += 1) await test.aJob({ payload: { n } });
    expect(await test.outbox.drain({ handlers: [worksBy(({ n }) => Promise.resolve(n === 4 ? "bad" : "good"))] })).toMatchObject({ done: 9, dead: 1 });
    const [bad] = await test.jobs(`payload = '{"n":4}'`);
    expect(bad).toMatchObject({ status: "error", result: null });
    expect(bad!.last_error).toContain("could not be stored: refused by a trigger");
    expect(await test.outbox.counts()).toMatchObject({ done: 9, error: 1 });
  });

  it("even as a dead letter ends the drain with the error, and the job is returned by the next", async () => {
    await refuse("old.status = 'processing' and new.status in ('done', 'error')");
    const id = await test.aJob();
    await expect(test.outbox.drain({ handlers: [succeeds] })).rejects.toThrow("refused by a trigger");
    await test.pool.query("alter table outbox disable trigger refuse");
    expect(await test.outbox.drain({ handlers: [succeeds] })).toMatchObject({ done: 1 });
    expect((await test.job(id)).attempts).toBe(2);
  });
});

describe("a dead letter reset by hand", () => {
  it("runs with the next drain and keeps what happened before", async () => {
    const id = await test.aJob();
    await test.outbox.drain({ handlers: [worksBy(() => Promise.reject(new FinalError("no")))] });
    await test.pool.query("update outbox set status = 'pending' where status = 'error' and attempts < 3");
    expect(await test.job(id)).toMatchObject({ status: "pending", finished_at: null });
    await test.outbox.drain({ handlers: [succeeds] });
    expect(await test.job(id)).toMatchObject({ status: "done", attempts: 2 });
    expect(await test.attempts(id)).toHaveLength(1);
  });

  it("gets one attempt more when its own are used up", async () => {
    const id = await test.aJob({ status: "error", attempts: 3, max_attempts: 3, finished_at: new Date() });
    await test.pool.query("update outbox set status = 'pending' where id = $1", [id]);
    await test.outbox.drain({ handlers: [worksBy(() => Promise.reject(new Error("again")))] });
    expect(await test.job(id)).toMatchObject({ status: "error", attempts: 4, max_attempts: 4 });
  });
});

describe("a type that nobody handles", () => {
  it("stays pending, is reported, and holds nobody up", async () => {
    for (let n = 0; n < 25; n += 1) await test.aJob({ type: "unknown.type", priority: 100 });
    await test.aJob();
    const report = await test.outbox.drain({ handlers: [succeeds] });
    expect(report).toMatchObject({ done: 1, stopReason: "empty", remaining: 0, unhandled: [{ type: "unknown.type", count: 25 }] });
    expect(await test.outbox.counts()).toMatchObject({ pending: 25, done: 1 });
    expect((await test.jobs("type = 'unknown.type'")).every(({ attempts }) => attempts === 0)).toBe(true);
  });
});

describe("budgets", () => {
  it("--max-jobs is never exceeded, and what remains is counted", async () => {
    for (let n = 0; n < 30; n += 1) await test.aJob();
    expect(await test.outbox.drain({ handlers: [succeeds], maxJobs: 23 })).toMatchObject({ done: 23, remaining: 7, stopReason: "max_jobs" });
  });

  it("at the end of maxTime what still runs is given back uncounted", async () => {
    const id = await test.aJob();
    const never = worksBy(() => new Promise(() => undefined));
    const report = await test.outbox.drain({ handlers: [never], maxTime: "300ms" });
    expect(report).toMatchObject({ released: 1, remaining: 1, stopReason: "max_time" });
    expect(await test.job(id)).toMatchObject({ status: "pending", attempts: 0 });
  });

  it("a stop lets running jobs finish, takes no more, and gives back what outlives the grace", async () => {
    const quick = await test.aJob({ payload: { n: 1 }, priority: 2 });
    const endless = await test.aJob({ payload: { n: 2 }, priority: 1 });
    const untouched = await test.aJob({ payload: { n: 3 } });
    const stop = new AbortController();
    const stopped = barrier();
    const handler = worksBy(async ({ n }) => {
      if (n === 2) {
        stop.abort();
        stopped.open();
        await new Promise(() => undefined);
      }
      await stopped.reached;
    });
    const report = await test.outbox.drain({ handlers: [handler], concurrency: 2, batch: 2, signal: stop.signal, grace: "200ms" });
    expect(report).toMatchObject({ done: 1, released: 1, remaining: 2, stopReason: "signal" });
    expect(await test.job(quick)).toMatchObject({ status: "done" });
    expect(await test.job(endless)).toMatchObject({ status: "pending", attempts: 0 });
    expect(await test.job(untouched)).toMatchObject({ status: "pending", attempts: 0 });
  });

  it.each([[{ maxJobs: 0 }], [{ batch: 0 }], [{ batch: 1.5 }], [{ concurrency: -1 }], [{ lease: "10ms" }], [{ maxTime: "soon" }], [{ types: ["nope"] }]])("%j is refused", async (options) => {
    await expect(test.outbox.drain({ handlers: [succeeds], ...(options as object) })).rejects.toThrow(/^Expected/);
  });

  it("two handlers for one type are refused", async () => {
    await expect(test.outbox.drain({ handlers: [succeeds, succeeds] })).rejects.toThrow('two for "work"');
  });

  it("with types, only those are run", async () => {
    await test.aJob({ type: "other" });
    const id = await test.aJob();
    const other = handle(defineJob({ type: "other" }), () => Promise.resolve());
    expect(await test.outbox.drain({ handlers: [succeeds, other], types: ["work"] })).toMatchObject({ done: 1 });
    expect((await test.job(id)).status).toBe("done");
  });
});

it("eight drains at once run each of 600 jobs exactly once", async () => {
  await test.outbox.enqueueMany(clientOf(test), Array.from({ length: 600 }, (_, n) => work.job({ n })));
  const runs = new Map<number, number>();
  const handler = worksBy(({ n = -1 }) => Promise.resolve(void runs.set(n, (runs.get(n) ?? 0) + 1)));
  const reports = await Promise.all(Array.from({ length: 8 }, () => test.outbox.drain({ handlers: [handler] })));
  expect(reports.reduce((sum, { done }) => sum + done, 0)).toBe(600);
  expect(reports.every(({ lost }) => lost === 0)).toBe(true);
  expect([...runs.values()].every((count) => count === 1)).toBe(true);
  expect(runs.size).toBe(600);
});

it("a job that is inserted and committed while others run is found before the drain ends", async () => {
  const first = await test.aJob({ payload: { n: 1 } });
  const handler = worksBy(async ({ n }) => {
    if (n === 1) await test.aJob({ payload: { n: 2 } });
  });
  expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 2 });
  expect((await test.job(first)).status).toBe("done");
});

it("a job that another transaction has locked is passed over, not waited for", async () => {
  const locked = await test.aJob({ priority: 5 });
  const free = await test.aJob();
  const client = await test.pool.connect();
  try {
    await client.query("begin");
    await client.query("select from outbox where id = $1 for update", [locked]);
    expect(await test.outbox.drain({ handlers: [succeeds] })).toMatchObject({ done: 1 });
    expect((await test.job(free)).status).toBe("done");
    await client.query("rollback");
  } finally {
    client.release();
  }
  expect(await test.outbox.drain({ handlers: [succeeds] })).toMatchObject({ done: 1 });
});

it("a job is claimed although another transaction holds a row that refers to it", async () => {
  const id = await test.aJob();
  const client = await test.pool.connect();
  try {
    await client.query("begin");
    await client.query("insert into outbox_attempt (job_id, attempt, outcome) values ($1, 0, 'note')", [id]);
    expect(await test.outbox.drain({ handlers: [succeeds] })).toMatchObject({ done: 1 });
    await client.query("rollback");
  } finally {
    client.release();
  }
});

function clientOf({ pool }: TestOutbox): { query: (text: string, values: unknown[]) => Promise<{ rows: Record<string, unknown>[] }> } {
  return { query: async (text, values) => ({ rows: (await pool.query<Record<string, unknown>>(text, values)).rows }) };
}
