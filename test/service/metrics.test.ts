// Metrics: what Prometheus reads is what happened and what is in the table, whatever the types are called and whatever the
// database does, and it costs the database next to nothing.
import { setTimeout as sleep } from "node:timers/promises";
import { Gauge, Registry } from "prom-client";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Metrics, MetricsOptions, OutboxEvent } from "../../src/index.ts";
import { createMetrics, createOutbox, defineJob, FinalError, handle } from "../../src/index.ts";
import { declareLimits, openBreaker } from "../../src/outbox/store/limits.ts";
import { databaseMetrics, eventMetrics } from "../../src/service/metrics/definitions.ts";
import type { Exposition } from "../support/exposition.ts";
import { readExposition } from "../support/exposition.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox } from "../support/outbox.ts";
import { proxy } from "../support/proxy.ts";
import { until } from "../support/until.ts";

let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
});
afterAll(() => test.close());
beforeEach(() => test.empty());

async function read(metrics: Metrics): Promise<Exposition> {
  const { contentType, body } = await metrics.text();
  expect(contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
  return readExposition(body);
}

/** One look at the table. */
const look = async (options: MetricsOptions = {}) => read(await createMetrics(test.outbox, options));

const aWorker = (types: readonly string[], beatAgo = "0s") =>
  test.pool.query("insert into outbox_worker (id, host, pid, version, types, lease_ms, beat_at) values (gen_random_uuid(), 'here', 1, 'test', $1, 30000, clock_timestamp() - $2::interval)", [types, beatAgo]);

it("every metric is there from the start, with its kind and its help", async () => {
  const { kinds } = await look();
  const expected = Object.entries({ ...eventMetrics, ...databaseMetrics }).map(([name, { kind }]) => [name, kind]);
  expect([...kinds]).toEqual(expected);
});

describe("what a process does", () => {
  const kind = defineJob<{ does: "work" | "fail" | "give up" }>({ type: "kind", retry: { maxAttempts: 3 } });
  const handlers = [
    handle(kind, async ({ does }, { snooze, attempt }) => {
      if (does === "fail" && attempt === 1) throw new Error("not now");
      if (does === "give up") throw new FinalError("never");
      if (does === "fail") snooze("1h");
      return Promise.resolve();
    }),
  ];

  it("attempts are counted by type and outcome, with how long they ran and how late they began", async () => {
    const events: OutboxEvent[] = [];
    const heard: { metrics: Metrics | null } = { metrics: null };
    const outbox = createOutbox({
      connection: test.url,
      onEvent(event) {
        events.push(event);
        heard.metrics?.emit(event);
      },
    });
    const metrics = (heard.metrics = await createMetrics(outbox, { types: ["kind"] }));
    for (const does of ["work", "work", "fail", "give up"] as const) await outbox.enqueueAlone(kind, { does });
    await test.pool.query("update outbox set run_at = run_at - interval '2 minutes'");
    await outbox.drain({ handlers });
    await test.pool.query("update outbox set run_at = now() where status = 'pending'");
    await outbox.drain({ handlers });
    const found = await read(metrics);
    await outbox.close();

    const attempts = Object.fromEntries(found.samples.filter(({ name }) => name === "postcommit_attempts_total").map(({ labels, value }) => [labels.outcome, value]));
    expect(attempts).toEqual({ done: 2, retried: 1, dead: 1, snoozed: 1 });
    expect(found.value("postcommit_run_seconds_count", { type: "kind" })).toBe(5);
    expect(found.value("postcommit_lag_seconds_count", { type: "kind" })).toBe(5);
    expect(found.value("postcommit_lag_seconds_bucket", { type: "kind", le: "60" })).toBe(1);
    expect(found.value("postcommit_lag_seconds_bucket", { type: "kind", le: "300" })).toBe(5);
    const claims = events.filter(({ event }) => event === "claim_answered").length;
    expect(claims).toBeGreaterThan(1);
    expect(found.value("postcommit_claim_seconds_count")).toBe(claims);
    expect(found.value("postcommit_jobs", { type: "kind", status: "error" })).toBe(1);
  });

  it("a rescue counts what came back and what died of it, and the workers that were buried", async () => {
    const metrics = await createMetrics(test.outbox);
    const outbox = createOutbox({ connection: test.url, onEvent: metrics.emit });
    await test.aJob({ type: "kind", payload: { does: "work" }, status: "processing", attempts: 1, locked_by: "00000000-0000-0000-0000-00000000dead", started_at: new Date() });
    await test.aJob({ type: "kind", payload: { does: "work" }, status: "processing", attempts: 3, locked_by: "00000000-0000-0000-0000-00000000dead", started_at: new Date() });
    await aWorker(["kind"], "1h");
    await outbox.drain({ handlers });
    await outbox.close();
    const found = await read(metrics);
    expect(found.value("postcommit_rescued_jobs_total", { outcome: "returned" })).toBe(1);
    expect(found.value("postcommit_rescued_jobs_total", { outcome: "dead" })).toBe(1);
    expect(found.value("postcommit_buried_workers_total")).toBe(1);
    expect(found.value("postcommit_attempts_total", { type: "kind", outcome: "dead" })).toBe(1);
    expect(found.value("postcommit_attempts_total", { type: "kind", outcome: "done" })).toBe(1);
    expect(found.value("postcommit_run_seconds_count", { type: "kind" })).toBe(1);
  });

  it("a job that is due at no time that a clock knows breaks nothing", async () => {
    const metrics = await createMetrics(test.outbox);
    const outbox = createOutbox({ connection: test.url, onEvent: metrics.emit });
    await test.pool.query(`insert into outbox (type, payload, run_at) values ('kind', '{"does":"work"}', '-infinity')`);
    expect(await outbox.drain({ handlers })).toMatchObject({ done: 1 });
    await outbox.close();
    const found = await read(metrics);
    expect(found.value("postcommit_attempts_total", { type: "kind", outcome: "done" })).toBe(1);
    expect(found.value("postcommit_lag_seconds_count", { type: "kind" })).toBeUndefined();
  });
});

describe("what is in the database", () => {
  it("jobs by type and status; a type that this process handles is there with 0 before it has any", async () => {
    await test.aJob({ type: "a" });
    await test.aJob({ type: "a", status: "processing" });
    await test.aJob({ type: "a", status: "error", finished_at: new Date() });
    await test.aJob({ type: "b", ordering_key: "k" });
    await test.aJob({ type: "b", ordering_key: "k" });
    await test.aJob({ type: "c", status: "done", finished_at: new Date() });
    const found = await look({ types: ["mine"] });
    const jobs = Object.fromEntries(["mine", "a", "b", "c"].map((type) => [type, ["waiting", "pending", "processing", "error"].map((status) => found.value("postcommit_jobs", { type, status }))]));
    expect(jobs).toEqual({ mine: [0, 0, 0, 0], a: [0, 1, 1, 1], b: [1, 1, 0, 0], c: Array(4).fill(undefined) });
  });

  it("a type whose jobs are gone is shown as 0, not as a gap", async () => {
    const id = await test.aJob({ type: "a" });
    const metrics = await createMetrics(test.outbox, { maxAge: 0 });
    expect((await read(metrics)).value("postcommit_jobs", { type: "a", status: "pending" })).toBe(1);
    await test.pool.query("delete from outbox where id = $1", [id]);
    expect((await read(metrics)).value("postcommit_jobs", { type: "a", status: "pending" })).toBe(0);
  });

  it("how long the oldest due job has been due, by the database's clock", async () => {
    await test.aJob({ type: "late", run_at: new Date(Date.now() - 3_600_000) });
    await test.aJob({ type: "later", run_at: new Date(Date.now() + 3_600_000) });
    await test.pool.query("insert into outbox (type, payload, run_at) values ('never', '{}', 'infinity')");
    const found = await look();
    expect(found.value("postcommit_oldest_due_seconds", { type: "late" })).toBeGreaterThan(3590);
    expect(found.value("postcommit_oldest_due_seconds", { type: "late" })).toBeLessThan(3700);
    expect(found.value("postcommit_oldest_due_seconds", { type: "later" })).toBe(0);
    expect(found.value("postcommit_oldest_due_seconds", { type: "never" })).toBe(0);
  });

  it("pending jobs that nobody handles: neither this process nor a worker that is alive", async () => {
    for (const type of ["mine", "theirs", "nobody's", "a dead one's"]) await test.aJob({ type });
    await aWorker(["theirs"]);
    await aWorker(["a dead one's"], "1h");
    const found = await look({ types: ["mine"] });
    const unhandled = found.samples.filter(({ name }) => name === "postcommit_unhandled_jobs").map(({ labels, value }) => [labels.type, value]);
    expect(Object.fromEntries(unhandled)).toEqual({ mine: 0, theirs: 0, "nobody's": 1, "a dead one's": 1 });
    expect(found.value("postcommit_workers", { state: "alive" })).toBe(1);
    expect(found.value("postcommit_workers", { state: "silent" })).toBe(1);
  });

  it("pauses, breakers, and schedules that nobody has fired", async () => {
    await test.outbox.pause("slow");
    await openBreaker(test.database, "down", 60_000);
    await openBreaker(test.database, "better", 60_000);
    await test.pool.query("update outbox_type set breaker_until = clock_timestamp() where type = 'better'");
    await declareLimits(test.database, [{ type: "fine", concurrency: 1, concurrencyByKey: false, rateLimit: null, rateMs: null }]);
    for (const [name, next, paused] of [["late", "-1 hour", null], ["soon", "1 hour", null], ["held", "-1 hour", "now"]] as const) {
      await test.pool.query("insert into outbox_schedule (name, type, cron, time_zone, missed, next_slot_at, paused_at) values ($1, 'work', '* * * * *', 'UTC', 'none', now() + $2::interval, $3::text::timestamptz)", [name, next, paused]);
    }
    const found = await look();
    expect(["slow", "fine"].map((type) => found.value("postcommit_type_paused", { type }))).toEqual([1, 0]);
    expect(["down", "better", "fine"].map((type) => found.value("postcommit_breaker_state", { type }))).toEqual([2, 1, 0]);
    expect(found.value("postcommit_schedule_overdue_seconds", { schedule: "late" })).toBeGreaterThan(3590);
    expect(found.value("postcommit_schedule_overdue_seconds", { schedule: "soon" })).toBe(0);
    expect(found.value("postcommit_schedule_overdue_seconds", { schedule: "held" })).toBeUndefined();
  });

  it("of a large backlog 10,000 are counted, and that is what it says", async () => {
    await test.pool.query("insert into outbox (type, payload) select 'many', '{}' from generate_series(1, 10050)");
    expect((await look()).value("postcommit_jobs", { type: "many", status: "pending" })).toBe(10_000);
  });
});

describe("the names of types are data", () => {
  const hostile = ['quote"', "back\\slash", "two\nlines", 'a"} 1\npostcommit_database_up 0', "__proto__", "constructor", "\u001b[2J", "ähem", "{}", "a,b=c", "x".repeat(200), " ", "\r\n", "\\n", "NaN"];

  it("each comes out as it went in, and none becomes a line of its own", async () => {
    for (const type of hostile) await test.aJob({ type });
    const metrics = await createMetrics(test.outbox);
    const outbox = createOutbox({ connection: test.url, onEvent: metrics.emit });
    const handlers = hostile.map((type) => handle(defineJob({ type }), () => Promise.resolve()));
    await outbox.drain({ handlers });
    await outbox.close();
    const found = await read(metrics);
    for (const type of hostile) {
      expect(found.value("postcommit_attempts_total", { type, outcome: "done" }), type).toBe(1);
      expect(found.value("postcommit_run_seconds_count", { type }), type).toBe(1);
      expect(found.value("postcommit_jobs", { type, status: "pending" }), type).toBe(0);
    }
    expect(found.samples.filter(({ name }) => name === "postcommit_database_up")).toEqual([{ name: "postcommit_database_up", labels: {}, value: 1 }]);
  });

  it("only so many are told apart, this process's own first; the others are one, and none is left out", async () => {
    await test.pool.query("insert into outbox (type, payload) select 'type ' || n, '{}' from generate_series(1, 500) as n");
    const metrics = await createMetrics(test.outbox, { types: ["mine", "mine too"], maxTypes: 10, maxAge: 0 });
    for (let round = 0; round < 2; round += 1) {
      const pending = (await read(metrics)).samples.filter(({ name, labels }) => name === "postcommit_jobs" && labels.status === "pending");
      expect(pending).toHaveLength(11);
      expect(pending.map(({ labels }) => labels.type)).toEqual(expect.arrayContaining(["mine", "mine too", "other"]));
      expect(pending.reduce((sum, { value }) => sum + value, 0)).toBe(500);
      // Other names than before are no new series.
      await test.pool.query("update outbox set type = 'again ' || type");
    }
  });

  it.each([0, -1, 1.5, Number.NaN])("maxTypes %s is refused", async (maxTypes) => {
    await expect(createMetrics(test.outbox, { maxTypes })).rejects.toThrow("Expected maxTypes to be a whole number from 1");
  });
});

describe("what it costs the database", () => {
  it("many scrapes within 15 s ask it once", async () => {
    let asked = 0;
    const metrics = await createMetrics({ measure: () => ((asked += 1), test.outbox.measure()) });
    await Promise.all([read(metrics), read(metrics), read(metrics)]);
    await read(metrics);
    expect(asked).toBe(1);
  });

  it("what took longer than a second is not asked again for fifty times as long", async () => {
    let asked = 0;
    const slow = {
      async measure() {
        asked += 1;
        await sleep(1100); // what is tested is a slow answer
        return test.outbox.measure();
      },
    };
    const metrics = await createMetrics(slow, { maxAge: 0 });
    for (let scrape = 0; scrape < 5; scrape += 1) expect((await read(metrics)).value("postcommit_database_up")).toBe(1);
    expect(asked).toBe(1);
  });

  it("while an answer is awaited nobody asks again, however old the last one is", async () => {
    const slow = barrier();
    let asked = 0;
    const metrics = await createMetrics(
      {
        async measure() {
          asked += 1;
          await slow.reached;
          return test.outbox.measure();
        },
      },
      { maxAge: 0 },
    );
    const scrapes = [read(metrics), read(metrics), read(metrics)];
    slow.open();
    for (const found of await Promise.all(scrapes)) expect(found.value("postcommit_database_up")).toBe(1);
    expect(asked).toBe(1);
  });
});

it("while the database is away it says so within seconds, shows nothing old about it, and goes on counting", { timeout: 60_000 }, async () => {
  const proxied = await proxy(test.url);
  const outbox = createOutbox({ connection: proxied.url });
  await test.aJob({ type: "a" });
  const metrics = await createMetrics(outbox, { maxAge: 0 });
  expect((await read(metrics)).value("postcommit_database_up")).toBe(1);

  for (const fail of ["cut", "blackHole"] as const) {
    proxied[fail]();
    const askedAt = performance.now();
    metrics.emit({ event: "database_failed", doing: "look", error: new Error("gone"), retryInMs: 10 });
    const found = await read(metrics);
    expect(performance.now() - askedAt).toBeLessThan(8000);
    expect(found.value("postcommit_database_up")).toBe(0);
    const about = Object.keys(databaseMetrics).filter((name) => name !== "postcommit_database_up");
    expect(found.samples.filter(({ name }) => about.includes(name))).toEqual([]);
    proxied.resume();
    await until("it is up again", async () => (await read(metrics)).value("postcommit_database_up") === 1, 20_000);
  }
  expect((await read(metrics)).value("postcommit_database_failures_total", { doing: "look" })).toBe(2);
  await outbox.close();
  await proxied.close();
});

it("an app's own registry has them beside its own metrics, and a second time is refused", async () => {
  const registry = new Registry();
  new Gauge({ name: "app_up", help: "Of the app.", registers: [registry] }).set(1);
  await test.aJob({ type: "a" });
  const metrics = await createMetrics(test.outbox, { registry });
  const ours = readExposition(await registry.metrics());
  expect([ours.value("app_up"), ours.value("postcommit_jobs", { type: "a", status: "pending" })]).toEqual([1, 1]);
  expect((await read(metrics)).value("app_up")).toBe(1);
  await expect(createMetrics(test.outbox, { registry })).rejects.toThrow("already been registered");
});
