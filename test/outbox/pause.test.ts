// People hold a type back and let it go: what is pending waits, what runs goes on, and everybody sees who did it and why.

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { maxCounted } from "../../src/outbox/inspect-types.ts";
import type { LimitedClaim } from "../../src/outbox/store/claim-limited.ts";
import { claimLimited } from "../../src/outbox/store/claim-limited.ts";
import { declareLimits, isHeld } from "../../src/outbox/store/limits.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
const worker = randomUUID();
let token = 0;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(async () => {
  await test.empty();
  await test.pool.query("truncate outbox_type");
  await test.pool.query("insert into outbox_worker (id, host, pid, version, types, lease_ms) values ($1, 'h', 1, 'test', '{}', 30000)", [worker]);
});

const claim = (limit = 20, type = "work"): Promise<LimitedClaim> => claimLimited(test.database, { worker, token: ++token }, type, limit);
const enqueue = (count: number) => test.pool.query("insert into outbox (type, payload) select 'work', '{}' from generate_series(1, $1)", [count]);
const ledger = async () => (await test.pool.query<object>("select actor, action, filter, change, count, reason from outbox_action order by id")).rows;
const typeRow = async () => (await test.pool.query<Record<string, unknown>>("select * from outbox_type where type = 'work'")).rows[0];
/** Whether the ordinary claim has to leave the type to claimLimited. */
const held = async () => (await test.pool.query<{ held: boolean }>(`select ${isHeld("'work'")} as held`)).rows[0]!.held;
const declare = (concurrency: number | null) => declareLimits(test.database, [{ type: "work", concurrency, concurrencyByKey: false, rateLimit: null, rateMs: null }]);

describe("a paused type", () => {
  it("keeps its jobs pending until somebody resumes it", async () => {
    await enqueue(3);
    await test.outbox.pause("work");
    expect(await claim()).toEqual({ jobs: [], retryInMs: null });
    expect(await held()).toBe(true);
    expect(await test.outbox.counts()).toMatchObject({ pending: 3 });
    expect(await test.outbox.resume("work")).toBe(true);
    expect(await held()).toBe(false);
    expect((await claim()).jobs).toHaveLength(3);
  });

  it("does not touch what runs, nor another type", async () => {
    await declare(10);
    await enqueue(3);
    const { jobs } = await claim();
    await test.outbox.pause("work");
    expect((await test.jobs()).map(({ status, locked_by }) => [status, locked_by])).toEqual(jobs.map(() => ["processing", worker]));
    await declareLimits(test.database, [{ type: "other", concurrency: 1, concurrencyByKey: false, rateLimit: null, rateMs: null }]);
    await test.aJob({ type: "other" });
    expect((await claim(20, "other")).jobs).toHaveLength(1);
  });

  it("keeps its limits, and comes back under them", async () => {
    await declare(2);
    await enqueue(5);
    await test.outbox.pause("work");
    expect((await claim()).jobs).toEqual([]);
    await test.outbox.resume("work");
    expect((await claim()).jobs).toHaveLength(2);
  });

  it("is held back for every claim that begins after the pause, while workers claim all the time", async () => {
    await declare(1_000_000);
    for (let round = 0; round < 10; round += 1) {
      await enqueue(200);
      let paused = false;
      let taken = 0;
      const [begun, over] = [barrier(), { yes: false }];
      const claiming = Array.from({ length: 4 }, async () => {
        while (!over.yes) {
          const beganPaused = paused;
          const { jobs } = await claim(1);
          if (beganPaused) taken += jobs.length;
          if (jobs.length > 0) begun.open();
        }
      });
      await begun.reached;
      await test.outbox.pause("work");
      paused = true;
      const before = (await test.outbox.counts()).pending;
      while (await claim(1).then(({ retryInMs }) => retryInMs !== null));
      over.yes = true;
      await Promise.all(claiming);
      expect(taken).toBe(0);
      expect(before).toBeGreaterThan(0);
      expect((await test.outbox.counts()).pending).toBe(before);
      await test.outbox.resume("work");
      await test.pool.query("truncate outbox cascade");
    }
  });

  it("waits for a claim that has begun before, which keeps what it took", async () => {
    await declare(10);
    await enqueue(3);
    const [taken, leave] = [barrier(), barrier()];
    const slow = { ...test.database, transaction: <Value>(work: Parameters<typeof test.database.transaction<Value>>[0]) => test.database.transaction(async (tx) => { const value = await work(tx); taken.open(); await leave.reached; return value; }) }; // prettier-ignore
    const claiming = claimLimited(slow, { worker, token: ++token }, "work", 20);
    await taken.reached;
    const pausing = test.outbox.pause("work");
    leave.open();
    expect((await claiming).jobs).toHaveLength(3);
    await pausing;
    await enqueue(1);
    expect((await claim()).jobs).toEqual([]);
  });
});

describe("a pause with an end", () => {
  it("ends by itself, by the database's clock", async () => {
    await enqueue(3);
    const { until } = await test.outbox.pause("work", { until: "2h" });
    const { jobs, retryInMs } = await claim();
    expect(jobs).toEqual([]);
    expect(retryInMs).toBeGreaterThan(7_190_000);
    expect(retryInMs).toBeLessThanOrEqual(7_200_000);
    expect(until).toBeInstanceOf(Date);
    await test.pool.query("update outbox_type set paused_at = paused_at - interval '2 hours', paused_until = paused_until - interval '2 hours'");
    expect(await held()).toBe(false);
    expect((await claim()).jobs).toHaveLength(3);
    expect((await test.outbox.types()).map(({ pausedAt }) => pausedAt)).toEqual([null]);
    expect(await test.outbox.resume("work")).toBe(false);
  });

  it("may be an instant, and one that has passed is refused and changes nothing", async () => {
    const until = new Date(Date.now() + 3_600_000);
    expect((await test.outbox.pause("work", { until })).until).toEqual(until);
    const before = [await typeRow(), await ledger()];
    await expect(test.outbox.pause("work", { until: new Date(Date.now() - 1000) })).rejects.toThrow(/Expected until of the pause of "work" to be in the future by the database's clock, got 2/);
    await expect(test.outbox.pause("work", { until: 0 })).rejects.toThrow("to be in the future");
    expect([await typeRow(), await ledger()]).toEqual(before);
  });
});

describe("pausing and resuming", () => {
  it("are written into the ledger: who, which, until when, why", async () => {
    const { until } = await test.outbox.pause("work", { until: "1h", reason: "the mail server is down", actor: "ada@example" });
    await test.outbox.resume("work", { reason: "it is back", actor: "bob@example" });
    expect(await ledger()).toMatchObject([
      { actor: "ada@example", action: "types:pause", filter: { type: "work" }, count: 0, reason: "the mail server is down" },
      { actor: "bob@example", action: "types:resume", filter: { type: "work" }, change: null, count: 0, reason: "it is back" },
    ]);
    const [{ change }] = (await ledger()) as [{ change: { pausedUntil: string } }];
    expect(new Date(change.pausedUntil)).toEqual(until);
    await test.outbox.pause("work");
    expect((await ledger())[2]).toMatchObject({ actor: expect.stringMatching(/^process \d+@/), change: { pausedUntil: null }, reason: null });
  });

  it("a pause of a paused type gives it the new end, name and reason, and lasts since when it did", async () => {
    const first = await test.outbox.pause("work", { until: "1h", reason: "one", actor: "ada" });
    expect(await test.outbox.pause("work", { reason: "two", actor: "bob" })).toEqual({ type: "work", pausedAt: first.pausedAt, until: null, by: "bob", reason: "two" });
  });

  it("a pause after one that is over begins anew", async () => {
    await test.outbox.pause("work", { until: "1h" });
    await test.pool.query("update outbox_type set paused_at = paused_at - interval '2 hours', paused_until = paused_until - interval '2 hours'");
    const { pausedAt } = await test.outbox.pause("work");
    expect(Date.now() - pausedAt.getTime()).toBeLessThan(60_000);
  });

  it("resuming what is not paused changes nothing, not even the ledger", async () => {
    expect(await test.outbox.resume("work")).toBe(false);
    await declare(1);
    expect(await test.outbox.resume("work")).toBe(false);
    expect(await ledger()).toEqual([]);
  });

  it("resuming wakes the workers that sleep", async () => {
    await test.outbox.pause("work");
    await test.pool.query("update outbox_worker set listening = true");
    const bell = await test.pool.connect();
    try {
      const rung = barrier();
      bell.on("notification", () => rung.open());
      await bell.query("listen outbox");
      await test.outbox.resume("work");
      await rung.reached;
    } finally {
      bell.release(true);
    }
  });

  it.each([
    ["", {}, "Expected type to be a text of 1 to 200 characters"],
    ["x".repeat(201), {}, "Expected type"],
    ["a\u0000b", {}, "NUL"],
    ["work", { until: "soon" as "1s" }, 'Expected until of the pause of "work" to be a duration'],
    ["work", { until: new Date(Number.NaN) }, "to be a valid Date"],
    ["work", { until: new Date("+010000-01-01T00:00:00Z") }, "before the year 10000"],
    ["work", { reason: "" }, "Expected reason"],
    ["work", { actor: 5 as unknown as string }, "Expected actor"],
  ])("refuse what makes no sense: %j %j", async (type, options, sentence) => {
    await expect(test.outbox.pause(type, options)).rejects.toThrow(sentence);
    expect(await typeRow()).toBeUndefined();
  });
});

describe("the list of types", () => {
  it("shows what waits, what runs and what holds it back, for each type that has any of it", async () => {
    await declareLimits(test.database, [
      { type: "limited", concurrency: 2, concurrencyByKey: true, rateLimit: 10, rateMs: 60_000 },
      { type: "cleared", concurrency: 2, concurrencyByKey: false, rateLimit: null, rateMs: null },
    ]);
    await declareLimits(test.database, [{ type: "cleared", concurrency: null, concurrencyByKey: false, rateLimit: null, rateMs: null }]);
    const later = new Date(Date.now() + 3_600_000);
    await test.aJob({ type: "waits", priority: 10, run_at: later });
    const early = await test.job(await test.aJob({ type: "waits" }));
    await test.aJob({ type: "runs", status: "processing", locked_by: worker, lease_token: 0 });
    await test.aJob({ type: "ended", status: "done" });
    await test.outbox.pause("paused", { reason: "because", actor: "ada", until: later });
    await test.pool.query("update outbox_type set tokens = 3.7, refilled_at = clock_timestamp(), blocked_until = $1 where type = 'limited'", [later]);
    const nothing = { pending: 0, running: 0, nextDueAt: null, pausedAt: null, pausedUntil: null, pausedBy: null, pauseReason: null, breaker: "closed" };
    const unlimited = { concurrency: null, concurrencyByKey: false, rateLimit: null, rateMs: null, tokens: null, blockedUntil: null };
    expect(await test.outbox.types()).toEqual([
      { type: "limited", ...nothing, concurrency: 2, concurrencyByKey: true, rateLimit: 10, rateMs: 60_000, tokens: 3, blockedUntil: later },
      { type: "paused", ...nothing, ...unlimited, pausedAt: expect.any(Date), pausedUntil: later, pausedBy: "ada", pauseReason: "because" },
      { type: "runs", ...nothing, ...unlimited, running: 1 },
      { type: "waits", ...nothing, ...unlimited, pending: 2, nextDueAt: early.run_at },
    ]);
  });

  it("counts a backlog up to a bound", async () => {
    await enqueue(maxCounted + 100);
    expect((await test.outbox.types()).map(({ pending }) => pending)).toEqual([maxCounted]);
  });
});
