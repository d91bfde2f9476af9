// Filters of jobs, from code, by HTTP and by flags: all three mean what plain JavaScript says of thirty real jobs, listing is
// the preview of acting, and what is refused changes nothing.

import { execFileSync } from "node:child_process";
import { Command, CommanderError } from "commander";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { SelectionFlags } from "../../src/commands/selection.ts";
import { addSelectionFlags, filterOf, selectionLine } from "../../src/commands/selection.ts";
import { OutboxError } from "../../src/outbox/errors.ts";
import type { JobFilter } from "../../src/outbox/filter.ts";
import type { Client } from "../http/support.ts";
import { clientOf, tokens } from "../http/support.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import type { Known } from "./filter-oracle.ts";
import { fill, isMeant, statuses, texts } from "./filter-oracle.ts";
import { fuzz, fuzzTimeoutMs, nastyNames, nearly, oddText, oddValue, outcomeOf, refusedAs } from "./support.ts";

const timeout = fuzzTimeoutMs;
let test: TestOutbox;
let client: Client;
let jobs: readonly Known[];
/** The table as it was filled: no test here may change it. */
let before: string;
const table = async () => JSON.stringify((await test.pool.query("select * from outbox order by id")).rows);
beforeAll(async () => {
  test = await testOutbox();
  client = clientOf(test.outbox);
  jobs = await fill(test);
  before = await table();
  await client.get("/api/jobs", { token: tokens.view }); // makes the document that answers are held against
});
afterAll(async () => {
  const after = await table();
  await test.close();
  expect(after).toBe(before);
});

const oneOrMore = <Value>(value: fc.Arbitrary<Value>) => fc.oneof(value, fc.array(value, { minLength: 1, maxLength: 3 }));
const text = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...texts) }, { weight: 1, arbitrary: oddText });
const id = fc.oneof(fc.nat(35).map((index) => `0198f2c4-6f00-7000-8000-${String(index).padStart(12, "0")}`), fc.nat(35).map((index) => `0198F2C4-6F00-7000-8000-${String(index).padStart(12, "0")}`), fc.uuid());
const step = fc.constantFrom("a", "b", "c", "0", "1", "00", "-1", ...nastyNames.filter((name) => name !== ""));
const scalar = fc.oneof(fc.constantFrom<string | number | boolean | null>(1, 0, -0, 42, 1.5, 1e21, "1", "x%", "z", "zero", "42", "", "true", true, false, null, "ß", "null", 9007199254740992), text, fc.double({ noNaN: true }));
const payload = fc.dictionary(fc.array(step, { minLength: 1, maxLength: 3 }).map((steps) => steps.join(".")), oneOrMore(scalar), { minKeys: 1, maxKeys: 2 });
const conditions = {
  id: oneOrMore(id),
  type: oneOrMore(fc.constantFrom("a", "a_b", "axb", "A", "%", "*")),
  status: oneOrMore(fc.constantFrom(...statuses)),
  owner: text,
  dedupeKey: fc.oneof(text, text.map((each) => `${each}2`)),
  orderingKey: text,
  tag: oneOrMore(text),
  olderThan: fc.oneof(fc.integer({ min: 0, max: 31 }).map((hours) => `${hours}h` as const), fc.constantFrom("1d" as const, "0ms" as const, 7_200_000)),
  error: text,
  payload,
};
const names = Object.keys(conditions) as (keyof typeof conditions)[]; // the keys of a literal
const filters = (least: number, most: number): fc.Arbitrary<JobFilter> => fc.uniqueArray(fc.constantFrom(...names), { minLength: least, maxLength: most }).chain((some) => fc.record(Object.fromEntries(some.map((name) => [name, conditions[name]])) as { [Name in keyof JobFilter]: fc.Arbitrary<JobFilter[Name]> }) as fc.Arbitrary<JobFilter>); // each value is made for its name

/** As Postgres has it: the collation says what upper and lower case are. */
const lowered = new Map<string, string>();
async function loweredBy(found: readonly string[]): Promise<(text: string) => string> {
  const unknown = found.filter((each) => !lowered.has(each));
  if (unknown.length > 0) {
    const { rows } = await test.pool.query<{ given: string; lower: string }>("select given, lower(given) from unnest($1::text[]) as given", [unknown]);
    for (const { given, lower } of rows) lowered.set(given, lower);
  }
  return (each) => lowered.get(each) ?? each;
}

async function meant(filter: JobFilter): Promise<string[]> {
  const lower = await loweredBy([...jobs.flatMap(({ last_error }) => last_error ?? []), ...(filter.error === undefined ? [] : [filter.error])]);
  return jobs.filter((job) => isMeant(job, filter, lower)).map((job) => job.id).sort();
}

const listed = async (filter: JobFilter) => (await test.outbox.list(filter, { limit: 1000 })).map((job) => job.id).sort();

/** How many jobs `act` would really change: it is told to expect another number, so it changes them, counts, and rolls back. */
async function counted(act: (options: { expect: number }) => Promise<unknown>): Promise<number> {
  const error: unknown = await act({ expect: -1 }).catch((reason: unknown) => reason);
  if (!(error instanceof OutboxError) || error.code !== "CONFLICT") throw error;
  return Number(/found (\d+)\./.exec(error.message)?.[1]);
}

const odd = refusedAs("INVALID_OPTION", "INVALID_PAYLOAD");

it("a filter lists exactly the jobs that it means, and acts on those of them that can be acted on", { timeout }, async () => {
  await fuzz(filters(1, 3), 5, async (filter) => {
    const { value: found, refusal } = await outcomeOf(() => listed(filter), odd);
    if (refusal !== undefined) return;
    const wanted = await meant(filter);
    expect(found).toEqual(wanted);
    const named = (some: readonly string[]) => jobs.filter((job) => wanted.includes(job.id) && some.includes(job.status)).length;
    const cancellable = ["waiting", "pending", "processing"];
    const { value: preview } = await outcomeOf(() => test.outbox.cancel(filter, { dryRun: true }), odd);
    // Statuses that have ended, asked for by name, are refused.
    expect(preview?.count).toBe([filter.status ?? []].flat().some((status) => !cancellable.includes(status)) ? undefined : named(cancellable));
    if (preview !== undefined) expect(await counted((options) => test.outbox.cancel(filter, options))).toBe(preview.count);
    const { value: redriven } = await outcomeOf(() => test.outbox.retry(filter, { dryRun: true }), odd);
    if (redriven !== undefined) expect(await counted((options) => test.outbox.retry(filter, options))).toBe(redriven.count);
  });
});

it("one condition more never means more jobs, and one value more never fewer", { timeout }, async () => {
  await fuzz(fc.tuple(filters(1, 2), filters(1, 2)), 5, async ([one, other]) => {
    const { value: both } = await outcomeOf(() => listed({ ...other, ...one }), odd);
    const { value: alone } = await outcomeOf(() => listed(one), odd);
    if (both === undefined || alone === undefined) return;
    expect(alone).toEqual(expect.arrayContaining(both));
    if (one.type === undefined) return;
    expect(await listed({ ...one, type: [...[one.type].flat(), "b", "a"] })).toEqual(expect.arrayContaining(alone));
  });
});

it("whatever else is given for a filter is refused, by everything that takes one; nothing means all jobs but all: true", { timeout }, async () => {
  await fuzz(fc.oneof(nearly(filters(0, 2), oddValue), oddValue), 5, async (given) => {
    const filter = given as JobFilter; // what a program without types hands in
    const { value: found, refusal } = await outcomeOf(() => listed(filter), odd);
    if (refusal === undefined) {
      const isAll = Object.hasOwn(filter, "all") && filter.all === true;
      if (found.length === jobs.length) expect(isAll || Object.keys(filter).length > 0).toBe(true);
      return;
    }
    for (const act of [() => test.outbox.cancel(filter), () => test.outbox.retry(filter), () => test.outbox.cancel(filter, { dryRun: true })]) {
      expect(await outcomeOf<unknown>(act, odd)).toHaveProperty("refusal");
    }
  });
});

it("no empty or tautological filter means every job", async () => {
  for (const filter of [{}, { id: [] }, { type: [] }, { status: [] }, { tag: [] }, { payload: {} }, { payload: { a: [] } }, { owner: "" }, { error: "" }, { all: false }, { all: undefined }, { id: undefined }, [], null]) {
    for (const act of ["list", "cancel", "retry"] as const) expect(await outcomeOf<unknown>(() => test.outbox[act](filter as JobFilter), odd)).toHaveProperty("refusal");
  }
});

it("by HTTP it means the same, and no query is answered by an error of ours", { timeout }, async () => {
  const pair = fc.oneof(
    fc.tuple(fc.constantFrom("id", "type", "status", "owner", "key", "orderingKey", "tag", "olderThan", "error", "fingerprint", "limit", "after"), fc.oneof(text, id, fc.constantFrom("a", "pending", "2h", "99999999999d", "7", "0"))),
    fc.tuple(fc.array(step, { maxLength: 3 }).map((steps) => `payload.${steps.join(".")}`), fc.oneof(text, fc.constantFrom("1", "42", "1.5", "true", "null", "-0", "007", "1e5", "9".repeat(400), "9007199254740993", "0.1"))),
    fc.tuple(oddText, oddText),
  );
  await fuzz(fc.array(pair, { maxLength: 4 }), 5, async (pairs) => {
    const query = new URLSearchParams(pairs.map(([name, value]): [string, string] => [name.toWellFormed(), value.toWellFormed()]));
    const { status, body } = await client.get(`/api/jobs?${query.toString()}`, { token: tokens.view });
    expect([pairs, [200, 400].includes(status) ? "" : status]).toEqual([pairs, ""]);
    if (status !== 200) return;
    const of = (name: string) => query.getAll(name);
    const paths = [...new Set(query.keys())].filter((name) => name.startsWith("payload."));
    if (of("fingerprint").length > 0 || of("limit").length > 0 || of("after").length > 0) return;
    const given = { id: of("id"), type: of("type"), status: of("status"), tag: of("tag"), owner: of("owner")[0], dedupeKey: of("key")[0], orderingKey: of("orderingKey")[0], olderThan: of("olderThan")[0], error: of("error")[0] };
    const filter = { ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value.length > 0)), ...(paths.length > 0 && { payload: Object.fromEntries(await Promise.all(paths.map(async (name) => [name.slice(8), (await Promise.all(of(name).map(bothOf))).flat()]))) }) };
    if ("olderThan" in filter && !/^\d+[hd]$/.test(String(filter.olderThan))) return; // more than the oracle knows
    expect([pairs, body.jobs.map((job) => job.id).sort()]).toEqual([pairs, await meant(filter)]);
  });
});

/** A text that is written as JSON writes a number or a word means both; unless, as Postgres counts, JavaScript's number is another one. */
async function bothOf(given: string): Promise<(string | number | boolean | null)[]> {
  if (["true", "false", "null"].includes(given)) return [given, JSON.parse(given) as boolean | null];
  if (!/^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(given) || !Number.isFinite(Number(given))) return [given];
  const { rows } = await test.pool.query<{ same: boolean }>("select $1::numeric = $2::numeric as same", [given, String(Number(given))]);
  return rows[0]?.same === true ? [given, Number(given)] : [given];
}

/** As commander reads a line; what it refuses ends in exit code 2. */
function flagsOf(line: readonly string[]): SelectionFlags {
  const command = addSelectionFlags(new Command("jobs:list")).exitOverride().configureOutput({ writeErr: () => undefined });
  return command.parse(line, { from: "user" }).opts();
}
const badLine = (error: unknown) => error instanceof CommanderError || odd(error) || refusedAs("USAGE")(error);

it("by flags it means the same, and the line that is printed of them is read back", { timeout }, async () => {
  const value = fc.oneof(text, id, fc.constantFrom("a,b", "a,", ",", "pending,done", "2h", "99999999999d", "-1", "a=1", "a.b=x%", "a=42", "a=007", "a=1e5", "=1", "a", "a=", "constructor=x", "__proto__=1", "toString.x=null", `a=${"9".repeat(400)}`, "a=9007199254740993"));
  const flag = fc.tuple(fc.constantFrom("--id", "--type", "--status", "--owner", "--key", "--ordering-key", "--tag", "--older-than", "--error", "--payload", "--payload", "--all", "--al", "--"), value);
  await fuzz(fc.array(flag, { maxLength: 3 }), 5, async (pairs) => {
    const line = pairs.flatMap(([name, given]) => (name === "--all" ? [name] : [name, given]));
    const { value: flags } = await outcomeOf(() => flagsOf(line), badLine);
    const { value: filter } = flags === undefined ? {} : await outcomeOf(() => filterOf(flags), badLine);
    if (flags === undefined || filter === undefined) return;
    if (filter === null) {
      expect(line.some((each) => each.startsWith("--") && each !== "--")).toBe(false);
      return;
    }
    const { value: found } = await outcomeOf(() => listed(filter), badLine);
    if (found === undefined) return;
    if (!line.includes("--older-than")) expect([line, found]).toEqual([line, await meant(filter.all === true ? {} : filter)]);
    if (line.some((each) => /\p{C}/u.test(each))) return; // shown in the line so that it can be seen, not so that it can be run
    const words = execFileSync("sh", ["-c", `printf '%s\\0' ${selectionLine(flags).join(" ")}`], { encoding: "utf8" }).split("\0").slice(0, -1);
    expect(filterOf(flagsOf(words))).toEqual(filter);
  });
});
