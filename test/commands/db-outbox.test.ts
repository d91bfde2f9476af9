// `db outbox` against a real database: the commands exactly as people type them, what they print, what they refuse.

import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TestDatabase } from "../support/database.ts";
import { emptyDatabase, testDatabase } from "../support/database.ts";
import type { Ran } from "./db-outbox/harness.ts";
import { insertJob, run, statusCounts } from "./db-outbox/harness.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.close());
beforeEach(() => db.pool.query("truncate outbox, outbox_action cascade"));

const old = "2023-06-01T12:00:00Z";
const lines = (ran: Ran): string[] => ran.out.trimEnd().split("\n").slice(1); // without the header
const ids = (ran: Ran): (string | undefined)[] => lines(ran).map((line) => line.split("\t")[0]);

describe("the commands that must work exactly as typed", () => {
  it("findMany with take shows that many jobs", async () => {
    for (let n = 0; n < 7; n += 1) await insertJob(db.pool);
    const ran = await run(db.url, "findMany", '{"take":5}');
    expect([ran.code, lines(ran).length, ran.err]).toEqual([0, 5, ""]);
  });

  it.each(["pending", "error"])("findMany by the status %s shows exactly those", async (status) => {
    const wanted = await insertJob(db.pool, { status });
    await insertJob(db.pool, { status: "done" });
    expect(ids(await run(db.url, "findMany", `{"where":{"status":"${status}"},"take":5}`))).toEqual([wanted]);
  });

  it("findMany of what has been processing since before a time shows the stuck jobs", async () => {
    const stuck = await insertJob(db.pool, { status: "processing", updated_at: old });
    await insertJob(db.pool, { status: "processing", updated_at: "2024-01-01T00:00:00Z" });
    const ran = await run(db.url, "findMany", '{"where":{"status":"processing","updatedAt":{"lt":"2024-01-01T00:00:00Z"}}}');
    expect(ids(ran)).toEqual([stuck]);
  });

  it("aggregate counts the jobs since a time", async () => {
    await insertJob(db.pool, { created_at: old });
    await insertJob(db.pool);
    await insertJob(db.pool);
    const input = '{"where":{"createdAt":{"gte":"2024-01-01T00:00:00Z"}},"_count":{"id":true}}';
    expect((await run(db.url, "aggregate", input)).out).toBe("_count.id\n2\n");
    expect(JSON.parse((await run(db.url, "aggregate", input, { json: true })).out)).toEqual({ _count: { id: 2 } });
  });

  it.each([false, true])("deleteMany of old done jobs deletes exactly those, without a question (on a terminal: %s)", async (tty) => {
    await insertJob(db.pool, { status: "done", created_at: old });
    await insertJob(db.pool, { status: "done" });
    await insertJob(db.pool, { status: "error", created_at: old });
    const ran = await run(db.url, "deleteMany", '{"where":{"status":"done","createdAt":{"lt":"2024-01-01T00:00:00Z"}}}', {}, { tty });
    expect([ran.code, ran.out, ran.refusal]).toEqual([0, "1\n", ""]);
    expect(await statusCounts(db.pool)).toEqual({ done: 1, error: 1 });
  });

  it.each([false, true])("updateMany that resets failed jobs makes them due, with an attempt left (on a terminal: %s)", async (tty) => {
    const reset = await insertJob(db.pool, { status: "error", attempts: 2, max_attempts: 2, finished_at: old, run_at: old, updated_at: old });
    await insertJob(db.pool, { status: "error", attempts: 3, finished_at: old });
    const ran = await run(db.url, "updateMany", '{"where":{"status":"error","attempts":{"lt":3}},"data":{"status":"pending"}}', {}, { tty });
    expect([ran.code, ran.out]).toEqual([0, "1\n"]);
    expect(ran.err).toContain("npm run app:cli jobs:drain");
    const { rows } = await db.pool.query("select id, attempts, max_attempts, finished_at, run_at < now() as due, updated_at > now() - interval '1 minute' as touched from outbox where status = 'pending'");
    expect(rows).toEqual([{ id: reset, attempts: 2, max_attempts: 3, finished_at: null, due: true, touched: true }]);
  });
});

describe("a read", () => {
  it("without take shows 50 jobs and says that there are more, unless there are not", async () => {
    await db.pool.query("insert into outbox (type, payload) select 'a', '{}' from generate_series(1, 50)");
    const all = await run(db.url, "findMany");
    expect([lines(all).length, all.err]).toEqual([50, ""]);
    await insertJob(db.pool);
    const some = await run(db.url, "findMany", "{}");
    expect(lines(some).length).toBe(50);
    expect(some.err).toContain('Only the first 50 jobs: there are more. Say how many you want, as "take":500');
    expect((await run(db.url, "findMany", "{}", { quiet: true })).err).toBe("");
  });

  it("of nothing prints nothing, says so on stderr, and as JSON is an empty list or null", async () => {
    const ran = await run(db.url, "findMany", "{}");
    expect([ran.code, ran.out, ran.err]).toEqual([0, "", "No rows.\n"]);
    expect((await run(db.url, "findMany", "{}", { json: true })).out).toBe("[]\n");
    expect((await run(db.url, "findFirst", "{}", { json: true })).out).toBe("null\n");
    const unknown = '{"where":{"id":"01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61"}}';
    expect((await run(db.url, "findUnique", unknown)).err).toBe("No rows.\n");
  });

  it("count prints the bare number", async () => {
    await insertJob(db.pool, { owner: "ada" });
    await insertJob(db.pool);
    expect((await run(db.url, "count", '{"where":{"status":"pending"}}')).out).toBe("2\n");
    expect((await run(db.url, "count", '{"select":{"_all":true,"owner":true}}')).out).toBe("_all\towner\n2\t1\n");
    expect((await run(db.url, "count", "{}", { json: true })).out).toBe("2\n");
  });

  it("groupBy counts by status, largest first", async () => {
    for (const status of ["done", "done", "error"]) await insertJob(db.pool, { status });
    const ran = await run(db.url, "groupBy", '{"by":["status"],"_count":{"_all":true},"orderBy":{"_count":{"id":"desc"}}}', { ndjson: true });
    expect(ran.out).toBe('{"_count":{"_all":2},"status":"done"}\n{"_count":{"_all":1},"status":"error"}\n');
  });

  it("prints dates as ISO text and 64-bit numbers as strings", async () => {
    await insertJob(db.pool, { created_at: "2024-02-29T23:59:59.5+02:00", lease_token: "9007199254740993" });
    const [job] = JSON.parse((await run(db.url, "findMany", "{}", { json: true })).out) as Record<string, unknown>[];
    expect(job).toMatchObject({ createdAt: "2024-02-29T21:59:59.500Z", leaseToken: "9007199254740993" });
    expect((await run(db.url, "count", '{"where":{"leaseToken":"9007199254740993"}}')).out).toBe("1\n");
    expect((await run(db.url, "count", '{"where":{"leaseToken":"9007199254740992"}}')).out).toBe("0\n");
  });

  it("shows a table on a terminal, the columns in the order of select, and never a control character of the data", async () => {
    await insertJob(db.pool, { type: "evil", last_error: "\u001b[2Jboom\nnext", payload: { text: "\u202e" } });
    const ran = await run(db.url, "findMany", '{"select":{"lastError":true,"type":true,"payload":true}}', {}, { tty: true });
    expect(ran.out).toBe('lastError            type  payload\n\\u001b[2Jboom\\nnext  evil  {"text":"\\u202e"}\n');
    const whole = await run(db.url, "findMany", "{}", {}, { tty: true, columns: 80 });
    expect(whole.out).toMatch(/^id +type +status/);
    expect(whole.err).toContain("Not shown for lack of width");
  });

  it("may be sorted, paged and made distinct as in Prisma", async () => {
    for (const [type, owner] of [["a", "x"], ["b", null], ["a", "y"]]) await insertJob(db.pool, { type, owner });
    const owners = await run(db.url, "findMany", '{"orderBy":[{"owner":{"sort":"desc","nulls":"last"}}],"skip":1,"take":2,"select":{"owner":true}}', { json: true });
    expect(JSON.parse(owners.out)).toEqual([{ owner: "x" }, { owner: null }]);
    const types = await run(db.url, "findMany", '{"distinct":["type"],"orderBy":{"type":"asc"},"select":{"type":true},"take":5}', { json: true });
    expect(JSON.parse(types.out)).toEqual([{ type: "a" }, { type: "b" }]);
    const all = JSON.parse((await run(db.url, "findMany", '{"orderBy":{"id":"asc"}}', { json: true })).out) as { id: string }[];
    const second = await run(db.url, "findMany", { cursor: { id: all[1]!.id }, orderBy: { id: "asc" }, select: { id: true } }, { json: true });
    expect(JSON.parse(second.out)).toEqual(all.slice(1).map(({ id }) => ({ id })));
  });

  it("with distinct over more jobs than memory should hold is refused, with the way to do it", async () => {
    await db.pool.query("insert into outbox (type, payload) select 'a', '{}' from generate_series(1, 10001)");
    const ran = await run(db.url, "findMany", '{"distinct":["type"],"take":5}');
    expect([ran.code, ran.refusal]).toEqual([2, expect.stringContaining("groupBy")]);
    expect((await run(db.url, "groupBy", '{"by":"type"}')).out).toBe("type\na\n");
    const groups = await run(db.url, "groupBy", '{"by":"id"}');
    expect([lines(groups).length, groups.err]).toEqual([10_000, expect.stringContaining("Only the first 10000 groups")]);
  });
});

describe("values that look like secrets", () => {
  const payload = {
    to: "ada@example.com",
    password: "canary-1",
    nested: { "x-api-key": "canary-2", list: [{ accessToken: { value: "canary-3" } }, "shown"], cardLast4: "canary-4" },
    company: "shown",
    paymentIntentId: "shown",
    iban: "canary-5",
    secret: null,
  };

  it("are redacted in payload and result at any depth, whatever is selected or grouped, and everything else is shown", async () => {
    const id = await insertJob(db.pool, { payload, result: [{ token: "canary-6" }] });
    const calls: [string, unknown][] = [
      ["findMany", {}],
      ["findMany", { select: { payload: true, result: true } }],
      ["findFirst", { where: { payload: { path: ["password"], equals: "canary-1" } }, select: { payload: true } }],
      ["findUnique", { where: { id } }],
      ["groupBy", { by: ["payload", "result"], _count: true }],
    ];
    for (const [operation, input] of calls) {
      for (const flags of [{}, { json: true }, { ndjson: true }]) {
        for (const tty of [false, true]) {
          const ran = await run(db.url, operation, input, flags, { tty, columns: 2000 });
          expect(ran.out + ran.err, operation).not.toContain("canary");
          expect(ran.out).toContain("[redacted]");
          expect(ran.out).toContain("shown");
        }
      }
    }
    const [row] = JSON.parse((await run(db.url, "findMany", { select: { payload: true } }, { json: true })).out) as unknown[];
    expect(row).toEqual({
      payload: {
        to: "ada@example.com",
        password: "[redacted]",
        nested: { "x-api-key": "[redacted]", list: [{ accessToken: "[redacted]" }, "shown"], cardLast4: "[redacted]" },
        company: "shown",
        paymentIntentId: "shown",
        iban: "[redacted]",
        secret: null,
      },
    });
  });

  it("are shown with --reveal", async () => {
    await insertJob(db.pool, { payload });
    const [row] = JSON.parse((await run(db.url, "findMany", '{"select":{"payload":true}}', { json: true, reveal: true })).out) as unknown[];
    expect(row).toEqual({ payload });
  });
});

describe("times", () => {
  it("are right in a database whose time zone is New York: read, compared and written, also behind PgBouncer", async () => {
    const other = await testDatabase();
    try {
      await other.pool.query(`alter database ${new URL(other.url).pathname.slice(1)} set timezone to 'America/New_York'`);
      const id = await insertJob(other.pool, { created_at: "2024-01-01T00:00:00Z", status: "pending" });
      const pooled = new URL(other.url);
      pooled.searchParams.set("pgbouncer", "true");
      const withOptions = new URL(other.url);
      withOptions.searchParams.set("options", "-c application_name=mine");
      for (const url of [other.url, pooled.href, withOptions.href]) {
        const ran = await run(url, "findMany", '{"select":{"createdAt":true},"take":5}');
        expect(ran.out).toBe("createdAt\n2024-01-01T00:00:00.000Z\n");
        expect((await run(url, "count", '{"where":{"createdAt":{"lt":"2024-01-01T00:00:00Z"}}}')).out).toBe("0\n");
        expect((await run(url, "count", '{"where":{"createdAt":{"lte":"2024-01-01T00:00:00Z"}}}')).out).toBe("1\n");
        expect((await run(url, "updateMany", '{"where":{"status":"pending"},"data":{"runAt":"2030-06-01T12:00:00+02:00"}}', { yes: true })).out).toBe("1\n");
        const { rows } = await other.pool.query(
          "select run_at = '2030-06-01T10:00:00Z' as exact, abs(extract(epoch from clock_timestamp() - updated_at)) < 60 as now from outbox where id = $1",
          [id],
        );
        expect(rows, url).toEqual([{ exact: true, now: true }]);
        await other.pool.query("update outbox set run_at = now(), updated_at = '2020-01-01'");
      }
    } finally {
      await other.close();
    }
  });
});

describe("a database that", () => {
  it("is not there, or accepts and never answers, is named without its password, within seconds", async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const port = (silent.address() as AddressInfo).port;
    try {
      const started = performance.now();
      for (const url of ["postgres://u:canary@127.0.0.1:1/app", `postgres://u:canary@127.0.0.1:${port}/app`]) {
        const ran = await run(url, "count", "{}");
        expect([ran.refusalCode, ran.refusal]).toEqual(["DATABASE_UNREACHABLE", expect.stringMatching(/127\.0\.0\.1:\d+\/app cannot be reached/)]);
        expect(ran.refusal).not.toContain("canary");
      }
      expect(performance.now() - started).toBeLessThan(15_000);
    } finally {
      silent.close();
    }
  });

  it("has no outbox yet says which command makes it", async () => {
    const empty = await emptyDatabase();
    try {
      const ran = await run(empty.url, "findMany", '{"take":5}');
      expect([ran.refusalCode, ran.refusal]).toEqual(["MIGRATION", expect.stringContaining("npm run app:cli migrate")]);
    } finally {
      await empty.close();
    }
  });

  it("does not answer a read within ten seconds stops it and says so", async () => {
    const client = await db.pool.connect();
    try {
      await client.query("begin");
      await client.query("lock table outbox in access exclusive mode");
      const ran = await run(db.url, "count", "{}");
      expect([ran.code, ran.refusal]).toEqual([2, expect.stringContaining("time limit")]);
    } finally {
      await client.query("rollback");
      client.release();
    }
  });
});

describe("a request that is wrong", () => {
  it("is refused before a database is opened", async () => {
    const nowhere = "postgres://127.0.0.1:1/none";
    for (const [operation, input] of [["findmany", "{}"], ["findMany", "{oops"], ["findMany", '{"stauts":1}'], ["deleteMany", '{"where":{}}'], ["deleteMany", '{"where":{"status":"error"}}']]) {
      const ran = await run(nowhere, operation!, input);
      expect([ran.code, ran.refusalCode], operation).toEqual([2, "USAGE"]);
    }
  });

  it("names the operations, and the one that was probably meant", async () => {
    const ran = await run(db.url, "findmnay", "{}");
    expect(ran.refusal).toBe('Unknown operation "findmnay". Did you mean "findMany"? Known: findMany, findFirst, findUnique, count, aggregate, groupBy, deleteMany, updateMany.');
    expect((await run(db.url, "delete", "{}")).refusal).not.toContain("Did you mean");
    for (const operation of ["create", "upsert", "$queryRawUnsafe", "__proto__", "constructor"]) expect((await run(db.url, operation, "{}")).code).toBe(2);
  });
});
