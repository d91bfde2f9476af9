// PgBouncer itself, in transaction mode: killed under a drain and a worker, full, and with a program that was not told of
// it. The other tests of this folder run through it as well: vitest.config.ts.

import { afterEach, describe, expect, it } from "vitest";
import { cli } from "../support/cli.ts";
import type { Bouncer } from "../support/pgbouncer.ts";
import { bouncer, hasPgBouncer } from "../support/pgbouncer.ts";
import { sceneOfEachTest, until } from "../support/scene.ts";

const scene = sceneOfEachTest();
let between: Bouncer | null = null;
afterEach(async () => {
  await between?.close();
  between = null;
});

async function behind(options: Parameters<typeof bouncer>[1] = {}, told = true): Promise<Bouncer & { env: Record<string, string> }> {
  const started = (between = await bouncer(scene.test.direct, options));
  return { ...started, env: { DATABASE_URL: `${started.url}${told ? "?pgbouncer=true" : ""}`, EFFECTS_URL: scene.test.direct } };
}
const done = async () => (await scene.test.jobs("status = 'done'")).length;

describe.skipIf(!hasPgBouncer)(hasPgBouncer ? "PgBouncer" : "PgBouncer (skipped: /usr/sbin/pgbouncer is not installed; apt-get install pgbouncer)", () => {
  it("killed and started again in the middle of a drain: every job ends, and the drain with 0", async () => {
    const { env, kill, start } = await behind();
    for (let n = 0; n < 60; n += 1) await scene.aJob(n % 10 === 0 ? "complete" : "return");
    const drain = scene.runWith(env, "jobs:drain", "--batch", "3", "--concurrency", "3");
    await until("it runs", async () => (await scene.effects()).length >= 5);
    await kill();
    await start();
    expect((await drain.ended).code).toBe(0);
    expect(await done()).toBe(60);
  });

  it("away for longer than a lease: the worker's jobs are done once it is back, and the worker goes on", async () => {
    const { env, kill, start } = await behind();
    const worker = scene.runWith(env, "jobs:worker", "--poll", "100ms", "--lease", "3s");
    for (let n = 0; n < 5; n += 1) await scene.aJob("return");
    const gated = await scene.aJob("gate", { max_attempts: 9 });
    await until("the first five are done, the sixth has begun", async () => (await done()) === 5 && (await scene.effects()).length === 6);
    await kill();
    await scene.leaseIsOver(worker);
    await start();
    await scene.openGate();
    const id = await scene.aJob("complete");
    await until("all are done", async () => (await done()) === 7);
    expect((await scene.test.job(gated)).attempts).toBeGreaterThanOrEqual(1);
    expect(await scene.test.job(id)).toMatchObject({ attempts: 1 });
    worker.child.kill("SIGTERM");
    expect((await worker.ended).code).toBe(0);
  });

  it("a program that sends its settings is refused, readably and with 78, before anything has begun", async () => {
    const { env } = await behind({}, false);
    await scene.aJob("return");
    const { code, stdout, stderr } = await scene.runWith(env, "jobs:drain").ended;
    expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
    expect(stderr).toMatch(/unsupported startup parameter.*If DATABASE_URL leads to PgBouncer, add \?pgbouncer=true to it\./);
    expect(await scene.test.jobs()).toMatchObject([{ status: "pending", attempts: 0 }]);
    expect((await scene.runWith({ ...env, DATABASE_URL: `${between!.url}?pgbouncer=true` }, "jobs:drain").ended).code).toBe(0);
  });

  it("where it drops settings instead, programs that were not told of it do all the same: nothing is lost, nothing done twice", async () => {
    // Three server connections for all, so that prepared statements are met by sessions that did not make them.
    const { env } = await behind({ dropsSettings: true, settings: { default_pool_size: 3 } }, false);
    for (let n = 0; n < 60; n += 1) await scene.aJob(n % 10 === 0 ? "complete" : "return");
    const drains = [1, 2, 3].map(() => scene.runWith(env, "jobs:drain", "--batch", "3", "--concurrency", "3"));
    const codes = (await Promise.all(drains.map(({ ended }) => ended))).map(({ code, stderr }) => ({ code, stderr }));
    expect(codes).toEqual([1, 2, 3].map(() => ({ code: 0, stderr: "" })));
    expect(await done()).toBe(60);
    expect(await scene.test.jobs("attempts <> 1")).toEqual([]);
    const doctor = await scene.runWith(env, "doctor").ended;
    expect(doctor.code).toBe(4);
    expect(doctor.stdout).toMatch(/problem\tpooler\t.*add \?pgbouncer=true to DATABASE_URL/);
  });

  it("told of it, the service's answers and the exclusive drain are what they are without it", async () => {
    const { env } = await behind();
    await scene.aJob("gate");
    const first = scene.runWith(env, "jobs:drain", "--exclusive");
    await until("the first works", async () => (await scene.effects()).length === 1);
    const second = await scene.runWith(env, "jobs:drain", "--exclusive", "--json").ended;
    expect(JSON.parse(second.stdout)).toMatchObject({ stopReason: "locked", done: 0 });
    await scene.openGate();
    expect((await first.ended).code).toBe(0);
    for (const command of [["health:db"], ["doctor"], ["migrate:status"]]) expect(await cli(command, env)).toMatchObject({ code: 0 });
  });
});
