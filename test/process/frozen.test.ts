// A process that stands still for longer than its lease and then goes on as if nothing had been: SIGSTOP, a laptop that
// sleeps, a machine that is moved, a handler that never lets go of the event loop. Leases end by themselves here.

import { describe, expect, it } from "vitest";
import { sceneOfEachTest, until } from "../support/scene.ts";

const scene = sceneOfEachTest();
const leaseMs = 2000;
const worker = () => scene.run("jobs:worker", "--lease", `${leaseMs}ms`, "--poll", "200ms", "--concurrency", "3");
const begun = (attempt: number) => until(`attempt ${attempt} begins`, async () => (await scene.effects()).some((effect) => effect.attempt === attempt));
const twoLeasesSince = (since: Date) => until("two leases pass", async () => (await scene.now()).getTime() - since.getTime() > 2 * leaseMs);
const isDone = async (id: string) => (await scene.test.job(id)).status === "done";

describe("a worker that stands still for two leases", () => {
  it.each(["finished the job", "begun the job, and still runs it"])("writes nothing for a job when another has %s, and works on under a new name", async (meanwhile) => {
    const id = await scene.aJob("gate");
    const zombie = worker();
    await begun(1);
    const stoppedAt = await scene.now();
    zombie.child.kill("SIGSTOP");
    const other = worker();
    await begun(2);
    if (meanwhile === "finished the job") {
      await scene.openGate(2);
      await until("it is done", () => isDone(id));
    }
    await twoLeasesSince(stoppedAt);
    await scene.openGate(1);
    zombie.child.kill("SIGCONT");
    await zombie.seen(/"event":"job_lost"/);
    await scene.openGate(2);
    await until("it is done", () => isDone(id));
    expect(await scene.test.job(id)).toMatchObject({ attempts: 2, result: { attempt: 2 } });
    expect(await scene.test.attempts(id)).toMatchObject([{ attempt: 1, outcome: "lost" }]);

    other.child.kill("SIGTERM");
    await other.ended;
    const next = await scene.aJob("return");
    await until("it works on", () => isDone(next));
    zombie.child.kill("SIGTERM");
    const { code, stderr } = await zombie.ended;
    expect(code).toBe(0);
    expect(stderr).toContain('"event":"worker_lost_lease"');
    expect(stderr.match(/"event":"job_done"/g)).toHaveLength(1);
  });

  it("finishes what nobody has taken over, in the same attempt or in the next one", async () => {
    const id = await scene.aJob("gate");
    const alone = worker();
    await begun(1);
    const stoppedAt = await scene.now();
    alone.child.kill("SIGSTOP");
    await twoLeasesSince(stoppedAt);
    await scene.openGate();
    alone.child.kill("SIGCONT");
    await until("it is done", () => isDone(id));
    expect((await scene.test.job(id)).attempts).toBeLessThanOrEqual(2);
  });
});

describe("a handler that blocks the event loop for two leases", () => {
  it("loses its job to another worker, and its own outcome is not written", async () => {
    const workers = [worker(), worker()];
    for (const each of workers) await scene.asleep(each);
    const id = await scene.aJob("block", {}, { ms: 3 * leaseMs });
    await begun(1);
    await scene.test.pool.query(`update outbox set payload = '{"then":"return"}'`);
    await until("the other one has done it", () => isDone(id));
    expect(await scene.effects()).toMatchObject([{ attempt: 1 }, { attempt: 2 }]);
    await Promise.any(workers.map((each) => each.seen(/"event":"job_lost"/)));
    expect(await scene.test.job(id)).toMatchObject({ status: "done", attempts: 2, result: { attempt: 2 } });
    expect(await scene.test.attempts(id)).toMatchObject([{ attempt: 1, outcome: "lost" }]);
  });
});
