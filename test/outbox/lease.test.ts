import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { defineJob, handle, LeaseLostError } from "../../src/index.ts";
import { claimSuspect, unclaim } from "../../src/outbox/store/claim.ts";
import { settleJobs } from "../../src/outbox/store/settle.ts";
import { beat, buryWorkers, registerWorker, rescueJobs } from "../../src/outbox/store/workers.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, worksBy, claimJobs } from "../support/outbox.ts";
import { until } from "../support/until.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(() => test.empty());

const succeeds = worksBy(() => Promise.resolve());
/** Lets every worker that is registered fall silent, as a killed process does. */
const silenceWorkers = () => test.pool.query("update outbox_worker set beat_at = beat_at - interval '1 hour'");
/** A job in the hands of a worker that has no row. */
const orphan = (columns: Record<string, unknown> = {}) => test.aJob({ status: "processing", attempts: 1, locked_by: randomUUID(), lease_token: 1, started_at: new Date(), ...columns });

describe("a worker whose lease has expired", () => {
  it("cannot complete the job, and the one that took it over can", async () => {
    const id = await test.aJob();
    const claimed = barrier();
    const overtaken = barrier();
    const zombie = test.outbox.drain({
      handlers: [worksBy(async () => { claimed.open(); await overtaken.reached; return "zombie"; })], // prettier-ignore
    });
    await claimed.reached;
    await silenceWorkers();
    expect(await test.outbox.drain({ handlers: [worksBy(() => Promise.resolve("successor"))] })).toMatchObject({ done: 1 });
    overtaken.open();
    expect(await zombie).toMatchObject({ done: 0, lost: 1 });
    expect(await test.job(id)).toMatchObject({ status: "done", result: "successor", attempts: 2 });
    expect(await test.attempts(id)).toMatchObject([{ attempt: 1, outcome: "lost" }]);
    expect(test.events.filter(({ event }) => event === "job_done")).toHaveLength(1);
  });

  it("cannot complete it while the successor still runs, nor fail it", async () => {
    const id = await test.aJob();
    const [claimed, overtaken, successorRuns, zombieIsThrough] = [barrier(), barrier(), barrier(), barrier()];
    const zombie = test.outbox.drain({ handlers: [worksBy(async () => { claimed.open(); await overtaken.reached; throw new Error("zombie"); })] }); // prettier-ignore
    await claimed.reached;
    await silenceWorkers();
    const successor = test.outbox.drain({ handlers: [worksBy(async () => { successorRuns.open(); await zombieIsThrough.reached; })] }); // prettier-ignore
    await successorRuns.reached;
    overtaken.open();
    expect(await zombie).toMatchObject({ retried: 0, lost: 1 });
    expect(await test.job(id)).toMatchObject({ status: "processing", attempts: 2 });
    zombieIsThrough.open();
    expect(await successor).toMatchObject({ done: 1 });
  });

  it("takes nothing more under its old name", async () => {
    await test.aJob();
    const gone = { worker: randomUUID(), token: 1 };
    expect(await claimJobs(test.database, gone, 20)).toEqual([]);
    expect((await test.jobs())[0]).toMatchObject({ status: "pending", attempts: 0 });
  });

  it("again and again keeps nothing of the names it has had", async () => {
    const warnings: string[] = [];
    const onWarning = ({ name }: Error) => warnings.push(name);
    process.on("warning", onWarning);
    const worker = test.outbox.worker({ handlers: [succeeds], lease: "1s", pollMs: 20 });
    const working = worker.start();
    const lost = () => test.events.filter(({ event }) => event === "worker_lost_lease").length;
    try {
      // Node warns of the eleventh listener on one signal.
      for (let times = 1; times <= 11; times += 1) {
        await until("it has a row", async () => (await test.pool.query("delete from outbox_worker")).rowCount === 1);
        await until("it has noticed", () => lost() === times);
      }
    } finally {
      await worker.stop();
      await working;
      process.off("warning", onWarning);
    }
    expect(warnings).toEqual([]);
  });

  it("notices, tells its handlers by the signal, and goes on under a new name", async () => {
    const first = await test.aJob({ payload: { n: 1 } });
    const claimed = barrier();
    let reason = "";
    const handler = worksBy(async ({ n }, { signal, attempt }) => {
      if (n !== 1 || attempt > 1) return;
      claimed.open();
      await new Promise((_, reject) => signal.addEventListener("abort", () => { reason = String(signal.reason); reject(new Error("aborted")); })); // prettier-ignore
    });
    const draining = test.outbox.drain({ handlers: [handler], lease: "1s" });
    await claimed.reached;
    await test.pool.query("delete from outbox_worker");
    expect(await draining).toMatchObject({ done: 1, lost: 1 });
    expect(reason).toContain("buried");
    expect(await test.job(first)).toMatchObject({ status: "done", attempts: 2 });
    expect(test.events.map(({ event }) => event)).toContain("worker_lost_lease");
  });
});

describe("the fence", () => {
  it("is worker, token and status: with any of them wrong nothing is written, not even to the ledger", async () => {
    const worker = randomUUID();
    const jobId = await test.aJob({ status: "processing", attempts: 1, locked_by: worker, lease_token: 5 });
    const done = { status: "done", delayMs: null, counted: true, result: '"stale"', entry: { outcome: "dead", errorClass: "E", message: "m", stack: null } } as const;
    expect(await settleJobs(test.database, [{ ...done, lease: { jobId, worker, token: 4 } }])).toEqual(new Set());
    expect(await settleJobs(test.database, [{ ...done, lease: { jobId, worker: randomUUID(), token: 5 } }])).toEqual(new Set());
    await test.pool.query("update outbox set status = 'pending'");
    expect(await settleJobs(test.database, [{ ...done, lease: { jobId, worker, token: 5 } }])).toEqual(new Set());
    expect(await test.job(jobId)).toMatchObject({ status: "pending", result: null });
    expect(await test.attempts(jobId)).toEqual([]);
  });

  it("holds against a reset by hand in the middle of an attempt", async () => {
    const id = await test.aJob();
    let runs = 0;
    const handler = worksBy(async () => {
      runs += 1;
      if (runs === 1) await test.pool.query("update outbox set status = 'pending' where id = $1", [id]);
      return runs;
    });
    expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 1, lost: 1 });
    expect(await test.job(id)).toMatchObject({ status: "done", result: 2, attempts: 2 });
  });
});

describe("ctx.complete", () => {
  const notify = (id: string) => ({ text: "insert into notification (user_id, type, message, job_id) values ('u', 't', 'm', $1)", values: [id] });
  const notifications = async () => (await test.pool.query("select from notification")).rowCount;

  it("commits the handler's writes and the completion together, and what it names is the result", async () => {
    const id = await test.aJob();
    await test.outbox.drain({
      handlers: [
        worksBy((_, ctx) =>
          ctx.complete(
            async (tx) => {
              await tx.query(notify(id).text, notify(id).values);
              return 42;
            },
            (value) => ({ value }),
          ),
        ),
      ],
    });
    expect(await notifications()).toBe(1);
    expect(await test.job(id)).toMatchObject({ status: "done", result: { value: 42 } });
  });

  it("rolls the handler's writes back when the lease was lost on the way", async () => {
    const id = await test.aJob();
    let refused: unknown;
    const handler = worksBy(async (_, ctx) => {
      if (ctx.attempt === 1) await test.pool.query("update outbox set status = 'pending' where id = $1", [id]);
      await ctx
        .complete((tx) => tx.query(notify(id).text, notify(id).values))
        .catch((error: unknown) => {
          refused = error;
          throw error;
        });
    });
    expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 1, lost: 1 });
    expect(refused).toBeInstanceOf(LeaseLostError);
    expect(await notifications()).toBe(1);
  });

  it("rolls back when its own work fails, and the job is tried again", async () => {
    const id = await test.aJob();
    const handler = worksBy((_, ctx) =>
      ctx.complete(async (tx) => {
        await tx.query(notify(id).text, notify(id).values);
        throw new Error("half way");
      }),
    );
    expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ retried: 1 });
    expect(await notifications()).toBe(0);
  });

  it("an error after it does not undo it, and is told", async () => {
    const id = await test.aJob();
    const handler = worksBy(async (_, ctx) => {
      await ctx.complete(() => Promise.resolve());
      throw new Error("too late");
    });
    expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 1, retried: 0 });
    expect((await test.job(id)).status).toBe("done");
    expect(test.events.map(({ event }) => event)).toContain("job_failed_after_completion");
  });

  it("that is committing when the time limit is reached is waited for, and the job is done", async () => {
    await test.pool.query(`
      create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(0.6); return null; end $$;
      create constraint trigger dawdle after insert on notification deferrable initially deferred for each row execute function dawdle()`);
    try {
      const hurried = defineJob({ type: "hurried", timeout: "200ms" });
      const id = await test.aJob({ type: "hurried" });
      const handler = handle(hurried, (_, ctx) => ctx.complete((tx) => tx.query(notify(id).text, notify(id).values)));
      expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 1, retried: 0, lost: 0 });
      expect(await test.job(id)).toMatchObject({ status: "done", attempts: 1 });
      expect(await notifications()).toBe(1);
    } finally {
      await test.pool.query("drop trigger dawdle on notification; drop function dawdle()");
    }
  });

  it("whose await was forgotten is waited for, and one whose error was swallowed fails the attempt all the same", async () => {
    const forgotten = await test.aJob({ payload: { n: 1 } });
    const swallowed = await test.aJob({ payload: { n: 2 } });
    const handler = worksBy(async ({ n }, ctx) => {
      if (n === 1) void ctx.complete((tx) => tx.query(notify(forgotten).text, notify(forgotten).values));
      else await ctx.complete((tx) => tx.query("insert into no_such_table values (1)")).catch(() => undefined);
    });
    expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 1, retried: 1, lost: 0 });
    expect(await notifications()).toBe(1);
    expect((await test.job(forgotten)).status).toBe("done");
    expect((await test.job(swallowed)).last_error).toContain("no_such_table");
  });

  it("twice in one attempt is refused", async () => {
    await test.aJob();
    let sentence = "";
    const handler = worksBy(async (_, ctx) => {
      await ctx.complete(() => Promise.resolve());
      await ctx.complete(() => Promise.resolve()).catch((error: unknown) => (sentence = String(error)));
    });
    await test.outbox.drain({ handlers: [handler] });
    expect(sentence).toContain("called after ctx.complete");
  });
});

describe("the rescue", () => {
  it("returns the jobs of a worker that is gone, with the attempt counted, and the next drain runs them", async () => {
    const id = await orphan();
    expect(await test.outbox.drain({ handlers: [succeeds] })).toMatchObject({ done: 1 });
    expect(await test.job(id)).toMatchObject({ status: "done", attempts: 2, suspect: false });
    expect(await test.attempts(id)).toMatchObject([{ attempt: 1, outcome: "lost", error_class: "WorkerDied" }]);
  });

  it("makes a dead letter of a job whose attempts are used up", async () => {
    const id = await orphan({ attempts: 3 });
    expect(await test.outbox.drain({ handlers: [succeeds] })).toMatchObject({ done: 0, dead: 1 });
    expect(await test.job(id)).toMatchObject({ status: "error", attempts: 3, last_error: "WorkerDied: the worker died during attempt 3 of 3" });
  });

  it("leaves the jobs of living workers alone", async () => {
    const worker = randomUUID();
    await registerWorker(test.database, { id: worker, host: "h", pid: 1, version: "test", types: ["work"], versions: [1], leaseMs: 30_000 });
    const id = await orphan({ locked_by: worker });
    expect(await test.outbox.drain({ handlers: [succeeds] })).toMatchObject({ done: 0, dead: 0 });
    expect((await test.job(id)).status).toBe("processing");
  });

  it("buries a silent worker, after which it cannot beat any more; a beat in time keeps it alive", async () => {
    const [silent, alive] = [randomUUID(), randomUUID()];
    for (const id of [silent, alive]) await registerWorker(test.database, { id, host: "h", pid: 1, version: "test", types: [], versions: [], leaseMs: 30_000 });
    await silenceWorkers();
    expect(await beat(test.database, alive, [])).toBe(true);
    expect((await buryWorkers(test.database)).map(({ id }) => id)).toEqual([silent]);
    expect(await beat(test.database, silent, [])).toBe(false);
    expect(await beat(test.database, alive, [])).toBe(true);
  });

  it("goes in bounded steps through however many there are", async () => {
    await test.pool.query("insert into outbox (type, payload, status, attempts, locked_by, lease_token) select 'nobody', '{}', 'processing', 1, gen_random_uuid(), 1 from generate_series(1, 250)");
    expect(await rescueJobs(test.database, 100)).toMatchObject({ returned: 100 });
    await test.outbox.drain({ handlers: [succeeds] });
    expect(await test.outbox.counts()).toMatchObject({ pending: 250, processing: 0 });
  });

  it("after a death the suspects run alone, so a poison job does not burn its neighbours' attempts", async () => {
    for (let n = 0; n < 3; n += 1) await orphan({ payload: { n } });
    for (let n = 10; n < 15; n += 1) await test.aJob({ payload: { n } });
    let running = 0;
    const companions: number[] = [];
    const handler = worksBy(async ({ n = 0 }) => {
      running += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (n < 3) companions.push(running - 1);
      running -= 1;
    });
    expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 8 });
    expect(companions).toEqual([0, 0, 0]);
  });

  it("suspects are not taken by an ordinary claim, however it comes", async () => {
    const worker = randomUUID();
    await registerWorker(test.database, { id: worker, host: "h", pid: 1, version: "test", types: ["work"], versions: [1], leaseMs: 30_000 });
    const id = await test.aJob({ suspect: true });
    expect(await claimJobs(test.database, { worker, token: 1 }, 20)).toEqual([]);
    expect((await claimSuspect(test.database, { worker, token: 2 }, ["work"])).map((job) => job.id)).toEqual([id]);
  });

  it("two at once return each job once", async () => {
    await test.pool.query("insert into outbox (type, payload, status, attempts, locked_by, lease_token) select 'work', '{}', 'processing', 1, gen_random_uuid(), 1 from generate_series(1, 80)");
    const rescues = await Promise.all(Array.from({ length: 4 }, () => rescueJobs(test.database, 100)));
    expect(rescues.reduce((sum, { returned }) => sum + returned, 0)).toBe(80);
    expect((await test.pool.query("select from outbox_attempt")).rowCount).toBe(80);
  });
});

it("what a claim took whose answer was lost is given back uncounted", async () => {
  const worker = randomUUID();
  await registerWorker(test.database, { id: worker, host: "h", pid: 1, version: "test", types: ["work"], versions: [1], leaseMs: 30_000 });
  const id = await test.aJob();
  const other = await test.aJob();
  await claimJobs(test.database, { worker, token: 7 }, 1);
  await claimJobs(test.database, { worker, token: 8 }, 1);
  expect(await unclaim(test.database, worker, 7)).toBe(1);
  const both = [await test.job(id), await test.job(other)];
  expect(both.map(({ status, attempts }) => [status, attempts]).sort()).toEqual([["pending", 0], ["processing", 1]]);
});

it("a claim never takes more than its limit, however many lanes there are", async () => {
  const worker = randomUUID();
  await registerWorker(test.database, { id: worker, host: "h", pid: 1, version: "test", types: [], versions: [], leaseMs: 30_000 });
  const types = ["a", "b", "c", "d"];
  const lanes = types.flatMap((type) => [2, 1, 0].map((priority) => ({ type, priority })));
  for (const type of types) for (let n = 0; n < 10; n += 1) await test.aJob({ type, priority: n % 3 });
  for (let token = 1; token <= 6; token += 1) expect((await claimJobs(test.database, { worker, token }, 7, lanes)).length).toBe(token < 6 ? 7 : 5);
  expect(await test.outbox.counts()).toMatchObject({ processing: 40, pending: 0 });
});
