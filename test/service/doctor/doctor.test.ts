// Every check of doctor finds what it is for, on a database where just that has been broken, and its fix mends it.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import pg from "pg";
import { allChecks } from "../../../src/service/doctor/checks.ts";
import { clockOffset } from "../../../src/service/doctor/clock.ts";
import type { Check } from "../../../src/service/doctor/doctor.ts";
import { examine } from "../../../src/service/doctor/doctor.ts";
import type { Finding } from "../../../src/service/doctor/look.ts";
import { within } from "../../../src/service/doctor/versions.ts";
import { root } from "../../support/cli.ts";
import { emptyDatabase } from "../../support/database.ts";
import type { TestOutbox } from "../../support/outbox.ts";
import { testOutbox } from "../../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
});
afterAll(() => test.close());
beforeEach(() => test.empty());

const examined = { migrations: `${root}/prisma/migrations`, root, handled: ["work"], schedules: ["daily"] };
const bad = (findings: readonly Finding[]) => findings.filter(({ severity }) => severity === "warning" || severity === "problem");

/** What the named checks find, or all of them. */
async function found(...names: string[]): Promise<Finding[]> {
  const chosen = allChecks.filter(({ name }) => names.length === 0 || names.includes(name));
  expect(chosen.length).toBeGreaterThanOrEqual(names.length);
  return examine({ url: test.url, ...examined }, chosen);
}

/** Runs the SQL of the findings as a person would, each statement by itself: "concurrently" may not be in a transaction. */
async function runFixes(findings: readonly Finding[]): Promise<void> {
  for (const { fix } of findings) {
    const statements = fix?.includes("FUNCTION") ? [fix] : (fix ?? "").split("\n");
    for (const statement of statements) if (!statement.startsWith("npm")) await test.pool.query(statement);
  }
}

it("finds nothing wrong with a database that the migrations have just made", async () => {
  expect(bad(await found())).toEqual([]);
});

it("writes nothing, whatever a check does", async () => {
  const vandal: Check = { name: "vandal", needsTables: false, run: async ({ sql }) => (await sql.query("insert into outbox (type, payload) values ('x', '{}')"), []) };
  const [finding] = await examine({ url: test.url, ...examined }, [vandal]);
  expect(finding).toMatchObject({ severity: "warning", evidence: expect.stringContaining("read-only transaction") });
  expect(await test.jobs()).toEqual([]);
});

describe("schema, indexes and settings", () => {
  it.each([
    ["schema", "problem", "alter table outbox drop column progress_note"],
    ["schema", "problem", "alter table outbox alter column priority type integer, alter column priority set default 5, alter column priority drop not null"],
    ["schema", "problem", "alter table outbox alter column owner set default 'me'"],
    ["schema", "problem", "alter table outbox drop constraint outbox_status_known"],
    ["schema", "problem", "alter table outbox drop constraint outbox_status_known, add constraint outbox_status_known check (status <> 'x')"],
    ["schema", "problem", "alter table outbox_attempt drop constraint outbox_attempt_job_id_fkey"],
    ["schema", "problem", "alter table outbox disable trigger outbox_line_up"],
    ["schema", "problem", "drop trigger outbox_left on outbox"],
    ["schema", "problem", "drop trigger outbox_ring on outbox; create trigger outbox_ring after update on outbox for each statement execute function outbox_ring()"],
    ["schema", "problem", "create or replace function outbox_ring() returns trigger language plpgsql as 'begin return null; end'"],
    ["schema", "problem", "alter function outbox_line_up() security invoker"],
    ["schema", "problem", "alter table outbox add column theirs int not null"],
    ["indexes", "problem", "drop index outbox_lanes"],
    ["indexes", "problem", "drop index outbox_dedupe; create unique index outbox_dedupe on outbox (type, dedupe_key)"],
    ["indexes", "warning", "drop index outbox_tags"],
    ["indexes", "warning", "create index outbox_created on outbox (created_at)"],
    ["indexes", "problem", "update pg_index set indisvalid = false where indexrelid = 'outbox_lanes'::regclass"],
    ["table settings", "warning", "alter table outbox reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)"],
    ["table settings", "warning", "alter table outbox_worker set (fillfactor = 100)"],
    ["table settings", "problem", "alter table outbox set (autovacuum_enabled = false)"],
    ["schema rights", "warning", "grant create on schema public to public"],
  ])("%s: a %s, mended by its fix, after: %s", async (check, severity, damage) => {
    await test.pool.query(damage);
    const findings = bad(await found(check));
    expect(findings.map((finding) => finding.severity)).toEqual([severity]);
    await runFixes(findings);
    expect(bad(await found(check))).toEqual([]);
    await test.pool.query("alter table outbox drop column if exists theirs");
  });

  it("only takes notice of a column that does no harm, and warns of a trigger and a constraint of somebody's", async () => {
    await test.pool.query(`alter table outbox add column theirs int, add constraint theirs check (type <> 'x');
      create function theirs() returns trigger language plpgsql as 'begin return null; end'; create trigger theirs after update on outbox for each row execute function theirs()`);
    const findings = await found("schema");
    await test.pool.query("drop trigger theirs on outbox; drop function theirs; alter table outbox drop constraint theirs, drop column theirs");
    expect(findings.map(({ severity, evidence }) => [severity, evidence.split(" is ")[0]])).toEqual([
      ["warning", "the constraint theirs of outbox"],
      ["warning", "the trigger theirs of outbox"],
      ["notice", "the column theirs of outbox"],
    ]);
  });

  it("a table that is gone is one problem, and hides no other check", async () => {
    const own = await testOutbox();
    try {
      await own.pool.query("drop table outbox_schedule");
      const findings = await examine({ url: own.url, ...examined }, allChecks);
      expect(findings.filter(({ check }) => check === "schema")).toMatchObject([{ severity: "problem", evidence: "the table outbox_schedule is missing." }]);
      expect(findings.find(({ check }) => check === "schedules")).toMatchObject({ severity: "notice", evidence: expect.stringContaining("does not exist") });
      expect(new Set(findings.map(({ check }) => check)).size).toBe(allChecks.length);
    } finally {
      await own.close();
    }
  });

  it("on an empty database says that nothing is migrated, and looks at what does not need the tables", async () => {
    const empty = await emptyDatabase();
    try {
      const findings = await examine({ url: empty.url, ...examined }, allChecks);
      expect(bad(findings)).toMatchObject([{ check: "migrations", severity: "problem", fix: "npm run app:cli migrate" }]);
      expect(findings.map(({ check }) => check)).toEqual(expect.arrayContaining(["server", "clock", "node", "connections"]));
    } finally {
      await empty.close();
    }
  });
});

describe("the work", () => {
  const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000);
  const worker = (columns: Record<string, unknown>) => {
    const row = { id: "00000000-0000-0000-0000-000000000001", host: "h", pid: 7, version: "1", lease_ms: 30_000, types: ["work"], ...columns };
    return test.pool.query(`insert into outbox_worker (${Object.keys(row).join(", ")}) values (${Object.keys(row).map((_, index) => `$${index + 1}`).join(", ")})`, Object.values(row));
  };

  it("jobs that have been due for long are a problem when nobody is there, a warning when a worker is", async () => {
    await test.aJob({ run_at: ago(20) });
    expect(await found("due jobs")).toMatchObject([{ severity: "problem", evidence: expect.stringContaining("jobs of work have been due for up to 20 minutes, and no worker or drain is there") }]);
    await worker({});
    expect(await found("due jobs")).toMatchObject([{ severity: "warning" }]);
    await test.pool.query("insert into outbox_type (type, paused_at) values ('work', now())");
    expect(bad(await found("due jobs"))).toEqual([]);
  });

  it("types without a handler, here or anywhere", async () => {
    await test.aJob({ type: "mystery\u001b[2J" });
    expect(await found("types")).toMatchObject([{ severity: "warning", evidence: '1 pending of "mystery\\u001b[2J": no handler here, and no living worker has one.' }]);
    await worker({ types: ["mystery\u001b[2J"] });
    expect(await found("types")).toMatchObject([{ severity: "notice" }]);
  });

  it("a worker without a beat, and the jobs that it had", async () => {
    await worker({ beat_at: ago(5) });
    await test.aJob({ status: "processing", locked_by: "00000000-0000-0000-0000-000000000001" });
    expect(bad(await found("workers", "lost jobs"))).toMatchObject([{ check: "lost jobs", severity: "warning" }, { check: "workers", severity: "warning", evidence: expect.stringContaining("on h (process 7) has been silent for 5 minutes") }]);
    await test.pool.query("update outbox_worker set beat_at = $1", [ago(30)]);
    expect(bad(await found("lost jobs"))).toMatchObject([{ severity: "problem" }]);
  });

  it("workers of two versions: a notice during a deployment, a warning when it has been so for long", async () => {
    await worker({ versions: [1] });
    await worker({ id: "00000000-0000-0000-0000-000000000002", version: "2", versions: [2] });
    expect(await found("worker versions")).toMatchObject([{ severity: "notice" }, { severity: "notice", evidence: "living workers know versions 1 and 2 of work: jobs of the newer one wait for those who know it." }]);
    await test.pool.query("update outbox_worker set started_at = $1", [ago(120)]);
    expect(bad(await found("worker versions"))).toMatchObject([{ severity: "warning", evidence: "living workers are of versions 1 and 2, all for over an hour." }]);
  });

  it("a line that nobody lets go on is a problem, and the fix lets it go on; one that is noted is left to the next drain", async () => {
    await test.pool.query("alter table outbox disable trigger outbox_line_up");
    await test.aJob({ ordering_key: "it's", status: "waiting", sequence: 1, updated_at: ago(5) });
    await test.pool.query("alter table outbox enable trigger outbox_line_up");
    const findings = bad(await found("ordering keys"));
    expect(findings).toMatchObject([{ severity: "problem", evidence: expect.stringContaining('jobs of "it\'s" wait') }]);
    await runFixes(findings);
    expect(bad(await found("ordering keys"))).toMatchObject([{ severity: "warning", fix: "npm run app:cli jobs:drain" }]);
    await test.outbox.drain({ handlers: [] });
    expect(await found("ordering keys")).toMatchObject([{ severity: "ok" }]);
  });

  it("a line behind a dead letter that blocks it is worth a notice", async () => {
    for (let nth = 0; nth < 2; nth += 1) await test.aJob({ ordering_key: "k", block_on_dead: true });
    await test.pool.query("update outbox set status = 'error' where status = 'pending'");
    expect(await found("ordering keys")).toMatchObject([{ severity: "notice", evidence: 'jobs of "k" wait behind a dead letter that blocks them until somebody has retried or cancelled it.' }]);
  });

  it("schedules that nobody fires: of this program a problem, of another one a warning", async () => {
    for (const name of ["daily", "theirs"]) await test.pool.query("insert into outbox_schedule (name, type, cron, time_zone, missed, next_slot_at) values ($1, 'work', '@daily', 'UTC', 'last', $2)", [name, ago(120)]);
    expect(await found("schedules")).toMatchObject([{ severity: "problem", evidence: expect.stringContaining('"daily" has been due for 2 hours') }, { severity: "warning", evidence: expect.stringContaining('"theirs"') }]);
  });
});

describe("snapshots and locks", () => {
  let holder: pg.Client;
  beforeEach(async () => {
    holder = new pg.Client({ connectionString: test.url, application_name: "report\u202e" });
    holder.on("error", () => undefined);
    await holder.connect();
  });
  afterEach(() => holder.end().catch(() => undefined));

  /** Time passes by moving the limits: nobody can make a transaction older than it is. */
  it("who holds a snapshot, since when and with what is told, with how to end it", async () => {
    await holder.query("begin isolation level repeatable read");
    await holder.query(`select '${"x".repeat(200)}', count(*) from outbox`);
    const { snapshotsOlderThan } = await import("../../../src/service/doctor/snapshots.ts");
    const [finding] = await examine({ url: test.url, ...examined }, [snapshotsOlderThan(0)]);
    const { rows } = await test.pool.query<{ pid: number }>("select pid from pg_stat_activity where state = 'idle in transaction' and datname = current_database()");
    expect(finding).toMatchObject({ severity: "warning", evidence: expect.stringMatching(/^pid \d+, user \w+, application ".*", from .*: its transaction is open for 0 s \(since 20.*Z\), idle in transaction: select 'x+…$/) });
    expect(finding?.fix).toContain(`select pg_terminate_backend(${rows[0]!.pid});`);
    expect(finding!.evidence.split("transaction: ")[1]!.length).toBeLessThanOrEqual(80);
    await test.pool.query(finding!.fix!);
    expect(await examine({ url: test.url, ...examined }, [snapshotsOlderThan(0)])).toMatchObject([{ severity: "ok" }]);
  });

  it("a lock on our tables makes no check wait", async () => {
    await holder.query("begin");
    await holder.query("lock table outbox");
    const startedAt = performance.now();
    const findings = await found();
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    expect(findings.find(({ check }) => check === "lost jobs")).toMatchObject({ severity: "notice", evidence: expect.stringContaining("not looked at") });
    expect(findings.find(({ check }) => check === "clock")).toMatchObject({ severity: "ok" });
  });
});

describe("what a check says that cannot be made", () => {
  const check = (run: Check["run"]): Check => ({ name: "it", needsTables: false, run });
  it("names the grant that is missing, the time that it would have taken, or what went wrong; others go on", async () => {
    const role = `postcommit_doctor_${Math.random().toString(16).slice(2)}`;
    await test.pool.query(`create role ${role} login password 'x'`);
    try {
      const url = Object.assign(new URL(test.url), { username: role, password: "x" }).href;
      const findings = await examine({ url, ...examined }, [
        check(async ({ sql }) => (await sql.query("select * from outbox"), [])),
        check(async ({ sql }) => (await sql.query("select pg_sleep(20)"), [])),
        check(async ({ sql }) => (await sql.query("select 1 / 0"), [])),
        check(() => Promise.resolve([{ severity: "ok", evidence: "well", fix: null }])),
      ]);
      expect(findings).toMatchObject([
        { severity: "warning", evidence: "the check itself failed: division by zero." },
        { severity: "notice", evidence: `${role} may not look: permission denied for table outbox.`, fix: `grant select on outbox to ${role};` },
        { severity: "notice", evidence: expect.stringContaining("longer than 4 s") },
        { severity: "ok" },
      ]);
    } finally {
      await test.pool.query(`drop role ${role}`);
    }
  });

  it("a check that never ends is given up when the time of all is over", async () => {
    const findings = await examine({ url: test.url, ...examined }, [check(() => new Promise(() => undefined)), check(() => new Promise(() => undefined)), check(() => Promise.resolve([]))], 200);
    expect(findings.map(({ evidence }) => evidence)).toEqual(Array(3).fill("not looked at: the time for all checks was up."));
  });
});

describe("settings of roles and of the database", () => {
  const name = () => new URL(test.url).pathname.slice(1);
  afterEach(() => test.pool.query(`alter database ${name()} reset all`));

  it.each([
    ["role settings", "problem", "default_transaction_read_only = on"],
    ["role settings", "warning", "lock_timeout = '100ms'"],
    ["role settings", "warning", "idle_session_timeout = '5s'"],
    ["role settings", "warning", "idle_in_transaction_session_timeout = 2000"],
    ["time zones", "warning", "timezone = 'Europe/Berlin'"],
  ])("%s: a %s, mended by its fix: %s", async (check, severity, setting) => {
    await test.pool.query(`alter database ${name()} set ${setting}`);
    const findings = bad(await found(check));
    expect(findings.map((finding) => finding.severity)).toEqual([severity]);
    await test.pool.query("set default_transaction_read_only = off");
    const fix = findings[0]!.fix!;
    const writing = new pg.Client({ connectionString: test.url, options: "-c default_transaction_read_only=off" });
    await writing.connect();
    await writing.query(fix);
    await writing.end();
    expect(bad(await found(check))).toEqual([]);
  });

  it("time limits that the engine sets for itself are worth a notice, and behind a pooler a warning", async () => {
    await test.pool.query(`alter database ${name()} set statement_timeout = '200ms'; alter database ${name()} set default_transaction_isolation = 'serializable'`);
    const roleSettings = allChecks.filter((check) => check.name === "role settings");
    expect((await examine({ url: test.url, ...examined }, roleSettings)).map(({ severity }) => severity)).toEqual(["notice", "notice"]);
    expect((await examine({ url: `${test.url}?pgbouncer=true`, ...examined }, roleSettings)).map(({ severity }) => severity)).toEqual(["warning", "warning"]);
  });
});

it("the clock: this machine's is compared by the best of several round trips", async () => {
  expect(Math.abs((await clockOffset(test.database)).offsetMs)).toBeLessThan(500);
  const { offsetMs } = await clockOffset(test.database, () => Date.now() + 5000);
  expect(offsetMs).toBeGreaterThan(-5500);
  expect(offsetMs).toBeLessThan(-4500);
  // One slow answer does not make the clock look wrong.
  const [trips, clock] = [[60_000, 20, 20, 20, 20], { now: 0 }];
  const sameClock = {
    query: () => {
      const at = clock.now;
      clock.now += trips.shift() ?? 20;
      return Promise.resolve([{ at }]);
    },
  };
  expect(await clockOffset(sameClock, () => clock.now)).toEqual({ offsetMs: -10, uncertainMs: 10 });
});

it.each([
  ["20.19.0", true],
  ["20.18.3", false],
  ["21.7.0", false],
  ["22.12.0", true],
  ["22.11.0", false],
  ["23.1.0", false],
  ["24.0.0", true],
  ["26.3.0", true],
])("Node %s is supported: %s", (version, expected) => {
  expect(within(version, "^20.19 || ^22.12 || >=24")).toBe(expected);
});
