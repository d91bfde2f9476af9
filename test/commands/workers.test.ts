// workers: who is there, alive or not, and what each runs.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { run } from "../../src/commands/index.ts";
import { listWorkers } from "../../src/outbox/inspect-workers.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, worksBy } from "../support/outbox.ts";
import type { Terminal } from "./db-outbox/harness.ts";
import { memoryIo } from "./db-outbox/harness.ts";

let test: TestOutbox;
let root: string;
beforeAll(async () => {
  test = await testOutbox();
  root = await mkdtemp(join(tmpdir(), "workers-"));
});
afterAll(async () => {
  await rm(root, { recursive: true });
  await test.close();
});
beforeEach(async () => {
  await test.empty();
  for (const name of ["npm_lifecycle_event", "NODE_ENV", "DATA_DIR"]) vi.stubEnv(name, undefined);
  vi.stubEnv("DATABASE_URL", test.url);
});
afterEach(() => vi.unstubAllEnvs());

async function workers(args: readonly string[] = [], terminal: Terminal = {}): Promise<{ code: number; out: string; err: string }> {
  const io = memoryIo(terminal);
  const code = await run(["workers", ...args], io, root);
  return { code, out: io.out(), err: io.err() };
}

const dead = "00000000-0000-0000-0000-00000000dead";
const aDeadWorker = () =>
  test.pool.query(
    `insert into outbox_worker (id, host, pid, version, lease_ms, types, versions, started_at, beat_at)
     values ($1, e'host\\u001b[2J', 7, '0.9', 30000, '{a,b}', '{1,3}', now() - interval '1 hour', now() - interval '10 minutes')`,
    [dead],
  );

it("shows none as none", async () => {
  expect(await workers()).toEqual({ code: 0, out: "", err: "No rows.\n" });
  expect((await workers(["--json"])).out).toBe("[]\n");
});

it("a worker that is at it is alive, with the job that it runs and since when", async () => {
  const [begun, end] = [barrier(), barrier()];
  const worker = test.outbox.worker({
    handlers: [
      worksBy(async () => {
        begun.open();
        await end.reached;
      }),
    ],
  });
  const stopped = worker.start();
  await test.aJob();
  await begun.reached;
  const [listed, ...others] = await listWorkers(test.database);
  expect(others).toEqual([]);
  expect(listed).toMatchObject({ pid: process.pid, version: "test", types: ["work"], alive: true, running: 1, leaseMs: 30_000, locks: [] });
  expect(listed!.versions).toHaveLength(1);
  expect(listed!.silentMs).toBeLessThan(15_000);
  expect(Math.abs(listed!.oldestRunningAt!.getTime() - Date.now())).toBeLessThan(30_000);
  end.open();
  await worker.stop();
  await stopped;
  expect(await listWorkers(test.database)).toEqual([]);
});

it("one that has been silent for longer than its lease is told as dead, with its jobs, its locks and what it knows", async () => {
  await aDeadWorker();
  await test.pool.query("insert into outbox_lock (name, worker) values ('drain', $1)", [dead]);
  for (const minutes of [5, 9]) await test.aJob({ status: "processing", locked_by: dead, updated_at: new Date(Date.now() - minutes * 60_000) });
  const { code, out, err } = await workers();
  expect(code).toBe(0);
  const [header, line] = out.trimEnd().split("\n").map((text) => text.split("\t"));
  expect(header).toEqual(["host", "pid", "state", "running", "beat", "lease", "since", "version", "types", "id"]);
  expect([line![0], line![2], line![3], line![8]]).toEqual(["host\\u001b[2J", "silent, holds drain", "2", "a, b v3"]);
  expect(err).toBe("The worker on host\\u001b[2J (process 7) is dead or blocked; its 2 running go back with the next drain: npm run app:cli jobs:drain\n");
  const [listed] = JSON.parse((await workers(["--json"])).out) as [{ silentMs: number; oldestRunningAt: string }];
  expect(listed).toMatchObject({ id: dead, alive: false, running: 2, locks: ["drain"], types: ["a", "b"], versions: [1, 3] });
  expect(listed.silentMs).toBeGreaterThanOrEqual(600_000);
  expect(Date.now() - Date.parse(listed.oldestRunningAt)).toBeGreaterThan(500_000);
});

it("a worker of a program that did not say what versions it knows is shown all the same", async () => {
  await aDeadWorker();
  await test.pool.query("update outbox_worker set versions = null");
  expect(await listWorkers(test.database)).toMatchObject([{ types: ["a", "b"], versions: [null, null] }]);
});

it("on a terminal it is a table", async () => {
  await aDeadWorker();
  expect((await workers([], { tty: true, columns: 200 })).out).toMatch(/silent +0 +6\d\d\.\d s ago +30 s/);
});

it("an unreachable database ends with 69, an argument too many with 2", async () => {
  expect((await workers(["extra"])).code).toBe(2);
  vi.stubEnv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none");
  expect((await workers()).code).toBe(69);
});
