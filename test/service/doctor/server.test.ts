// What doctor finds of a server as a whole: on one of the test's own, for others would be disturbed by it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { allChecks } from "../../../src/service/doctor/checks.ts";
import { examine, type Ward } from "../../../src/service/doctor/doctor.ts";
import { notificationQueue } from "../../../src/service/doctor/server.ts";
import { preparedTransactions, preparedTransactionsOlderThan } from "../../../src/service/doctor/snapshots.ts";
import { openEmbedded } from "../../../src/service/embedded.ts";
import { migrate } from "../../../src/service/migrate.ts";
import { root } from "../../support/cli.ts";

const migrations = join(root, "prisma/migrations");
let folder: string;
let server: Awaited<ReturnType<typeof openEmbedded>>;
let pool: pg.Pool;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doctor-server-"));
  server = await openEmbedded({ dataDir: folder, settings: { fsync: "off", max_prepared_transactions: "5", max_connections: "30", autovacuum_naptime: "60" } });
  await migrate(server.url, migrations);
  pool = new pg.Pool({ connectionString: server.url, max: 3 });
  pool.on("error", () => undefined);
}, 60_000);
afterAll(async () => {
  await pool.end();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const found = async (name: string, url = server.url) => examine({ url, migrations, root, handled: [], schedules: [] }, allChecks.filter((check) => check.name === name));
const configure = async (setting: string) => {
  await pool.query(`alter system ${setting}`);
  await pool.query("select pg_reload_conf()");
};

it("autovacuum that is off is a problem, one that seldom comes a warning; the fixes mend it", async () => {
  expect(await found("autovacuum")).toMatchObject([{ severity: "ok", evidence: "on, every 60 s." }]);
  for (const [setting, severity] of [["autovacuum = off", "problem"], ["track_counts = off", "problem"], ["autovacuum_naptime = '10min'", "warning"]] as const) {
    await configure(`set ${setting}`);
    await expect.poll(async () => (await found("autovacuum"))[0]?.severity).toBe(severity);
    const [finding] = await found("autovacuum");
    for (const statement of finding!.fix!.split("\n")) await pool.query(statement);
    await expect.poll(async () => (await found("autovacuum"))[0]?.severity).toBe("ok");
    await configure(`reset ${setting.split(" ")[0] ?? ""}`);
  }
});

it("a prepared transaction that nobody ends is told, and its fix ends it", async () => {
  await pool.query("begin; insert into outbox (type, payload) values ('x', '{}'); prepare transaction 'it''s'");
  expect(await found(preparedTransactions.name)).toMatchObject([{ severity: "ok", evidence: "1, none older than 5 minutes." }]);
  const [finding] = await examine({ url: server.url, migrations, root, handled: [], schedules: [] }, [preparedTransactionsOlderThan(0)]);
  expect(finding).toMatchObject({ severity: "warning", evidence: expect.stringContaining('"it\'s" of') });
  await pool.query(finding!.fix!.split(" --")[0]!);
  expect(await found(preparedTransactions.name)).toMatchObject([{ severity: "ok", evidence: "none." }]);
});

it("a replication slot that nobody reads is told, and its fix drops it", async () => {
  await pool.query("select pg_create_physical_replication_slot('left_over', true)");
  const [finding] = await found("replication slots");
  expect(finding).toMatchObject({ severity: "warning", evidence: expect.stringContaining("nobody reads the physical slot left_over") });
  await pool.query(finding!.fix!.split(" --")[0]!);
  expect(await found("replication slots")).toMatchObject([{ severity: "ok", evidence: "none." }]);
});

it("connections that are nearly used up are a problem, of the database, the role or the server", async () => {
  expect(await found("connections")).toMatchObject([{ severity: "ok" }]);
  await pool.query("alter database postcommit connection limit 2; create role few login password 'x' connection limit 1; grant connect on database postcommit to few");
  const few = Object.assign(new URL(server.url), { username: "few", password: "x" }).href;
  expect(await found("connections")).toMatchObject([{ severity: "problem", evidence: expect.stringMatching(/^\d+ of 2 connections of the database postcommit are in use/) }]);
  await pool.query("alter database postcommit connection limit -1; alter role few connection limit 1");
  expect(await found("connections", few)).toMatchObject([{ severity: "problem", evidence: expect.stringMatching(/^1 of 1 connections of the role few are in use/) }]);
  await pool.query("drop owned by few; drop role few");
});

it("of sessions of others, a role without pg_read_all_stats is told what it may not see", async () => {
  await pool.query("create role plain login password 'x'");
  const holder = new pg.Client({ connectionString: server.url });
  await holder.connect();
  try {
    await holder.query("begin isolation level repeatable read; select 1");
    const plain = Object.assign(new URL(server.url), { username: "plain", password: "x" }).href;
    expect(await found("snapshots", plain)).toMatchObject([{ severity: "ok", evidence: expect.stringContaining("grant pg_read_all_stats shows the rest") }]);
    expect((await found("snapshots"))[0]?.evidence).toMatch(/^none older than 5 minutes \(the oldest: \d+ s\)\.$/);
  } finally {
    await holder.end();
    await pool.query("drop role plain");
  }
});

it("dead rows that vacuum cannot remove, or has not come for, are told", async () => {
  await pool.query("alter table outbox set (autovacuum_enabled = false)");
  await pool.query("insert into outbox (type, payload, status) select 'x', '{}', 'done' from generate_series(1, 12000)");
  await pool.query("update outbox set progress = 1");
  await pool.query("select pg_stat_force_next_flush()");
  await expect.poll(async () => (await found("dead rows"))[0]).toMatchObject({ severity: "warning", evidence: expect.stringMatching(/^outbox has 1200\d dead rows for 12000 living ones; vacuumed never/), fix: "vacuum (analyze) outbox;" });
  await pool.query("vacuum (analyze) outbox");
  await expect.poll(async () => (await found("dead rows"))[0]?.severity).toBe("ok");
});

it.each([
  [0.02, "ok"],
  [0.3, "warning"],
  [0.7, "problem"],
])("a notification queue that is full to %d is %s", async (usage, severity) => {
  // 8 GB of notifications are more than a test can leave lying.
  const sql = { query: () => Promise.resolve([{ usage }]) };
  expect((await notificationQueue.run({ sql, standby: false } as unknown as Ward))[0]?.severity).toBe(severity);
});
