// What health:db and /health/ready find.
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { checkHealth } from "../../src/service/health.ts";
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
      const { healthy, counts } = await checkHealth(test.url, migrations, ["work"], 2000);
      expect({ healthy, counts }).toEqual({ healthy: true, counts: null });
    } finally {
      await test.pool.query(`alter database ${name} reset search_path; drop schema slow cascade`);
    }
  });
});
