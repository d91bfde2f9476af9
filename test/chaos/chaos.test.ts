// A slice of npm run chaos: seeds that between them have every fault and every kind of job. Always the same: what a change is
// judged by must not be luck.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Plan } from "./plan.ts";
import { described, endings, faultKinds, planOf } from "./plan.ts";
import type { Server } from "./server.ts";
import { openServer, removeLeftovers } from "./server.ts";
import { runChaos } from "./world.ts";

const jobs = 24;
const fixed = [4, 46, 9] as const;

it("one seed is one plan, whoever asks and whenever; another seed is another", () => {
  expect(planOf(7, jobs)).toEqual(planOf(7, jobs));
  expect(described(planOf(7, jobs))).toBe(described(planOf(7, jobs)));
  expect(planOf(8, jobs)).not.toEqual({ ...planOf(7, jobs), seed: 8 });
});

it("the fixed seeds have every fault, every kind of job, and everything that an enqueue can ask for", () => {
  const plans = fixed.map((seed) => planOf(seed, jobs));
  const transactions = plans.flatMap((plan) => plan.transactions);
  const planned = transactions.filter(({ ends }) => ends === "commit").flatMap((transaction) => transaction.jobs);
  expect(new Set(plans.flatMap(({ faults }) => faults.map(({ kind }) => kind)))).toEqual(new Set(faultKinds));
  expect(new Set(planned.map(({ then }) => then))).toEqual(new Set(endings));
  expect(new Set(plans.flatMap(({ processes }) => processes.map(({ kind }) => kind)))).toEqual(new Set(["worker", "drain"]));
  for (const asked of ["orderingKey", "dedupeKey"] as const) expect(planned.some((job) => job[asked] !== undefined)).toBe(true);
  expect(planned.some(({ delayMs }) => delayMs > 0)).toBe(true);
  expect(transactions.some(({ ends }) => ends === "rollback")).toBe(true);
  expect(transactions.some(({ undone }) => undone.length > 0)).toBe(true);
});

describe.concurrent("every promise holds under the faults of", () => {
  const servers: Server[] = [];
  beforeAll(async () => {
    await removeLeftovers();
    servers.push(...(await Promise.all([openServer(0), openServer(1)])));
  }, 120_000);
  afterAll(() => Promise.all(servers.map((server) => server.close())), 120_000);

  const keeps = async (plan: Plan, server: Server | undefined) => {
    if (server === undefined) throw new Error("its Postgres did not start");
    const { violations, folder } = await runChaos(plan, server);
    if (violations.length > 0) throw new Error([described(plan), ...violations, `logs and tables: ${folder}`, `once more: npm run chaos -- --seed ${plan.seed} --jobs ${plan.jobs}`].join("\n"));
  };

  // One server for each of the two: a crash must hit nobody else.
  it(`seeds ${fixed[0]} and ${fixed[2]}`, { timeout: 300_000 }, async () => {
    await keeps(planOf(fixed[0], jobs), servers[0]);
    await keeps(planOf(fixed[2], jobs), servers[0]);
  });

  it(`seed ${fixed[1]}`, { timeout: 300_000 }, () => keeps(planOf(fixed[1], jobs), servers[1]));
});
