// Eight drains, each a process of its own, that begin in the same moment. DRAINED_JOBS=100000 is the full number.

import { afterAll, beforeAll, expect, it } from "vitest";
import { appCli } from "../support/cli.ts";
import { layEvidence, violations } from "../support/evidence.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { until } from "../support/until.ts";

const jobs = Number(process.env.DRAINED_JOBS ?? 2000);
const drains = 8;
const limitMs = 60_000 + jobs * 10;

let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
  await layEvidence(test.pool);
});
afterAll(() => test.close());

it(`${drains} drains at once run every job once: no duplicate, no deadlock, nothing lost`, { timeout: limitMs }, async () => {
  await test.pool.query(`insert into outbox (type, payload) select 'effect', '{"then":"return"}' from generate_series(1, $1)`, [jobs]);
  const barrier = await test.pool.connect();
  await barrier.query("begin");
  await barrier.query("lock table outbox in access exclusive mode");
  const children = Array.from({ length: drains }, () => appCli(["jobs:drain", "--json"], { DATABASE_URL: test.url }, limitMs));
  try {
    const waiting = async () => (await barrier.query("select from pg_locks where database = (select oid from pg_database where datname = current_database()) and relation = 'outbox'::regclass and not granted")).rowCount ?? 0;
    await until("all of them want the jobs", async () => (await waiting()) === drains, 50_000);
    await barrier.query("commit");
    const ended = await Promise.all(children.map((child) => child.ended));
    expect(ended.map(({ code, stderr }) => ({ code, stderr }))).toEqual(ended.map(() => ({ code: 0, stderr: "" })));
    const reports = ended.map(({ stdout }) => JSON.parse(stdout) as { done: number; lost: number }); // what --json promises
    expect(reports.reduce((sum, { done }) => sum + done, 0)).toBe(jobs);
    expect(reports.every(({ done, lost }) => done > 0 && lost === 0)).toBe(true);
  } finally {
    barrier.release(true);
    for (const { child } of children) child.kill("SIGKILL");
  }
  const { rows } = await test.pool.query("select count(*)::int as starts, count(distinct job)::int as jobs, (select deadlocks::int from pg_stat_database where datname = current_database()) as deadlocks from effects");
  expect(rows).toEqual([{ starts: jobs, jobs, deadlocks: 0 }]);
  expect(await test.outbox.counts()).toMatchObject({ done: jobs, pending: 0, processing: 0, error: 0 });
  expect(await violations(test.pool)).toEqual([]);
});
