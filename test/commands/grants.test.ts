// The three database roles, as `doctor --grants` makes them: what a login in each of them can do, and what it cannot.
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PrismaPg } from "@prisma/adapter-pg";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { PrismaClient } from "../../generated/prisma/client.ts";
import { run } from "../../src/commands/index.ts";
import { createOutbox, defineJob, defineSchedule, handle } from "../../src/index.ts";
import type { AppOutbox } from "../../src/index.ts";
import { auditLog, notificationSend } from "../../src/jobs.ts";
import { expectedSchema } from "../../src/service/doctor/expected-schema.ts";
import { drainerRights } from "../../src/service/doctor/grants.ts";
import { auditLogHandler } from "../../src/handlers/audit-log.ts";
import { notificationSendHandler } from "../../src/handlers/notification-send.ts";
import { root as program } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { until } from "../support/until.ts";
import { memoryIo } from "./db-outbox/harness.ts";

const names = ["outbox_enqueuer", "outbox_drainer", "outbox_viewer"] as const;
type RoleName = (typeof names)[number];
interface Login {
  readonly role: string;
  readonly url: string;
  readonly pool: pg.Pool;
  readonly outbox: AppOutbox;
}

let test: TestOutbox;
let root: string;
const logins = {} as Record<RoleName, Login>; // filled before the first test
const password = randomBytes(12).toString("hex");

beforeAll(async () => {
  test = await testOutbox();
  root = await mkdtemp(join(tmpdir(), "grants-"));
  await symlink(join(program, "prisma"), join(root, "prisma")); // for what asks which migrations there are
  const { code, out } = await command("doctor", "--grants");
  expect(code).toBe(0);
  await test.pool.query(out);
  await test.pool.query(out); // and again: it may be run at any time
  for (const name of names) {
    const role = `postcommit_${name}_${randomBytes(6).toString("hex")}`;
    await test.pool.query(`create role ${role} login password '${password}' in role ${name}`);
    const url = Object.assign(new URL(test.url), { username: role, password }).href;
    const pool = new pg.Pool({ connectionString: url, max: 2 });
    pool.on("error", () => undefined);
    logins[name] = { role, url, pool, outbox: createOutbox({ connection: url }) };
  }
});
afterAll(async () => {
  for (const { pool, outbox } of Object.values(logins)) {
    await pool.end();
    await outbox.close();
  }
  for (const { role } of Object.values(logins)) {
    // Temporary tables go with their session, which ends a moment after its client has left.
    await until("its sessions have ended", async () => (await test.pool.query("select from pg_stat_activity where usename = $1", [role])).rowCount === 0);
    await test.pool.query(`drop role ${role}`);
  }
  await test.close();
  await rm(root, { recursive: true });
});
beforeEach(async () => {
  await test.empty();
  for (const name of ["npm_lifecycle_event", "NODE_ENV", "DATA_DIR"]) vi.stubEnv(name, undefined);
});
afterEach(() => vi.unstubAllEnvs());

async function command(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const io = memoryIo();
  const code = await run(args, io, root);
  return { code, out: io.out(), err: io.err() };
}

/** A command as if its DATABASE_URL were that of the role. */
async function commandAs(name: RoleName, ...args: string[]) {
  vi.stubEnv("DATABASE_URL", logins[name].url);
  return command(...args);
}

/** What Postgres says to a statement: "ok", or that it may not. */
async function answer(name: RoleName, statement: string, values: unknown[] = []): Promise<string> {
  return logins[name].pool.query(statement, values).then(
    () => "ok",
    (error: unknown) => (error instanceof pg.DatabaseError && error.code === "42501" ? "denied" : `failed: ${String(error)}`),
  );
}

async function inTransaction<Value>(name: RoleName, work: (client: pg.PoolClient) => Promise<Value>): Promise<Value> {
  const client = await logins[name].pool.connect();
  try {
    await client.query("begin");
    const value = await work(client);
    await client.query("commit");
    return value;
  } finally {
    client.release();
  }
}

const work = defineJob<{ n: number }>({ type: "work" });
const limited = defineJob<{ n: number }>({ type: "limited", concurrency: 2, rateLimit: { limit: 100, per: "1m" } });

it("every table of ours stands in the SQL", () => {
  const tables = expectedSchema.filter(({ kind }) => kind === "table").map(({ name }) => name);
  expect(drainerRights.map(([table]) => table).sort()).toEqual(tables.sort());
});

it("nothing but these grants is given by a second run over grants that were too wide", async () => {
  await test.pool.query("grant all on outbox to outbox_enqueuer");
  expect(await answer("outbox_enqueuer", "delete from outbox")).toBe("ok");
  await test.pool.query((await command("doctor", "--grants")).out);
  expect(await answer("outbox_enqueuer", "delete from outbox")).toBe("denied");
});

describe("the enqueuer", () => {
  it("enqueues by a plain insert, and by enqueue with every option", async () => {
    expect(await answer("outbox_enqueuer", "insert into outbox (type, payload) values ('work', '{}')")).toBe("ok");
    const { outbox } = logins.outbox_enqueuer;
    await inTransaction("outbox_enqueuer", async (client) => {
      await outbox.enqueue(client, work, { n: 1 }, { priority: "high", delay: "1m", maxAttempts: 5, owner: "ada", tags: ["a"] });
      await outbox.enqueueMany(client, [1, 2, 3].map((n) => work.job({ n }, { orderingKey: "line" })));
    });
    const jobs = await test.pool.query<{ status: string; count: number }>("select status, count(*)::int as count from outbox group by status order by status");
    expect(jobs.rows).toEqual([{ status: "pending", count: 3 }, { status: "waiting", count: 2 }]);
  });

  it("enqueues by a Prisma client's create, of which it may read the id, and createMany", async () => {
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: logins.outbox_enqueuer.url }) });
    try {
      const { id } = await prisma.outbox.create({ data: { type: "work", payload: {} }, select: { id: true } });
      await prisma.outbox.createMany({ data: [{ type: "work", payload: {} }] });
      await expect(prisma.outbox.create({ data: { type: "work", payload: {} } })).rejects.toThrow(/permission denied/);
      expect((await test.jobs()).map((job) => job.id)).toContain(id);
      expect(await test.jobs()).toHaveLength(2);
    } finally {
      await prisma.$disconnect();
    }
  });

  it("enqueues in the order of commits: with the rights of the tables' owner, for that alone", async () => {
    const { outbox } = logins.outbox_enqueuer;
    for (const n of [1, 2]) await inTransaction("outbox_enqueuer", (client) => outbox.enqueue(client, work, { n }, { orderingKey: "line" }));
    expect((await test.pool.query("select payload->'n' as n, status from outbox order by sequence")).rows).toEqual([{ n: 1, status: "pending" }, { n: 2, status: "waiting" }]);
    for (const table of ["outbox_key_lock", "outbox_unpromoted"]) expect(await answer("outbox_enqueuer", `select * from ${table}`)).toBe("denied");
    expect(await answer("outbox_enqueuer", "select nextval('outbox_sequence')")).toBe("denied");
  });

  it("is told which job holds a dedupe key, and takes over one whose time has passed", async () => {
    const { outbox } = logins.outbox_enqueuer;
    const enqueue = () => inTransaction("outbox_enqueuer", (client) => outbox.enqueue(client, work, { n: 1 }, { dedupeKey: "k" }));
    const first = await enqueue();
    expect(await enqueue()).toEqual({ id: first.id, deduplicated: true });
    await test.pool.query("update outbox set dedupe_until = clock_timestamp() - interval '1 s'");
    expect(await enqueue()).toMatchObject({ deduplicated: false });
  });

  it("cannot release a key that a job still holds, nor put a released one back", async () => {
    await test.aJob({ dedupe_key: "held", dedupe_until: "9999-12-31" });
    await test.aJob({ dedupe_key: "until done" });
    expect(await answer("outbox_enqueuer", "update outbox set dedupe_released = true where dedupe_key = 'held'")).toBe("denied");
    expect(await answer("outbox_enqueuer", "update outbox set dedupe_released = true where dedupe_key = 'until done'")).toBe("denied");
    await test.pool.query("update outbox set dedupe_released = true");
    expect(await answer("outbox_enqueuer", "update outbox set dedupe_released = false where dedupe_key is not null")).toBe("denied");
  });

  it("rings for a worker that sleeps", async () => {
    await test.pool.query("insert into outbox_worker (id, host, pid, version, lease_ms, listening) values (gen_random_uuid(), 'h', 1, 'v', 30000, true)");
    const listener = await test.pool.connect();
    try {
      await listener.query("listen outbox");
      const rung = new Promise((resolve) => listener.once("notification", resolve));
      expect(await answer("outbox_enqueuer", "insert into outbox (type, payload) values ('work', '{}')")).toBe("ok");
      await rung;
    } finally {
      await listener.query("unlisten outbox");
      listener.release();
    }
  });

  it.each([
    "select payload from outbox",
    "select * from outbox",
    "select last_error from outbox",
    "select owner from outbox",
    "select id from outbox where payload is not null",
    "update outbox set status = 'cancelled'",
    "update outbox set payload = '{}'",
    "update outbox set dedupe_released = dedupe_released, status = 'done'",
    "delete from outbox",
    "truncate outbox",
    "insert into outbox (type, payload, locked_by) values ('work', '{}', gen_random_uuid())",
    "insert into outbox (type, payload, result) values ('work', '{}', '{}')",
    "insert into outbox (type, payload, created_at) values ('work', '{}', '2020-01-01')",
    "insert into outbox (type, payload) values ('work', '{}') returning payload",
    "insert into outbox_type (type, paused_at) values ('work', now())",
    "select * from outbox_type",
    "select * from outbox_worker",
    "select host from outbox_worker",
    "update outbox_worker set listening = false",
    "select * from outbox_attempt",
    "select * from outbox_action",
    "select * from audit_log",
    "select * from notification",
    "insert into outbox_action (actor, action, filter, count) values ('me', 'x', '{}', 1)",
    "insert into outbox_unpromoted (ordering_key) values ('k')",
    "create table mine (id int)",
    "alter table outbox add column mine int",
    "create trigger mine before insert on outbox for each row execute function outbox_line_up()",
    "drop table outbox",
  ])("may not: %s", async (statement) => {
    await test.aJob();
    expect(await answer("outbox_enqueuer", statement)).toMatch(/^denied$|must be owner/);
  });

  it("finds no rights in the function that joins lines: not by calling it, not from a trigger of its own", async () => {
    expect(await answer("outbox_enqueuer", "select outbox_line_up()")).toBe("denied");
    expect(await answer("outbox_enqueuer", "create temp table mine (ordering_key text, status text, sequence bigint)")).toBe("ok");
    expect(await answer("outbox_enqueuer", "create trigger mine before insert on mine for each row execute function outbox_line_up()")).toBe("denied");
  });

  it("cannot lead that function astray by tables of its own in the search path", async () => {
    await inTransaction("outbox_enqueuer", async (client) => {
      await client.query("create temp table outbox_key_lock (id int)");
      await client.query("set local search_path = pg_temp, public");
      await client.query("insert into public.outbox (type, payload, ordering_key) values ('work', '{}', 'line')");
      expect((await client.query("select * from pg_temp.outbox_key_lock")).rows).toEqual([]);
    });
    expect((await test.pool.query("select id from outbox_key_lock where id = outbox_key_lock('line')")).rows).toHaveLength(1);
  });
});

describe("the drainer", () => {
  it("drains: ordering keys, limits, schedules, the inbox, the audit log, a failure and a dead letter", async () => {
    const { outbox } = logins.outbox_drainer;
    const ran: string[] = [];
    const handlers = [
      handle(work, async ({ n }, ctx) => {
        ran.push(`work ${n}`);
        if (n === 13) throw new Error("unlucky");
        if (n === 2) await ctx.complete((tx) => outbox.enqueue(tx, limited, { n: 20 }));
        if (n === 3) await ctx.effect("call", () => Promise.resolve("called"));
        await ctx.progress(50, "half");
      }),
      handle(limited, ({ n }) => Promise.resolve(ran.push(`limited ${n}`))),
      notificationSendHandler({ channels: {} }),
      auditLogHandler(),
    ];
    const report = defineJob<{ day: string }>({ type: "report" });
    const schedule = defineSchedule({ name: "daily", cron: "0 7 * * *", timeZone: "UTC", contract: report, payload: { day: "x" } });
    handlers.push(handle(report, () => Promise.resolve(ran.push("report"))));
    await inTransaction("outbox_enqueuer", async (client) => {
      await outbox.enqueueMany(client, [1, 2, 3].map((n) => work.job({ n }, { orderingKey: "line" })));
      await outbox.enqueue(client, limited, { n: 10 });
      await outbox.enqueue(client, work, { n: 13 }, { maxAttempts: 1 });
      await outbox.enqueue(client, notificationSend, { userId: "ada", type: "info", message: "hello" });
      await outbox.enqueue(client, auditLog, { event: "tested" });
    });
    await outbox.drain({ handlers, schedules: [schedule] }); // declares the schedule
    await test.pool.query("update outbox_schedule set next_slot_at = next_slot_at - interval '1 day'");
    const { done, dead } = await outbox.drain({ handlers, schedules: [schedule] });
    expect({ done, dead }).toEqual({ done: 1, dead: 0 });
    expect(ran.filter((name) => name.startsWith("work") && name !== "work 13")).toEqual(["work 1", "work 2", "work 3"]);
    expect(ran).toEqual(expect.arrayContaining(["work 13", "limited 10", "limited 20", "report"]));
    expect((await test.pool.query("select status, count(*)::int as count from outbox group by status order by status")).rows).toEqual([{ status: "done", count: 8 }, { status: "error", count: 1 }]);
    expect((await test.pool.query("select from notification")).rowCount).toBe(1);
    expect((await test.pool.query("select from audit_log")).rowCount).toBe(1);
    expect((await test.pool.query("select from outbox_attempt where outcome = 'dead'")).rowCount).toBe(1);
  });

  it("works as a worker: is woken, beats, and takes leave", async () => {
    const { outbox } = logins.outbox_drainer;
    const ran = new Promise<void>((resolve) => {
      const worker = outbox.worker({ handlers: [handle(work, () => Promise.resolve().then(resolve).then(() => void worker.stop()))] });
      void worker.start();
    });
    await inTransaction("outbox_enqueuer", (client) => outbox.enqueue(client, work, { n: 1 }));
    await ran;
  });

  it("rescues, retries by hand, pauses, resumes and prunes", async () => {
    const lost = await test.aJob({ status: "processing", locked_by: "00000000-0000-0000-0000-000000000001", lease_token: 1, attempts: 1 });
    const dead = await test.aJob({ status: "error", attempts: 3, ordering_key: "line", finished_at: new Date(), dedupe_key: "k", dedupe_released: true });
    await test.aJob({ status: "error", attempts: 1, finished_at: new Date(Date.now() - 90 * 86_400_000) });
    const { outbox } = logins.outbox_drainer;
    expect(await answer("outbox_drainer", "update outbox set status = 'pending' where id = $1", [dead])).toBe("ok");
    await outbox.drain({ handlers: [handle(work, () => Promise.resolve())] });
    expect([(await test.job(lost)).status, (await test.job(dead)).status]).toEqual(["done", "done"]);
    const [again, never] = [await test.aJob({ status: "error", attempts: 3, finished_at: new Date() }), await test.aJob()];
    expect(await commandAs("outbox_drainer", "jobs:retry", "--id", again, "--yes", "--reason", "test")).toMatchObject({ code: 0 });
    expect(await commandAs("outbox_drainer", "jobs:cancel", "--id", never, "--yes", "--reason", "test")).toMatchObject({ code: 0 });
    expect([(await test.job(again)).status, (await test.job(never)).status]).toEqual(["pending", "cancelled"]);
    expect((await test.pool.query("select from outbox_action_job")).rowCount).toBe(2);
    expect((await commandAs("outbox_drainer", "types:pause", "work", "--reason", "test")).code).toBe(0);
    expect((await commandAs("outbox_drainer", "types:resume", "work")).code).toBe(0);
    expect(await commandAs("outbox_drainer", "jobs:prune", "--older-than", "1d", "--status", "error", "--yes")).toMatchObject({ code: 0, out: "1\n" });
  });

  it.each([
    "update outbox set payload = '{}'",
    "update outbox set type = 'other'",
    "update outbox set ordering_key = 'other'",
    "update outbox set owner = 'me'",
    "delete from outbox_attempt",
    "delete from outbox_action",
    "update outbox_action set actor = 'somebody else'",
    "delete from audit_log",
    "update audit_log set event = 'other'",
    "truncate outbox",
    "create table mine (id int)",
    "alter table outbox disable trigger outbox_line_up",
    "create index mine on outbox (status)",
    "drop table outbox",
  ])("may not: %s", async (statement) => {
    await test.aJob();
    expect(await answer("outbox_drainer", statement)).toMatch(/^denied$|must be owner/);
  });
});

describe("the viewer", () => {
  it.each([["db", "outbox", "findMany", '{"take":5}'], ["types:list"], ["schedules:list"], ["workers"], ["stats"], ["doctor"], ["health:db"], ["migrate:status"], ["jobs:list"], ["errors"]])("can ask: %s", async (...args) => {
    await test.aJob({ status: "error", last_error: "Error: no", finished_at: new Date() });
    const { code, err } = await commandAs("outbox_viewer", ...args);
    expect({ code, err: err.includes("permission denied") }).toEqual({ code: 0, err: false });
  });

  it("can ask why a job does not run", async () => {
    const id = await test.aJob();
    expect(await commandAs("outbox_viewer", "jobs:why", id)).toMatchObject({ code: 0 });
  });

  it.each([
    "insert into outbox (type, payload) values ('work', '{}')",
    "update outbox set status = 'pending'",
    "update outbox set dedupe_released = true",
    "delete from outbox",
    "select id from outbox for update",
    "select id from outbox for key share",
    "insert into outbox_type (type, paused_at) values ('work', now())",
    "update outbox_schedule set paused_at = now()",
    "delete from outbox_worker",
    "insert into outbox_worker (id, host, pid, version, lease_ms) values (gen_random_uuid(), 'h', 1, 'v', 1)",
    "insert into outbox_action (actor, action, filter, count) values ('me', 'x', '{}', 1)",
    "insert into audit_log (event, job_id, enqueued_at) values ('x', gen_random_uuid(), now())",
    "select nextval('outbox_sequence')",
    "create table mine (id int)",
  ])("may not: %s", async (statement) => {
    await test.aJob();
    expect(await answer("outbox_viewer", statement)).toMatch(/^denied$|must be owner/);
  });

  it("cannot drain: the command says that it may not, and no job is touched", async () => {
    const id = await test.aJob({ type: "audit.log", payload: { event: "x" } });
    const { code } = await commandAs("outbox_viewer", "jobs:drain");
    expect(code).not.toBe(0);
    expect((await test.job(id)).attempts).toBe(0);
  });
});
