import { PrismaPg } from "@prisma/adapter-pg";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PrismaClient } from "../../generated/prisma/client.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, work } from "../support/outbox.ts";
import { until } from "../support/until.ts";

// What a dedupe key is for and when it is free again stands in enqueue.test.ts. Here: races, rollbacks, redrives.

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(() => test.empty());

const modes = ["1h", "until-done", "forever"] as const;
const enqueue = (n: number, dedupeFor: (typeof modes)[number] = "until-done", dedupeKey = "k") => test.outbox.enqueueAlone(work, { n }, { dedupeKey, dedupeFor });
const numbers = async () => (await test.jobs()).map((job) => (job.payload as { n: number }).n).sort();

async function begun(): Promise<pg.PoolClient> {
  const client = await test.pool.connect();
  await client.query("begin");
  return client;
}

async function ended(client: pg.PoolClient, how: "commit" | "rollback"): Promise<void> {
  await client.query(how);
  client.release();
}

async function somebodyWaits(sessions = 1): Promise<void> {
  const waiting = async () => (await test.pool.query("select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).rowCount ?? 0;
  await until(`${sessions} sessions wait`, async () => (await waiting()) >= sessions, 20_000);
}

describe.each(modes)("a key held %s", (mode) => {
  it("by 50 transactions at once is one job's, and 49 are given its id", async () => {
    const results = await Promise.all(Array.from({ length: 50 }, (_, n) => enqueue(n, mode)));
    expect(results.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    expect(new Set(results.map(({ id }) => id)).size).toBe(1);
    expect((await test.jobs()).map(({ id }) => id)).toEqual([results[0]!.id]);
  });

  it("by 50 connections that all wait for one transaction is that one's job when it commits", async () => {
    const pool = new pg.Pool({ connectionString: test.url, max: 50 });
    try {
      const first = await begun();
      const { id } = await test.outbox.enqueue(first, work, { n: 0 }, { dedupeKey: "k", dedupeFor: mode });
      const others = Promise.all(
        Array.from({ length: 49 }, async () => {
          const client = await pool.connect();
          await client.query("begin");
          const result = await test.outbox.enqueue(client, work, { n: 1 }, { dedupeKey: "k", dedupeFor: mode });
          await ended(client, "commit");
          return result;
        }),
      );
      await somebodyWaits(49);
      await ended(first, "commit");
      expect(await others).toEqual(Array.from({ length: 49 }, () => ({ id, deduplicated: true })));
      expect(await numbers()).toEqual([0]);
    } finally {
      await pool.end();
    }
  });

  it("goes to exactly one of those who wait when the first transaction is rolled back", async () => {
    const first = await begun();
    await test.outbox.enqueue(first, work, { n: 0 }, { dedupeKey: "k", dedupeFor: mode });
    const others = Promise.all(Array.from({ length: 5 }, (_, n) => enqueue(n + 1, mode)));
    await somebodyWaits();
    await ended(first, "rollback");
    const results = await others;
    expect(results.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    expect(await test.jobs()).toHaveLength(1);
  });

  it("is free again when a savepoint is rolled back, within the transaction and outside", async () => {
    const client = await begun();
    await client.query("savepoint inner_one");
    await test.outbox.enqueue(client, work, { n: 1 }, { dedupeKey: "k", dedupeFor: mode });
    await client.query("rollback to savepoint inner_one");
    expect((await enqueue(2, mode)).deduplicated).toBe(false);
    expect((await test.outbox.enqueue(client, work, { n: 3 }, { dedupeKey: "k", dedupeFor: mode })).deduplicated).toBe(true);
    await ended(client, "commit");
    expect(await numbers()).toEqual([2]);
  });

  it("that is free again is taken over by exactly one of 20", async () => {
    const { id } = await enqueue(0, mode);
    await test.pool.query("update outbox set status = 'done', dedupe_until = clock_timestamp() - interval '1 second' where id = $1", [id]);
    const results = await Promise.all(Array.from({ length: 20 }, (_, n) => enqueue(n + 1, mode)));
    expect(results.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    expect(new Set(results.map((result) => result.id)).size).toBe(1);
    expect(await test.jobs()).toHaveLength(2);
  });
});

describe("many in one call", () => {
  it("equal keys store the first of them, and each of the others is given its id", async () => {
    const held = await enqueue(0, "forever", "held");
    const client = await begun();
    const results = await test.outbox.enqueueMany(client, [
      work.job({ n: 1 }, { dedupeKey: "z" }),
      work.job({ n: 2 }),
      work.job({ n: 3 }, { dedupeKey: "a" }),
      work.job({ n: 4 }, { dedupeKey: "z" }),
      work.job({ n: 5 }, { dedupeKey: "held" }),
      work.job({ n: 6 }, { dedupeKey: "a", orderingKey: "o" }),
      work.job({ n: 7 }, { dedupeKey: "b", orderingKey: "o" }),
      work.job({ n: 8 }, { dedupeKey: "b" }),
    ]);
    await ended(client, "commit");
    expect(results.map(({ deduplicated }) => deduplicated)).toEqual([false, false, false, true, true, true, false, true]);
    expect([3, 4, 5, 7].map((index) => results[index]!.id)).toEqual([results[0]!.id, held.id, results[2]!.id, results[6]!.id]);
    expect(await numbers()).toEqual([0, 1, 2, 3, 7]);
  });

  it("two calls with the same keys in opposite orders wait for each other, and never both ways", async () => {
    const keys = Array.from({ length: 100 }, (_, n) => `key ${n}`);
    const call = async (some: string[]) => {
      const client = await begun();
      await test.outbox.enqueueMany(client, some.map((dedupeKey) => work.job({}, { dedupeKey, dedupeFor: "until-done" }))); // prettier-ignore
      await ended(client, "commit");
    };
    for (let round = 1; round <= 3; round += 1) {
      await Promise.all(Array.from({ length: 8 }, (_, n) => call(n % 2 === 0 ? keys : [...keys].reverse())));
      expect(await test.jobs()).toHaveLength(100 * round);
      await test.pool.query("update outbox set status = 'done'"); // the next round takes every key over
    }
  });
});

describe("a redrive", () => {
  const redrive = (id: string) => test.pool.query("update outbox set status = 'pending' where id = $1", [id]);
  const dead = async (n: number, dedupeFor: (typeof modes)[number]) => {
    const { id } = await enqueue(n, dedupeFor);
    await test.pool.query("update outbox set status = 'error', dedupe_until = dedupe_until - interval '2 hours' where id = $1", [id]);
    return id;
  };

  it("of a job whose key a later one holds is refused, with a sentence that names both", async () => {
    for (const mode of ["until-done", "1h"] as const) {
      await test.empty();
      const first = await dead(1, mode);
      const { id: second } = await enqueue(2, mode);
      await expect(redrive(first)).rejects.toThrow(`Job ${first} cannot be redriven: job ${second} (pending) holds its dedupe key "k" now.`);
      expect(await test.job(first)).toMatchObject({ status: "error" });
    }
  });

  it("is refused by the same sentence through Prisma, and nothing of it is done", async () => {
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: test.url }) });
    try {
      const free = await test.aJob({ status: "error" });
      await dead(1, "until-done");
      await enqueue(2);
      await expect(prisma.outbox.updateMany({ where: { status: "error" }, data: { status: "pending" } })).rejects.toThrow('holds its dedupe key "k" now');
      expect(await test.job(free)).toMatchObject({ status: "error" });
      expect(await prisma.outbox.updateMany({ where: { status: "error", dedupeReleased: false }, data: { status: "pending" } })).toEqual({ count: 1 });
    } finally {
      await prisma.$disconnect();
    }
  });

  it("takes the key back when the later job has let go of it", async () => {
    const first = await dead(1, "until-done");
    const { id: second } = await enqueue(2);
    await test.pool.query("update outbox set status = 'done' where id = $1", [second]);
    await redrive(first);
    expect(await enqueue(3)).toEqual({ id: first, deduplicated: true });
    await test.pool.query("update outbox set status = 'done' where id = $1", [first]);
    expect((await enqueue(4)).deduplicated).toBe(false);
  });

  it("of two jobs of one key in one statement is refused", async () => {
    await dead(1, "until-done");
    await dead(2, "until-done");
    await expect(test.pool.query("update outbox set status = 'pending' where status = 'error'")).rejects.toThrow("holds its dedupe key");
    expect(await test.outbox.counts()).toMatchObject({ error: 2, pending: 0 });
  });

  it("of a job whose key nobody has taken over needs nothing, and holds it again", async () => {
    const first = await dead(1, "until-done");
    await redrive(first);
    expect(await enqueue(2)).toEqual({ id: first, deduplicated: true });
  });

  it("while an enqueue takes the key over waits for it, and is refused", async () => {
    const first = await dead(1, "until-done");
    const client = await begun();
    await test.outbox.enqueue(client, work, { n: 2 }, { dedupeKey: "k", dedupeFor: "until-done" });
    const redriven = redrive(first).then(() => "done", (error: unknown) => String(error)); // prettier-ignore
    await somebodyWaits();
    await ended(client, "commit");
    expect(await redriven).toContain("holds its dedupe key");
  });
});

describe("a time in the past", () => {
  it("means now, whether it is asked for alone or among others", async () => {
    const past = new Date("2001-01-01T00:00:00Z");
    await test.outbox.enqueueAlone(work, { n: 1 }, { runAt: past });
    const client = await begun();
    await test.outbox.enqueueMany(client, [work.job({ n: 2 }, { runAt: past, dedupeKey: "k" }), work.job({ n: 3 }), work.job({ n: 4 }, { delay: "1h" })]);
    await ended(client, "commit");
    const { rows } = await test.pool.query("select payload->'n' as n, run_at between created_at - interval '1 minute' and created_at as now from outbox order by payload->'n'");
    expect(rows).toEqual([{ n: 1, now: true }, { n: 2, now: true }, { n: 3, now: true }, { n: 4, now: false }]); // prettier-ignore
  });
});

it("1,000 and 10,000 jobs are one statement each, whatever their options are", async () => {
  for (const count of [1000, 10_000]) {
    await test.empty();
    let statements = 0;
    const client = await begun();
    const counting = {
      query: (text: string, values: unknown[]) => {
        statements += 1;
        return client.query<Record<string, unknown>>(text, values);
      },
    };
    const jobs = Array.from({ length: count }, (_, n) => work.job({ n }, n % 3 === 0 ? { dedupeKey: `${n}` } : n % 3 === 1 ? { orderingKey: `${n % 10}`, owner: "ada" } : {}));
    expect(await test.outbox.enqueueMany(counting, jobs)).toHaveLength(count);
    await ended(client, "commit");
    expect(statements).toBe(1);
    const { rows } = await test.pool.query<{ n: number; dedupe_key: string | null; ordering_key: string | null; owner: string | null; block_on_dead: boolean }>(
      "select (payload->>'n')::int as n, dedupe_key, ordering_key, owner, block_on_dead from outbox order by id",
    );
    expect(rows).toEqual(
      jobs.map((_, n) => ({ n, dedupe_key: n % 3 === 0 ? `${n}` : null, ordering_key: n % 3 === 1 ? `${n % 10}` : null, owner: n % 3 === 1 ? "ada" : null, block_on_dead: false })),
    );
  }
});
