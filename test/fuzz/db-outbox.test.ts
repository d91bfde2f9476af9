// Requests to `db outbox`: what is refused, is refused before a database is opened; what is accepted selects just the jobs
// that plain JavaScript selects, and changes none but those whose status it has named.

import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { PrismaClient } from "../../generated/prisma/client.ts";
import { preview } from "../../src/commands/db-outbox/apply.ts";
import { guard } from "../../src/commands/db-outbox/guards.ts";
import { parseJson } from "../../src/commands/db-outbox/parse-json.ts";
import { read } from "../../src/commands/db-outbox/read.ts";
import { operations, parseRequest } from "../../src/commands/db-outbox/request.ts";
import { openPrisma } from "../../src/service/prisma.ts";
import { run } from "../commands/db-outbox/harness.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { fulfils } from "./db-outbox-oracle.ts";
import type { Known } from "./filter-oracle.ts";
import { fill, statuses } from "./filter-oracle.ts";
import { fuzz, fuzzTimeoutMs, nearly, oddText, outcomeOf, refusedAs } from "./support.ts";

const timeout = fuzzTimeoutMs;
let test: TestOutbox;
let opened: { prisma: PrismaClient; close(): Promise<void> };
let jobs: readonly Known[];
beforeAll(async () => {
  test = await testOutbox();
  jobs = await fill(test);
  opened = await openPrisma(test.url);
});
afterAll(async () => {
  await opened.close();
  await test.close();
});

// ASCII: what upper and lower case of other letters are, the database says, and filter.test.ts asks it.
const text = fc.constantFrom("a", "A", "b", "a_b", "A_B", "axb", "100%", "%", "_", "\\", "it's", '"', "42", "x%", "Error: a at", "z");
const json = fc.oneof(fc.constantFrom<unknown>(1, 0, 1.5, "1", "x%", "z", "zero", true, false, [], {}, [1, "2"], ["1", 1], { b: 1 }, 9007199254740992, { 0: "z" }), fc.jsonValue({ maxDepth: 1 }).filter((value) => value !== null));
const list = <Value>(value: fc.Arbitrary<Value>) => fc.array(value, { minLength: 1, maxLength: 3 });
const some = (operators: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<unknown> => fc.subarray(Object.entries(operators), { minLength: 1, maxLength: 2 }).chain((chosen) => fc.record(Object.fromEntries(chosen)));
const nullable = (value: fc.Arbitrary<unknown>) => fc.oneof({ weight: 4, arbitrary: value }, { weight: 1, arbitrary: fc.constant(null) });
const ofText = (may: (value: fc.Arbitrary<unknown>) => fc.Arbitrary<unknown>) =>
  fc.oneof(
    may(text),
    some({ equals: may(text), not: may(text), in: list(text), notIn: list(text), contains: text, startsWith: text, endsWith: text }),
    fc.tuple(some({ equals: text, in: list(text), contains: text, startsWith: text, endsWith: text }), fc.constantFrom("insensitive", "default")).map(([operators, mode]) => ({ ...(operators as object), mode })),
    text.map((each) => ({ not: { contains: each } })),
  );
const status = fc.constantFrom(...statuses);
const whole = fc.integer({ min: -1, max: 4 });
const field = fc.oneof(
  fc.record({ type: ofText((value) => value) }),
  fc.record({ owner: ofText(nullable) }),
  fc.record({ lastError: ofText(nullable) }),
  fc.record({ status: fc.oneof(status, some({ equals: status, not: status, in: list(status), notIn: list(status) })) }),
  fc.record({ attempts: fc.oneof(whole, some({ equals: whole, not: whole, in: list(whole), notIn: list(whole), lt: whole, lte: whole, gt: whole, gte: whole })) }),
  fc.record({ payload: fc.tuple(fc.option(fc.array(fc.constantFrom("a", "b", "c", "0", "1", "constructor"), { minLength: 1, maxLength: 3 })), some({ equals: json, array_contains: list(json), string_contains: text, string_starts_with: text, string_ends_with: text })).map(([path, operators]) => ({ ...(path !== null && { path }), ...(operators as object) })) }),
);
const where: fc.Arbitrary<Record<string, unknown>> = fc.letrec<{ any: Record<string, unknown> }>((tie) => ({
  any: fc.oneof({ maxDepth: 3, withCrossShrink: true }, field, fc.tuple(field, field).map(([one, other]) => ({ ...one, ...other })), fc.tuple(fc.constantFrom("AND", "OR", "NOT"), fc.array(tie("any"), { minLength: 1, maxLength: 3 })).map(([name, each]) => ({ [name]: each }))),
})).any;

const usage = refusedAs("USAGE");
const asked = (operation: (typeof operations)[number], input: unknown) => parseRequest(operation, parseJson(JSON.stringify(input), 80));
const idsOf = (given: Record<string, unknown>) => jobs.filter((job) => fulfils(job, given) === true).map(({ id }) => id).sort();

it("a where selects the jobs that it describes, however it is nested, and is the preview of a mutation with it", { timeout }, async () => {
  await fuzz(fc.tuple(where, fc.subarray([...statuses], { minLength: 1, maxLength: 3 })), 5, async ([given, named]) => {
    const { value: request } = await outcomeOf(() => asked("findMany", { where: given, select: { id: true }, take: 1000 }), usage);
    if (request === undefined) return;
    const answer = await read(opened.prisma, request);
    const found = answer.kind === "rows" ? answer.rows.map((row) => row.id).sort() : [];
    expect(found).toEqual(idsOf(given));

    // The guard: no tautology beside it reaches a job of another status.
    const narrowed = { ...given, status: { in: named } };
    const { value: mutation } = await outcomeOf(() => guard(asked("updateMany", { where: narrowed, data: { status: "pending" } })), usage);
    if (mutation === undefined) return;
    const { count, samples } = await preview(opened.prisma, mutation);
    expect(count).toBe(idsOf(narrowed).length);
    expect(samples.every((job) => (named as unknown[]).includes(job.status))).toBe(true);
  });
});

it("a request is refused as one before a database is opened, or would be carried out", { timeout }, async () => {
  const page = { where, orderBy: fc.constant({ createdAt: "desc" }), take: fc.integer({ min: -1, max: 11_000 }), skip: whole, select: fc.constant({ id: true }), by: fc.constant(["status"]), having: fc.constant({ attempts: { _avg: { gt: 1 } } }), _count: fc.constant(true), _sum: fc.constant({ attempts: true }), data: fc.constantFrom({ status: "pending" }, { runAt: "2026-01-01T00:00:00Z" }, { priority: 5 }), cursor: fc.record({ id: fc.uuid() }), distinct: fc.constant("type") };
  const request = fc.tuple(fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...operations) }, { weight: 1, arbitrary: oddText }), nearly(some(page)));
  const nowhere = "postgresql://nobody@127.0.0.1:1/none";
  await fuzz(request, 20, async ([operation, input]) => {
    const text = JSON.stringify(input);
    // Where nothing listens: who tries to reach it, has accepted the request.
    const ran = await run(nowhere, operation, text, { yes: true, json: true }, { columns: 80 });
    expect([text, ran.code === 2 ? ran.refusalCode : ["DATABASE_UNREACHABLE", 1]]).toEqual([text, ran.code === 2 ? "USAGE" : [ran.refusalCode, ran.code]]);
  });
});

it("of what is accepted, however odd, Prisma and Postgres refuse nothing, and a read changes nothing", { timeout }, async () => {
  const values = fc.oneof(oddText, fc.constantFrom<unknown>("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", -2_147_483_648, "9223372036854775807", 1e308, 5e-324, true, null));
  const names = fc.constantFrom("id", "type", "owner", "createdAt", "finishedAt", "attempts", "priority", "leaseToken", "suspect", "tags", "traceparent", "sequence", "lockedBy", "result", "checkpoint", "progress");
  const operators = fc.constantFrom("equals", "not", "in", "notIn", "lt", "gte", "contains", "startsWith", "endsWith", "has", "hasSome", "hasEvery", "string_contains", "array_contains");
  const condition = fc.tuple(operators, fc.oneof(values, list(values), fc.uuid(), fc.jsonValue({ maxDepth: 2 }))).map(([operator, value]) => ({ [operator]: value }));
  const odd = fc.tuple(names, fc.oneof({ weight: 3, arbitrary: condition }, { weight: 1, arbitrary: values })).map(([name, value]) => ({ where: { [name]: value }, select: { id: true } }));
  const before = JSON.stringify(await test.jobs());
  await fuzz(odd, 5, async (input) => {
    const { value: request } = await outcomeOf(() => asked("findMany", input), usage);
    if (request !== undefined) await read(opened.prisma, request);
  });
  expect(JSON.stringify(await test.jobs())).toBe(before);
});
