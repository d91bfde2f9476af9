// What programs hand in beside a payload: the policy of a contract, the options of an enqueue, of a list, of an action. From
// JavaScript anything may come; it is taken as documented, or refused by a sentence, and never stored half.

import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { defineJob } from "../../src/index.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { fuzz, fuzzTimeoutMs, nearly, oddText, oddValue, outcomeOf, refusedAs } from "./support.ts";

const timeout = fuzzTimeoutMs;
let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
});
afterAll(() => test.close());

const refused = refusedAs("INVALID_OPTION", "INVALID_PAYLOAD");
const duration = fc.oneof(fc.constantFrom<unknown>("250ms", "1h", "7d", 0, 1000, "24d", "25d", "365000d", "365001d", 2 ** 31, 1e300, "until-done", "forever"), oddValue);
const whole = fc.oneof(fc.constantFrom<unknown>(1, 0, -1, 1.5, 32_767, 32_768, -32_768, 10_000, 10_001, 2 ** 31, "high", "low", "toString"), oddValue);
const word = fc.oneof(oddText, fc.constantFrom("k", "x".repeat(500), "x".repeat(501)));

it("the options of an enqueue are stored as they were given, or nothing is stored", { timeout }, async () => {
  const contract = defineJob({ type: "work" });
  const options = fc.record(
    { priority: whole, maxAttempts: whole, delay: duration, owner: word, orderingKey: word, dedupeKey: word, dedupeFor: duration, tags: fc.oneof<fc.Arbitrary<unknown>[]>(fc.array(word, { maxLength: 3 }), oddValue), runAt: fc.oneof<fc.Arbitrary<unknown>[]>(fc.date(), fc.constantFrom(new Date(8.64e15), new Date(-8.64e15), new Date(-62_167_219_200_000)), oddValue) },
    { requiredKeys: [] },
  );
  await fuzz(fc.oneof(fc.subarray(["priority", "maxAttempts", "delay", "owner", "orderingKey", "dedupeKey", "tags", "runAt"] as const, { minLength: 1, maxLength: 2 }).chain((names) => options.map((all) => Object.fromEntries(Object.entries(all).filter(([name]) => (names as readonly string[]).includes(name))))), nearly(options, oddValue)), 5, async (given) => {
    if (typeof given !== "object" || given === null) return;
    const { value: stored } = await outcomeOf(() => test.outbox.enqueueAlone(contract, {}, given), refused);
    const { rows } = await test.pool.query<Record<string, unknown>>("delete from outbox returning id, priority, max_attempts, owner, ordering_key, dedupe_key, tags, run_at::text, created_at::text, extract(epoch from run_at - created_at) * 1000 as delay_ms");
    expect(rows.map(({ id }) => id)).toEqual(stored === undefined ? [] : [stored.id]);
    const [row] = rows;
    if (row === undefined) return;
    const { priority = 0, maxAttempts, owner = null, orderingKey = null, dedupeKey = null, tags = [], delay } = given as Record<string, unknown>;
    const number = { high: 10, low: -10 }[String(priority)] ?? priority;
    expect(row).toMatchObject({ priority: number === 0 ? 0 : number, owner, ordering_key: orderingKey, dedupe_key: dedupeKey });
    if (maxAttempts !== undefined) expect(row.max_attempts).toBe(maxAttempts);
    expect(row.tags ?? []).toEqual([...new Set(tags as string[])]);
    if (typeof delay === "number") expect(Math.abs(Number(row.delay_ms) - Math.round(delay))).toBeLessThan(1000);
  });
});

it("the policy of a contract is taken or refused when it is defined, and no time limit is one that a timer cannot keep", { timeout }, async () => {
  const policy = fc.record(
    {
      type: fc.oneof(fc.constantFrom("work", ""), word), timeout: duration, version: whole, onDead: fc.constantFrom("continue", "block", "x"),
      retry: fc.oneof<fc.Arbitrary<unknown>[]>(fc.record({ maxAttempts: whole, delays: fc.array(duration) }, { requiredKeys: [] }), oddValue), concurrency: fc.oneof<fc.Arbitrary<unknown>[]>(whole, fc.record({ limit: whole, key: fc.constant(() => "k") })),
      rateLimit: fc.record({ limit: whole, per: duration }), breaker: fc.record({ failures: whole, pause: duration }),
    },
    { requiredKeys: ["type"] },
  );
  await fuzz(nearly(policy, oddValue), 50, async (given) => {
    if (typeof given !== "object" || given === null) return;
    const { value: contract } = await outcomeOf(() => defineJob(given as { type: string }), refused);
    if (contract === undefined) return;
    expect(contract.timeoutMs >= 0 && contract.timeoutMs < 2 ** 31).toBe(true);
    expect(Number.isInteger(contract.maxAttempts) && contract.maxAttempts >= 1 && contract.maxAttempts <= 10_000).toBe(true);
  });
});

it("the options of a list, a wait and an action are taken or refused, and nothing is changed by what is refused", { timeout }, async () => {
  const id = await test.aJob({ status: "error" });
  const options = fc.record({ limit: whole, after: fc.oneof(fc.uuid(), word), attempts: whole, expect: fc.oneof<fc.Arbitrary<unknown>[]>(fc.constantFrom(0, 7), oddValue), actor: fc.oneof(word, oddValue), reason: fc.oneof(word, oddValue), dryRun: fc.constant(true) }, { requiredKeys: ["dryRun"] });
  await fuzz(options, 5, async (given) => {
    const { limit, after, ...acting } = given as Record<string, unknown>;
    const listing = { ...(limit !== undefined && { limit }), ...(after !== undefined && { after }) };
    await outcomeOf(() => test.outbox.list({ all: true }, listing as object), refused);
    await outcomeOf(() => test.outbox.retry({ id }, acting), refused);
    const { actor, reason } = acting;
    await outcomeOf<unknown>(() => test.outbox.pause("work", { actor, reason } as object), refused);
    await outcomeOf(() => test.outbox.get(after as string), refused);
  });
  expect((await test.job(id)).status).toBe("error");
});

it("a pause lasts until an instant that Postgres has, or is refused", { timeout }, async () => {
  await fuzz(fc.oneof(duration, fc.date(), fc.constantFrom(new Date(8.64e15), new Date(-8.64e15))), 5, async (until) => {
    await outcomeOf<unknown>(() => test.outbox.pause("work", { until } as object), refused);
  });
});
