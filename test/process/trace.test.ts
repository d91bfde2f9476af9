// Traces across processes: one enqueues, another runs the job, each with an SDK of its own. And the worker's /metrics.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import type { AppOutbox } from "../../src/index.ts";
import { createOutbox, defineJob } from "../../src/index.ts";
import type { Running } from "../support/cli.ts";
import { appCli, root, start } from "../support/cli.ts";
import { readExposition } from "../support/exposition.ts";
import type { WrittenSpan } from "../support/otel-to-file.ts";
import { layEvidence } from "../support/evidence.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import type { Traced } from "../support/spans.ts";
import { traced } from "../support/spans.ts";
import { until } from "../support/until.ts";

const effect = defineJob<{ then: string }>({ type: "effect" });

let test: TestOutbox;
let outbox: AppOutbox;
let tracing: Traced;
let folder: string;
const running: Running[] = [];
beforeAll(async () => {
  test = await testOutbox();
  outbox = createOutbox({ connection: test.url });
  await layEvidence(test.pool);
});
afterAll(async () => {
  for (const { child } of running) child.kill("SIGKILL");
  await outbox.close();
  await test.close();
});
beforeEach(async () => {
  await test.empty();
  folder = await mkdtemp(join(tmpdir(), "spans-"));
  tracing = traced();
});
afterEach(async () => {
  tracing.unregister();
  await rm(folder, { recursive: true });
});

/** The command line, with OpenTelemetry set up as an app does it, and without a line of code for it. */
function tracedCli(...args: string[]): Running {
  const env = { DATABASE_URL: test.url, SPANS_FILE: join(folder, "spans"), NODE_OPTIONS: `--import tsx --import ${root}/test/support/otel-to-file.ts` };
  const process = appCli(args, env);
  running.push(process);
  return process;
}

const spansOfChild = async () =>
  (await readFile(join(folder, "spans"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as WrittenSpan);

it("a drain in another process runs the job in the trace of the request that enqueued it", async () => {
  const { id } = await tracing.within("request", () => outbox.enqueueAlone(effect, { then: "return" }));
  expect(await tracedCli("jobs:drain").ended).toMatchObject({ code: 0 });
  const enqueue = tracing.span("enqueue effect").spanContext();
  const [attempt, ...others] = await spansOfChild();
  expect(others).toEqual([]);
  expect(attempt).toMatchObject({ name: "run effect", traceId: enqueue.traceId, parent: enqueue.spanId, attributes: { "messaging.message.id": id, "postcommit.outcome": "done" } });
  expect(attempt?.pid).not.toBe(process.pid);
});

it("a worker does too; its log names the trace, and its probe port has the metrics", { timeout: 60_000 }, async () => {
  const worker = tracedCli("jobs:worker", "--probe-port", "0");
  const [, url = ""] = /metrics on (\S+)\./.exec(await worker.seen(/metrics on \S+\./)) ?? [];
  const scrape = async () => {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    return readExposition(await response.text());
  };
  const before = await scrape();
  expect(before.value("postcommit_jobs", { type: "effect", status: "pending" })).toBe(0);
  expect(before.value("postcommit_jobs", { type: "email.send", status: "error" })).toBe(0);

  const { id } = await tracing.within("request", () => outbox.enqueueAlone(effect, { then: "return" }));
  await until("it is done", async () => (await test.job(id)).status === "done", 20_000);
  await until("it is counted", async () => (await scrape()).value("postcommit_attempts_total", { type: "effect", outcome: "done" }) === 1);
  worker.child.kill("SIGTERM");
  const { code, stderr } = await worker.ended;
  expect(code).toBe(0);
  const { traceId } = tracing.span("enqueue effect").spanContext();
  const done = stderr.split("\n").filter((line) => line.includes('"event":"job_done"')).map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(done).toMatchObject([{ job: id, trace_id: traceId, span_id: (await spansOfChild())[0]?.spanId }]);
});

it("a program without OpenTelemetry never loads its API, nor prom-client", async () => {
  const program = `
    const { createOutbox, defineJob, handle } = await import("postcommit");
    const { createRequire } = await import("node:module");
    const outbox = createOutbox({ connection: process.env.DATABASE_URL });
    const job = defineJob({ type: "work" });
    await outbox.enqueueAlone(job, {});
    const { done } = await outbox.drain({ handlers: [handle(job, async () => undefined)] });
    await outbox.close();
    const loaded = Object.keys(createRequire(import.meta.url).cache).filter((path) => /opentelemetry|prom-client/.test(path));
    console.log(JSON.stringify({ done, loaded }));`;
  const { stdout, stderr } = await start(process.execPath, ["--conditions", "postcommit-source", "--import", "tsx", "--input-type=module", "--eval", program], { DATABASE_URL: test.url }).ended;
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({ done: 1, loaded: [] });
});
