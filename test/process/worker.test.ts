// A worker as a process: its probes, its signals through npm, and what a kill leaves behind.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { asleep as asleepNow } from "../support/asleep.ts";
import type { Running } from "../support/cli.ts";
import { appCli, start } from "../support/cli.ts";
import { clearEvidence, layEvidence, violations } from "../support/evidence.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { proxy } from "../support/proxy.ts";
import { until } from "../support/until.ts";

let test: TestOutbox;
let env: Record<string, string>;
const running: Running[] = [];
beforeAll(async () => {
  test = await testOutbox();
  env = { DATABASE_URL: test.url };
  await layEvidence(test.pool);
});
afterAll(async () => {
  for (const { child } of running) child.kill("SIGKILL");
  await test.close();
});
beforeEach(() => clearEvidence(test.pool));

const worker = (args: readonly string[] = [], url = test.url) => {
  const process = appCli(["jobs:worker", ...args], { ...env, DATABASE_URL: url });
  running.push(process);
  return process;
};
const aJob = (then: string, columns: Record<string, unknown> = {}) => test.aJob({ type: "effect", payload: { then }, ...columns });
const effects = async () => (await test.pool.query<{ job: string; attempt: number; key: string }>("select * from effects order by attempt, job")).rows;
const workers = async () => (await test.pool.query<{ asleep: boolean }>(`select ${asleepNow} as asleep from outbox_worker`)).rows;
const asleep = () => until("the worker sleeps", async () => (await workers()).some((worker) => worker.asleep), 20_000);
const probe = async (url: string): Promise<{ status: number; body: string }> => {
  const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
  return { status: response.status, body: await response.text() };
};

it("answers its probes: alive always, ready only while Postgres answers, and again when it does again", { timeout: 60_000 }, async () => {
  const proxied = await proxy(test.url);
  const process = worker(["--probe-port", "0"], proxied.url);
  const [, base = ""] = /Probes on (\S+)\/health and/.exec(await process.seen(/Probes on \S+\/health and/)) ?? [];
  await asleep();
  expect(await probe(`${base}/health`)).toMatchObject({ status: 200 });
  expect(await probe(`${base}/health/ready`)).toMatchObject({ status: 200 });

  proxied.cut();
  await until("it is not ready", async () => (await probe(`${base}/health/ready`)).status === 503, 25_000);
  expect((await probe(`${base}/health/ready`)).body).toContain("has not answered for");
  expect(await probe(`${base}/health`)).toMatchObject({ status: 200 });

  proxied.resume();
  await until("it is ready again", async () => (await probe(`${base}/health/ready`)).status === 200);
  const id = await aJob("return");
  await until("it works again", async () => (await test.job(id)).status === "done");
  process.child.kill("SIGTERM");
  expect((await process.ended).code).toBe(0);
  await proxied.close();
});

it("--idle-timeout 1s: it runs what there is, ends with 0, and leaves no row behind", async () => {
  const id = await aJob("return");
  expect(await worker(["--idle-timeout", "1s"]).ended).toMatchObject({ code: 0 });
  expect((await test.job(id)).status).toBe("done");
  expect(await workers()).toEqual([]);
});

it("SIGTERM to npm run start:worker ends the worker gracefully, within a few seconds", async () => {
  const npm = start("npm", ["run", "start:worker"], env);
  running.push(npm);
  await npm.seen("worker started");
  await asleep();
  npm.child.kill("SIGTERM");
  await until("it has left", async () => (await workers()).length === 0, 5000);
  const { stderr, code, signal } = await npm.ended;
  expect({ code, signal }).toEqual({ code: 0, signal: null }); // what a supervisor that started npm sees
  expect(stderr).toContain("worker_stopped");
});

describe("kill -9 of a worker that has claimed ahead", () => {
  it("what had not begun runs again like what had: all of it, each with one key and a counted attempt", { timeout: 90_000 }, async () => {
    for (let n = 0; n < 30; n += 1) await aJob("return", { priority: 10 });
    for (let n = 0; n < 3; n += 1) await aJob("hang", { priority: 5 });
    for (let n = 0; n < 28; n += 1) await aJob("return");
    const { child, ended } = worker(["--concurrency", "3", "--lease", "2s"]);
    await until("three hang", async () => (await effects()).length >= 33, 40_000);
    await until("others wait for their slots", async () => (await test.jobs("status = 'processing'")).length > 3);
    const ahead = (await test.jobs("status = 'processing'")).length;
    child.kill("SIGKILL");
    await ended;

    await test.pool.query(`update outbox set payload = '{"then":"return"}'`);
    const next = worker(); // which waits for the lease of the first to be over
    await until("all are done", async () => (await test.jobs("status = 'done'")).length === 61, 40_000);
    next.child.kill("SIGTERM");
    expect((await next.ended).code).toBe(0);
    const again = (await test.jobs("attempts = 2")).length;
    expect(again).toBeGreaterThanOrEqual(ahead); // it may have claimed more before the kill reached it
    const started = await effects();
    expect(started.filter(({ attempt }) => attempt === 2)).toHaveLength(again);
    expect(started.every(({ job, key }) => job === key)).toBe(true);
    expect(new Set(started.map(({ job }) => job)).size).toBe(61);
    expect(await violations(test.pool)).toEqual([]);
  });
});

it("a drain of which everything is paused ends with 0 and says what holds it back", async () => {
  await aJob("return");
  await test.outbox.pause("effect");
  const { code, stdout } = await appCli(["jobs:drain", "--summary"], env).ended;
  expect({ code, stdout }).toEqual({ code: 0, stdout: "0 jobs run: what is due waits for its type (npm run app:cli types:list), 1 still due.\n" });
  const json = await appCli(["jobs:drain", "--json"], env).ended;
  expect(json.code).toBe(0);
  expect(JSON.parse(json.stdout)).toMatchObject({ stopReason: "paused", remaining: 1 });
});
