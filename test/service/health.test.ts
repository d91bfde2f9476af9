// What health:db and /health/ready find.
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { checkHealth } from "../../src/service/health.ts";
import type { AlertsConfig } from "../../src/index.ts";
import { defineJob } from "../../src/index.ts";
import { alertsOf } from "../../src/service/alerts.ts";
import { root } from "../support/cli.ts";
import { emptyDatabase } from "../support/database.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

const migrations = join(root, "prisma/migrations");
let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(() => test.empty());

describe("the health of the database", () => {
  it("is good with counts, the oldest due job and types that nobody handles", async () => {
    await test.aJob({ status: "done" });
    const oldest = await test.aJob({ type: "strange", run_at: new Date(Date.now() - 60_000) });
    await test.aJob();
    const health = await checkHealth(test.url, migrations, ["work"]);
    expect(health).toMatchObject({ healthy: true, problems: [], counts: { done: 1, pending: 2 }, oldestDue: { id: oldest, type: "strange" }, unhandled: [{ type: "strange", count: 1 }] });
    expect(health.oldestDue!.ageMs).toBeGreaterThan(59_000);
  });

  it("is bad when a job has been processing for over 10 minutes, and says whether its worker is alive", async () => {
    const id = await test.aJob({ status: "processing", updated_at: new Date(Date.now() - 11 * 60_000) });
    await test.aJob({ status: "processing", updated_at: new Date(Date.now() - 9 * 60_000) });
    const { healthy, problems, stuck } = await checkHealth(test.url, migrations, ["work"]);
    expect(healthy).toBe(false);
    expect(stuck).toMatchObject([{ id, workerAlive: false }]);
    expect(problems).toEqual([expect.stringContaining("its worker is gone")]);
  });

  it("is bad when migrations are missing, and names them", async () => {
    const empty = await emptyDatabase();
    try {
      const { healthy, problems } = await checkHealth(empty.url, migrations, []);
      expect(healthy).toBe(false);
      expect(problems.join()).toContain("20261122000000_outbox");
    } finally {
      await empty.close();
    }
  });

  it("is not doubted because the jobs are too many to be counted in time", async () => {
    // Each done job takes 50 ms to read, the others none.
    const name = new URL(test.url).pathname.slice(1);
    await test.pool.query(`
      create schema slow;
      create view slow.outbox as select * from public.outbox where status <> 'done' or pg_sleep(0.05) is not null;
      insert into public.outbox (type, payload, status) select 'work', '{}', 'done' from generate_series(1, 200);
      alter database ${name} set search_path = slow, public`);
    try {
      const { healthy, counts } = await checkHealth(test.url, migrations, ["work"], { timeoutMs: 2000 });
      expect({ healthy, counts }).toEqual({ healthy: true, counts: null });
    } finally {
      await test.pool.query(`alter database ${name} reset search_path; drop schema slow cascade`);
    }
  });
});

describe("with alerts in the configuration, health is bad when a threshold is reached, whether or not anybody was told", () => {
  const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000);
  const health = (config: AlertsConfig) => checkHealth(test.url, migrations, ["work"], { alerts: alertsOf(config, null) });

  it("on dead letters, with their number, the newest and the command to run", async () => {
    await test.aJob({ status: "error", finished_at: ago(2) });
    expect((await health({ deadLetters: 2 })).problems).toEqual([]);
    const id = await test.aJob({ status: "error", finished_at: ago(1), last_error: 'Error: no "4242"' });
    const { healthy, problems } = await health({ deadLetters: 2 });
    expect(healthy).toBe(false);
    expect(problems).toEqual([`2 dead letters, threshold 2 (work); the newest: work ${id}, of ${(await test.job(id)).finished_at!.toISOString()}, Error: no "…". Look: \`npm run app:cli errors\`.`]);
    expect(await test.jobs("status = 'pending'")).toEqual([]);
  });

  it("on the oldest due job, one sentence for each rule", async () => {
    const id = await test.aJob({ run_at: ago(61) });
    const { problems } = await health({ oldestDue: [{ after: "1h" }, { after: "15m", types: ["work"] }, { after: "2h", except: ["other"] }] });
    expect(problems).toHaveLength(2);
    expect(problems[0]).toMatch(new RegExp(`^1 job has been due for 1h or longer \\(work\\); the oldest: work ${id}, since .* Look: \`npm run app:cli jobs:why ${id}\`\\.$`));
  });

  it("on stuck jobs by the rules alone: they stand in place of the ten minutes", async () => {
    await test.aJob({ type: "video", status: "processing", updated_at: ago(30) });
    const { healthy, stuck } = await health({ stuck: [{ after: "3h", types: ["video"] }, { after: "10m", except: ["video"] }] });
    expect({ healthy, stuck: stuck.length }).toEqual({ healthy: true, stuck: 1 });
    expect((await health({ deadLetters: 1 })).healthy).toBe(false);
    expect((await health({ stuck: "25m" })).problems).toEqual([expect.stringMatching(/^1 job has been processing for 25m or longer /)]);
  });

  it("on an alert that nobody could be told of", async () => {
    const id = await test.aJob({ type: "webhook.send", status: "error", finished_at: ago(5), dedupe_key: "postcommit alert: deadLetters is raised, to alerts.notify[0]", last_error: "FinalError: no such receiver" });
    const { problems } = await health({ deadLetters: 1 });
    expect(problems).toEqual([`Nobody was told of an alert: webhook.send ${id} became a dead letter, FinalError: no such receiver. Look: \`npm run app:cli jobs:get ${id}\`.`]);
    await test.pool.query("update outbox set finished_at = $1", [ago(7 * 60)]);
    expect((await health({ deadLetters: 1 })).healthy).toBe(true);
  });

  it("on a receiver whose job could not be made or stored when it matters", async () => {
    const strict = defineJob<{ n: number }>({ type: "strict", schema: { "~standard": { version: 1, vendor: "test", validate: () => ({ issues: [{ message: "expected better" }] }) } } });
    const { problems } = await health({ deadLetters: 1, notify: [{ email: "ops@example.com" }, { email: "ops@-.example" }, () => strict.job({ n: 1 }), { webhook: "ops" }] });
    expect(problems).toEqual([expect.stringMatching(/^alerts\.notify\[1\] makes no job that can be stored: .*ops@-\.example/), expect.stringMatching(/^alerts\.notify\[2\] .*expected better/)]);
  });
});
