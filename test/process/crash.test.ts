// What survives the end of a process: real children, real signals.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { notificationSend } from "../../src/jobs.ts";
import { appCli, cli, launcher, start } from "../support/cli.ts";
import { clearEvidence, layEvidence, violations } from "../support/evidence.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
let env: Record<string, string>;
beforeAll(async () => {
  test = await testOutbox();
  env = { DATABASE_URL: test.url };
  await layEvidence(test.pool);
});
afterAll(() => test.close());
beforeEach(() => clearEvidence(test.pool));
afterEach(async () => expect(await violations(test.pool, { atRest: false })).toEqual([]));

const aJob = (then: string, columns: Record<string, unknown> = {}) => test.aJob({ type: "effect", payload: { then }, ...columns });
const effects = async () => (await test.pool.query<{ job: string; attempt: number; key: string }>("select * from effects order by attempt, job")).rows;
const until = async (what: string, condition: () => Promise<boolean>) => {
  const deadline = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what} did not happen within 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
};
/** The lease of whoever was killed is over. */
const leaseIsOver = () => test.pool.query("update outbox_worker set beat_at = beat_at - interval '1 hour'");

describe("kill -9 in the middle of a batch", () => {
  it("what was done stays done; the rest runs again with the same idempotency key and a counted attempt", async () => {
    for (let n = 0; n < 3; n += 1) await aJob("return", { priority: 10 });
    const hanging = [await aJob("hang"), await aJob("hang")];
    const drain = appCli(["jobs:drain"], env);
    await until("all five have begun and three are done", async () => (await effects()).length === 5 && (await test.outbox.counts()).done === 3);
    drain.child.kill("SIGKILL");
    await drain.ended;
    expect(await test.outbox.counts()).toMatchObject({ done: 3, processing: 2 });

    await leaseIsOver();
    await test.pool.query(`update outbox set payload = '{"then":"return"}'`);
    expect((await appCli(["jobs:drain"], env).ended).code).toBe(0);
    expect(await test.outbox.counts()).toMatchObject({ done: 5, processing: 0 });
    const again = (await effects()).filter(({ attempt }) => attempt === 2);
    expect(again.map(({ job }) => job).sort()).toEqual([...hanging].sort());
    expect((await effects()).every(({ job, key }) => key === job)).toBe(true);
    for (const id of hanging) expect(await test.attempts(id)).toMatchObject([{ attempt: 1, outcome: "lost" }]);
  });
});

it("kill -9 between the notification's write and its completion leaves it once, not never and not twice", async () => {
  // The insert waits at its end for a lock that this test holds: written, not yet completed.
  await test.pool.query(`
    create function hold() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(42); return null; end $$;
    create trigger hold after insert on notification for each row execute function hold()`);
  const { id } = await test.outbox.enqueueAlone(notificationSend, { userId: "ada", type: "greeting", message: "hello" });
  const client = await test.pool.connect();
  await client.query("select pg_advisory_lock(42)");
  const drain = start(process.execPath, [launcher, "jobs:drain"], env);
  await until("the insert waits", async () => (await test.pool.query("select from pg_stat_activity where wait_event = 'advisory' and datname = current_database()")).rowCount === 1);
  drain.child.kill("SIGKILL");
  await drain.ended;
  await client.query("select pg_advisory_unlock(42)");
  client.release();
  await until("the killed transaction is rolled back", async () => (await test.pool.query("select from pg_stat_activity where application_name = 'postcommit' and state <> 'idle' and datname = current_database() and pid <> pg_backend_pid() and query ilike '%notification%'")).rowCount === 0);
  expect((await test.pool.query("select from notification")).rowCount).toBe(0);
  expect(await test.job(id)).toMatchObject({ status: "processing", attempts: 1 });

  await leaseIsOver();
  expect((await cli(["jobs:drain"], env)).code).toBe(0);
  const { rows } = await test.pool.query("select user_id, message, job_id from notification");
  expect(rows).toEqual([{ user_id: "ada", message: "hello", job_id: id }]);
  expect(await test.job(id)).toMatchObject({ status: "done", attempts: 2 });
});

describe("a handler that ends the process", () => {
  it("with process.exit(0) never makes the drain look well, is a dead letter after its attempts, and its neighbours are done", async () => {
    const poison = await aJob("exit", { max_attempts: 2 });
    const neighbours = [await aJob("return"), await aJob("return")];
    const codes: (number | null)[] = [];
    for (let round = 0; round < 4 && (await test.job(poison)).status !== "error"; round += 1) {
      const { code, stderr } = await appCli(["jobs:drain"], env).ended;
      codes.push(code);
      if (code !== 3) expect(stderr).toContain("ended from inside");
      await leaseIsOver();
    }
    expect(codes).not.toContain(0);
    await appCli(["jobs:drain"], env).ended;
    expect(await test.job(poison)).toMatchObject({ status: "error", attempts: 2 });
    for (const id of neighbours) {
      expect((await test.job(id)).status).toBe("done");
      expect((await test.job(id)).attempts).toBeLessThanOrEqual(2);
    }
  });

  it("a promise it forgot and that rejects does not end it", async () => {
    const id = await aJob("reject-later");
    const other = await aJob("return");
    const { code, stderr } = await appCli(["jobs:drain"], env).ended;
    expect(code).toBe(0);
    expect(stderr).toContain("nobody awaits this");
    expect([await test.job(id), await test.job(other)].map(({ status }) => status)).toEqual(["done", "done"]);
  });
});

describe("SIGTERM", () => {
  it("in the middle of a batch: nothing more is claimed, what exceeds the grace is given back uncounted, exit 0", async () => {
    const hangs = await aJob("hang", { priority: 10 });
    const later = await aJob("return");
    const drain = appCli(["jobs:drain", "--concurrency", "1", "--drain-timeout", "300ms", "--json"], env);
    await until("the first has begun", async () => (await effects()).length === 1);
    drain.child.kill("SIGTERM");
    const { code, stdout } = await drain.ended;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ done: 0, released: 1, remaining: 2, stopReason: "signal" });
    for (const id of [hangs, later]) expect(await test.job(id)).toMatchObject({ status: "pending", attempts: 0 });
  });

  it("a handler that ignores the signal does not keep the process alive", async () => {
    await aJob("ignore-signal");
    const drain = appCli(["jobs:drain", "--drain-timeout", "300ms"], env);
    await until("it has begun", async () => (await effects()).length === 1);
    drain.child.kill("SIGTERM");
    expect((await drain.ended).code).toBe(0);
  });

  it("a second one ends it at once, with 143, and the job is rescued", async () => {
    const id = await aJob("hang");
    const worker = appCli(["jobs:worker"], { ...env, LOG_FORMAT: "text" });
    await until("it has begun", async () => (await effects()).length === 1);
    worker.child.kill("SIGTERM");
    await worker.seen("Stopping on SIGTERM");
    worker.child.kill("SIGTERM");
    expect((await worker.ended).code).toBe(143);
    await leaseIsOver();
    await test.pool.query(`update outbox set payload = '{"then":"return"}'`);
    await appCli(["jobs:drain"], env).ended;
    expect(await test.job(id)).toMatchObject({ status: "done", attempts: 2 });
  });

  it("reaches the worker through npm, which leaves and takes its row with it", async () => {
    const worker = start("npm", ["run", "-s", "start:worker"], env);
    await worker.seen("worker started");
    await until("it is registered", async () => (await test.pool.query("select from outbox_worker")).rowCount === 1);
    worker.child.kill("SIGTERM");
    await worker.ended;
    await until("it has left", async () => (await test.pool.query("select from outbox_worker")).rowCount === 0);
  });
});

describe("a worker", () => {
  it("runs what is enqueued while it waits, and stops gracefully", async () => {
    const worker = appCli(["jobs:worker", "--poll", "100ms"], env);
    await worker.seen("worker started");
    const id = await aJob("return");
    await until("the job is done", async () => (await test.job(id)).status === "done");
    worker.child.kill("SIGINT");
    const { code, stderr } = await worker.ended;
    expect(code).toBe(0);
    const lines = stderr.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as { event: string; done?: number }); // the worker's JSON log
    expect(lines.find(({ event }) => event === "worker_stopped")).toMatchObject({ done: 1 });
  });

  it("whose event loop a handler blocks for longer than the lease writes nothing for the job it has lost", async () => {
    const id = await aJob("block");
    // The command line has no flag for the lease: the row is made to have a short one.
    const worker = appCli(["jobs:worker", "--poll", "100ms"], { ...env, LOG_FORMAT: "text" });
    await until("it blocks", async () => (await effects()).length === 1);
    await leaseIsOver();
    await test.pool.query(`update outbox set payload = '{"then":"return"}'`);
    expect((await appCli(["jobs:drain"], env).ended).code).toBe(0);
    expect(await test.job(id)).toMatchObject({ status: "done", attempts: 2 });
    await worker.seen("was lost");
    worker.child.kill("SIGTERM");
    await worker.ended;
    expect(await test.job(id)).toMatchObject({ status: "done", attempts: 2 });
    expect((await effects()).map(({ attempt }) => attempt)).toEqual([1, 2]);
  });
});

it("all connections cut twice in the middle of a drain: every job ends, no attempt is lost or invented", async () => {
  for (let n = 0; n < 60; n += 1) await aJob("return");
  const drain = appCli(["jobs:drain", "--batch", "5", "--concurrency", "5"], env);
  const cut = () => test.pool.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postcommit' and datname = current_database()");
  await until("it runs", async () => (await effects()).length >= 5);
  await cut();
  await until("it goes on", async () => (await effects()).length >= 20);
  await cut();
  const { code, stderr } = await drain.ended;
  expect(stderr).not.toContain("Unexpected");
  expect(code).toBe(0);
  expect(await test.outbox.counts()).toMatchObject({ processing: 0, error: 0, done: 60 });
  const { rows } = await test.pool.query("select from (select job, count(*) as starts from effects group by job) as started join outbox on outbox.id = started.job where started.starts <> outbox.attempts");
  expect(rows).toEqual([]);
});
