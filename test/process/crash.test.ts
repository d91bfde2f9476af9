// What survives the end of a process: real children, real signals.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { notificationSend } from "../../src/jobs.ts";
import { asleep } from "../support/asleep.ts";
import { appCli, cli, launcher, start } from "../support/cli.ts";
import { clearEvidence, layEvidence, violations } from "../support/evidence.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { until } from "../support/scene.ts";

vi.setConfig({ testTimeout: 90_000 }); // several programs are started one after the other, on whatever machine

let test: TestOutbox;
let env: Record<string, string>;
beforeAll(async () => {
  test = await testOutbox();
  env = { DATABASE_URL: test.url };
  await layEvidence(test.pool);
});
afterAll(() => test.close());
beforeEach(() => clearEvidence(test.pool));
afterEach(async () => {
  const { pending, processing } = await test.outbox.counts();
  expect(await violations(test.pool, { atRest: pending + processing === 0 })).toEqual([]);
});

const aJob = (then: string, columns: Record<string, unknown> = {}) => test.aJob({ type: "effect", payload: { then }, ...columns });
const effects = async () => (await test.pool.query<{ job: string; attempt: number; key: string; at: Date }>("select * from effects order by attempt, job")).rows;
const now = async () => (await test.pool.query<{ now: Date }>("select clock_timestamp() as now")).rows[0]!.now.getTime();
/** What a machine with too much to do may take longer. */
const slownessMs = 2000;
const leaseMs = 2000;
/** A drain or worker with a lease of two seconds. That of whoever was killed is over by itself. */
const run = (...args: string[]) => appCli([...args, "--lease", "2s"], env);
const leaseIsOver = () => until("the lease is over", async () => (await test.pool.query("select from outbox_worker where beat_at > clock_timestamp() - lease_ms * interval '1 millisecond'")).rowCount === 0);

describe("kill -9 in the middle of a batch", () => {
  it("what was done stays done; another worker runs the rest within the lease and a poll, with the same idempotency key and a counted attempt", async () => {
    for (let n = 0; n < 3; n += 1) await aJob("return", { priority: 10 });
    const hanging = [await aJob("hang"), await aJob("hang")];
    const killed = run("jobs:drain");
    await until("all five have begun and three are done", async () => (await effects()).length >= 5 && (await test.outbox.counts()).done === 3);
    const other = run("jobs:worker", "--poll", "500ms");
    await until("the other sleeps", async () => (await test.pool.query(`select from outbox_worker where ${asleep} and pid = $1`, [other.child.pid])).rowCount === 1);
    await test.pool.query(`update outbox set payload = '{"then":"return"}'`);
    killed.child.kill("SIGKILL");
    await killed.ended;
    const killedAt = await now();
    expect(await test.outbox.counts()).toMatchObject({ done: 3, processing: 2 });

    await until("all are done", async () => (await test.outbox.counts()).done === 5);
    const again = (await effects()).filter(({ attempt }) => attempt === 2);
    expect(again.map(({ job }) => job).sort()).toEqual([...hanging].sort());
    // The poll is 20 to 80 % longer than its number says, so that workers do not look together.
    for (const { at } of again) expect(at.getTime() - killedAt).toBeLessThan(leaseMs + 1.8 * 500 + slownessMs);
    expect((await effects()).every(({ job, key }) => key === job)).toBe(true);
    for (const id of hanging) expect(await test.attempts(id)).toMatchObject([{ attempt: 1, outcome: "lost" }]);
    other.child.kill("SIGTERM");
    expect((await other.ended).code).toBe(0);
  });

  it("between a side effect and its settlement: ctx.effect does it once, and everything else sees one key", async () => {
    const id = await aJob("once-gate");
    const gate = await test.pool.connect();
    await gate.query("select pg_advisory_lock(7, 1)");
    const drain = run("jobs:drain");
    await until("the effect is in its ledger", async () => (await test.pool.query("select from outbox_effect where job_id = $1 and result is not null", [id])).rowCount === 1);
    drain.child.kill("SIGKILL");
    await drain.ended;
    gate.release(true);
    await leaseIsOver();
    expect((await run("jobs:drain").ended).code).toBe(0);
    expect(await test.job(id)).toMatchObject({ status: "done", attempts: 2 });
    expect((await test.pool.query("select attempt, key from sent")).rows).toEqual([{ attempt: 1, key: expect.stringContaining(id) as string }]);
    expect((await effects()).map(({ key }) => key)).toEqual([id, id]);
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

  await test.pool.query("update outbox_worker set beat_at = beat_at - interval '1 hour'"); // no time is promised here
  expect((await cli(["jobs:drain"], env)).code).toBe(0);
  const { rows } = await test.pool.query("select user_id, message, job_id from notification");
  expect(rows).toEqual([{ user_id: "ada", message: "hello", job_id: id }]);
  expect(await test.job(id)).toMatchObject({ status: "done", attempts: 2 });
});

it("a promise that a handler forgot and that rejects does not end the process", async () => {
  const id = await aJob("reject-later");
  const other = await aJob("return");
  const { code, stderr } = await appCli(["jobs:drain"], env).ended;
  expect(code).toBe(0);
  expect(stderr).toContain("nobody awaits this");
  expect([await test.job(id), await test.job(other)].map(({ status }) => status)).toEqual(["done", "done"]);
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

  it.each(["jobs:drain", "jobs:worker"])("a second one ends %s at once, with 143, and the job is rescued", async (command) => {
    const id = await aJob("hang");
    const child = appCli([command, "--lease", "2s", "--verbose"], { ...env, LOG_FORMAT: "text" });
    await until("it has begun", async () => (await effects()).length === 1);
    child.child.kill("SIGTERM");
    await child.seen("Stopping on SIGTERM");
    child.child.kill("SIGTERM");
    expect((await child.ended).code).toBe(143);
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
