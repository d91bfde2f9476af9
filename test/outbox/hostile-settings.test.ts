// A database whose administrator has settings of their own: what they set on the role must not cost a job. The program is
// the built one; it connects as that role, the test as another.

import { randomBytes } from "node:crypto";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Running } from "../support/cli.ts";
import { sceneOfEachTest, until } from "../support/scene.ts";

const scene = sceneOfEachTest();
const role = `program_${randomBytes(4).toString("hex")}`;
let database: string;
let env: Record<string, string>;
beforeAll(async () => {
  const { pool, url } = scene.test;
  database = new URL(url).pathname.slice(1);
  await pool.query(`create role ${role} login password 'program' in role pg_read_all_data, pg_write_all_data`);
  env = { DATABASE_URL: Object.assign(new URL(url), { username: role, password: "program" }).href, EFFECTS_URL: url };
});
afterEach(() => scene.test.pool.query(`alter role ${role} in database ${database} reset all; alter role ${role} connection limit -1`));
afterAll(async () => {
  await scene.test.pool.query(`drop role ${role}`);
});

/** For every session of the role that begins from now on. */
async function set(settings: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(settings)) {
    // A list of several, such as a search_path, is one string for each.
    await scene.test.pool.query(`alter role ${role} in database ${database} set ${name} = ${value.split(", ").map(pg.escapeLiteral).join(", ")}`);
  }
}

const run = (...args: string[]): Running => scene.runWith(env, ...args);
const rows = async (status: string) => (await scene.test.pool.query<{ id: string; type: string; attempts: number }>("select id, type, attempts from outbox where status = $1", [status])).rows;

/** One of every kind, twenty of the simplest. Gives back how many. */
async function aMixture(): Promise<number> {
  for (let n = 0; n < 20; n += 1) await scene.aJob("return");
  for (let n = 0; n < 4; n += 1) await scene.aJob("complete");
  for (let n = 0; n < 4; n += 1) await scene.aJob("sleep", { ordering_key: `key ${n % 2}` }, { ms: 300 });
  for (const then of ["once", "throw-until"]) await scene.aJob(then, {}, { attempt: 2 });
  return 30;
}

describe.each<[string, Record<string, string>]>([
  ["a statement_timeout of 200 ms", { statement_timeout: "200ms" }],
  ["serializable as the default isolation", { default_transaction_isolation: "serializable" }],
  ["a lock_timeout of 1 ms", { lock_timeout: "1ms" }],
  ["sessions that are ended when they idle, in a transaction or outside", { idle_in_transaction_session_timeout: "5s", idle_session_timeout: "250ms" }],
  ["another schema first in the search_path", { search_path: "pg_catalog, elsewhere, public" }],
  ["odd ways to write values", { timezone: "Asia/Kathmandu", datestyle: "German,DMY", intervalstyle: "sql_standard", bytea_output: "escape", standard_conforming_strings: "off", extra_float_digits: "-15" }],
  ["every statement compiled, and a planner that is misled", { jit: "on", jit_above_cost: "0", jit_inline_above_cost: "0", jit_optimize_above_cost: "0", plan_cache_mode: "force_custom_plan", enable_indexscan: "off", work_mem: "64kB" }],
])("under %s", (_, settings) => {
  it("a drain and a worker, side by side, do every job, and instants are told as they are", async () => {
    await set(settings);
    const count = await aMixture();
    const [drain, worker] = await Promise.all([run("jobs:drain").ended, run("jobs:worker", "--idle-timeout", "1s").ended]);
    // Whichever is done first leaves the last of a key, or a retry, to the other.
    expect({ drain: drain.code, worker: worker.code }).toEqual({ drain: 0, worker: 0 });
    const done = await rows("done");
    expect(done).toHaveLength(count);
    expect(done.filter(({ attempts }) => attempts > 1)).toHaveLength(1);

    const { rows: truth } = await scene.test.pool.query<{ id: string; created_at: Date }>("select id, created_at from outbox limit 1");
    const { stdout } = await run("jobs:get", truth[0]!.id, "--json").ended;
    expect(JSON.parse(stdout)).toMatchObject({ id: truth[0]!.id, createdAt: truth[0]!.created_at.toISOString() });
  });
});

describe("a database that cannot be written to", () => {
  it("default_transaction_read_only: the drain ends with 69 and the reason, and nothing has begun", async () => {
    await set({ default_transaction_read_only: "on" });
    await scene.aJob("return");
    const { code, stdout, stderr } = await run("jobs:drain").ended;
    expect({ code, stdout }).toEqual({ code: 69, stdout: "" });
    expect(stderr).toMatch(/^The database cannot be reached: cannot execute \w+ in a read-only transaction\./m);
    expect(await rows("pending")).toMatchObject([{ attempts: 0 }]);
    expect(await scene.effects()).toEqual([]);
    await scene.test.pool.query(`alter role ${role} in database ${database} reset all`);
    expect((await run("jobs:drain").ended).code).toBe(0);
  });

  it("a search_path without its schema: the drain ends with 78 and says what it misses, and nothing has begun", async () => {
    await set({ search_path: "" });
    await scene.aJob("return");
    const { code, stdout, stderr } = await run("jobs:drain").ended;
    expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
    expect(stderr).toMatch(/relation "outbox\w*" does not exist/);
    expect(stderr).not.toContain("    at ");
    await scene.test.pool.query(`alter role ${role} in database ${database} reset all`);
    expect((await run("jobs:drain").ended).code).toBe(0);
  });
});

it("no connections left: a worker that has its own goes on beating and working; a new drain says so and ends with 69", async () => {
  const id = await scene.aJob("gate");
  const worker = run("jobs:worker", "--lease", "2s");
  await until("it works", async () => (await scene.effects()).length === 1);
  const beat = async () => (await scene.test.pool.query<{ beat_at: Date }>("select beat_at from outbox_worker")).rows[0]?.beat_at.getTime() ?? 0;
  const registeredAt = await beat();
  await until("it beats", async () => (await beat()) > registeredAt);
  await scene.test.pool.query(`alter role ${role} connection limit 1`); // it has more

  const { code, stdout, stderr } = await run("jobs:drain").ended;
  expect({ code, stdout }).toEqual({ code: 69, stdout: "" });
  expect(stderr).toContain(`The database cannot be reached: too many connections for role "${role}".`);
  const atTheEnd = await beat();
  await until("it beats on", async () => (await beat()) > atTheEnd);
  await scene.openGate();
  await until("the job is done", async () => (await rows("done")).length === 1);
  expect(await scene.test.job(id)).toMatchObject({ attempts: 1 });
  worker.child.kill("SIGTERM");
  expect((await worker.ended).code).toBe(0);
});

describe.each([
  ["a deadlock", "40P01"],
  ["a serialization failure", "40001"],
])("%s", (_, sqlState) => {
  it("in every third of the engine's first writes is tried again, and never an attempt or a failure of a job", async () => {
    // A sequence counts on although the statement that took its number is rolled back.
    await scene.test.pool.query(`
      create sequence writes; grant usage on sequence writes to ${role};
      create function fail_now_and_then() returns trigger language plpgsql as $$ begin
        if session_user = '${role}' and nextval('writes') % 3 = 1 and lastval() < 24 then raise exception 'it failed on purpose' using errcode = '${sqlState}'; end if;
        return null;
      end $$;
      create trigger fail_now_and_then before insert or update or delete on outbox for each statement execute function fail_now_and_then();
      create trigger fail_now_and_then before insert or update or delete on outbox_worker for each statement execute function fail_now_and_then();`);
    try {
      for (let n = 0; n < 12; n += 1) await scene.aJob("return");
      const { code } = await run("jobs:drain", "--batch", "3", "--concurrency", "3").ended;
      expect(code).toBe(0);
      const done = await rows("done");
      expect(done).toHaveLength(12);
      expect(done.every(({ attempts }) => attempts === 1)).toBe(true);
      expect((await scene.test.pool.query("select from outbox_attempt")).rowCount).toBe(0);
      expect(Number((await scene.test.pool.query<{ last: string }>("select last_value as last from writes")).rows[0]?.last)).toBeGreaterThan(12);
    } finally {
      await scene.test.pool.query("drop function fail_now_and_then cascade; drop sequence writes");
    }
  });
});
