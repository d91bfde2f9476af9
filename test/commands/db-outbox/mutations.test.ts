// deleteMany and updateMany: what is refused, what needs a yes, what is written where. Every refusal leaves every row as it was.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { statuses } from "../../../src/outbox/job.ts";
import type { TestDatabase } from "../../support/database.ts";
import { testDatabase } from "../../support/database.ts";
import { until } from "../../support/until.ts";
import type { Ran } from "./harness.ts";
import { insertJob, run, statusCounts } from "./harness.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.pool.query("truncate outbox, outbox_action cascade");
  for (const status of statuses) await insertJob(db.pool, { status, owner: "ada", created_at: "2023-01-01T00:00:00Z", updated_at: "2023-01-01T00:00:00Z" });
});

const oneOfEach = Object.fromEntries(statuses.map((status) => [status, 1]));
const uuid = "01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61";
const terminal = { tty: true, stdin: "y\n" };

/** Everything in the two tables: a refusal must not change a byte of it. */
async function snapshot(): Promise<unknown> {
  const jobs = await db.pool.query("select * from outbox order by id");
  const ledger = await db.pool.query("select * from outbox_action order by id");
  return [jobs.rows, ledger.rows];
}

/** Until a statement of the command waits for a lock. */
async function untilBlocked(statement: string): Promise<void> {
  const waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like $1";
  await until(`${statement} waits for a lock`, async () => (await db.pool.query(waiting, [`${statement}%`])).rowCount === 1);
}

async function ledger(): Promise<unknown[]> {
  return (await db.pool.query<object>("select actor, action, filter, change, count, reason from outbox_action order by id")).rows;
}

async function expectRefused(promise: Promise<Ran>, sentence: string | RegExp): Promise<Ran> {
  const before = await snapshot();
  const ran = await promise;
  expect([ran.code, ran.refusalCode, ran.out]).toEqual([2, "USAGE", ""]);
  expect(ran.refusal).toMatch(sentence);
  expect(await snapshot()).toEqual(before);
  return ran;
}

describe("a filter that may mean all jobs changes none, even with --yes on a terminal:", () => {
  const all = [...statuses];
  const tautologies: unknown[] = [
    undefined,
    {},
    null,
    [],
    { AND: [] },
    { AND: {} },
    { AND: [{}] },
    { AND: [{}, {}] },
    { OR: [] },
    { OR: [{}] },
    { OR: [{ status: "done" }, {}] },
    { OR: [{ status: "done" }, { NOT: { status: "done" } }] },
    { OR: [{ status: "done" }, { status: { not: "done" } }] },
    { OR: all.map((status) => ({ status })) },
    { NOT: [] },
    { NOT: {} },
    { NOT: { id: uuid } },
    { NOT: { id: { in: [uuid] } } },
    { NOT: { AND: [{ status: "done" }, { status: "error" }] } },
    { NOT: { NOT: { status: { in: all } } } },
    { NOT: [{ status: "nothing" }] },
    { id: { not: uuid } },
    { id: { notIn: [uuid] } },
    { id: { notIn: [] } },
    { id: { gte: "00000000-0000-0000-0000-000000000000" } },
    { id: { lte: "ffffffff-ffff-ffff-ffff-ffffffffffff" } },
    { attempts: { gte: 0 } },
    { attempts: { gt: -1 } },
    { attempts: { lt: 2_147_483_647 } },
    { attempts: { not: -1 } },
    { maxAttempts: { gte: 1 } },
    { priority: { gte: -32_768 } },
    { createdAt: { gte: "0001-01-01T00:00:00Z" } },
    { createdAt: { lt: "9999-12-31T00:00:00Z" } },
    { updatedAt: { not: "2000-01-01T00:00:00Z" } },
    { startedAt: null },
    { dedupeKey: { equals: null } },
    { suspect: false },
    { suspect: { not: true } },
    { leaseToken: null },
    { type: { contains: "" } },
    { type: { startsWith: "" } },
    { type: { contains: "%" } },
    { type: { startsWith: "_" } },
    { type: { equals: "%", mode: "insensitive" } },
    { type: { not: "x" } },
    { type: { gte: "" } },
    { type: "email.send" },
    { owner: { not: null } },
    { payload: { path: ["to"], string_contains: "@" } },
    { payload: { path: ["to"], string_contains: "" } },
    { status: {} },
    { status: { not: "x" } },
    { status: { not: "done" } },
    { status: { notIn: ["done"] } },
    { status: { notIn: [] } },
    { status: { in: all } },
    { status: { in: ["pending", "waiting", "done", "cancelled"] } },
    { status: { in: [...all, ...all] } },
    { status: { in: ["done"], not: "error" } },
    { status: { contains: "o" } },
    { status: { contains: "%" } },
    { status: { startsWith: "d" } },
    { status: { endsWith: "e", mode: "insensitive" } },
    { status: { equals: "%", mode: "insensitive" } },
    { status: { equals: "done", mode: "insensitive" } },
    { status: { in: ["done"], mode: "insensitive" } },
    { status: { gte: "" } },
    { status: { lt: "zzz" } },
    { status: null },
    { status: ["done"] },
    { AND: [{ status: "done" }] },
    { OR: [{ status: "done" }] },
  ];
  it.each(tautologies.map((where) => [where]))("%j", async (where) => {
    for (const [operation, rest] of [["deleteMany", {}], ["updateMany", { data: { status: "pending" } }], ["updateMany", { data: { status: "cancelled" } }]] as const) {
      for (const flags of [{ yes: true }, { yes: true, confirm: statuses.length }, { dryRun: true }]) {
        await expectRefused(run(db.url, operation, { where, ...rest }, flags, terminal), /./);
      }
    }
  });

  it("beside a status it reaches the jobs of that status and no other", async () => {
    const always = { OR: [{ attempts: { gte: 0 } }, { NOT: { id: uuid } }], NOT: { id: uuid }, createdAt: { lt: "9999-12-31T00:00:00Z" } };
    const ran = await run(db.url, "deleteMany", { where: { status: "done", ...always } });
    expect([ran.code, ran.out]).toEqual([0, "1\n"]);
    expect(await statusCounts(db.pool)).toEqual({ ...oneOfEach, done: undefined });
  });

  it("names how to say it", async () => {
    const { refusal } = await expectRefused(run(db.url, "deleteMany", '{"where":{"attempts":{"gte":0}}}'), "Expected where.status, got none.");
    expect(refusal).toContain('"status":{"in":["done","cancelled"]}');
    expect((await run(db.url, "deleteMany")).refusal).toContain('Expected deleteMany to have "where", got none. For example');
  });
});

describe("a job that a worker is running", () => {
  it("is not deleted", async () => {
    for (const where of [{ status: "processing" }, { status: { in: ["done", "processing"] } }]) {
      await expectRefused(run(db.url, "deleteMany", { where }, { yes: true }, terminal), 'without "processing"');
    }
  });

  it("keeps its priority, time and attempts, also on its way back to pending", async () => {
    for (const data of [{ priority: 5 }, { runAt: "2030-01-01T00:00:00Z" }, { maxAttempts: 9 }, { status: "pending", priority: 5 }]) {
      await expectRefused(run(db.url, "updateMany", { where: { status: { in: ["pending", "processing"] } }, data }, { yes: true }, terminal), 'without "processing"');
    }
  });

  it("is set back to pending by hand with a yes; then its worker's fence matches no longer", async () => {
    const stuck = await insertJob(db.pool, { status: "processing", attempts: 1, locked_by: uuid, lease_token: 5 });
    const ran = await run(db.url, "updateMany", { where: { status: "processing", id: stuck }, data: { status: "pending" } }, { yes: true });
    expect([ran.code, ran.out]).toEqual([0, "1\n"]);
    const { rows } = await db.pool.query("select status, attempts, updated_at > now() - interval '1 minute' as touched from outbox where id = $1", [stuck]);
    expect(rows).toEqual([{ status: "pending", attempts: 1, touched: true }]);
    const fenced = await db.pool.query("update outbox set status = 'done' where id = $1 and status = 'processing' and locked_by = $2 and lease_token = 5", [stuck, uuid]);
    expect(fenced.rowCount).toBe(0);
  });
});

describe("a status that is not set by hand is refused with the reason:", () => {
  it.each([
    ["processing", "only while a worker holds its lease"],
    ["done", "only a handler that succeeded"],
    ["error", "only a failed attempt"],
    ["waiting", "the engine decides"],
    ["canceled", 'Did you mean "cancelled"?'],
    ["", "Known: pending, cancelled"],
  ])("%s", async (status, reason) => {
    await expectRefused(run(db.url, "updateMany", { where: { status: "pending" }, data: { status } }, { yes: true }), reason);
  });

  it("nor is a job cancelled that has ended, nor one edited that will not run", async () => {
    for (const status of ["done", "error", "cancelled"]) {
      await expectRefused(run(db.url, "updateMany", { where: { status }, data: { status: "cancelled" } }, { yes: true }), "have ended already");
      await expectRefused(run(db.url, "updateMany", { where: { status }, data: { priority: 1 } }, { yes: true }), 'Expected data.status to be "pending" beside priority');
    }
    await expectRefused(run(db.url, "updateMany", { where: { status: "pending" }, data: { status: "cancelled", priority: 1 } }, { yes: true }), "a cancelled job does not run");
  });
});

describe("without a question, on and off a terminal, runs", () => {
  it.each<[string, object]>([
    ["deleteMany", { where: { status: "done" } }],
    ["deleteMany", { where: { status: { equals: "cancelled" } } }],
    ["deleteMany", { where: { status: { in: ["done", "cancelled"] }, createdAt: { lt: "2024-01-01T00:00:00Z" } } }],
    ["updateMany", { where: { status: "error", attempts: { lt: 3 } }, data: { status: "pending" } }],
    ["updateMany", { where: { status: { in: ["error", "cancelled"] } }, data: { status: "pending" } }],
  ])("%s %j", async (operation, input) => {
    for (const where of [{}, { tty: true }]) {
      await db.pool.query("update outbox set status = 'error' where status = 'pending'");
      const ran = await run(db.url, operation, input, {}, where);
      expect([ran.code, ran.refusal]).toEqual([0, ""]);
      expect(ran.err).not.toContain("[y/N]");
    }
  });
});

const notRoutine: [string, object][] = [
  ["deleteMany", { where: { status: "error" } }],
  ["deleteMany", { where: { status: "pending" } }],
  ["deleteMany", { where: { status: { in: ["done", "error"] } } }],
  ["updateMany", { where: { status: "done" }, data: { status: "pending" } }],
  ["updateMany", { where: { status: { in: ["error", "done"] } }, data: { status: "pending" } }],
  ["updateMany", { where: { status: "processing" }, data: { status: "pending" } }],
  ["updateMany", { where: { status: "pending" }, data: { status: "cancelled" } }],
  ["updateMany", { where: { status: "pending" }, data: { priority: 10 } }],
  ["updateMany", { where: { status: "error" }, data: { status: "pending", maxAttempts: 5 } }],
];

describe("everything else needs a yes:", () => {
  it.each(notRoutine)("off a terminal %s %j exits 2, changes nothing, and prints the line to run", async (operation, input) => {
    for (const [flags, where] of [[{}, {}], [{ noInput: true }, { tty: true }]] as const) {
      const { refusal } = await expectRefused(run(db.url, operation, input, flags, where), "Nothing was changed.");
      expect(refusal).toContain(`npm run -s app:cli -- db outbox ${operation} '${JSON.stringify(input)}' --yes`);
    }
    // The stream that the JSON came from cannot be asked.
    const { refusal } = await expectRefused(run(db.url, operation, "-", {}, { tty: true, stdin: JSON.stringify(input) }), "Nothing was changed.");
    expect(refusal).toContain(`db outbox ${operation} - --yes`);
  });

  it.each(notRoutine)("%s %j runs with --yes", async (operation, input) => {
    const ran = await run(db.url, operation, input, { yes: true });
    expect([ran.code, ran.refusal]).toEqual([0, ""]);
    expect(Number(ran.out)).toBeGreaterThan(0);
    expect(ran.err).not.toContain("[y/N]");
    expect(await ledger()).toHaveLength(1);
  });

  it("on a terminal it asks, showing the count and samples, and y or yes does it", async () => {
    for (const answer of ["y\n", "YES\n"]) {
      await insertJob(db.pool, { status: "error", type: "invoice.remind" });
      const ran = await run(db.url, "deleteMany", '{"where":{"status":"error","type":"invoice.remind"}}', {}, { tty: true, stdin: answer });
      expect([ran.code, ran.out]).toEqual([0, "1\n"]);
      expect(ran.err).toContain("invoice.remind  error");
      expect(ran.err).toContain("Delete 1 job? [y/N] ");
    }
  });

  it.each(["n\n", "\n", "", "yep\n", "no y\n"])("the answer %j is a no: exit 2 and nothing changed", async (stdin) => {
    const before = await snapshot();
    const ran = await run(db.url, "updateMany", '{"where":{"status":"pending"},"data":{"status":"cancelled"}}', {}, { tty: true, stdin });
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.err).toContain('Set status to "cancelled" on 1 job? [y/N] ');
    expect(ran.err).toContain("Nothing was changed.");
    expect(await snapshot()).toEqual(before);
  });

  it("a yes is for the count that was shown: when there are more by then, nothing is changed", async () => {
    const whenAsked = async (): Promise<string> => {
      await insertJob(db.pool, { status: "error" });
      return "y\n";
    };
    const ran = await run(db.url, "deleteMany", '{"where":{"status":"error"}}', {}, { tty: true, whenAsked });
    expect([ran.code, ran.refusal]).toEqual([2, expect.stringContaining("Expected 1 job, found 2. Nothing was changed.")]);
    expect(await statusCounts(db.pool)).toEqual({ ...oneOfEach, error: 2 });
  });

  it("a quote in the request survives the shell in the line to run", async () => {
    const { refusal } = await expectRefused(run(db.url, "deleteMany", { where: { status: "error", owner: "O'Hara \u001b[2J" } }, { reason: "it's old" }), "needs a yes");
    expect(refusal).toContain(`"owner":"O'\\''Hara \\u001b[2J"}}' --yes --reason='it'\\''s old'`);
    expect(refusal).not.toContain("\u001b");
  });
});

describe("more than 1,000 jobs", () => {
  const input = '{"where":{"status":"done"}}';
  const many = (count: number): Promise<unknown> => db.pool.query("insert into outbox (type, payload, status) select 'a', '{}', 'done' from generate_series(1, $1::int)", [count]);

  it("are not changed without --confirm=<count>; a thousand are", async () => {
    await many(1000);
    const { refusal } = await expectRefused(run(db.url, "deleteMany", input), "more than 1000 need --confirm=1001");
    expect(refusal).toContain(`db outbox deleteMany '${input}' --confirm=1001`);
    await expectRefused(run(db.url, "updateMany", '{"where":{"status":"done"},"data":{"status":"pending"}}', { yes: true }), /--yes --confirm=1001/);
    await expectRefused(run(db.url, "updateMany", '{"where":{"status":"done"},"data":{"status":"pending"}}', {}, terminal), "--confirm=1001");
    expect((await run(db.url, "deleteMany", input, { confirm: 1001 })).out).toBe("1001\n");
    await many(1000);
    expect((await run(db.url, "deleteMany", input)).out).toBe("1000\n");
  });

  it("are not changed either when the count is another one, more or less; nor are fewer", async () => {
    await many(1100);
    for (const confirm of [1100, 1102, 1, 0]) await expectRefused(run(db.url, "deleteMany", input, { confirm }), new RegExp(`Expected ${confirm} jobs?, found 1101`));
    await expectRefused(run(db.url, "deleteMany", '{"where":{"status":"cancelled"}}', { confirm: 2 }), "Expected 2 jobs, found 1");
  });

  it("of which one is changed by somebody else between the count and the change: nothing is changed", async () => {
    const contested = await insertJob(db.pool, { status: "done" });
    const other = await db.pool.connect();
    try {
      await other.query("begin");
      await other.query("update outbox set status = 'pending' where id = $1", [contested]);
      const running = run(db.url, "deleteMany", input, { confirm: 2 });
      await untilBlocked("DELETE");
      await other.query("commit");
      expect(await running).toMatchObject({ code: 2, refusal: expect.stringContaining("Expected 2 jobs, found 1.") });
      expect(await statusCounts(db.pool)).toEqual({ ...oneOfEach, pending: 2 });
    } finally {
      other.release();
    }
  });
});

describe("a dry run", () => {
  it.each(notRoutine)("of %s %j says what would change, prints the count, and changes nothing, without a yes", async (operation, input) => {
    const before = await snapshot();
    const ran = await run(db.url, operation, input, { dryRun: true });
    expect([ran.code, ran.refusal]).toEqual([0, ""]);
    expect(Number(ran.out)).toBeGreaterThan(0);
    expect(ran.err).toContain("Dry run, nothing was changed. Would ");
    expect(await snapshot()).toEqual(before);
  });

  it("shows five samples at most, and as JSON is one document with all of it", async () => {
    for (let n = 0; n < 6; n += 1) await insertJob(db.pool, { status: "error", payload: { password: "canary" } });
    const input = '{"where":{"status":"error"},"data":{"status":"pending"}}';
    const text = await run(db.url, "updateMany", input, { dryRun: true });
    expect(text.out).toBe("7\n");
    expect(text.err).toContain('Would set status to "pending" on 7 jobs.');
    expect(text.err.match(/email\.send/g)).toHaveLength(5);
    expect(text.err).toContain("… and 2 more.");
    const document = JSON.parse((await run(db.url, "updateMany", input, { dryRun: true, json: true })).out) as { samples: unknown[] };
    expect(document).toMatchObject({ dryRun: true, operation: "updateMany", count: 7, change: { status: "pending" } });
    expect(document.samples).toHaveLength(5);
    expect(text.err + JSON.stringify(document)).not.toContain("canary");
  });
});

describe("a mutation", () => {
  it("writes who did what to which jobs, how many and why, in the ledger", async () => {
    await run(db.url, "deleteMany", '{"where":{"status":"done"}}', { reason: "making room" });
    await run(db.url, "updateMany", '{"where":{"status":"pending","type":{"contains":"_%"}},"data":{"priority":1}}', { yes: true });
    await run(db.url, "updateMany", '{"where":{"status":"error","leaseToken":null},"data":{"status":"pending"}}');
    expect(await ledger()).toEqual([
      { actor: "ada@example", action: "db outbox deleteMany", filter: { status: "done" }, change: null, count: 1, reason: "making room" },
      { actor: "ada@example", action: "db outbox updateMany", filter: { status: "error", leaseToken: null }, change: { status: "pending" }, count: 1, reason: null },
    ]);
  });

  it("and its ledger row are one: when the ledger cannot be written, nothing is changed", async () => {
    await db.pool.query("alter table outbox_action add constraint refused check (actor <> 'ada@example')");
    try {
      const ran = await run(db.url, "deleteMany", '{"where":{"status":"done"}}');
      expect([ran.code, ran.out, ran.refusal]).toEqual([1, "", expect.stringContaining("23514")]);
      expect(await statusCounts(db.pool)).toEqual(oneOfEach);
    } finally {
      await db.pool.query("alter table outbox_action drop constraint refused");
    }
  });

  it("that selects nothing says so, exits 0 and leaves no ledger row", async () => {
    for (const [flags, where] of [[{ yes: true }, {}], [{}, terminal], [{ dryRun: true }, {}]] as const) {
      const ran = await run(db.url, "updateMany", `{"where":{"status":"pending","id":"${uuid}"},"data":{"priority":1}}`, flags, where);
      expect([ran.code, ran.out]).toEqual([0, "0\n"]);
      expect(ran.err).not.toContain("[y/N]");
    }
    expect((await run(db.url, "deleteMany", `{"where":{"status":"done","id":"${uuid}"}}`)).err).toContain("No job is selected");
    expect(await ledger()).toEqual([]);
  });

  it("that cancels sets when it ended and when it changed, by the database's clock", async () => {
    const ran = await run(db.url, "updateMany", '{"where":{"status":{"in":["waiting","pending","processing"]}},"data":{"status":"cancelled"}}', { yes: true });
    expect(ran.out).toBe("3\n");
    expect(ran.err).toContain("db outbox findMany");
    const { rows } = await db.pool.query(
      "select count(*)::int as count from outbox where status = 'cancelled' and finished_at = updated_at and abs(extract(epoch from clock_timestamp() - finished_at)) < 60",
    );
    expect(rows).toEqual([{ count: 3 }]);
  });

  it("edits what will still run: priority, time, attempts", async () => {
    await run(db.url, "updateMany", '{"where":{"status":"pending"},"data":{"priority":-5,"runAt":"2030-01-01T00:00:00+01:00","maxAttempts":7}}', { yes: true });
    const { rows } = await db.pool.query("select priority, run_at, max_attempts, updated_at > now() - interval '1 minute' as touched from outbox where status = 'pending'");
    expect(rows).toEqual([{ priority: -5, run_at: new Date("2029-12-31T23:00:00Z"), max_attempts: 7, touched: true }]);
  });

  it("prints the count as data, or one JSON document, and nothing else on stdout", async () => {
    const ran = await run(db.url, "deleteMany", '{"where":{"status":"done"}}', { json: true });
    expect(JSON.parse(ran.out)).toEqual({ dryRun: false, operation: "deleteMany", count: 1, change: null });
    expect((await run(db.url, "deleteMany", '{"where":{"status":"cancelled"}}', { quiet: true })).err).toBe("");
    expect((await run(db.url, "deleteMany", '{"where":{"status":"error"}}', { yes: true })).err).toMatch(/^Deleted 1 job\. Next: npm run app:cli db outbox groupBy /);
  });

  it("that deadlocks with a worker is tried again", async () => {
    const second = await insertJob(db.pool, { status: "error" });
    const { rows } = await db.pool.query<{ id: string }>("select id from outbox where status = 'error' and id <> $1", [second]);
    const worker = await db.pool.connect();
    try {
      // The worker is to survive the deadlock, so Postgres looks for it later on its side.
      await worker.query("begin; set local deadlock_timeout = '20s'");
      await worker.query("update outbox set suspect = true where id = $1", [second]);
      const running = run(db.url, "updateMany", '{"where":{"status":"error"},"data":{"status":"pending"}}');
      await untilBlocked("UPDATE");
      await worker.query("update outbox set suspect = true where id = $1", [rows[0]!.id]);
      await worker.query("commit");
      const ran = await running;
      expect([ran.code, ran.out]).toEqual([0, "2\n"]);
      expect(await ledger()).toHaveLength(1);
    } finally {
      worker.release();
    }
  });
});
