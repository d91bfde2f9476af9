// Whoever reads our output may go away: a person with `| head -1`, a collector of logs that dies. The jobs do not notice.

import { describe, expect, it } from "vitest";
import type { Running } from "../support/cli.ts";
import { sceneOfEachTest, until } from "../support/scene.ts";
import { until as within } from "../support/until.ts";

const scene = sceneOfEachTest();

describe.each(["stdout", "stderr"] as const)("with nobody left to read %s", (stream) => {
  /** The first job prints a line, then nobody reads any more, then it prints another one. */
  async function readerLeaves({ child }: Running): Promise<void> {
    await until("both run", async () => (await scene.effects()).length === 2);
    child[stream].destroy();
    await scene.openGate();
  }

  it("a drain runs its jobs to their end, whatever handlers print, and its exit code is still that of the jobs", async () => {
    const id = await scene.aJob("print");
    await scene.aJob("final");
    const drain = scene.run("jobs:drain", "--json");
    await readerLeaves(drain);
    expect(await drain.ended).toMatchObject({ code: 3, signal: null });
    expect(await scene.test.job(id)).toMatchObject({ status: "done", attempts: 1 });
  });

  it("a worker goes on until it is stopped", async () => {
    const id = await scene.aJob("print");
    await scene.aJob("final");
    const worker = scene.run("jobs:worker", "--verbose");
    await readerLeaves(worker);
    await until("it is done", async () => (await scene.test.job(id)).status === "done");
    const next = await scene.aJob("print");
    await until("the next one is done", async () => (await scene.test.job(next)).status === "done");
    worker.child.kill("SIGTERM");
    expect(await worker.ended).toMatchObject({ code: 0, signal: null });
    expect(await scene.test.jobs("attempts <> 1")).toEqual([]);
  });
});

it("a handler that calls process.exit(0) ends the process, with no 0, although nobody reads stderr", async () => {
  const id = await scene.aJob("exit", { max_attempts: 1 });
  const drain = scene.run("jobs:drain", "--lease", "2s");
  drain.child.stderr.destroy();
  await until("the handler runs", async () => (await scene.effects()).length === 1);
  let ended = false;
  void drain.ended.then(() => (ended = true));
  await within("the process ends, and not only when it finds that nothing works any more", () => ended, 12_000);
  expect(await drain.ended).toMatchObject({ code: 1, signal: null });
  expect(await scene.test.job(id)).toMatchObject({ status: "processing", last_error: null });
  await scene.leaseIsOver(drain);
  expect(await scene.run("jobs:drain").ended).toMatchObject({ code: 3 });
});

it("a command that only prints ends with 0 when its reader has gone", async () => {
  for (let n = 0; n < 50; n += 1) await scene.aJob("return", { status: "cancelled" });
  const list = scene.run("jobs:list", "--ndjson");
  list.child.stdout.destroy();
  expect(await list.ended).toMatchObject({ code: 0, stderr: "" });
});
