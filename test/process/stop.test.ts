// SIGTERM, as systemd and Kubernetes send it, in the middle of a batch of which some jobs run and others wait for a slot.

import { expect, it } from "vitest";
import { sceneOfEachTest, until } from "../support/scene.ts";

const scene = sceneOfEachTest();

it.each(["jobs:drain", "jobs:worker"])("SIGTERM in the middle of a batch of %s: no new claim, what runs finishes, what has not begun is given back uncounted, exit 0", async (command) => {
  // Quick ones first: then it claims ahead.
  for (let n = 0; n < 40; n += 1) await scene.aJob("return", { priority: 10 });
  const running = [await scene.aJob("gate", { priority: 5 }), await scene.aJob("gate", { priority: 5 }), await scene.aJob("gate", { priority: 5 })];
  for (let n = 0; n < 30; n += 1) await scene.aJob("return");
  const child = scene.run(command, "--concurrency", "3", ...(command === "jobs:drain" ? ["--json"] : []));
  await until("three run", async () => (await scene.effects()).length === 43);
  await until("others wait for their slots", async () => (await scene.test.jobs("status = 'processing'")).length > 3);

  child.child.kill("SIGTERM");
  await until("those are given back", async () => (await scene.test.jobs("status = 'processing'")).length === 3);
  const late = await scene.aJob("return", { priority: 20 });
  await scene.openGate();
  const { code, signal, stdout } = await child.ended;
  expect({ code, signal }).toEqual({ code: 0, signal: null });
  if (command === "jobs:drain") expect(JSON.parse(stdout)).toMatchObject({ done: 43, retried: 0, dead: 0, lost: 0, remaining: 31, stopReason: "signal" });
  for (const id of running) expect(await scene.test.job(id)).toMatchObject({ status: "done", attempts: 1 });
  expect(await scene.test.jobs("status = 'pending' and attempts = 0")).toHaveLength(31);
  expect((await scene.test.job(late)).status).toBe("pending");
  expect(await scene.effects()).toHaveLength(43);

  expect((await scene.run("jobs:drain").ended).code).toBe(0);
  expect(await scene.test.jobs("status = 'done' and attempts = 1")).toHaveLength(74);
});

it("a drain whose handler ignores the signal gives the job back uncounted when the grace is over, and exits 0", async () => {
  const id = await scene.aJob("ignore-signal");
  const drain = scene.run("jobs:drain", "--drain-timeout", "200ms");
  await until("it runs", async () => (await scene.effects()).length === 1);
  drain.child.kill("SIGTERM");
  expect(await drain.ended).toMatchObject({ code: 0, signal: null });
  expect(await scene.test.job(id)).toMatchObject({ status: "pending", attempts: 0 });
  await scene.test.pool.query(`update outbox set payload = '{"then":"return"}'`);
  expect((await scene.run("jobs:drain").ended).code).toBe(0);
  expect(await scene.effects()).toMatchObject([{ job: id, attempt: 1 }, { job: id, attempt: 1 }]);
});
