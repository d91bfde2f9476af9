// The closed grammar: what it accepts, Prisma and Postgres accept on real rows; what it does not know, it refuses by name.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestDatabase } from "../../support/database.ts";
import { testDatabase } from "../../support/database.ts";
import { insertJob, run } from "./harness.ts";

let db: TestDatabase;
let id: string;
beforeAll(async () => {
  db = await testDatabase();
  id = await insertJob(db.pool, { type: "a_b", status: "error", payload: { to: "ada@example.com", n: 5, tags: ["x", "y"], text: "100% sure" }, last_error: "50% of\\it", owner: "Ada", lease_token: 7, priority: 10, attempts: 2 });
  await insertJob(db.pool, { type: "axb", status: "done", payload: { to: "bob@example.com", n: 6, tags: ["y"] }, result: { ok: true } });
});
afterAll(() => db.close());

const uuid = "01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61";
const time = "2024-01-01T00:00:00Z";

describe("a filter finds the job that it describes and not the other one:", () => {
  it.each<[object]>([
    [{ type: "a_b" }],
    [{ type: { equals: "a_b" } }],
    [{ type: { equals: "A_B", mode: "insensitive" } }],
    [{ type: { in: ["A_B"], mode: "insensitive" } }],
    [{ type: { equals: "a_b", mode: "default" } }],
    [{ type: { not: "axb" } }],
    [{ type: { not: { in: ["axb"] } } }],
    [{ type: { notIn: ["axb", "other"] } }],
    [{ type: { contains: "_" } }],
    [{ type: { startsWith: "a_" } }],
    [{ type: { endsWith: "_b" } }],
    [{ type: { contains: "A_", mode: "insensitive" } }],
    [{ type: { lt: "ab" } }],
    [{ lastError: { contains: "50% of\\" } }],
    [{ lastError: { not: null } }],
    [{ owner: { equals: "ada", mode: "insensitive" } }],
    [{ result: { path: ["ok"], equals: true }, NOT: { type: "a_b" } }],
    [{ status: "error" }],
    [{ status: { in: ["error", "cancelled"] } }],
    [{ status: { not: { equals: "done" } } }],
    [{ status: { gte: "e" } }],
    [{ attempts: 2 }],
    [{ attempts: { gt: 1, lte: 2 } }],
    [{ priority: { in: [10, -10] } }],
    [{ leaseToken: 7 }],
    [{ leaseToken: { gte: "7", lt: "9223372036854775807" } }],
    [{ createdAt: { gte: time }, attempts: { not: 0 } }],
    [{ runAt: { gt: "2024-01-01T00:00:00.123456+05:30" }, owner: "Ada" }],
    [{ startedAt: null, owner: { in: ["Ada"] } }],
    [{ suspect: false, dedupeReleased: { equals: false }, owner: "Ada" }],
    [{ suspect: { not: true }, priority: { gte: 1 } }],
    [{ lockedBy: null, type: "a_b" }],
    [{ payload: { path: ["to"], equals: "ada@example.com" } }],
    [{ payload: { path: ["n"], equals: 5 } }],
    [{ payload: { path: ["tags", "0"], equals: "x" } }],
    [{ payload: { path: ["tags"], array_contains: ["x"] } }],
    [{ payload: { path: ["to"], string_contains: "da@" } }],
    [{ payload: { path: ["text"], string_contains: "0% s" } }],
    [{ payload: { path: ["to"], string_starts_with: "ada" } }],
    [{ payload: { path: ["to"], string_ends_with: "a@example.com" }, NOT: { type: "axb" } }],
    [{ payload: { equals: { to: "ada@example.com", n: 5, tags: ["x", "y"], text: "100% sure" } } }],
    [{ AND: [{ attempts: 2 }, { NOT: { status: "done" } }] }],
    [{ AND: { attempts: 2 } }],
    [{ OR: [{ attempts: 2 }, { attempts: 99 }] }],
    [{ NOT: [{ type: "axb" }] }],
  ])("%j", async (where) => {
    const ran = await run(db.url, "findMany", { where, select: { id: true } }, { json: true });
    expect(ran.refusal).toBe("");
    const found = (JSON.parse(ran.out) as { id: string }[]).map((job) => job.id);
    expect(found).toHaveLength(1);
    // The one filter on `result` describes the other job.
    expect(found[0] === id).toBe(!("result" in where));
  });
});

describe("text is compared literally: the wildcards of LIKE are ordinary characters", () => {
  it.each([{ contains: "%" }, { startsWith: "_" }, { endsWith: "%%" }, { equals: "%", mode: "insensitive" }, { contains: "\\" }])("%j finds nothing", async (filter) => {
    expect((await run(db.url, "count", { where: { type: filter } })).out).toBe("0\n");
  });
});

describe("a request of this form is one that Prisma and Postgres accept:", () => {
  it.each<[string, object]>([
    ["findMany", { where: {}, orderBy: { payload: "asc" }, take: 10_000, skip: 0 }],
    ["findMany", { orderBy: [{ status: "asc" }, { finishedAt: { sort: "desc", nulls: "first" } }, { owner: "asc" }], cursor: { id: uuid } }],
    ["findMany", { distinct: "status", take: 1 }],
    ["findFirst", { where: { status: "done" }, orderBy: { createdAt: "desc" }, skip: 1, select: { id: true, type: false } }],
    ["findUnique", { where: { id: uuid, status: "done", OR: [{ attempts: 1 }] }, select: { payload: true } }],
    ["count", { where: { status: "error" }, take: 5, skip: 1, orderBy: { id: "asc" }, select: { owner: true } }],
    ["count", { cursor: { id: uuid } }],
    ["count", { select: true }],
    ["aggregate", { _count: true, take: 3, orderBy: { createdAt: "desc" } }],
    ["aggregate", { _count: { _all: true, payload: true }, _sum: { leaseToken: true, attempts: true, priority: true, maxAttempts: true }, _avg: { leaseToken: true, attempts: true } }],
    ["aggregate", { _min: { type: true, status: true, createdAt: true, finishedAt: true, leaseToken: true, priority: true, owner: true, lastError: true }, _max: { runAt: true, dedupeUntil: true, attempts: true } }],
    ["groupBy", { by: "status" }],
    ["groupBy", { by: ["payload", "result", "suspect", "lockedBy", "leaseToken"], orderBy: { result: { sort: "asc", nulls: "last" } } }],
    ["groupBy", { by: ["type", "status"], where: { attempts: { gt: 0 } }, _count: true, _sum: { attempts: true }, _min: { createdAt: true }, take: 5, skip: 0 }],
    ["groupBy", { by: ["status"], _count: { _all: true }, having: { attempts: { _avg: { gt: 0.5 }, _sum: { lte: 100 } } }, orderBy: [{ _count: { id: "desc" } }, { _max: { createdAt: "asc" } }, { status: "asc" }] }],
    ["groupBy", { by: ["status", "owner"], having: { OR: [{ status: { in: ["done"] } }, { owner: { not: null } }, { id: { _count: { gte: 1 } } }, { createdAt: { _min: { lt: time } } }, { type: { _max: "axb" } }] } }],
    ["groupBy", { by: ["status"], having: { leaseToken: { _sum: { gt: "1" }, _max: { lt: "9007199254740993" } }, AND: [{ priority: { _min: 10 } }] } }],
  ])("%s %j", async (operation, input) => {
    const ran = await run(db.url, operation, input, { json: true });
    expect([ran.code, ran.refusal]).toEqual([0, ""]);
    expect(() => JSON.parse(ran.out) as unknown).not.toThrow();
  });
});

describe("what the grammar does not know is refused by name, with the known ones:", () => {
  it.each<[string, object, string]>([
    ["findMany", { were: {} }, 'Unknown name "were" in findMany. Did you mean "where"? Known: where, orderBy, cursor, take, skip, select, distinct.'],
    ["findMany", { include: { attemptLog: true } }, 'Unknown name "include" in findMany'],
    ["findMany", { omit: { payload: true } }, 'Unknown name "omit" in findMany'],
    ["findMany", { relationLoadStrategy: "join" }, 'Unknown name "relationLoadStrategy"'],
    ["findFirst", { take: 5 }, 'Unknown name "take" in findFirst'],
    ["deleteMany", { where: { status: "done" }, limit: 5 }, 'Unknown name "limit" in deleteMany'],
    ["findMany", { where: { stauts: "error" } }, 'Unknown field "stauts" in where. Did you mean "status"? Known: id, type, status,'],
    ["findMany", { where: { attemptLog: { some: {} } } }, 'Unknown field "attemptLog" in where'],
    ["findMany", { where: { created_at: { lt: time } } }, 'Did you mean "createdAt"?'],
    ["findMany", { where: { AND: [{ status: "done" }, { OR: [{ foo: 1 }] }] } }, 'Unknown field "foo" in where.AND[1].OR[0]'],
    ["findMany", { where: { and: [{ status: "done" }] } }, 'Unknown field "and" in where. Did you mean "AND"?'],
    ["findMany", { where: { attempts: { gtt: 1 } } }, 'Unknown operator "gtt" in where.attempts. Did you mean "gt"? Known: equals, not, in, notIn, lt, lte, gt, gte.'],
    ["findMany", { where: { type: { search: "x" } } }, 'Unknown operator "search" in where.type'],
    ["findMany", { where: { attempts: { contains: "1" } } }, 'Unknown operator "contains" in where.attempts'],
    ["findMany", { where: { id: { mode: "insensitive", equals: uuid } } }, 'Unknown operator "mode" in where.id'],
    ["findMany", { where: { payload: { string_contain: "x" } } }, 'Did you mean "string_contains"?'],
    ["findMany", { where: { type: { equals: { _ref: "status", _container: "Outbox" } } } }, "Expected where.type.equals to be text"],
    ["findMany", { where: { status: "eror" } }, 'Unknown status "eror" in where.status. Did you mean "error"?'],
    ["findMany", { where: { status: { in: ["done", "failed"] } } }, 'Unknown status "failed" in where.status.in[1]'],
    ["findMany", { orderBy: { creatdAt: "asc" } }, 'Unknown field "creatdAt" in orderBy. Did you mean "createdAt"?'],
    ["findMany", { orderBy: { createdAt: "ascending" } }, 'Unknown direction "ascending" in orderBy.createdAt'],
    ["findMany", { orderBy: { owner: { sort: "asc", nulls: "middle" } } }, 'Unknown place "middle"'],
    ["findMany", { select: { paylod: true } }, 'Did you mean "payload"?'],
    ["findMany", { select: { _count: true } }, 'Unknown field "_count" in select'],
    ["findMany", { cursor: { type: "x" } }, 'Unknown field "type" in cursor'],
    ["aggregate", { _median: { attempts: true } }, 'Unknown name "_median" in aggregate'],
    ["aggregate", { _sum: { type: true } }, 'Unknown field "type" in _sum. Known: attempts, maxAttempts, priority, sequence, leaseToken, version, progress.'],
    ["aggregate", { _min: { id: true } }, 'Unknown field "id" in _min'],
    ["aggregate", { _max: { suspect: true } }, 'Unknown field "suspect" in _max'],
    ["groupBy", { by: ["stats"] }, 'Unknown field "stats" in by[0]. Did you mean "status"?'],
    ["groupBy", { by: ["status"], orderBy: { _min: { id: "asc" } } }, 'Unknown field "id" in orderBy._min'],
    ["updateMany", { where: { status: "error" }, data: { statu: "pending" } }, 'Unknown field that can be set "statu" in data. Did you mean "status"?'],
    ["updateMany", { where: { status: "error" }, data: { payload: {} } }, "Known: status, priority, runAt, maxAttempts."],
    ["updateMany", { where: { status: "error" }, data: { attempts: 0 } }, 'Unknown field that can be set "attempts"'],
  ])("%s %j", async (operation, input, sentence) => {
    const ran = await run(db.url, operation, input, { yes: true });
    expect([ran.code, ran.refusal]).toEqual([2, expect.stringContaining(sentence)]);
  });

  it("also names that are special in JavaScript", async () => {
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      for (const input of [`{"${name}":{}}`, `{"where":{"${name}":{}}}`, `{"where":{"status":{"${name}":"x"}}}`, `{"select":{"${name}":true}}`]) {
        const ran = await run(db.url, "findMany", input);
        expect([ran.code, ran.refusal]).toEqual([2, expect.stringContaining(`"${name}"`)]);
      }
    }
  });
});

describe("a value of the wrong kind is refused with what was expected and what came:", () => {
  it.each<[string, object, string]>([
    ["findMany", { take: "5" }, 'Expected take to be a whole number from 1 to 10000, got "5".'],
    ["findMany", { take: 0 }, "whole number from 1"],
    ["findMany", { take: -5 }, "whole number from 1"],
    ["findMany", { take: 1.5 }, "whole number from 1"],
    ["findMany", { take: 10_001 }, "from 1 to 10000, got 10001"],
    ["findMany", { take: null }, "got null"],
    ["findMany", { skip: -1 }, "Expected skip to be a whole number from 0"],
    ["findMany", { where: null }, "Expected where to be an object, got null."],
    ["findMany", { where: [] }, "Expected where to be an object, got []."],
    ["findMany", { where: "x" }, 'Expected where to be an object, got "x".'],
    ["findMany", { where: { attempts: "2" } }, 'Expected where.attempts to be a whole number from -2147483648 to 2147483647, got "2".'],
    ["findMany", { where: { attempts: 2_147_483_648 } }, "whole number"],
    ["findMany", { where: { priority: 40_000 } }, "from -32768 to 32767"],
    ["findMany", { where: { leaseToken: 9_007_199_254_740_992 } }, "as text when it is large"],
    ["findMany", { where: { leaseToken: "9223372036854775808" } }, "64 bits"],
    ["findMany", { where: { id: "1" } }, "Expected where.id to be an id such as"],
    ["findMany", { where: { id: `${uuid}' or true` } }, "Expected where.id to be an id"],
    ["findMany", { where: { type: null } }, "the field is never null"],
    ["findMany", { where: { type: 5 } }, "Expected where.type to be text, got 5."],
    ["findMany", { where: { type: ["a"] } }, "Expected where.type to be an object"],
    ["findMany", { where: { suspect: "true" } }, 'Expected where.suspect to be true or false, got "true".'],
    ["findMany", { where: { createdAt: { lt: "2024-01-01" } } }, 'got the date "2024-01-01". For its midnight in UTC write "2024-01-01T00:00:00Z".'],
    ["findMany", { where: { createdAt: { lt: "2024-01-01T00:00:00" } } }, "a time with its zone"],
    ["findMany", { where: { createdAt: { lt: "yesterday" } } }, "a time with its zone"],
    ["findMany", { where: { createdAt: { lt: 1_704_067_200_000 } } }, "a time with its zone"],
    ["findMany", { where: { createdAt: { lt: "2024-02-30T00:00:00Z" } } }, "a day that the calendar has"],
    ["findMany", { where: { createdAt: { lt: "2024-13-01T00:00:00Z" } } }, "a time with its zone"],
    ["findMany", { where: { createdAt: { lt: "0000-01-01T00:00:00Z" } } }, "a time with its zone"],
    ["findMany", { where: { createdAt: { lt: "0001-01-01T00:00:00+01:00" } } }, "a time with its zone"],
    ["findMany", { where: { createdAt: { lt: "2024-01-01T25:00:00Z" } } }, "a time with its zone"],
    ["findMany", { where: { status: { in: "done" } } }, "Expected where.status.in to be a list"],
    ["findMany", { where: { status: { in: [] } } }, "a list of at least one"],
    ["findMany", { where: { type: { in: Array.from({ length: 1001 }, () => "x") } } }, "at most 1000, got 1001"],
    ["findMany", { where: { OR: { status: "done" } } }, "Expected where.OR to be a list"],
    ["findMany", { where: { AND: [] } }, "a list of at least one"],
    ["findMany", { where: { NOT: {} } }, "Expected where.NOT to name at least one field"],
    ["findMany", { where: { status: {} } }, "Expected where.status to name at least one operator"],
    ["findMany", { where: { type: { contains: "" } } }, "which everything contains"],
    ["findMany", { where: { type: { mode: "insensitive" } } }, "an operator beside"],
    ["findMany", { where: { type: { not: "x", mode: "insensitive" } } }, '"not" has none'],
    ["findMany", { where: { type: { lt: "x", mode: "insensitive" } } }, '"lt" has none'],
    ["findMany", { where: { payload: "x" } }, "an object of operators"],
    ["findMany", { where: { payload: { path: ["a"] } } }, 'an operator beside "path"'],
    ["findMany", { where: { payload: { path: "a.b", equals: 1 } } }, "Expected where.payload.path to be a list"],
    ["findMany", { where: { payload: { path: ["a"], equals: null } } }, "other than null"],
    ["findMany", { where: { payload: { path: ["a"], array_contains: "x" } } }, "to be a list"],
    ["findMany", { orderBy: { status: "asc", type: "asc" } }, "to name one field. For several give a list"],
    ["findMany", { orderBy: [] }, "a list of at least one"],
    ["findMany", { orderBy: { owner: { nulls: "last" } } }, 'have "sort"'],
    ["findMany", { orderBy: { type: { sort: "asc", nulls: "last" } } }, "Expected orderBy.type to be a direction"],
    ["findMany", { select: {} }, "at least one field"],
    ["findMany", { select: { id: false } }, "at least one field that is true"],
    ["findMany", { select: { id: "yes" } }, "true or false"],
    ["findUnique", {}, 'Expected findUnique to have "where", got none. For example'],
    ["findUnique", { where: { status: "done" } }, "Expected where.id to be an id."],
    ["findUnique", { where: { id: { in: [uuid] } } }, "Expected where.id to be an id."],
    ["aggregate", {}, "Expected aggregate to have one of _count"],
    ["aggregate", { _count: false }, "Expected _count to be an object, got false"],
    ["groupBy", {}, 'Expected groupBy to have "by"'],
    ["groupBy", { by: [] }, "a list of at least one"],
    ["groupBy", { by: ["status"], orderBy: { type: "asc" } }, "Expected orderBy to name fields of by (status) or an aggregate, got"],
    ["groupBy", { by: ["status"], having: { type: "x" } }, '"type" to be in by'],
    ["groupBy", { by: ["status"], having: { payload: { _count: { gt: 1 } } } }, 'Unknown field "payload" in having'],
    ["groupBy", { by: ["status"], having: { id: { _max: uuid } } }, "got id"],
    ["groupBy", { by: ["status"], having: { status: { equals: "done", _count: { gt: 1 } } } }, "got both"],
    ["groupBy", { by: ["status"], having: {} }, "at least one field"],
    ["updateMany", { where: { status: "pending" } }, 'Expected updateMany to have "data"'],
    ["updateMany", { data: { status: "pending" } }, 'Expected updateMany to have "where"'],
    ["updateMany", { where: { status: "pending" }, data: {} }, "at least one field that can be set"],
    ["updateMany", { where: { status: "pending" }, data: { priority: 1.5 } }, "Expected data.priority"],
    ["updateMany", { where: { status: "pending" }, data: { priority: { increment: 1 } } }, "Expected data.priority to be a whole number"],
    ["updateMany", { where: { status: "pending" }, data: { maxAttempts: 0 } }, "from 1 to 10000"],
    ["updateMany", { where: { status: "pending" }, data: { runAt: null } }, "a time with its zone"],
  ])("%s %j", async (operation, input, sentence) => {
    const ran = await run(db.url, operation, input, { yes: true });
    expect([ran.code, ran.refusal]).toEqual([2, expect.stringContaining(sentence)]);
  });

  it("the argument itself too", async () => {
    for (const input of ["[]", "5", "null", '"findMany"', "true"]) expect((await run(db.url, "findMany", input)).refusal).toContain("Expected the argument to be an object");
  });
});
