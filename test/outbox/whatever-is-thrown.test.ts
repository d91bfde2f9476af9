// Handlers may throw anything. All of it at once, in one batch, beside jobs that go well: each leaves a record that people
// can read, and none harms another.

import { afterAll, beforeAll, expect, it } from "vitest";
import { layEvidence, violations } from "../support/evidence.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, worksBy } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
  await layEvidence(test.pool);
});
afterAll(() => test.close());

const circular: Record<string, unknown> = {};
circular.self = circular;
const deep = Array.from({ length: 10_000 }).reduce<unknown>((inner) => ({ inner }), "the bottom");
const hostile = { get message(): string { throw new Error("no"); }, [Symbol.toPrimitive]: () => { throw new Error("no"); } }; // prettier-ignore
const nameless = Object.defineProperty(new Error("x"), "name", { get: () => { throw Object.create(null); } }); // prettier-ignore
const { proxy, revoke } = Proxy.revocable({}, {});
revoke();

const anything: readonly (readonly [what: string, thrown: unknown, says: RegExp])[] = [
  ["null", null, /^NotAnError: the handler threw null: null$/],
  ["undefined", undefined, /threw undefined/],
  ["a string", "plain text", /threw string: plain text/],
  ["an empty string", "", /threw string/],
  ["a number", Number.NaN, /NaN/],
  ["a symbol", Symbol("odd"), /odd/],
  ["a function", () => "never called", /function/],
  ["a frozen object", Object.freeze({ code: "E_FROZEN" }), /E_FROZEN/],
  ["a frozen error", Object.freeze(new Error("cold")), /^Error: cold$/],
  ["a circular object", circular, /Circular/],
  ["an object 10,000 levels deep", deep, /inner/],
  ["an object without a prototype", Object.assign(Object.create(null) as object, { bare: true }), /bare/],
  ["an object whose getters throw", hostile, /NotAnError/],
  ["an error whose name throws what cannot be shown either", nameless, /NotAnError.*cannot be shown/],
  ["a proxy that was revoked", proxy, /NotAnError/],
  ["an error of 5 MB", new Error("ü".repeat(2_500_000)), /^Error: üü.*\(cut\)$/],
  ["a string of 5 MB", "ü".repeat(2_500_000), /\(cut\)$/],
  ["an error with a NUL", new Error("a\u0000b"), /^Error: a\\u0000b$/],
  ["a string with a NUL", "a\u0000b", /a\\u0000b/],
  ["half a surrogate pair", new Error("\ud800!"), /!$/],
  ["an error whose name is no text", Object.assign(new Error("unnamed"), { name: { toString: () => "x" } }), /./],
  ["an error whose stack is no text", Object.assign(new Error("no stack"), { stack: 42 }), /^Error: no stack$/],
  ["an aggregate", new AggregateError([new Error("one"), null], "several"), /^AggregateError: several$/],
];

it("whatever handlers throw, all in one batch: a readable error and one entry in the ledger each, and the jobs beside them are done", async () => {
  for (let n = 0; n < anything.length * 2; n += 1) await test.aJob({ payload: { n }, max_attempts: 1 });
  const handler = worksBy(async ({ n = 0 }, { job, attempt, idempotencyKey }) => {
    await test.pool.query("insert into effects (job, attempt, key) values ($1, $2, $3)", [job.id, attempt, idempotencyKey]);
    const thrown = anything[n];
    if (thrown !== undefined) throw thrown[1];
  });
  expect(await test.outbox.drain({ handlers: [handler], batch: 100, concurrency: 100 })).toMatchObject({ done: anything.length, dead: anything.length, lost: 0 });
  for (const [n, [what, , says]] of anything.entries()) {
    const [job] = await test.jobs(`payload = '{"n":${n}}'`);
    expect(job, what).toMatchObject({ status: "error", attempts: 1, last_error: expect.stringMatching(says) as string });
    expect(Buffer.byteLength(job!.last_error!), what).toBeLessThan(8 * 1024 + 300);
    expect(await test.attempts(job!.id), what).toMatchObject([{ attempt: 1, outcome: "dead" }]);
  }
  expect(await violations(test.pool)).toEqual([]);
});
