import fc from "fast-check";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { defineJob, handle } from "../../src/index.ts";
import { promoteNoted } from "../../src/outbox/store/ordering.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, work, worksBy } from "../support/outbox.ts";
import { propertySeed } from "../support/property-seed.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(async () => {
  await test.empty();
  await test.pool.query("truncate outbox_unpromoted");
});

const blocking = defineJob<{ n?: number }>({ type: "blocking", onDead: "block", retry: { maxAttempts: 1 } });
const enqueue = (n: number, orderingKey = "k", contract = work) => test.outbox.enqueueAlone(contract, { n }, { orderingKey });
/** The status of each job, by its number. */
async function statuses(): Promise<Record<string, string>> {
  const { rows } = await test.pool.query<{ n: string; status: string }>("select payload->>'n' as n, status from outbox");
  return Object.fromEntries(rows.map(({ n, status }) => [n, status]));
}
/** What a worker does when it looks. */
const look = () => promoteNoted(test.database, 100);
const set = (n: number, change: string) => test.pool.query(`update outbox set ${change} where payload->>'n' = $1`, [String(n)]);

/** Drains by several at once until nothing is left, and says in which order the jobs of each key ran. */
async function drainAll(drainers = 1): Promise<Record<string, number[]>> {
  const order: Record<string, number[]> = {};
  const running = new Set<string>();
  const run = async ({ n = 0 }: { n?: number }, key: string) => {
    expect(running.has(key), `two jobs of ${key} at once`).toBe(false);
    running.add(key);
    (order[key] ??= []).push(n);
    await new Promise(setImmediate);
    running.delete(key);
  };
  const keys = new Map((await test.pool.query<{ id: string; ordering_key: string }>("select id, ordering_key from outbox")).rows.map((row) => [row.id, row.ordering_key]));
  const handlers = [work, blocking].map((contract) => handle(contract, (payload, { job }) => run(payload, keys.get(job.id) ?? "")));
  await Promise.all(Array.from({ length: drainers }, () => test.outbox.drain({ handlers })));
  while (await unfinished()) await test.outbox.drain({ handlers });
  return order;
}

/** Whether a job is still to be run. A drain ends while another holds the only jobs that are due. */
async function unfinished(): Promise<boolean> {
  await look();
  return (await test.pool.query("select from outbox where status in ('pending', 'processing') limit 1")).rowCount === 1;
}

/** A connection with a transaction, given back by the caller. */
async function begun(isolation = "read committed"): Promise<pg.PoolClient> {
  const client = await test.pool.connect();
  await client.query(`begin isolation level ${isolation}`);
  return client;
}

async function ended(client: pg.PoolClient, how: "commit" | "rollback"): Promise<void> {
  await client.query(how);
  client.release();
}

/** Comes back once a session waits for a lock that another one holds. */
async function somebodyWaits(sessions = 1): Promise<void> {
  const deadline = Date.now() + 10_000;
  while ((await test.pool.query("select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).rowCount !== sessions) {
    if (Date.now() > deadline) throw new Error("nobody waited within 10 s");
  }
}

describe("the order", () => {
  it("is the order in which the transactions committed, whatever order they began in", async () => {
    const [first, second] = [await begun(), await begun()];
    await second.query("select txid_current()"); // the older transaction by its number
    await test.outbox.enqueue(first, work, { n: 1 }, { orderingKey: "k" });
    const late = test.outbox.enqueue(second, work, { n: 2 }, { orderingKey: "k" });
    await somebodyWaits();
    await ended(first, "commit");
    await late;
    await ended(second, "commit");
    expect(await drainAll()).toEqual({ k: [1, 2] });
  });

  it("of writers for different keys is nobody's business: they do not wait for each other", async () => {
    const [first, second] = [await begun(), await begun()];
    await test.outbox.enqueue(first, work, { n: 1 }, { orderingKey: "a" });
    await test.outbox.enqueue(second, work, { n: 2 }, { orderingKey: "b" });
    await test.outbox.enqueue(second, work, { n: 3 });
    await ended(second, "commit");
    await ended(first, "commit");
    expect(await statuses()).toEqual({ 1: "pending", 2: "pending", 3: "pending" });
  });

  it("within one call is the order given, for every key, and a thousand keys are no trouble", async () => {
    const client = await begun();
    await test.outbox.enqueueMany(client, Array.from({ length: 3000 }, (_, n) => work.job({ n }, { orderingKey: `key ${(n * 7919) % 1000}` })));
    await ended(client, "commit");
    const { rows } = await test.pool.query<{ numbers: number[]; heads: string }>(
      "select array_agg((payload->>'n')::int order by sequence) as numbers, string_agg(status, ' ' order by sequence) as heads from outbox group by ordering_key",
    );
    expect(rows).toHaveLength(1000);
    for (const { numbers, heads } of rows) {
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
      expect(heads).toBe("pending waiting waiting");
    }
  });

  it("10,000 keys in one transaction leave room for everybody else's locks", async () => {
    const client = await begun();
    await test.outbox.enqueueMany(client, Array.from({ length: 10_000 }, (_, n) => work.job({ n }, { orderingKey: `key ${n}` })));
    const { rows } = await client.query<{ locks: number }>("select count(*)::int as locks from pg_locks where pid = pg_backend_pid()");
    expect(rows[0]!.locks).toBeLessThan(100);
    await ended(client, "rollback");
    expect(await statuses()).toEqual({});
  });

  it("two calls with the same keys in opposite orders wait for each other, and never both ways", async () => {
    const keys = Array.from({ length: 200 }, (_, n) => `key ${n}`);
    const call = async (some: string[]) => {
      const client = await begun();
      await test.outbox.enqueueMany(client, some.map((orderingKey, n) => work.job({ n }, { orderingKey }))); // prettier-ignore
      await ended(client, "commit");
    };
    await Promise.all(Array.from({ length: 8 }, (_, n) => call(n % 2 === 0 ? keys : [...keys].reverse())));
    expect(await test.outbox.counts()).toMatchObject({ pending: 200, waiting: 1400 });
  });

  it("holds for rows that were inserted by plain SQL, without any of this program", async () => {
    await test.pool.query(`insert into outbox (type, payload, ordering_key) select 'work', jsonb_build_object('n', n), 'k' from generate_series(1, 5) as n`);
    expect(await drainAll(2)).toEqual({ k: [1, 2, 3, 4, 5] });
  });
});

describe("one at a time", () => {
  it("jobs of a key never overlap, while several drains run those of many keys at once", async () => {
    const keys = ["a", "b", "c", "d", "e"];
    const client = await begun();
    await test.outbox.enqueueMany(client, Array.from({ length: 100 }, (_, n) => work.job({ n }, { orderingKey: keys[n % 5]! }))); // prettier-ignore
    await ended(client, "commit");
    const order = await drainAll(4);
    for (const [index, key] of keys.entries()) expect(order[key]).toEqual(Array.from({ length: 20 }, (_, n) => n * 5 + index));
  });

  it("the next one becomes due by the settlement of the one before, whatever its type", async () => {
    await enqueue(1);
    await enqueue(2, "k", blocking);
    expect(await statuses()).toEqual({ 1: "pending", 2: "waiting" });
    await test.outbox.drain({ handlers: [worksBy(() => Promise.resolve())], maxJobs: 1 });
    expect(await statuses()).toEqual({ 1: "done", 2: "pending" });
  });

  it("a failed attempt holds the line until its retry has succeeded", async () => {
    await enqueue(1);
    await enqueue(2);
    const fails = worksBy((_, { attempt }) => (attempt === 1 ? Promise.reject(new Error("no")) : Promise.resolve()));
    await test.outbox.drain({ handlers: [fails] });
    expect(await statuses()).toEqual({ 1: "pending", 2: "waiting" });
    await set(1, "run_at = clock_timestamp()");
    await test.outbox.drain({ handlers: [fails], maxJobs: 1 });
    expect(await statuses()).toEqual({ 1: "done", 2: "pending" });
  });

  it("a job that is not due yet holds the line as well", async () => {
    await test.outbox.enqueueAlone(work, { n: 1 }, { orderingKey: "k", delay: "1h" });
    await enqueue(2);
    await test.outbox.drain({ handlers: [worksBy(() => Promise.resolve())] });
    expect(await statuses()).toEqual({ 1: "pending", 2: "waiting" });
  });

  it("what ctx.complete enqueues for the same key comes next", async () => {
    await enqueue(1);
    const follows = worksBy(({ n }, ctx) => ctx.complete((tx) => (n === 1 ? test.outbox.enqueue(tx, work, { n: 2 }, { orderingKey: "k" }) : Promise.resolve(null))));
    await test.outbox.drain({ handlers: [follows] });
    expect(await statuses()).toEqual({ 1: "done", 2: "done" });
  });
});

describe("a transaction that is rolled back", () => {
  it("at the head leaves its place to the next, who waited for it", async () => {
    const first = await begun();
    await test.outbox.enqueue(first, work, { n: 1 }, { orderingKey: "k" });
    const second = enqueue(2);
    await somebodyWaits();
    await ended(first, "rollback");
    await second;
    expect(await statuses()).toEqual({ 2: "pending" });
  });

  it("to a savepoint leaves what stood before it, and lets others in", async () => {
    const client = await begun();
    await test.outbox.enqueue(client, work, { n: 1 }, { orderingKey: "a" });
    await client.query("savepoint inner_one");
    await test.outbox.enqueue(client, work, { n: 2 }, { orderingKey: "a" });
    await test.outbox.enqueue(client, work, { n: 3 }, { orderingKey: "b" });
    await client.query("rollback to savepoint inner_one");
    await enqueue(4, "b");
    await test.outbox.enqueue(client, work, { n: 5 }, { orderingKey: "a" });
    await ended(client, "commit");
    expect(await statuses()).toEqual({ 1: "pending", 4: "pending", 5: "waiting" });
    expect(await drainAll()).toEqual({ a: [1, 5], b: [4] });
  });
});

describe("a writer that has not committed", () => {
  it("does not hold up the settlement of the job before it, and its own is promoted when it has", async () => {
    await enqueue(1);
    const writer = await begun();
    await test.outbox.enqueue(writer, work, { n: 2 }, { orderingKey: "k" });
    await test.outbox.drain({ handlers: [worksBy(() => Promise.resolve())] });
    expect(await statuses()).toEqual({ 1: "done" });
    expect(await look()).toBe(0);
    await ended(writer, "commit");
    expect(await statuses()).toEqual({ 1: "done", 2: "waiting" });
    expect(await look()).toBe(1);
    expect(await statuses()).toEqual({ 1: "done", 2: "pending" });
    expect((await test.pool.query("select from outbox_unpromoted")).rowCount).toBe(0);
  });

  it("for one key does not keep a worker from the notes about others, however many stay open", async () => {
    const writer = await begun();
    for (let n = 0; n < 10; n += 1) {
      await enqueue(n, `held ${n}`);
      await test.outbox.enqueue(writer, work, { n: 100 + n }, { orderingKey: `held ${n}` });
    }
    await test.pool.query("update outbox set status = 'done'");
    expect((await test.pool.query("select from outbox_unpromoted")).rowCount).toBe(10);
    const serializable = await begun("serializable");
    await test.outbox.enqueue(serializable, work, { n: 50 }, { orderingKey: "free" });
    await ended(serializable, "commit");
    let promoted = 0;
    for (let tries = 0; tries < 1000 && promoted === 0; tries += 1) promoted += await promoteNoted(test.database, 2);
    expect(promoted).toBe(1);
    await ended(writer, "rollback");
    expect(await look()).toBe(0);
    expect((await test.pool.query("select from outbox_unpromoted")).rowCount).toBe(0);
  });
});

describe.each(["repeatable read", "serializable"])("under %s", (isolation) => {
  it("writers keep the order, and a worker that looks lets the first one go", async () => {
    const old = await begun(isolation);
    await old.query("select count(*) from outbox"); // its snapshot is taken before the other's job is there
    await enqueue(1);
    await test.outbox.enqueue(old, work, { n: 2 }, { orderingKey: "k" });
    await test.outbox.enqueue(old, work, { n: 3 }, { orderingKey: "other" });
    await ended(old, "commit");
    expect(await statuses()).toEqual({ 1: "pending", 2: "waiting", 3: "waiting" });
    expect(await look()).toBe(1);
    expect(await statuses()).toEqual({ 1: "pending", 2: "waiting", 3: "pending" });
    expect(await drainAll()).toEqual({ k: [1, 2], other: [3] });
  });

  it("a cancel or a delete of the head lets the next one go, though it cannot see it", async () => {
    for (const change of ["update outbox set status = 'cancelled' where payload->>'n' = '1'", "delete from outbox where payload->>'n' = '1'"]) {
      await test.empty();
      await enqueue(1);
      const old = await begun(isolation);
      await old.query("select count(*) from outbox");
      await enqueue(2);
      await old.query(change);
      await ended(old, "commit");
      await look();
      expect(await statuses()).toMatchObject({ 2: "pending" });
    }
  });
});

describe("a dead letter", () => {
  const fails = [work, blocking].map((contract) => handle(contract, ({ n }) => (n === 1 ? Promise.reject(new Error("no")) : Promise.resolve())));

  it("lets the line go on, unless its contract says otherwise", async () => {
    await test.outbox.enqueueAlone(work, { n: 1 }, { orderingKey: "k", maxAttempts: 1 });
    await enqueue(2);
    await test.outbox.drain({ handlers: fails });
    expect(await statuses()).toEqual({ 1: "error", 2: "done" });
  });

  it("that blocks holds the line, those that are enqueued later included", async () => {
    await enqueue(1, "k", blocking);
    await enqueue(2);
    await test.outbox.drain({ handlers: fails });
    await enqueue(3);
    await test.outbox.drain({ handlers: fails });
    expect(await statuses()).toEqual({ 1: "error", 2: "waiting", 3: "waiting" });
  });

  it("without an ordering key blocks nothing, whatever its contract says", async () => {
    const { id } = await test.outbox.enqueueAlone(blocking, { n: 1 });
    expect((await test.pool.query<{ block_on_dead: boolean }>("select block_on_dead from outbox where id = $1", [id])).rows[0]).toEqual({ block_on_dead: false });
  });

  it.each([
    ["cancelled", "update outbox set status = 'cancelled' where status = 'error'"],
    ["deleted", "delete from outbox where status = 'error'"],
    ["told to block no longer", "update outbox set block_on_dead = false where status = 'error'"],
  ])("that blocks and is %s lets the line go on", async (_, change) => {
    await enqueue(1, "k", blocking);
    await enqueue(2);
    await test.outbox.drain({ handlers: fails });
    await test.pool.query(change);
    expect(await statuses()).toMatchObject({ 2: "pending" });
  });

  it("that blocks and is redriven goes on at the head of its line", async () => {
    await enqueue(1, "k", blocking);
    await enqueue(2);
    await test.outbox.drain({ handlers: fails });
    await test.pool.query("update outbox set status = 'pending' where status = 'error'");
    expect(await statuses()).toEqual({ 1: "pending", 2: "waiting" });
    expect(await drainAll()).toEqual({ k: [1, 2] });
  });

  it("that is redriven behind others takes a place at the end", async () => {
    await test.outbox.enqueueAlone(work, { n: 1 }, { orderingKey: "k", maxAttempts: 1 });
    await test.outbox.drain({ handlers: fails });
    await enqueue(2);
    await enqueue(3);
    await test.pool.query("update outbox set status = 'pending' where status = 'error'");
    expect(await statuses()).toEqual({ 1: "waiting", 2: "pending", 3: "waiting" });
    expect(await drainAll()).toEqual({ k: [2, 3, 1] });
  });

  it("several of one key that are redriven at once do not run at once", async () => {
    for (const n of [1, 2, 3]) await test.aJob({ status: "error", attempts: 3, ordering_key: "k", payload: { n } });
    await test.pool.query("update outbox set status = 'pending' where status = 'error'");
    expect(Object.values(await statuses()).sort()).toEqual(["pending", "waiting", "waiting"]);
    expect((await drainAll(2)).k).toHaveLength(3);
  });

  it("made by a rescue lets the line go on too", async () => {
    await enqueue(1);
    await enqueue(2);
    await set(1, "status = 'processing', attempts = max_attempts, locked_by = gen_random_uuid(), lease_token = 1");
    await test.outbox.drain({ handlers: fails });
    expect(await statuses()).toEqual({ 1: "error", 2: "done" });
  });
});

describe("what people do to a line", () => {
  it("cancelling or deleting the head lets the next one go, those in the middle are passed over", async () => {
    for (const n of [1, 2, 3, 4, 5]) await enqueue(n);
    await set(2, "status = 'cancelled'");
    expect(await statuses()).toMatchObject({ 1: "pending", 3: "waiting" });
    await set(1, "status = 'cancelled'");
    expect(await statuses()).toMatchObject({ 3: "pending", 4: "waiting" });
    await test.pool.query("delete from outbox where payload->>'n' in ('3', '4')");
    expect(await statuses()).toMatchObject({ 5: "pending" });
  });

  it("deleting the waiting ones leaves the one under way, and the line open", async () => {
    for (const n of [1, 2, 3]) await enqueue(n);
    await test.pool.query("delete from outbox where status = 'waiting'");
    await enqueue(4);
    expect(await drainAll()).toEqual({ k: [1, 4] });
  });

  it("somebody who holds the next job's row in an open transaction delays that job alone", async () => {
    for (const n of [1, 2, 3]) await enqueue(n);
    const operator = await begun();
    await operator.query("update outbox set payload = payload where payload->>'n' = '2'");
    await test.outbox.drain({ handlers: [worksBy(() => Promise.resolve())] });
    expect(await statuses()).toEqual({ 1: "done", 2: "waiting", 3: "waiting" });
    await operator.query("delete from outbox where payload->>'n' = '2'");
    await ended(operator, "commit");
    expect(await look()).toBe(1);
    expect(await drainAll()).toEqual({ k: [3] });
  });

  it("a waiting job that is set to pending by hand waits for its turn all the same", async () => {
    for (const n of [1, 2, 3]) await enqueue(n);
    await test.pool.query("update outbox set status = 'pending' where status = 'waiting'");
    expect(await statuses()).toEqual({ 1: "pending", 2: "waiting", 3: "waiting" });
  });

  it("the key of a job does not change", async () => {
    await enqueue(1);
    await expect(set(1, "ordering_key = 'other'")).rejects.toThrow("never changes");
  });
});

it("a line of 200,000 costs an enqueue and a settlement a handful of pages, while an old snapshot is held open too", async () => {
  const [session, old] = [await test.pool.connect(), await test.pool.connect()];
  const pagesRead = async () => {
    await session.query("select pg_stat_force_next_flush()");
    const { rows } = await session.query<{ pages: number }>("select sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::int as pages from pg_statio_user_tables where relname like 'outbox%'");
    return rows[0]!.pages;
  };
  const cost = async (statement: string) => {
    const before = await pagesRead();
    await session.query(statement);
    return (await pagesRead()) - before;
  };
  const expectToBeCheap = async () => {
    expect(await cost("insert into outbox (type, payload, ordering_key) values ('work', '{}', 'k')")).toBeLessThan(100);
    const { rows } = await session.query<{ id: string }>("select id from outbox where status = 'pending'");
    expect(await cost(`update outbox set status = 'done' where id = '${rows[0]!.id}'`)).toBeLessThan(150);
  };
  try {
    await old.query("begin isolation level repeatable read");
    await old.query("select count(*) from outbox");
    await enqueue(0);
    // As the triggers would do it, in a tenth of the time.
    await session.query("alter table outbox disable trigger outbox_line_up");
    await session.query("insert into outbox (type, payload, ordering_key, status, sequence) select 'work', '{}', 'k', 'waiting', nextval('outbox_sequence') from generate_series(1, 200000)");
    await session.query("alter table outbox enable trigger outbox_line_up");
    await expectToBeCheap(); // before anybody has analyzed the table
    await session.query(`
      do $$
      declare head uuid;
      begin
        for n in 1..1000 loop
          select id into head from outbox where ordering_key = 'k' and status = 'pending' order by sequence desc limit 1;
          update outbox set status = 'done' where id = head;
        end loop;
      end $$`);
    await expectToBeCheap();
    expect(await test.outbox.counts()).toMatchObject({ done: 1002, pending: 1, waiting: 199_000 });
  } finally {
    await old.query("rollback");
    for (const client of [session, old]) client.release();
  }
}, 120_000);

it("whatever writers and workers do at once, every job runs once, in the order of the commits, and none is left behind", { timeout: 60_000 }, async () => {
  const keys = ["a", "b", "c"] as const;
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("enqueue" as const), writer: fc.nat(2), key: fc.constantFrom(...keys) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("commit" as const, "rollback" as const, "savepoint" as const), writer: fc.nat(2) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("claim" as const, "settle" as const, "look" as const) }) },
  );
  const isolations = fc.array(fc.constantFrom("read committed", "read committed", "serializable"), { minLength: 3, maxLength: 3 });
  await test.pool.query("insert into outbox_key_lock select outbox_key_lock(key) from unnest($1::text[]) as key on conflict do nothing", [keys]);

  const deadline = Date.now() + 15_000;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), isolations, async (steps, isolation) => {
      if (Date.now() > deadline) return; // as many as there is time for
      await test.empty();
      await test.pool.query("truncate outbox_unpromoted");
      const committed: Record<string, number[]> = { a: [], b: [], c: [] };
      const ran: Record<string, number[]> = { a: [], b: [], c: [] };
      const claimed: string[] = [];
      const writers = await Promise.all([0, 1, 2].map(async () => ({ client: await test.pool.connect(), open: false, jobs: [] as { n: number; key: string; inner: boolean }[], savepoint: false })));
      const holder = (key: string) => writers.find(({ open, jobs }) => open && jobs.some((job) => job.key === key));
      let n = 0;

      const claim = async () => {
        const { rows } = await test.pool.query<{ id: string; key: string; n: number }>(
          `update outbox set status = 'processing', attempts = attempts + 1
           where id in (select id from outbox where status = 'pending' and run_at <= clock_timestamp() for no key update skip locked)
           returning id, ordering_key as key, (payload->>'n')::int as n`,
        );
        for (const row of rows) {
          ran[row.key]!.push(row.n);
          claimed.push(row.id);
        }
        const { rowCount } = await test.pool.query("select from outbox where status in ('pending', 'processing') group by ordering_key having count(*) > 1");
        expect(rowCount).toBe(0);
      };
      const settle = () => test.pool.query("update outbox set status = 'done', finished_at = clock_timestamp() where id = any ($1) and status = 'processing'", [claimed.splice(0)]);
      const end = async (writer: (typeof writers)[number], how: "commit" | "rollback") => {
        if (!writer.open) return;
        await writer.client.query(how);
        if (how === "commit") for (const job of writer.jobs) committed[job.key]!.push(job.n);
        Object.assign(writer, { open: false, jobs: [], savepoint: false });
      };

      try {
        for (const next of steps) {
          if (!("writer" in next)) await { claim, settle, look }[next.kind]();
          else {
            const writer = writers[next.writer]!;
            if (next.kind === "enqueue") {
              if (!writer.open) await writer.client.query(`begin isolation level ${isolation[next.writer]!}`);
              writer.open = true;
              const other = holder(next.key);
              n += 1;
              const stored = test.outbox.enqueue(writer.client, work, { n }, { orderingKey: next.key });
              if (other !== undefined && other !== writer) {
                await somebodyWaits();
                await end(other, n % 3 === 0 ? "rollback" : "commit"); // which lets this one in
              }
              await stored;
              writer.jobs.push({ n, key: next.key, inner: writer.savepoint });
            } else if (next.kind === "savepoint" && writer.open) {
              await writer.client.query(writer.savepoint ? "rollback to savepoint inner_one" : "savepoint inner_one");
              if (writer.savepoint) writer.jobs = writer.jobs.filter(({ inner }) => !inner);
              writer.savepoint = true;
            } else if (next.kind !== "savepoint") await end(writer, next.kind);
          }
        }
        for (const writer of writers) await end(writer, "commit");
        do {
          await settle();
          await look();
          await claim();
        } while (claimed.length > 0);
        expect(ran).toEqual(committed);
        expect((await test.pool.query("select from outbox where status <> 'done'")).rowCount).toBe(0);
        expect((await test.pool.query("select from outbox_unpromoted")).rowCount).toBe(0);
      } finally {
        for (const { client } of writers) {
          await client.query("rollback");
          client.release();
        }
      }
    }),
    { seed: propertySeed, numRuns: 150 },
  );
});

describe("the options", () => {
  it.each([
    ["nothing", ""],
    ["501 characters", "x".repeat(501)],
    ["a NUL", "a\u0000b"],
    ["a number", 7],
  ])("an ordering key of %s is refused by name", async (_, orderingKey) => {
    await expect(test.outbox.enqueueAlone(work, {}, { orderingKey: orderingKey as string })).rejects.toThrow("orderingKey");
    expect(await test.jobs()).toEqual([]);
  });

  it("an onDead that is neither is refused by name", () => {
    expect(() => defineJob({ type: "t", onDead: "stop" as never })).toThrow('Expected onDead of "t" to be "continue" or "block", got "stop".');
  });
});

it("two workers and a barrier: the second job of a key does not begin while the first one runs", async () => {
  await enqueue(1);
  await enqueue(2);
  const [running, finish] = [barrier(), barrier()];
  const order: string[] = [];
  const slow = worksBy(async ({ n }) => {
    order.push(`begin ${n}`);
    if (n === 1) {
      running.open();
      await finish.reached;
    }
    order.push(`end ${n}`);
  });
  const first = test.outbox.drain({ handlers: [slow] });
  await running.reached;
  await test.outbox.drain({ handlers: [slow] });
  expect(order).toEqual(["begin 1"]);
  finish.open();
  await first;
  expect(order).toEqual(["begin 1", "end 1", "begin 2", "end 2"]);
});
