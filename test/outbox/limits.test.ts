// Limits by type hold over all workers, whatever their number, and what they leave room for is used.

import { randomUUID } from "node:crypto";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { defineJob } from "../../src/index.ts";
import type { Database } from "../../src/outbox/database.ts";
import type { TypeLimits } from "../../src/outbox/limits.ts";
import { limitsOf } from "../../src/outbox/limits.ts";
import { claimLimited, claimLimitedSuspect } from "../../src/outbox/store/claim-limited.ts";
import { blockType, declareLimits } from "../../src/outbox/store/limits.ts";
import { postgres } from "../../src/service/database.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
/** Eight workers, each with a connection of its own. */
let workers: Claimer[];
let one: Claimer;
beforeAll(async () => {
  test = await testOutbox();
  workers = Array.from({ length: 8 }, () => claimer(postgres(test.url, { maxConnections: 1 })));
  one = workers[0]!;
});
afterAll(async () => {
  await Promise.all(workers.map(({ database }) => database.close()));
  await test.close();
});
beforeEach(async () => {
  await test.empty();
  await test.pool.query("truncate outbox_type");
  for (const { id } of workers) await register(id);
});

interface Claimer {
  readonly id: string;
  readonly database: Database;
  readonly claim: (limit?: number) => ReturnType<typeof claimLimited>;
  readonly suspect: () => ReturnType<typeof claimLimitedSuspect>;
}

function claimer(database: Database, id: string = randomUUID()): Claimer {
  let token = 0;
  const next = () => ({ worker: id, token: ++token });
  return {
    id,
    database,
    claim: (limit = 20) => claimLimited(database, next(), "work", limit),
    suspect: () => claimLimitedSuspect(database, next(), "work"),
  };
}

const register = (id: string) => test.pool.query("insert into outbox_worker (id, host, pid, version, types, lease_ms) values ($1, 'h', 1, 'test', '{}', 30000)", [id]);

const declare = (limits: Partial<TypeLimits> = {}) =>
  declareLimits(test.database, [{ type: "work", concurrency: null, concurrencyByKey: false, rateLimit: null, rateMs: null, ...limits }]);
const byKey = (concurrency: number) => declare({ concurrency, concurrencyByKey: true });

/** `count` due jobs; `key` is SQL over `n`, their number. */
const enqueue = (count: number, key = "null", more: { readonly priority?: number; readonly ageMs?: string } = {}) =>
  test.pool.query(
    `insert into outbox (type, payload, concurrency_key, priority, run_at)
     select 'work', '{}', ${key}, ${more.priority ?? 0}, clock_timestamp() - (${more.ageMs ?? "1"}) * interval '1 millisecond'
     from generate_series(1, ${count}) as n`,
  );

const number = async (sql: string) => Number((await test.pool.query<{ n: string }>(`select (${sql}) as n`)).rows[0]!.n);
const running = () => number("select count(*) from outbox where status = 'processing'");
const pending = () => number("select count(*) from outbox where status = 'pending'");
const settle = (ids: readonly string[]) => test.pool.query("update outbox set status = 'done', finished_at = clock_timestamp() where id = any ($1)", [ids]);
const settleAll = () => test.pool.query("update outbox set status = 'done', finished_at = clock_timestamp() where status = 'processing'");
const idsOf = (jobs: readonly { readonly id: string }[]) => jobs.map(({ id }) => id);
const keysOf = async (jobs: readonly { readonly id: string }[]) =>
  (await test.pool.query<{ concurrency_key: string | null }>("select concurrency_key from outbox where id = any ($1) order by 1", [idsOf(jobs)])).rows.map((row) => row.concurrency_key);
const typeRow = async () => (await test.pool.query<Record<string, unknown>>("select * from outbox_type where type = 'work'")).rows[0];

/** Claims until there is nothing to be had; others may be at it. */
async function claimAll({ claim }: Claimer): Promise<number> {
  for (let taken = 0; ; ) {
    const { jobs, retryInMs } = await claim();
    taken += jobs.length;
    if (retryInMs === null) return taken;
  }
}

/** Claims a few at a time and settles them one by one until nothing is pending. Gives back the most that it ever saw running. */
async function work({ claim }: Claimer): Promise<number> {
  let most = 0;
  while ((await pending()) > 0) {
    const { jobs } = await claim(1 + Math.floor(Math.random() * 4));
    for (const { id } of jobs) {
      most = Math.max(most, await running());
      await settle([id]);
    }
  }
  return most;
}

/** The most that ran at once of any key, computed afterwards from when each began and ended. */
async function mostAtOnce(key: "concurrency_key" | "type"): Promise<number> {
  return number(`
    select max(at_once) from (
      select sum(change) over (partition by ${key} order by at, change) as at_once
      from (
        select ${key}, started_at as at, 1 as change from outbox
        union all
        select ${key}, finished_at, -1 from outbox
      ) as changes
    ) as running`);
}

describe("a concurrency of 5", () => {
  it("is never exceeded by eight workers that claim at once, and is used", async () => {
    await declare({ concurrency: 5 });
    await enqueue(300);
    const seen = await Promise.all(workers.map(work));
    expect(Math.max(...seen)).toBeLessThanOrEqual(5);
    expect(await mostAtOnce("type")).toBe(5);
    expect(await test.outbox.counts()).toMatchObject({ done: 300, pending: 0 });
  });

  it("is used to the full, not more, and again after each job that ends", async () => {
    await declare({ concurrency: 5 });
    await enqueue(50);
    for (let round = 0; round < 10; round += 1) {
      const taken = await Promise.all(workers.map(claimAll));
      expect(taken.reduce((sum, n) => sum + n)).toBe(round === 0 ? 5 : 2);
      expect(await running()).toBe(5);
      await test.pool.query("update outbox set status = 'done' where id in (select id from outbox where status = 'processing' limit 2)");
    }
  });

  it("takes greater priority first and oldest first within it, past jobs that are not due", async () => {
    await declare({ concurrency: 5 });
    await test.aJob({ priority: 20, run_at: new Date(Date.now() + 3_600_000) });
    const [late, early, high] = [await test.aJob({ run_at: new Date(Date.now() - 1000) }), await test.aJob({ run_at: new Date(Date.now() - 2000) }), await test.aJob({ priority: 10 })];
    await test.aJob({ priority: -10 });
    expect(idsOf((await one.claim(3)).jobs)).toEqual([high, early, late]);
    expect((await one.claim()).jobs).toHaveLength(1);
    expect(await one.claim()).toEqual({ jobs: [], retryInMs: null });
  });

  it("that is lowered below what runs lets no more in, and stops nothing", async () => {
    await declare({ concurrency: 5 });
    await enqueue(10);
    await one.claim();
    await declare({ concurrency: 2 });
    expect(await one.claim()).toEqual({ jobs: [], retryInMs: null });
    expect(await running()).toBe(5);
    await settleAll();
    expect((await one.claim()).jobs).toHaveLength(2);
  });

  it("counts the jobs of its own type alone", async () => {
    await declare({ concurrency: 5 });
    await test.pool.query("insert into outbox (type, payload, status, locked_by, lease_token) select 'other', '{}', 'processing', gen_random_uuid(), 1 from generate_series(1, 9)");
    await enqueue(10);
    expect((await one.claim()).jobs).toHaveLength(5);
  });
});

describe("a concurrency of 1 for each key", () => {
  it("is never exceeded by eight workers over 20 keys, and all keys run", async () => {
    await byKey(1);
    await enqueue(200, "'key ' || n % 20");
    await Promise.all(workers.map(work));
    expect(await mostAtOnce("concurrency_key")).toBe(1);
    expect(await test.outbox.counts()).toMatchObject({ done: 200, pending: 0 });
  });

  it("is used to the full: one of every key, none twice", async () => {
    await byKey(1);
    await enqueue(200, "'key ' || n % 20");
    for (let round = 0; round < 10; round += 1) {
      const taken = await Promise.all(workers.map(claimAll));
      expect(taken.reduce((sum, n) => sum + n)).toBe(20);
      expect(await number("select count(distinct concurrency_key) from outbox where status = 'processing'")).toBe(20);
      await settleAll();
    }
    expect(await pending()).toBe(0);
  });

  it("lets a key of 1,000 older jobs of greater priority keep nobody waiting", async () => {
    await byKey(1);
    await enqueue(1000, "'hot'", { priority: 10, ageMs: "100000 + n" });
    await enqueue(30, "'key ' || n");
    for (let claims = 0; claims < 7; claims += 1) {
      await one.claim(5);
      await settleAll();
    }
    expect(await number("select count(*) from outbox where status = 'done' and concurrency_key <> 'hot'")).toBe(30);
    expect(await number("select count(*) from outbox where status = 'done' and concurrency_key = 'hot'")).toBeGreaterThanOrEqual(1);
  });

  it("lets keys take turns, so that early ones which never run dry do not starve a late one", async () => {
    await byKey(1);
    await enqueue(1, "'z'");
    for (let claims = 0; claims < 3; claims += 1) {
      await enqueue(10, "chr(96 + n::int)");
      await one.claim(5);
      await settleAll();
    }
    expect(await number("select count(*) from outbox where status = 'done' and concurrency_key = 'z'")).toBe(1);
  });

  it("takes turns over the keys wherever it begins, each key once in a round", async () => {
    await byKey(1);
    await enqueue(70, "'key ' || n % 7");
    const served: (string | null)[] = [];
    for (let claims = 0; claims < 7; claims += 1) {
      const { jobs } = await one.claim(3);
      served.push(...(await keysOf(jobs)));
      await settleAll();
    }
    expect(served).toHaveLength(21);
    expect(new Set(Array.from({ length: 7 }, (_, n) => served.filter((key) => key === `key ${n}`).length))).toEqual(new Set([3]));
  });

  it("finds what is due behind a key's jobs of greater priority that are not", async () => {
    await byKey(2);
    await enqueue(50, "'a'", { priority: 10, ageMs: "-3600000" });
    await enqueue(3, "'a'");
    await enqueue(3, "'b'", { priority: 10, ageMs: "-3600000" });
    expect(await keysOf((await one.claim()).jobs)).toEqual(["a", "a"]);
    expect(await one.claim()).toEqual({ jobs: [], retryInMs: null });
  });

  it("counts jobs without a key as one key of their own, and claims them", async () => {
    await byKey(1);
    await enqueue(3);
    await enqueue(3, "'a'");
    expect(await keysOf((await one.claim()).jobs)).toEqual(["a", null]);
    expect((await one.claim()).jobs).toEqual([]);
    await settleAll();
    await one.claim();
    await settleAll();
    await one.claim();
    await settleAll();
    expect(await pending()).toBe(0);
  });

  it("finds jobs without a key also behind thousands that have one", async () => {
    await byKey(1);
    await enqueue(3000, "'hot'", { ageMs: "n * 1000" });
    await enqueue(2, "null", { ageMs: "1500000" });
    for (let claims = 0; claims < 200 && (await number("select count(*) from outbox where status = 'pending' and concurrency_key is null")) > 0; claims += 1) {
      await one.claim();
      await settleAll();
    }
    expect(await number("select count(*) from outbox where status = 'done' and concurrency_key is null")).toBe(2);
  });

  it("with so many busy keys that one claim does not look at all, the next goes on behind them", async () => {
    await byKey(1);
    await enqueue(1200, "'key ' || lpad(n::text, 4, '0')");
    await test.pool.query("update outbox set status = 'processing', locked_by = $1, lease_token = 0", [one.id]);
    await enqueue(1200, "'key ' || lpad(n::text, 4, '0')");
    await enqueue(1, "'z'");
    let found = 0;
    for (let claims = 0; claims < 4 && found === 0; claims += 1) {
      const { jobs, retryInMs } = await one.claim();
      found = jobs.length;
      if (found === 0) expect(retryInMs).toBeGreaterThan(0);
    }
    expect(found).toBe(1);
  });

  it("costs little over 100,000 jobs of 1,000 keys, also under statistics from when all was running", async () => {
    await byKey(1);
    await test.pool.query("alter table outbox set (autovacuum_enabled = false)");
    await enqueue(5000, "'one'");
    await test.pool.query("update outbox set status = 'processing'");
    await test.pool.query("analyze outbox");
    await test.pool.query("delete from outbox");
    await test.pool.query("vacuum (analyze false) outbox");
    await enqueue(100_000, "'key ' || lpad((n % 1000)::text, 3, '0')", { ageMs: "n" });
    let buffers = 0;
    const explained = claimer(watched(one.database, async (tx, text, values) => {
      await tx.query("savepoint explained");
      const [row] = await tx.query(`explain (analyze, buffers, format json) ${text}`, values);
      await tx.query("rollback to savepoint explained");
      const [{ Plan }] = row!["QUERY PLAN"] as [{ Plan: Record<string, number> }];
      buffers += Plan["Shared Hit Blocks"]! + Plan["Shared Read Blocks"]!;
    }), one.id); // prettier-ignore
    const { jobs } = await explained.claim();
    expect(jobs).toHaveLength(20);
    expect(buffers).toBeLessThan(1000);
    await test.pool.query("alter table outbox reset (autovacuum_enabled)");
  });
});

/** The database, with something done before every statement of its transactions. */
function watched(database: Database, before: (tx: { query: Database["query"] }, text: string, values: readonly unknown[]) => Promise<void>): Database {
  return {
    ...database,
    transaction: (work) =>
      database.transaction((tx) =>
        work({
          query: async (text, values = []) => {
            await before(tx, text, values);
            return tx.query(text, values);
          },
        }),
      ),
  };
}

describe("a rate limit", () => {
  /** Lets time pass for the bucket. */
  const age = (ms: number) => test.pool.query("update outbox_type set refilled_at = refilled_at - $1 * interval '1 millisecond'", [ms]);

  it("lets its number begin at once, then as many as have come since", async () => {
    await declare({ rateLimit: 10, rateMs: 100_000 });
    await enqueue(100);
    const first = await one.claim();
    expect(first.jobs).toHaveLength(10);
    expect(first.retryInMs).toBeGreaterThan(8000);
    expect(first.retryInMs).toBeLessThanOrEqual(10_000);
    await settleAll();
    expect((await one.claim()).jobs).toEqual([]);
    await age(30_000);
    expect((await one.claim()).jobs).toHaveLength(3);
    await age(4000);
    const { jobs, retryInMs } = await one.claim();
    expect(jobs).toEqual([]);
    expect(retryInMs).toBeLessThanOrEqual(6000);
    await age(24 * 3_600_000);
    expect((await one.claim()).jobs).toHaveLength(10);
  });

  it("never lets eight workers begin more than its number and what has come since", async () => {
    await declare({ rateLimit: 50, rateMs: 1000 });
    await enqueue(2000);
    await Promise.all(
      workers.map(async ({ claim }) => {
        for (let claims = 0; claims < 40; claims += 1) await claim(7);
      }),
    );
    const [begun, elapsedMs] = [await running(), await number("select extract(epoch from max(started_at) - min(started_at)) * 1000 from outbox")];
    // Between the bucket's clock, at the statement's start, and a job's own lie a few milliseconds of the first claim.
    expect(begun).toBeLessThanOrEqual(50 + (50 * (elapsedMs + 50)) / 1000);
    expect(begun).toBeGreaterThanOrEqual(50);
  });

  it("is written once for each batch", async () => {
    await declare({ rateLimit: 100, rateMs: 60_000 });
    await enqueue(100);
    await test.pool.query(`
      create table written (n int);
      create function written() returns trigger language plpgsql as $$ begin insert into written values (1); return null; end $$;
      create trigger written after update on outbox_type for each row execute function written()`);
    try {
      for (let batch = 0; batch < 3; batch += 1) await one.claim(20);
      expect(await number("select count(*) from written")).toBe(3);
    } finally {
      await test.pool.query("drop trigger written on outbox_type; drop function written(); drop table written");
    }
  });

  it("holds together with a concurrency: the smaller room counts", async () => {
    await declare({ rateLimit: 4, rateMs: 60_000, concurrency: 3 });
    await enqueue(20);
    expect((await one.claim()).jobs).toHaveLength(3);
    await settleAll();
    expect((await one.claim()).jobs).toHaveLength(1);
    await settleAll();
    await byKey(1);
    await declare({ rateLimit: 4, rateMs: 60_000, concurrency: 1, concurrencyByKey: true });
    await enqueue(20, "'key ' || n");
    expect((await one.claim()).jobs).toHaveLength(4);
  });

  it("spends nothing when the claim is rolled back, nor for a worker that has been buried", async () => {
    await declare({ rateLimit: 10, rateMs: 3_600_000 });
    await enqueue(10);
    const refusing = { ...one.database, transaction: (work: Parameters<Database["transaction"]>[0]) => one.database.transaction(async (tx) => { await work(tx); throw new Error("no commit"); }) } as Database; // prettier-ignore
    await expect(claimer(refusing, one.id).claim()).rejects.toThrow("no commit");
    expect((await claimer(one.database).claim()).jobs).toEqual([]);
    expect((await typeRow())!.tokens).toBe(10);
    expect((await one.claim()).jobs).toHaveLength(10);
  });

  it("with Retry-After: nobody claims the type before then, and a shorter wait does not shorten it", async () => {
    await declare({ rateLimit: 10, rateMs: 1000 });
    await enqueue(10);
    await blockType(test.database, "work", 60_000);
    await blockType(test.database, "work", 5000);
    const { jobs, retryInMs } = await one.claim();
    expect(jobs).toEqual([]);
    expect(retryInMs).toBeGreaterThan(50_000);
    expect(retryInMs).toBeLessThanOrEqual(60_000);
    await test.pool.query("update outbox_type set blocked_until = blocked_until - interval '1 minute'");
    expect((await one.claim()).jobs).toHaveLength(10);
  });

  it("a type without one is not blocked by Retry-After", async () => {
    await declare({ concurrency: 10 });
    await enqueue(10);
    await blockType(test.database, "work", 60_000);
    await blockType(test.database, "unknown", 60_000);
    expect((await one.claim()).jobs).toHaveLength(10);
  });
});

describe("a claim of a limited type", () => {
  /** A database over one connection of the test's own, which may be killed. */
  async function over(client: pg.PoolClient): Promise<Database> {
    const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
    expect(rows).toHaveLength(1);
    const query: Database["query"] = async (text, values = []) => (await client.query<Record<string, unknown>>(text, [...values])).rows;
    return {
      ...test.database,
      query,
      transaction: async (work) => {
        await client.query("begin");
        const value = await work({ query });
        await client.query("commit");
        return value;
      },
    };
  }

  it("waits for nobody: while another is at it, it comes back and says to ask again soon", async () => {
    await declare({ concurrency: 5 });
    await enqueue(10);
    const [entered, leave] = [barrier(), barrier()];
    let statements = 0;
    const slow = claimer(watched(one.database, async () => { if (++statements === 2) { entered.open(); await leave.reached; } }), one.id); // prettier-ignore
    const claiming = slow.claim();
    await entered.reached;
    const { jobs, retryInMs } = await workers[1]!.claim();
    expect(jobs).toEqual([]);
    expect(retryInMs).toBeGreaterThanOrEqual(10);
    expect(retryInMs).toBeLessThanOrEqual(50);
    leave.open();
    expect((await claiming).jobs).toHaveLength(5);
    expect(await workers[1]!.claim()).toEqual({ jobs: [], retryInMs: null });
  });

  it("of a worker that dies half way leaves nothing behind: no lock, no job, no token", async () => {
    await declare({ concurrency: 5, rateLimit: 5, rateMs: 3_600_000 });
    await enqueue(10);
    const client = await test.pool.connect();
    const [taken, never] = [barrier(), barrier()];
    const database = await over(client);
    const dying = claimer({ ...database, transaction: (work) => database.transaction(async (tx) => { const value = await work(tx); taken.open(); await never.reached; return value; }) }, one.id); // prettier-ignore
    void dying.claim();
    await taken.reached;
    expect((await workers[1]!.claim()).jobs).toEqual([]);
    client.release(true); // closes the socket, as the end of the process would
    let jobs: readonly unknown[] = [];
    while (jobs.length === 0) ({ jobs } = await workers[1]!.claim());
    expect(jobs).toHaveLength(5);
    expect(await running()).toBe(5);
  });

  it("of a worker that falls silent half way loses its lock after a few seconds", async () => {
    await declare({ concurrency: 5 });
    await enqueue(10);
    const client = await test.pool.connect();
    const [entered, never] = [barrier(), barrier()];
    let statements = 0;
    const silent = claimer(watched(await over(client), async () => { if (++statements === 2) { entered.open(); await never.reached; } }), one.id); // prettier-ignore
    void silent.claim();
    await entered.reached;
    try {
      const startedAt = performance.now();
      let jobs: readonly unknown[] = [];
      while (jobs.length === 0 && performance.now() - startedAt < 20_000) ({ jobs } = await workers[1]!.claim());
      expect(jobs).toHaveLength(5);
    } finally {
      client.release(true);
    }
  });

  it("takes no suspects; those come one at a time, under the same limits", async () => {
    await declare({ concurrency: 2, rateLimit: 3, rateMs: 3_600_000 });
    for (let n = 0; n < 4; n += 1) await test.aJob({ suspect: true });
    expect((await one.claim()).jobs).toEqual([]);
    expect(await one.suspect()).toHaveLength(1);
    expect(await one.suspect()).toHaveLength(1);
    expect(await one.suspect()).toEqual([]);
    await settleAll();
    expect(await one.suspect()).toHaveLength(1);
    await settleAll();
    expect(await one.suspect()).toEqual([]);
    await declare({ concurrency: 1, concurrencyByKey: true });
    await test.aJob({ suspect: true, concurrency_key: "a" });
    await test.aJob({ status: "processing", concurrency_key: "a", locked_by: one.id, lease_token: 0 });
    expect(await keysOf(await one.suspect())).toEqual([null]);
    expect(await one.suspect()).toEqual([]);
  });

  it("takes nothing of a type that has no limits and no pause: such types are not its business", async () => {
    await enqueue(3);
    expect(await one.claim()).toEqual({ jobs: [], retryInMs: null });
  });

  it("takes all there is when the limits have been taken away", async () => {
    await declare({ concurrency: 1, rateLimit: 1, rateMs: 60_000 });
    await declare();
    await enqueue(10);
    expect((await one.claim()).jobs).toHaveLength(10);
  });

  it("says 0 when there may be more at once, and null when nothing is due", async () => {
    await declare({ concurrency: 5, rateLimit: 1, rateMs: 60_000 });
    expect((await one.claim()).retryInMs).toBeNull();
    await test.aJob({ run_at: new Date(Date.now() + 3_600_000) });
    await enqueue(1);
    expect((await one.claim(1)).retryInMs).toBe(0);
    expect((await one.claim(1)).retryInMs).toBeNull();
  });
});

describe("the limits of a contract", () => {
  const limited = defineJob<{ to: string; n?: number }>({ type: "work", concurrency: { limit: 2, key: ({ to }) => to }, rateLimit: { limit: 100, per: "1m" } });

  it("are stored as the last program declared them", async () => {
    await declareLimits(test.database, [limitsOf(limited)]);
    expect(await typeRow()).toMatchObject({ concurrency: 2, concurrency_by_key: true, rate_limit: 100, rate_ms: "60000", tokens: 100 });
    await declareLimits(test.database, [limitsOf(defineJob({ type: "work", concurrency: 7 }))]);
    expect(await typeRow()).toMatchObject({ concurrency: 7, concurrency_by_key: false, rate_limit: null, rate_ms: null, tokens: null, refilled_at: null });
  });

  it("are cleared by a contract without any, but a pause is not", async () => {
    await declareLimits(test.database, [limitsOf(limited)]);
    await blockType(test.database, "work", 60_000);
    await test.outbox.pause("work", { reason: "because" });
    await declareLimits(test.database, [limitsOf(defineJob({ type: "work" }))]);
    expect(await typeRow()).toMatchObject({ concurrency: null, rate_limit: null, tokens: null, blocked_until: null, pause_reason: "because" });
    expect((await typeRow())!.paused_at).toBeInstanceOf(Date);
  });

  it("of types that have none and had none make no row, and the same limits again write nothing", async () => {
    await declare();
    expect(await typeRow()).toBeUndefined();
    await declareLimits(test.database, []);
    await declareLimits(test.database, [limitsOf(limited)]);
    const version = () => number("select xmin from outbox_type");
    const before = await version();
    await declareLimits(test.database, [limitsOf(limited)]);
    expect(await version()).toBe(before);
  });

  it("keep the tokens of the bucket, so that restarts with another rate are no way around it", async () => {
    await declare({ rateLimit: 10, rateMs: 3_600_000 });
    await enqueue(100);
    await one.claim(8);
    await declare({ rateLimit: 100, rateMs: 3_600_000 });
    expect((await one.claim()).jobs).toHaveLength(2);
    await test.pool.query("update outbox_type set tokens = 50");
    await declare({ rateLimit: 10, rateMs: 3_600_000 });
    expect((await one.claim()).jobs).toHaveLength(10);
  });

  it("are declared by many programs at once without a deadlock", async () => {
    const types = Array.from({ length: 30 }, (_, n) => `type ${n}`);
    await Promise.all(
      workers.flatMap(({ database }, nth) =>
        Array.from({ length: 5 }, (_, round) =>
          declareLimits(
            database,
            types.map((type, n) => ({ type, concurrency: (n + nth + round) % 2 === 0 ? nth + 1 : null, concurrencyByKey: false, rateLimit: null, rateMs: null })).sort(() => Math.random() - 0.5),
          ),
        ),
      ),
    );
    expect(await number("select count(*) from outbox_type")).toBe(30);
  });

  it("bring the key of each job into the table when it is enqueued", async () => {
    const { id } = await test.outbox.enqueueAlone(limited, { to: "ada" });
    const { id: unkeyed } = await test.outbox.enqueueAlone(defineJob({ type: "work" }), { to: "ada" });
    expect(await number(`select count(*) from outbox where id = '${id}' and concurrency_key = 'ada'`)).toBe(1);
    expect(await number(`select count(*) from outbox where id = '${unkeyed}' and concurrency_key is null`)).toBe(1);
  });

  it.each([
    [() => { throw new Error("no customer"); }, /threw Error: no customer/], // prettier-ignore
    [() => "", /Expected the concurrency key of "work" to be a text of 1 to 500 characters, got ""/],
    [() => "x".repeat(501), /1 to 500 characters/],
    [() => "a\u0000b", /NUL/],
    [() => 5 as unknown as string, /got 5/],
  ])("refuse a job whose key is no key, before anything is stored (%#)", async (key, sentence) => {
    await expect(test.outbox.enqueueAlone(defineJob({ type: "work", concurrency: { limit: 1, key } }), {})).rejects.toThrow(sentence);
    expect(await pending()).toBe(0);
  });

  it.each([
    [{ concurrency: 0 }, 'Expected concurrency of "work" to be a whole number from 1 to 1000000, got 0.'],
    [{ concurrency: 1.5 }, "got 1.5."],
    [{ concurrency: "5" }, "or { limit, key } with a function as key, got '5'."],
    [{ concurrency: null }, "got null."],
    [{ concurrency: { limit: 5 } }, "got { limit: 5 }."],
    [{ concurrency: { limit: 0, key: () => "a" } }, 'Expected concurrency.limit of "work"'],
    [{ rateLimit: 100 }, 'such as { limit: 100, per: "1m" }, got 100.'],
    [{ rateLimit: { limit: 0, per: "1m" } }, 'Expected rateLimit.limit of "work" to be a whole number'],
    [{ rateLimit: { limit: 10, per: "soon" } }, 'Expected rateLimit.per of "work" to be a duration'],
    [{ rateLimit: { limit: 10, per: 0 } }, "at least 1ms, got 0."],
  ])("are refused in defineJob when they make no sense: %j", (options, sentence) => {
    expect(() => defineJob({ type: "work", ...(options as object) })).toThrow(sentence);
  });

  it("are checked by the compiler too", () => {
    defineJob<{ to: string }>({ type: "work", concurrency: { limit: 1, key: (payload) => payload.to } });
    // @ts-expect-error there is no such field in the payload
    defineJob<{ to: string }>({ type: "work", concurrency: { limit: 1, key: (payload) => payload.from } }); // eslint-disable-line @typescript-eslint/no-unsafe-return
    // @ts-expect-error a key is a text
    defineJob<{ n: number }>({ type: "work", concurrency: { limit: 1, key: (payload) => payload.n } });
    // @ts-expect-error a window is a duration
    const fails = () => defineJob({ type: "work", rateLimit: { limit: 1, per: "a minute" } });
    expect(fails).toThrow("a duration");
  });
});
