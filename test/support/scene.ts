// A scene for processes: a database with its evidence laid, children of the built program on it, none of which outlives
// its test, and a gate for each attempt at which handlers of app/outbox.config.ts wait for the test (`then: "gate"`).
//   const scene = sceneOfEachTest();  … const worker = scene.run("jobs:worker", "--lease", "1s");  … await scene.openGate();

import type pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from "vitest";
import { asleep } from "./asleep.ts";
import type { Running } from "./cli.ts";
import { appCli } from "./cli.ts";
import { clearEvidence, layEvidence, violations } from "./evidence.ts";
import type { TestOutbox } from "./outbox.ts";
import { testOutbox } from "./outbox.ts";
import { until as within } from "./until.ts";

export interface Effect {
  readonly job: string;
  readonly attempt: number;
  readonly key: string;
  readonly at: Date;
}

export interface Scene {
  readonly test: TestOutbox;
  /** The environment of its children. */
  readonly env: Record<string, string>;
  run(...args: readonly string[]): Running;
  /** With more in its environment. */
  runWith(env: Record<string, string>, ...args: readonly string[]): Running;
  aJob(then: string, columns?: Record<string, unknown>, more?: Record<string, unknown>): Promise<string>;
  /** The starts of handlers, in their order. */
  effects(): Promise<Effect[]>;
  /** The database's clock. */
  now(): Promise<Date>;
  /** For handlers in their attempt `attempt`, or for all. */
  openGate(attempt?: number): Promise<void>;
  /** Others may take over what the child had: its lease is over by itself. */
  leaseIsOver(child: Running): Promise<void>;
  /** The worker that the child is has said that it waits for work. */
  asleep(child: Running): Promise<void>;
}

/** Slow machines get time; what is promised to be quick is measured by the test. */
export const until = (what: string, condition: () => boolean | Promise<boolean>): Promise<number> => within(what, condition, 40_000);

/** To be called once, at the top of a test file. Every promise (I1 to I8) is looked at after each test, when nothing runs any more. */
export function sceneOfEachTest(): Scene {
  let test: TestOutbox;
  let keeper: pg.PoolClient;
  const children: Running[] = [];
  vi.setConfig({ testTimeout: 90_000 }); // several programs are started one after the other, on whatever machine
  beforeAll(async () => {
    test = await testOutbox();
    await layEvidence(test.pool);
    keeper = await test.pool.connect();
  });
  afterAll(async () => {
    keeper.release();
    await test.close();
  });
  beforeEach(async () => {
    await clearEvidence(test.pool);
    await keeper.query("select pg_advisory_lock(7, attempt) from generate_series(1, 9) as attempt");
  });
  afterEach(async () => {
    await keeper.query("select pg_advisory_unlock_all()");
    for (const { child } of children) child.kill("SIGKILL"); // also those that stand still
    await Promise.all(children.splice(0).map(({ ended }) => ended));
    expect(await violations(test.pool)).toEqual([]);
  });

  const runWith: Scene["runWith"] = (env, ...args) => {
    const child = appCli(args, { DATABASE_URL: test.url, ...env });
    children.push(child);
    return child;
  };
  return {
    get test() {
      return test;
    },
    get env() {
      return { DATABASE_URL: test.url };
    },
    runWith,
    run: (...args) => runWith({}, ...args),
    aJob: (then, columns = {}, more = {}) => test.aJob({ type: "effect", payload: { then, ...more }, ...columns }),
    effects: async () => (await test.pool.query<Effect>("select job, attempt, key, at from effects order by at")).rows,
    now: async () => (await test.pool.query<{ now: Date }>("select clock_timestamp() as now")).rows[0]!.now,
    async openGate(attempt) {
      if (attempt === undefined) await keeper.query("select pg_advisory_unlock_all()");
      else await keeper.query("select pg_advisory_unlock(7, $1)", [attempt]);
    },
    leaseIsOver: ({ child }) => until("its lease is over", async () => (await test.pool.query("select from outbox_worker where pid = $1 and beat_at > clock_timestamp() - lease_ms * interval '1 ms'", [child.pid])).rowCount === 0).then(() => undefined),
    asleep: ({ child }) => until("the worker sleeps", async () => (await test.pool.query(`select from outbox_worker where ${asleep} and pid = $1`, [child.pid])).rowCount === 1).then(() => undefined),
  };
}
