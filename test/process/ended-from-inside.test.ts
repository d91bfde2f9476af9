// A handler that takes its whole process down: the attempt counts, its neighbours lose one at most, and whoever started the
// process (cron, systemd, Kubernetes) never sees a 0.

import { expect, it } from "vitest";
import { sceneOfEachTest, until } from "../support/scene.ts";

const scene = sceneOfEachTest();
const ways = [
  ["calls process.exit(0)", "exit", { code: 1, signal: null }, "ended from inside"],
  ["runs out of memory", "out-of-memory", { code: null, signal: "SIGABRT" }, "heap out of memory"],
  ["throws where nobody can catch it", "throw-later", { code: 1, signal: null }, "nobody can catch this"],
] as const;

it.each(ways)("a handler that %s ends the drain and the worker with no 0, and is a dead letter after its attempts; its neighbours lose one at most", async (_, then, end, says) => {
  const run = (command: string) => scene.runWith({ NODE_OPTIONS: "--max-old-space-size=64" }, command, "--lease", "2s");
  const poison = await scene.aJob(then, { max_attempts: 2, priority: 1 });
  const neighbours = [await scene.aJob("gate"), await scene.aJob("gate"), await scene.aJob("return")];
  await scene.openGate(2);
  const drain = run("jobs:drain");
  const ends = [await drain.ended];
  expect(await scene.test.job(poison)).toMatchObject({ status: "processing", attempts: 1 });
  // As systemd and Kubernetes do: started again at once. It waits for the lease of the dead one.
  ends.push(await run("jobs:worker").ended);
  const last = run("jobs:worker");
  await until("the others are done", async () => (await scene.test.jobs("status = 'done'")).length === neighbours.length);
  await until("it is a dead letter", async () => (await scene.test.job(poison)).status === "error");
  last.child.kill("SIGTERM");
  expect((await last.ended).code).toBe(0);

  for (const { code, signal, stderr } of ends) {
    expect({ code, signal }).toEqual(end);
    expect(stderr).toContain(says);
  }
  expect(await scene.test.job(poison)).toMatchObject({ attempts: 2, last_error: "WorkerDied: the worker died during attempt 2 of 2" });
  expect(await scene.test.attempts(poison)).toMatchObject([{ attempt: 1, outcome: "lost" }, { attempt: 2, outcome: "lost" }]);
  for (const id of neighbours) expect((await scene.test.job(id)).attempts).toBeLessThanOrEqual(2);
});
