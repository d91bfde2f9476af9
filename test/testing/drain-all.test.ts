// drainAll runs everything, and overlooks nothing that a test should know of.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Handler } from "postcommit";
import { createOutbox, defineJob, FinalError, handle } from "postcommit";
import type { TestOutbox, TestOutboxOptions } from "postcommit/testing";
import { testOutbox } from "postcommit/testing";
import { root, start } from "../support/cli.ts";
import type { TestDatabase } from "../support/database.ts";
import { testDatabase } from "../support/database.ts";

let db: TestDatabase;
let outbox: TestOutbox;
beforeAll(async () => {
  db = await testDatabase();
  outbox = testOutbox({ connection: db.url });
});
afterAll(async () => {
  await outbox.close();
  await db.close();
});
beforeEach(() => outbox.clear());
const opened: TestOutbox[] = [];
afterEach(() => Promise.all(opened.splice(0).map((each) => each.close())));

/** An outbox over the same database, with these handlers. */
function over(handlers: Handler[] | string, more: Partial<TestOutboxOptions> = {}): TestOutbox {
  const made = testOutbox({ connection: db.url, handlers, ...more });
  opened.push(made);
  return made;
}

async function messageOf(failing: Promise<unknown>): Promise<string> {
  const error: unknown = await failing.then(
    () => new Error("it did not throw"),
    (reason: unknown) => reason,
  );
  return (error as Error).message; // the assertion says which
}

const step = defineJob<{ left: number }>({ type: "step" });
const other = defineJob<{ n: number }>({ type: "other", retry: { delays: ["1h"] } });

/** Each enqueues the next until none is left. */
const steps = handle(step, async ({ left }, ctx) => {
  await ctx.complete(async (tx) => {
    if (left > 0) await ctx.enqueue(tx, step, { left: left - 1 });
  });
});

it("everything that is due runs, and everything that is enqueued by that; what is due later does not", async () => {
  const run = over([steps, handle(other, () => Promise.resolve({ ok: true }))]);
  await run.enqueueAlone(step, { left: 4 });
  await run.enqueueAlone(other, { n: 1 }, { delay: "1h" });
  expect(await run.drainAll()).toMatchObject({ done: 5, retried: 0, dead: 0, stopReason: "empty", failures: [] });
  expect((await run.jobs(step)).map(({ status, payload }) => [status, payload.left])).toEqual([4, 3, 2, 1, 0].map((left) => ["done", left]));
  expect(await run.jobs(other)).toMatchObject([{ status: "pending", attempts: 0, result: null, payload: { n: 1 } }]);
  await run.advance("1h");
  expect(await run.drainAll()).toMatchObject({ done: 1 });
  expect(await run.jobs(other)).toMatchObject([{ status: "done", attempts: 1, result: { ok: true } }]);
});

it("with nothing to do it does nothing, also without any handler", async () => {
  expect(await outbox.drainAll()).toMatchObject({ done: 0, stopReason: "empty" });
});

describe("an attempt that fails", () => {
  const fails = handle(other, ({ n }) => Promise.reject(n === 1 ? new TypeError("no such customer") : new FinalError("the card is stolen")));

  it("is thrown once everything has run, with its type, job and error, whose stack is the cause's", async () => {
    const run = over([fails, steps]);
    const { id } = await run.enqueueAlone(other, { n: 1 });
    await run.enqueueAlone(other, { n: 2 });
    await run.enqueueAlone(step, { left: 0 });
    const error = (await run.drainAll().catch((reason: unknown) => reason)) as Error;
    expect(error.message).toContain("Expected every attempt to succeed, but 2 failed:\n");
    expect(error.message).toContain(`  - other ${id}, attempt 1 (retried): TypeError: no such customer\n`);
    expect(error.message).toContain("(dead): FinalError: the card is stolen\n");
    expect(error.message).toContain('drainAll({ failures: "report" })');
    expect((error.cause as Error).stack).toContain("drain-all.test.ts");
    expect(await run.jobs(step)).toMatchObject([{ status: "done" }]);
  });

  it("is in the report when the test expects it; only what this drain ran is", async () => {
    const run = over([fails]);
    await run.enqueueAlone(other, { n: 1 });
    const report = await run.drainAll({ failures: "report" });
    expect(report).toMatchObject({ retried: 1, failures: [{ type: "other", attempt: 1, outcome: "retried" }] });
    expect(report.failures[0]?.error).toMatchObject({ name: "TypeError", message: "no such customer" });
    expect(await run.drainAll()).toMatchObject({ retried: 0, failures: [] });
    await run.advance("1h"); // the backoff
    expect((await run.drainAll({ failures: "report" })).failures).toMatchObject([{ attempt: 2, outcome: "dead" }]);
  });

  it("after ctx.complete has committed is thrown too, although the job is done", async () => {
    const run = over([handle(other, async (_, ctx) => { await ctx.complete(() => Promise.resolve()); throw new Error("too late"); })]); // prettier-ignore
    await run.enqueueAlone(other, { n: 1 });
    expect(await messageOf(run.drainAll())).toMatch(/other .*, attempt 1 \(completed\): Error: too late/);
  });

  it("a snoozed job has not failed", async () => {
    const run = over([handle(other, (_, ctx) => Promise.resolve(ctx.attempt === 1 && ctx.job.checkpoint === null ? ctx.snooze("1h") : null))]);
    await run.enqueueAlone(other, { n: 1 });
    expect(await run.drainAll()).toMatchObject({ done: 0, failures: [] });
  });
});

describe("what has no end", () => {
  it("a handler that enqueues its own type is stopped, and named", async () => {
    const run = over([handle(step, async (_, ctx) => { await ctx.complete((tx) => ctx.enqueue(tx, step, { left: 1 })); })]); // prettier-ignore
    await run.enqueueAlone(step, { left: 1 });
    expect(await messageOf(run.drainAll({ maxJobs: 30 }))).toMatch(/^Expected nothing to be due after 30 attempts, but there still is: it looks like a loop\. What ran: 30 × step\. Does a handler enqueue its own type/);
  });

  it("as many jobs as maxJobs says are no loop", async () => {
    const run = over([steps]);
    await run.enqueueAlone(step, { left: 9 });
    expect(await run.drainAll({ maxJobs: 10 })).toMatchObject({ done: 10 });
  });

  it("a handler that never settles is given back when the time is over, and named", async () => {
    const run = over([handle(other, () => new Promise(() => undefined))]);
    const { id } = await run.enqueueAlone(other, { n: 1 });
    expect(await messageOf(run.drainAll({ maxTime: "500ms" }))).toBe(`Expected all jobs to be done within 500ms, but they were not: other ${id} still ran and had to be given back. If they are only slow, raise maxTime.`);
  });
});

describe("what does not run", () => {
  it("a due job without a handler is an error, one that is due later is none", async () => {
    const run = over([steps]);
    await run.enqueueAlone(other, { n: 1 }, { delay: "1h" });
    await run.drainAll();
    await run.enqueueAlone(other, { n: 2 });
    expect(await messageOf(run.drainAll())).toBe('Expected a handler for "other", of which 1 due job waits, got none. Add one to testOutbox\'s handlers, or say which types are to run: drainAll({ types: ["step"] }).');
    expect(await run.drainAll({ types: ["step"] })).toMatchObject({ done: 0 });
  });

  it("what a rate limit holds back is an error, and runs when time has passed; what is paused is the test's own doing", async () => {
    const limited = defineJob({ type: "limited", rateLimit: { limit: 2, per: "10m" } });
    const run = over([handle(limited, () => Promise.resolve())]);
    for (let n = 0; n < 3; n += 1) await run.enqueueAlone(limited, {});
    expect(await messageOf(run.drainAll())).toMatch(/^Expected no job to be left, but 1 of "limited" wait for the limits of that type\. Let time pass in between/);
    await run.advance("10m");
    expect(await run.drainAll()).toMatchObject({ done: 1 });
    await run.pause("limited");
    await run.enqueueAlone(limited, {});
    expect(await run.drainAll()).toMatchObject({ done: 0, stopReason: "paused", remaining: 1 });
  });

  it("what a circuit breaker holds back is an error too, and is tried when time has passed", async () => {
    const down = defineJob({ type: "down", breaker: { failures: 1, pause: "10m" }, retry: () => 0 });
    let isDown = true;
    const run = over([handle(down, () => (isDown ? Promise.reject(new Error("503")) : Promise.resolve()))]);
    await run.enqueueAlone(down, {});
    expect(await messageOf(run.drainAll({ failures: "report" }))).toMatch(/^Expected no job to be left, but 1 of "down" wait for its circuit breaker, which is open\./);
    isDown = false;
    await run.advance("10m");
    expect(await run.drainAll()).toMatchObject({ done: 1 });
  });
});

describe("a folder of handlers", () => {
  let folder: string;
  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), "drain-all-")), "handlers");
    await mkdir(folder);
  });
  afterEach(() => rm(join(folder, ".."), { recursive: true }));
  const define = `import { defineJob, handle } from "${pathToFileURL(join(root, "src/index.ts")).href}";\n`;

  it("is run as outbox.config.ts would have it", async () => {
    await writeFile(join(folder, "invoice.remind.ts"), `${define}export default handle(defineJob({ type: "invoice.remind" }), async () => "reminded");`);
    const run = over(folder);
    await run.enqueueAlone(defineJob({ type: "invoice.remind" }), {});
    expect(await run.drainAll()).toMatchObject({ done: 1 });
    expect(await run.jobs()).toMatchObject([{ type: "invoice.remind", result: "reminded" }]);
  });

  it("is checked whole: a file that does not load is found although there is no job for it", async () => {
    await writeFile(join(folder, "invoice.remind.ts"), `${define}export default handle(defineJob({ type: "invoice.send" }), async () => 1);`);
    expect(await messageOf(over(folder).drainAll())).toContain('Expected handlers/invoice.remind.ts to have the handler of "invoice.remind"');
  });
});

describe("a database of the test's own", () => {
  /** A process that registers a worker with a lease of an hour, which it cannot take out again when it is killed. */
  const worker = (lives: boolean) =>
    start(process.execPath, ["--input-type=module", "-e", `
      import { hostname } from "node:os";
      import pg from "pg";
      const client = new pg.Client({ connectionString: process.env.TEST_URL });
      await client.connect();
      await client.query("insert into outbox_worker (id, host, pid, version, types, lease_ms) values (gen_random_uuid(), $1, $2, 'test', '{}', 3600000)", [hostname(), process.pid]);
      await client.end();
      console.log("registered");
      ${lives ? "setInterval(() => undefined, 1000);" : ""}
    `], { TEST_URL: db.url }); // prettier-ignore
  afterEach(() => db.pool.query("delete from outbox_worker"));

  it("a worker of another process on it is refused before anything is run, moved or deleted", async () => {
    await outbox.enqueueAlone(other, { n: 1 });
    const another = worker(true);
    await another.seen("registered");
    try {
      for (const refused of [() => outbox.clear(), () => outbox.advance("1d"), () => outbox.drainAll()]) {
        expect(await messageOf(refused())).toMatch(new RegExp(`to have the database to itself, but a worker or drain of another process runs on it \\(process ${another.child.pid} on .*\\)\\. Give every test process a database of its own`));
      }
      expect(await outbox.jobs()).toHaveLength(1);
    } finally {
      another.child.kill("SIGKILL");
      await another.ended;
    }
  });

  it("one that a killed test run has left behind is nobody", async () => {
    await worker(false).ended;
    await outbox.drainAll();
    await outbox.clear();
  });

  it("clear leaves nothing behind, whatever was there, and does not wait for a transaction that is open", async () => {
    const client = await db.pool.connect();
    try {
      await client.query("begin");
      await client.query("select * from outbox");
      await outbox.enqueueAlone(other, { n: 1 }, { orderingKey: "k", dedupeKey: "d" });
      await outbox.enqueueAlone(step, { left: 0 }, { orderingKey: "k" });
      await outbox.pause("other");
      await outbox.clear();
      const { rows } = await db.pool.query("select id from outbox union all select null from outbox_type union all select null from outbox_unpromoted");
      expect(rows).toEqual([]);
    } finally {
      await client.query("rollback");
      client.release();
    }
  });
});

it("the code under test may be given it in place of its own outbox", async () => {
  const own = createOutbox({ connection: db.url });
  try {
    const enqueue = (given: typeof own) => given.enqueueAlone(other, { n: 1 });
    await enqueue(own);
    await enqueue(outbox);
    expect(await outbox.jobs(other)).toHaveLength(2);
  } finally {
    await own.close();
  }
});

it("a connection that is not there is refused with what is probably missing", () => {
  expect(() => testOutbox({ connection: undefined as never })).toThrow("Expected connection to be the URL of the test's Postgres, got undefined. Is DATABASE_URL set for tests?");
});
