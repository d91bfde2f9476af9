// Jobs are run because somebody has asked, and what is answered then.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createOutbox, defineJob, handle } from "../../src/index.ts";
import { triggerWorker } from "../../src/http.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, work, worksBy } from "../support/outbox.ts";
import { until } from "../support/until.ts";
import type { Client } from "./support.ts";
import { asking, clientOf, tokens } from "./support.ts";
import { listen } from "../../src/commands/listen.ts";

const other = defineJob<{ n?: number }>({ type: "other" });
let test: TestOutbox;
let client: Client;
const handlers = [worksBy(({ n }) => (n === 13 ? Promise.reject(new Error("unlucky")) : Promise.resolve({ n: n ?? null, token: "canary" }))), handle(other, () => Promise.resolve(null))];
beforeAll(async () => {
  test = await testOutbox();
  client = clientOf(test.outbox, { handlers });
});
afterAll(() => test.close());
beforeEach(() => test.empty());

const run = { token: tokens.run };
const path = "/api/jobs/process";
const aFew = async (count: number, columns: Record<string, unknown> = {}) => {
  for (let n = 0; n < count; n += 1) await test.aJob({ payload: { n }, ...columns });
};

describe("POST /api/jobs/process", () => {
  it("without a body it drains, and answers 200 with the report also when jobs have failed", async () => {
    await aFew(3);
    await test.aJob({ payload: { n: 13 }, max_attempts: 1 });
    await test.aJob({ payload: { n: 13 } });
    const answer = await client.post(path, run);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ action: "drain", report: { done: 3, dead: 1, retried: 1, remaining: 0, stopReason: "empty" } });
  });

  it("drain takes types and a limit for all of them together", async () => {
    await aFew(4);
    await aFew(4, { type: "other" });
    expect((await client.post(path, { ...run, body: { action: "drain", types: ["other"], limit: 3 } })).body.report).toMatchObject({ done: 3, remaining: 1, stopReason: "max_jobs" });
    expect(await test.jobs("status = 'pending' and type = 'work'")).toHaveLength(4);
  });

  it("process-type runs one type alone", async () => {
    await aFew(2);
    await aFew(2, { type: "other" });
    expect((await client.post(path, { ...run, body: { action: "process-type", type: "work" } })).body).toMatchObject({ action: "process-type", report: { done: 2, stopReason: "empty" } });
    expect(await test.jobs("status = 'pending'")).toHaveLength(2);
  });

  it("process-batch gives each type its own limit", async () => {
    await aFew(5);
    await aFew(5, { type: "other" });
    const { body } = await client.post(path, { ...run, body: { action: "process-batch", types: ["work", "other"], limit: 2 } });
    expect(body).toMatchObject({ report: { done: 4, remaining: 6, stopReason: "max_jobs" }, byType: { work: { done: 2, remaining: 3 }, other: { done: 2, remaining: 3 } } });
    expect((await client.post(path, { ...run, body: { action: "process-batch" } })).body.report.done).toBe(6);
  });

  it("stops when its time is over, which is never more than the server allows", async () => {
    const slow = clientOf(test.outbox, { maxTime: "300ms", handlers: [worksBy((_, { signal }) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted")))))] });
    await aFew(1);
    const startedAt = performance.now();
    const { body } = await slow.post(path, { ...run, body: { maxTime: "1h" } });
    expect(body.report).toMatchObject({ stopReason: "max_time", released: 1 });
    expect(performance.now() - startedAt).toBeLessThan(5000);
  });

  it("exclusive is 409 while another exclusive one runs, on whatever host, and 200 after it", async () => {
    const started = barrier();
    const mayEnd = barrier();
    const elsewhere = clientOf(test.other, { handlers: [worksBy(async () => (started.open(), mayEnd.reached))] });
    await aFew(1);
    const first = elsewhere.post(path, { ...run, body: { exclusive: true } });
    await started.reached;
    const second = await client.post(path, { ...run, body: { exclusive: true } });
    expect([second.status, second.body.code]).toEqual([409, "locked"]);
    expect((await client.post(path, { ...run, body: { action: "process-batch", exclusive: true } })).status).toBe(409);
    mayEnd.open();
    expect((await first).status).toBe(200);
    expect((await client.post(path, { ...run, body: { exclusive: true } })).status).toBe(200);
  });

  it("waits for one job, and has its result without secrets", async () => {
    const id = await test.aJob({ payload: { n: 1 } });
    expect((await client.post(path, { ...run, body: { waitForJobId: id } })).body.job).toEqual({ id, status: "done", result: { n: 1, token: "[redacted]" }, lastError: null });
    const later = await test.aJob({ run_at: new Date(Date.now() + 3_600_000) });
    expect((await client.post(path, { ...run, body: { waitForJobId: later, maxTime: "200ms" } })).body.job).toMatchObject({ id: later, status: "pending" });
    expect((await client.post(path, { ...run, body: { waitForJobId: "01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61" } })).body).toMatchObject({ status: 404, path: "waitForJobId" });
  });

  it("more than four at once are sent away for a while", async () => {
    const mayEnd = barrier();
    let begun = 0;
    const busy = clientOf(test.outbox, { handlers: [worksBy(async () => ((begun += 1), mayEnd.reached))] });
    await aFew(4);
    const four = Array.from({ length: 4 }, () => busy.post(path, { ...run, body: { limit: 1 } }));
    await until("four run", () => begun === 4);
    const fifth = await busy.post(path, run);
    expect([fifth.status, fifth.headers.get("retry-after")]).toEqual([503, "10"]);
    mayEnd.open();
    expect((await Promise.all(four)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  });

  it("a server that stops lets what runs end, and claims no more", async () => {
    const stop = new AbortController();
    const started = barrier();
    const mayEnd = barrier();
    const stopping = clientOf(test.outbox, { signal: stop.signal, concurrency: 1, handlers: [worksBy(async () => (started.open(), mayEnd.reached))] });
    await aFew(2);
    const asked = stopping.post(path, run);
    await started.reached;
    expect((await stopping.get("/health/ready")).status).toBe(200);
    stop.abort();
    expect((await stopping.get("/health/ready")).body.problems).toEqual(["The server is stopping"]);
    mayEnd.open();
    expect((await asked).body.report).toMatchObject({ done: 1, stopReason: "signal" });
  });

  it.each<[unknown, string]>([
    [{ action: "process" }, "action"],
    [{ action: "process-type" }, "type"],
    [{ action: "process-type", type: "work", types: ["work"] }, "types"],
    [{ action: "drain", types: [] }, "types"],
    [{ types: ["nobodys"] }, "nobodys"],
    [{ limit: 0 }, "limit"],
    [{ limit: 1.5 }, "limit"],
    [{ maxTime: "soon" }, "maxTime"],
    [{ exclusive: "yes" }, "exclusive"],
    [{ waitForJobId: "1" }, "waitForJobId"],
    [["drain"], "body"],
  ])("refuses %j and names the fault", async (body, named) => {
    await aFew(1);
    const answer = await client.post(path, { ...run, body });
    expect(answer.status).toBe(400);
    expect(`${answer.body.path} ${answer.body.detail}`).toContain(named);
    expect(await test.jobs("status = 'pending'")).toHaveLength(1);
  });
});

describe("GET /api/jobs/process", () => {
  it("runs what is due for a platform whose cron sends GET, with its secret as the bearer token", async () => {
    await aFew(3);
    await aFew(2, { type: "other" });
    expect((await client.get(`${path}?action=process-type&type=other&limit=1`, run)).body).toMatchObject({ action: "process-type", report: { done: 1 } });
    expect((await client.get(`${path}?types=work&types=other&maxTime=20s&exclusive=true`, run)).body.report.done).toBe(4);
    for (const query of ["action=all", "limit=x", "nothing=1", "exclusive=1", "type=work", "maxTime=x"]) expect((await client.get(`${path}?${query}`, run)).status).toBe(400);
  });

  it("gives the stats to those who may look and not run, and runs nothing", async () => {
    await aFew(2);
    expect((await client.get(path, { token: tokens.view })).body).toMatchObject({ statuses: { pending: { count: 2, estimated: false } }, due: { count: 2 } });
    expect(await test.jobs("status = 'pending'")).toHaveLength(2);
    expect((await client.get(path)).status).toBe(401);
  });

  it("where no handlers are given nothing is run: POST is not there, and GET is the stats", async () => {
    const looking = clientOf(test.outbox);
    expect((await looking.get(path, { token: tokens.view })).status).toBe(200);
    expect((await looking.get(path, run)).status).toBe(403);
    expect((await looking.post(path, run)).status).toBe(405);
  });
});

describe("stats and monitoring", () => {
  const view = { token: tokens.view };
  it("count by status and type", async () => {
    await aFew(2);
    await test.aJob({ status: "error", type: "other", last_error: "x", finished_at: new Date() });
    const fresh = clientOf(test.outbox, { handlers });
    for (const where of ["/api/jobs/stats", "/api/monitoring/queue/stats"]) {
      expect((await fresh.get(where, view)).body).toMatchObject({ statuses: { pending: { count: 2 }, error: { count: 1 }, done: { count: 0 } }, types: [{ type: "work", pending: 2, running: 0 }] });
    }
    expect((await fresh.get("/api/monitoring/queue/health", view)).body).toMatchObject({ healthy: true, problems: [], deadLetters: 1, due: 2, workers: 0 });
    await test.outbox.pause("other", { reason: "maintenance" });
    expect((await fresh.get("/api/monitoring/queue/info", view)).body).toMatchObject({ name: "postcommit", enqueues: ["greet", "work"], runs: ["work", "other"], types: expect.arrayContaining([expect.objectContaining({ type: "other", paused: true, pauseReason: "maintenance" })]) });
  });

  it("health is 503 with what is wrong", async () => {
    const ill = clientOf(test.outbox, { ready: () => Promise.resolve({ ready: false, problems: ["2 migrations are not applied"] }) });
    expect((await ill.get("/api/monitoring/queue/health", view)).body).toMatchObject({ healthy: false, problems: ["2 migrations are not applied"] });
    expect((await ill.get("/health/ready")).status).toBe(503);
  });

  it("a hundred who ask at once cost the database one look", async () => {
    let looks = 0;
    const counting = clientOf({ ...test.outbox, stats: () => ((looks += 1), test.outbox.stats()) });
    await Promise.all(Array.from({ length: 100 }, () => counting.get("/api/jobs/stats", view)));
    expect(looks).toBe(1);
  });

  it("everybody may ask whether it is ready, and yet the database is busy with that for half of the time at most", async () => {
    let looks = 0;
    const slow = clientOf(test.outbox, { ready: async () => ((looks += 1), await sleep(100), { ready: true, problems: [] }) });
    const endsAt = performance.now() + 1000;
    const ask = async () => {
      while (performance.now() < endsAt) await slow.get("/health/ready");
    };
    await Promise.all(Array.from({ length: 10 }, ask));
    expect(looks).toBeGreaterThan(1);
    expect(looks).toBeLessThanOrEqual(6);
  });

  it("/metrics answers what it is given, to those who may look", async () => {
    const metered = clientOf(test.outbox, { metrics: { text: () => Promise.resolve({ contentType: "text/plain; version=0.0.4", body: "jobs 1\n" }) } });
    expect((await metered.get("/metrics", view)).text).toBe("jobs 1\n");
    expect((await metered.get("/metrics")).status).toBe(401);
    expect((await client.get("/metrics", view)).status).toBe(404);
  });
});

describe("triggerWorker", () => {
  const serving = async (work: (url: string) => Promise<void>, own = client) => {
    const server = await listen((request) => own.handler(request), { host: "127.0.0.1", port: 0 });
    try {
      await work(server.url);
    } finally {
      await server.close();
    }
  };

  it("has a server run what is due, and waits for one job's result", async () => {
    await serving(async (url) => {
      const id = await test.aJob({ payload: { n: 5 } });
      expect(await triggerWorker({ url: `${url}/jobs-admin/`, token: tokens.run, waitForJobId: id, timeoutMs: 20_000 })).toEqual({ id, status: "done", result: { n: 5, token: "[redacted]" }, lastError: null });
    });
  });

  it("without a job to wait for it comes back at once, and never fails", async () => {
    await serving(async (url) => {
      const id = await test.aJob();
      await triggerWorker({ url, token: tokens.run });
      expect((await test.outbox.wait(id)).status).toBe("done");
      await triggerWorker({ url, token: tokens.view });
    });
    await triggerWorker({ url: "http://127.0.0.1:1", token: tokens.run });
  });

  it("says why when it was to wait: a job that is not there, a token that may not", async () => {
    await serving(async (url) => {
      const waitForJobId = "01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61";
      await expect(triggerWorker({ url, token: tokens.run, waitForJobId })).rejects.toMatchObject({ code: "NOT_FOUND" });
      await expect(triggerWorker({ url, token: tokens.view, waitForJobId })).rejects.toThrow("403");
    });
  });

  it("createOutbox({ trigger }) has each enqueue followed by one, a moment after its transaction", async () => {
    await serving(async (url) => {
      const outbox = createOutbox({ connection: test.url, trigger: { url, token: tokens.run } });
      const connection = await test.pool.connect();
      try {
        await connection.query("begin");
        const { id } = await outbox.enqueue(connection, work, { n: 1 });
        await connection.query("commit");
        expect((await test.outbox.wait(id, { timeout: "10s" })).status).toBe("done");
      } finally {
        connection.release();
        await outbox.close();
      }
    });
  });
});

it("asking a handler needs no server", async () => {
  expect((await asking(client.handler).get("/health")).body).toEqual({ status: "ok" });
});
