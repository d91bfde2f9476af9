// Races of two connections, each made to happen: one statement is held in its middle, with its row locked, by a trigger
// that waits for a lock of this test's; the other one comes meanwhile.

import { randomUUID } from "node:crypto";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { LeaseLostError } from "../../src/index.ts";
import type { Database, Sql } from "../../src/outbox/database.ts";
import type { ClaimedJob, Lease, Outcome } from "../../src/outbox/job.ts";
import type { Settler } from "../../src/outbox/settle.ts";
import { completeJob, createSettler } from "../../src/outbox/settle.ts";
import type { Cursor } from "../../src/outbox/store/exchange.ts";
import { exchange } from "../../src/outbox/store/exchange.ts";
import type { Settlement } from "../../src/outbox/store/settle.ts";
import { settleJobs } from "../../src/outbox/store/settle.ts";
import { beat, buryWorkers, registerWorker, rescueJobs } from "../../src/outbox/store/workers.ts";
import { postgres } from "../../src/service/database.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { claimJobs, testOutbox, worksBy } from "../support/outbox.ts";

const lockOfTheTest = 4711;

let test: TestOutbox;
/** The one whose statements stand still in their middle while the test says so. */
let slow: Database;
let holder: pg.PoolClient;
beforeAll(async () => {
  test = await testOutbox();
  await test.pool.query(`
    create table effects (job uuid not null);
    create function stand_still() returns trigger language plpgsql as $$ begin
      if current_setting('race.slow', true) = 'yes' then perform pg_advisory_xact_lock(${lockOfTheTest}); end if;
      return case when tg_op = 'DELETE' then old else new end;
    end $$;
    create trigger stand_still before update on outbox for each row execute function stand_still();
    create trigger stand_still before update or delete on outbox_worker for each row execute function stand_still()`);
  slow = postgres(test.url, { maxConnections: 1 });
  await slow.query("set race.slow = 'yes'");
  holder = await test.pool.connect();
});
afterAll(async () => {
  holder.release();
  await slow.close();
  await test.close();
});
beforeEach(async () => {
  await test.empty();
  await test.pool.query("truncate effects");
});

/** Sessions of this database that wait for a lock of any kind. */
async function waiting(count: number): Promise<void> {
  for (const deadline = Date.now() + 10_000; ; await new Promise((resolve) => setTimeout(resolve, 5))) {
    const { rowCount } = await test.pool.query("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'");
    if (rowCount === count) return;
    if (Date.now() > deadline) throw new Error(`expected ${count} sessions that wait for a lock, got ${rowCount} after 10 s`);
  }
}

/** `first` is held in its middle while `second` is begun; gives back what came of both. `second` waits, or comes through. */
async function race<One, Other>(first: (sql: Database) => Promise<One>, second: () => Promise<Other>, then: "waits" | "comes through"): Promise<[One, Other]> {
  await holder.query("select pg_advisory_lock($1)", [lockOfTheTest]);
  let held = true;
  const release = async () => {
    if (held) await holder.query("select pg_advisory_unlock($1)", [lockOfTheTest]);
    held = false;
  };
  try {
    const one = first(slow);
    one.catch(() => undefined); // awaited below
    await waiting(1);
    const other = second();
    other.catch(() => undefined);
    if (then === "waits") await waiting(2);
    else await other;
    await release();
    return await Promise.all([one, other]);
  } finally {
    await release();
  }
}

async function aWorker(id: string = randomUUID()): Promise<string> {
  await registerWorker(test.database, { id, host: "h", pid: 1, version: "test", types: ["work"], versions: [1], leaseMs: 30_000 });
  return id;
}
/** A job that a worker has begun whose row is gone already, as after a burial. */
async function lostJob(): Promise<Lease> {
  const lease = { worker: randomUUID(), token: 1 };
  return { ...lease, jobId: await test.aJob({ status: "processing", attempts: 1, locked_by: lease.worker, lease_token: lease.token, started_at: new Date() }) };
}
const doneOf = (lease: Lease, result = '"done"'): Settlement => ({ lease, status: "done", delayMs: null, counted: true, result, entry: null });
const deadOf = (lease: Lease): Settlement => ({ lease, status: "error", delayMs: null, counted: true, result: null, entry: { outcome: "dead", errorClass: "E", message: "m", stack: null } });
const claimed = (lease: Lease): ClaimedJob => ({
  ...{ id: lease.jobId, type: "work", payload: {}, priority: 0, attempt: 1, maxAttempts: 3, owner: null, orderingKey: null, lastError: null, suspect: false, checkpoint: null, version: 1, lease },
  ...{ runAt: new Date(), createdAt: new Date(), startedAt: new Date() },
});
const beginning: Cursor = { runAt: "-infinity", id: "00000000-0000-0000-0000-000000000000" };
const lane = { type: "work", priority: 0, from: beginning };

/** The two statements that settle; each gives back whether the completion was written. */
const settlements = {
  "a settlement by itself": async (sql: Sql, lease: Lease) => (await settleJobs(sql, [doneOf(lease)])).has(lease.jobId),
  "a settlement with the next claim": async (sql: Sql, lease: Lease) => !(await exchange(sql, { worker: lease.worker, token: lease.token + 1000 }, [{ lease, result: '"done"' }], [lane], 5)).lost.has(lease.jobId),
};

describe.each(Object.entries(settlements))("%s", (_, settle) => {
  it("that comes first wins against the rescue, which leaves the job alone", async () => {
    const lease = await lostJob();
    const [written, rescue] = await race((sql) => settle(sql, lease), () => rescueJobs(test.database, 100), "comes through");
    expect(written).toBe(true);
    expect(rescue).toEqual({ returned: 0, dead: [] });
    expect(await test.job(lease.jobId)).toMatchObject({ status: "done", result: "done", attempts: 1, suspect: false });
    expect(await test.attempts(lease.jobId)).toEqual([]);
  });

  it("that comes while the rescue is at it waits, and is lost", async () => {
    const lease = await lostJob();
    const [rescue, written] = await race((sql) => rescueJobs(sql, 100), () => settle(test.database, lease), "waits");
    expect(rescue.returned).toBe(1);
    expect(written).toBe(false);
    expect(await test.job(lease.jobId)).toMatchObject({ status: "pending", result: null, attempts: 1, suspect: true });
    expect(await test.attempts(lease.jobId)).toMatchObject([{ attempt: 1, outcome: "lost" }]);
  });

  it("twice under one fence is written once", async () => {
    const lease = await lostJob();
    const [first, second] = await race((sql) => settleJobs(sql, [doneOf(lease, '"first"')]), () => settle(test.database, lease), "waits");
    expect([first.size, second]).toEqual([1, false]);
    expect(await test.job(lease.jobId)).toMatchObject({ status: "done", result: "first" });
  });

  it.each(["another worker", "the same worker"])("that began while the job was its own is lost when %s has claimed it before it gets at the row", async (who) => {
    const lease = await lostJob();
    const successor = who === "the same worker" ? await aWorker(lease.worker) : await aWorker();
    const token = who === "the same worker" ? lease.token + 1 : lease.token;
    const [, written] = await race(
      (sql) => sql.transaction(async (tx) => {
        await tx.query("update outbox set status = 'pending' where id = $1", [lease.jobId]);
        const { jobs } = await exchange(tx, { worker: successor, token }, [], [lane], 1);
        expect(jobs).toHaveLength(1);
      }), // prettier-ignore
      () => settle(test.database, lease),
      "waits",
    );
    expect(written).toBe(false);
    expect(await test.job(lease.jobId)).toMatchObject({ status: "processing", locked_by: successor, attempts: 2, result: null });
  });

  it("that comes while somebody resets the job by hand is lost", async () => {
    const lease = await lostJob();
    const [, written] = await race((sql) => sql.query("update outbox set status = 'pending' where status = 'processing'"), () => settle(test.database, lease), "waits");
    expect(written).toBe(false);
    expect((await test.job(lease.jobId)).status).toBe("pending");
  });

  it("that comes first is final: a reset by hand that waits for it changes nothing", async () => {
    const lease = await lostJob();
    const reset = () => test.pool.query("update outbox set status = 'pending' where status = 'processing'");
    const [written, { rowCount }] = await race((sql) => settle(sql, lease), reset, "waits");
    expect([written, rowCount]).toEqual([true, 0]);
    expect((await test.job(lease.jobId)).status).toBe("done");
  });
});

it("a dead letter is redriven by a reset that sees it, not by one that came while it was being written", async () => {
  const lease = await lostJob();
  const reset = () => test.pool.query("update outbox set status = 'pending' where status = 'error'");
  const [written, { rowCount }] = await race((sql) => settleJobs(sql, [deadOf(lease)]), reset, "comes through");
  expect([written.size, rowCount]).toEqual([1, 0]);
  expect((await test.job(lease.jobId)).status).toBe("error");
  expect((await reset()).rowCount).toBe(1);
  expect(await settleJobs(test.database, [doneOf(lease)])).toEqual(new Set());
});

describe("a settlement whose first answer was lost", () => {
  const failure = { errorClass: "Error", message: "it failed", stack: null };
  const outcomes: Record<"done" | "retried" | "dead" | "released", Outcome> = {
    done: { kind: "done", result: null },
    retried: { kind: "retried", failure, delayMs: 0, timedOut: false, typeWaitsMs: null },
    dead: { kind: "dead", failure, timedOut: false, final: true },
    released: { kind: "released" },
  };
  const kinds = Object.keys(outcomes) as (keyof typeof outcomes)[]; // the keys above
  const settler = (): Settler => createSettler(test.database, () => undefined, 1000);
  const finished = (lease: Lease, kind: keyof typeof outcomes) => [{ job: claimed(lease), outcome: outcomes[kind], durationMs: 1 }];

  it.each(kinds)("and that had been written stands: %s", async (kind) => {
    const lease = await lostJob();
    await settler().settle(finished(lease, kind));
    const again = settler();
    await again.settle(finished(lease, kind), true);
    expect(again.tally).toMatchObject({ lost: 0, [kind]: 1 });
  });

  it.each(kinds.flatMap((kind) => [1, 3].map((attempts) => [kind, attempts] as const)))("and that had not been written is lost when the job was rescued meanwhile: %s, attempt %i of 3", async (kind, attempts) => {
    const lease = await lostJob();
    await test.pool.query("update outbox set attempts = $1", [attempts]);
    await rescueJobs(test.database, 100);
    const before = await test.job(lease.jobId);
    const again = settler();
    await again.settle(finished(lease, kind), true);
    expect(again.tally).toMatchObject({ lost: 1, [kind]: 0 });
    expect(await test.job(lease.jobId)).toEqual(before);
  });

  it.each(["done", "retried", "dead"] as const)("and that had not been written is lost when the job was reset by hand meanwhile: %s", async (kind) => {
    const lease = await lostJob();
    await test.pool.query("update outbox set status = 'pending'");
    const again = settler();
    await again.settle(finished(lease, kind), true);
    expect(again.tally).toMatchObject({ lost: 1, [kind]: 0 });
  });
});

describe("ctx.complete", () => {
  const complete = (database: Database, lease: Lease) =>
    completeJob(database, (work) => database.transaction(work), claimed(lease), async (tx) => {
      await tx.query("insert into effects values ($1)", [lease.jobId]);
      return { value: "complete", result: null };
    });
  const effects = async () => (await test.pool.query("select from effects")).rowCount;

  it("that comes first wins against the rescue", async () => {
    const lease = await lostJob();
    const [value, rescue] = await race((database) => complete(database, lease), () => rescueJobs(test.database, 100), "comes through");
    expect([value, rescue.returned, await effects()]).toEqual(["complete", 0, 1]);
    expect((await test.job(lease.jobId)).status).toBe("done");
  });

  it("that comes while the rescue is at it throws, and its effect is rolled back", async () => {
    const lease = await lostJob();
    const completing = () => complete(test.database, lease).catch((error: unknown) => error);
    const [, error] = await race((sql) => rescueJobs(sql, 100), completing, "waits");
    expect(error).toBeInstanceOf(LeaseLostError);
    expect(await effects()).toBe(0);
    expect(await test.job(lease.jobId)).toMatchObject({ status: "pending", suspect: true });
  });

  it("whose commit was cut off is not taken for committed when the job was rescued meanwhile", async () => {
    const lease = await lostJob();
    const cut: Database = {
      ...test.database,
      transaction: (work) =>
        test.database.transaction(async (tx) => {
          await work(tx);
          throw Object.assign(new Error("the connection broke at the commit"), { code: "ECONNRESET" });
        }).finally(() => rescueJobs(test.database, 100)), // prettier-ignore
    };
    await expect(complete(cut, lease)).rejects.toThrow("at the commit");
    expect(await effects()).toBe(0);
  });

  it("whose commit was carried out, but not answered, is complete", async () => {
    const lease = await lostJob();
    const cut: Database = {
      ...test.database,
      transaction: async (work) => {
        await test.database.transaction(work);
        throw Object.assign(new Error("the connection broke after the commit"), { code: "ECONNRESET" });
      },
    };
    expect(await complete(cut, lease)).toBe("complete");
    expect(await effects()).toBe(1);
  });
});

describe("beat against burial", () => {
  const silence = () => test.pool.query("update outbox_worker set beat_at = beat_at - interval '1 hour'");

  it("a beat that comes first keeps the worker alive", async () => {
    const worker = await aWorker();
    await silence();
    const [alive, buried] = await race((sql) => beat(sql, worker, []), () => buryWorkers(test.database), "waits");
    expect([alive, buried]).toEqual([true, []]);
    expect(await beat(test.database, worker, [])).toBe(true);
  });

  it("a beat that comes second is told of the burial", async () => {
    const worker = await aWorker();
    await silence();
    const [buried, alive] = await race((sql) => buryWorkers(sql), () => beat(test.database, worker, []), "waits");
    expect([buried.map(({ id }) => id), alive]).toEqual([[worker], false]);
  });

  it("a claim that is under way during the burial loses nothing: the next rescue finds what it has taken", async () => {
    const worker = await aWorker();
    const id = await test.aJob();
    await silence();
    const buryAndRescue = async () => [await buryWorkers(test.database), await rescueJobs(test.database, 100)] as const;
    const [jobs, [buried, rescue]] = await race((sql) => claimJobs(sql, { worker, token: 1 }, 1), buryAndRescue, "comes through");
    expect([jobs.length, buried.length, rescue.returned]).toEqual([1, 1, 0]);
    expect(await rescueJobs(test.database, 100)).toMatchObject({ returned: 1 });
    expect(await test.job(id)).toMatchObject({ status: "pending", attempts: 1, suspect: true });
  });
});

describe("claim against claim", () => {
  it("the second one passes over a row that the first one has locked, and takes the next", async () => {
    const [one, other] = [await aWorker(), await aWorker()];
    const [first, second] = [await test.aJob({ run_at: new Date(Date.now() - 60_000) }), await test.aJob({ run_at: new Date(Date.now() - 30_000) })];
    const [jobs, others] = await race((sql) => claimJobs(sql, { worker: one, token: 1 }, 1), () => claimJobs(test.database, { worker: other, token: 1 }, 1), "comes through");
    expect([jobs, others].map((taken) => taken.map(({ id }) => id))).toEqual([[first], [second]]);
  });

  it("a drain runs what is free although somebody holds the oldest jobs, more of them than a batch", async () => {
    for (let n = 0; n < 60; n += 1) await test.aJob({ payload: { n }, run_at: new Date(Date.now() - 60_000 + n) });
    const editor = await test.pool.connect();
    try {
      await editor.query("begin");
      await editor.query("update outbox set payload = payload where (payload ->> 'n')::int < 25");
      expect(await test.outbox.drain({ handlers: [worksBy(() => Promise.resolve())], batch: 20 })).toMatchObject({ done: 35 });
    } finally {
      await editor.query("rollback");
      editor.release();
    }
  });

  it("claims of one worker that are under way at once begin behind each other, or at the beginning when there is not as much", async () => {
    const worker = await aWorker();
    const ids: string[] = [];
    for (let n = 0; n < 5; n += 1) ids.push(await test.aJob({ run_at: new Date(Date.now() - 60_000 + n) }));
    const skipping = async (token: number, skip: number) => (await exchange(test.database, { worker, token }, [], [{ ...lane, skip }], 2)).jobs.map(({ job }) => job.id);
    expect(await skipping(1, 2)).toEqual([ids[2], ids[3]]);
    expect(await skipping(2, 2)).toEqual([ids[4]]);
    expect(await skipping(3, 20)).toEqual([ids[0], ids[1]]);
  });

  it("a claim passes over what is being edited, and takes it when that is over", async () => {
    const worker = await aWorker();
    const id = await test.aJob();
    const edit = (sql: Sql) => sql.query(`update outbox set payload = '{"n":1}' where id = $1`, [id]);
    const [, jobs] = await race(edit, () => claimJobs(test.database, { worker, token: 1 }, 1), "comes through");
    expect(jobs).toEqual([]);
    expect(await claimJobs(test.database, { worker, token: 2 }, 1)).toMatchObject([{ id, payload: { n: 1 }, attempt: 1 }]);
  });

  it("a claim takes a job to which somebody is just adding a row that refers to it", async () => {
    const worker = await aWorker();
    const id = await test.aJob();
    const other = await test.pool.connect();
    try {
      await other.query("begin");
      await other.query("insert into outbox_attempt (job_id, attempt, outcome) values ($1, 1, 'retried')", [id]);
      expect(await claimJobs(test.database, { worker, token: 1 }, 1)).toHaveLength(1);
    } finally {
      await other.query("rollback");
      other.release();
    }
  });

  it("1,000 rounds of two claimers on one row: one of them has it, every time", async () => {
    const workers = [await aWorker(), await aWorker()];
    const id = await test.aJob({ max_attempts: 10_000 });
    const wrong: number[] = [];
    for (let round = 1; round <= 1000; round += 1) {
      const claims = await Promise.all(workers.map((worker) => claimJobs(test.database, { worker, token: round }, 1)));
      if (claims.flat().length !== 1) wrong.push(round);
      await test.pool.query("update outbox set status = 'pending' where id = $1", [id]);
    }
    expect(wrong).toEqual([]);
    expect((await test.job(id)).attempts).toBe(1000);
  });
});

describe("settling with the next claim", () => {
  const jobs = 10_000;

  it("by 8 claimers of 10,000 jobs: each job once, no deadlock", async () => {
    await test.pool.query("insert into outbox (type, payload) select 'work', '{}' from generate_series(1, $1)", [jobs]);
    const taken: string[] = [];
    let lost = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const worker = await aWorker();
        let done: Lease[] = [];
        for (let token = 1; ; token += 1) {
          const answer = await exchange(test.database, { worker, token }, done.map((lease) => ({ lease, result: null })), [lane], 20);
          lost += answer.lost.size;
          const claims = answer.jobs.map(({ job }) => job);
          taken.push(...claims.map(({ id }) => id));
          if (claims.length === 0 && done.length === 0) return;
          done = claims.map(({ lease }) => lease);
        }
      }),
    );
    expect(lost).toBe(0);
    expect([taken.length, new Set(taken).size]).toEqual([jobs, jobs]);
    expect((await test.pool.query("select from outbox where status = 'done' and attempts = 1")).rowCount).toBe(jobs);
  });

  /** An operator changes a job that is running, then one that is pending, in one transaction; between the two a worker settles the first and claims. */
  async function betweenTwoChanges(sql: Sql): Promise<void> {
    const worker = await aWorker();
    const lease = { jobId: await test.aJob({ status: "processing", attempts: 1, locked_by: worker, lease_token: 1 }), worker, token: 1 };
    const pending = await test.aJob();
    const operator = await test.pool.connect();
    try {
      await operator.query("begin");
      await operator.query(`update outbox set payload = '{"n":1}' where id = $1`, [lease.jobId]);
      const exchanging = exchange(sql, { worker, token: 2 }, [{ lease, result: null }], [lane], 5);
      exchanging.catch(() => undefined); // awaited below
      await waiting(1);
      await operator.query(`update outbox set payload = '{"n":2}' where id = $1`, [pending]);
      await operator.query("commit");
      const { lost } = await exchanging;
      expect(lost.size).toBe(0);
      expect((await test.job(lease.jobId)).status).toBe("done");
    } finally {
      await operator.query("rollback");
      operator.release();
    }
  }

  it("holds no lock of a claim while it waits to settle, so nobody can stand in a ring with it", async () => {
    await betweenTwoChanges(test.database);
  });

  it("the other way round, the claim before the settlement, the test above would see a deadlock", async () => {
    const changes = [
      ["with done as", "with recursive done as"],
      ["(select lost is not null from settlement)", "true"],
      ["where outbox.id", "where (select count(*) from picked) >= 0 and outbox.id"],
    ] as const;
    const reversed: Sql = {
      query(text, values) {
        for (const [was] of changes) expect(text).toContain(was);
        return test.database.query(changes.reduce((changed, [was, is]) => changed.replace(was, is), text), values);
      },
    };
    await expect(betweenTwoChanges(reversed)).rejects.toThrow("deadlock");
  });
});
