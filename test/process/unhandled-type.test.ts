// Jobs of a type that nobody handles, as after a rename or a deployment in the wrong order: they wait, nobody's attempt is
// spent, nobody else is held up, and everything that people and monitors look at says so.

import { expect, it } from "vitest";
import { cli } from "../support/cli.ts";
import { sceneOfEachTest, until } from "../support/scene.ts";

const scene = sceneOfEachTest();
const viewToken = "a-token-to-look-with-0123456789abcdef";

it("stay pending beside a drain and a worker, and show up in the drain's report, health:db, jobs:why and the metrics", async () => {
  const ids = [await scene.test.aJob({ type: "nobody.s", priority: 100 }), await scene.test.aJob({ type: "nobody.s" })];
  const first = await scene.aJob("return");
  const drained = await scene.run("jobs:drain", "--json").ended;
  expect(drained.code).toBe(0);
  expect(JSON.parse(drained.stdout)).toMatchObject({ done: 1, stopReason: "empty", unhandled: [{ type: "nobody.s", count: 2 }] });

  const worker = scene.run("jobs:worker", "--poll", "100ms");
  await scene.asleep(worker);
  const second = await scene.aJob("return");
  await until("the worker has run what it can", async () => (await scene.test.job(second)).status === "done");

  const health = await cli(["health:db", "--json"], scene.env); // the folder of the app above has no migrations
  expect(JSON.parse(health.stdout)).toMatchObject({ healthy: true, counts: { pending: 2, done: 2 }, unhandled: [{ type: "nobody.s", count: 2 }] });

  const why = await scene.run("jobs:why", ids[0]!).ended;
  expect(why.stdout).toContain('No living worker handles "nobody.s"');

  const server = scene.runWith({ HTTP_TOKENS_VIEW: viewToken }, "serve", "--port", "0");
  const url = await server.seen(/http:\/\/127\.0\.0\.1:\d+(?=\. Stop)/);
  const metrics = await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${viewToken}` } })).text();
  expect(metrics).toContain('postcommit_unhandled_jobs{type="nobody.s"} 2');
  expect(metrics).toContain('postcommit_unhandled_jobs{type="effect"} 0');

  expect((await scene.effects()).map(({ job }) => job).sort()).toEqual([first, second].sort());
  for (const id of ids) expect(await scene.test.job(id)).toMatchObject({ status: "pending", attempts: 0 });
  for (const { child } of [worker, server]) child.kill("SIGTERM");
  for (const { ended } of [worker, server]) expect((await ended).code).toBe(0);
  expect((await scene.run("jobs:cancel", "--type", "nobody.s", "--yes").ended).code).toBe(0);
});
