// What is done outside the database has a ledger: what was done is not done again, and what may have been done is not
// done again without anybody knowing better.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { EffectOptions } from "../../src/index.ts";
import { FinalError, InDoubtError, RetryAfter } from "../../src/index.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, worksBy } from "../support/outbox.ts";

let test: TestOutbox;
/** What the receiver has been asked, by key. */
let charges: string[];
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(async () => {
  await test.empty();
  charges = [];
});

const charge = (key: string) => {
  charges.push(key);
  return Promise.resolve({ charged: charges.length });
};
/** One attempt, as soon as possible: what the effect gave back, or what it threw. */
async function attempt(run: (key: string) => Promise<unknown>, options?: EffectOptions<unknown>, after: () => Promise<unknown> = () => Promise.resolve()): Promise<unknown> {
  let answer: unknown;
  await test.pool.query("update outbox set run_at = clock_timestamp() where status = 'pending'");
  await test.outbox.drain({
    handlers: [
      worksBy(async (_, ctx) => {
        answer = await ctx.effect("charge", run, options).catch((error: unknown) => {
          answer = error;
          throw error;
        });
        await after();
      }),
    ],
  });
  return answer;
}
const later = () => Promise.reject(new Error("something else failed"));
const timesOut = async (key: string) => {
  await charge(key);
  throw new Error("no answer in time");
};
/** As when the process dies between the effect and its result. */
const crash = (id: string) => test.pool.query("insert into outbox_effect (job_id, name, state, attempt) values ($1, 'charge', 'begun', 1)", [id]);
const states = async (id: string) => (await test.outbox.effects(id)).map(({ name, state }) => `${name} ${state}`);

describe("an effect that was done", () => {
  it("is not done again by the next attempt, which is given its result", async () => {
    const id = await test.aJob();
    expect(await attempt(charge, {}, later)).toEqual({ charged: 1 });
    expect(await attempt(charge)).toEqual({ charged: 1 });
    expect(charges).toEqual([`${id}/charge`]);
    expect(await test.job(id)).toMatchObject({ status: "done", attempts: 2 });
    expect(await test.outbox.effects(id)).toEqual([{ name: "charge", state: "done", attempt: 1, result: { charged: 1 } }]);
  });

  it("without a result gives back undefined", async () => {
    await test.aJob();
    await attempt(() => Promise.resolve(undefined), {}, later);
    expect(await attempt(charge)).toBeUndefined();
    expect(charges).toEqual([]);
  });
});

describe("an effect that did not happen, as the receiver has said", () => {
  it.each<[string, () => Error, string]>([
    ["RetryAfter", () => new RetryAfter(60), "pending"],
    ["FinalError", () => new FinalError("card declined"), "error"],
  ])("by %s, is out of the ledger", async (_, error, status) => {
    const id = await test.aJob();
    await attempt(() => Promise.reject(error()));
    expect(await states(id)).toEqual([]);
    expect(await test.job(id)).toMatchObject({ status });
  });
});

describe("an effect in doubt", () => {
  it("parks the job for people, who say that it happened: it is not done again", async () => {
    const id = await test.aJob();
    await attempt(timesOut);
    expect(await attempt(charge)).toBeInstanceOf(InDoubtError);
    expect(charges).toHaveLength(1);
    expect(await test.job(id)).toMatchObject({ status: "error", attempts: 2 });
    expect((await test.job(id)).last_error).toMatch(/^InDoubtError: Effect "charge" is in doubt: attempt 1 began it/);
    expect(await states(id)).toEqual(["charge in doubt"]);

    expect(await test.outbox.resolveEffect(id, "charge", { happened: true, result: { charged: 1 }, actor: "ann", reason: "seen in the dashboard" })).toBe(true);
    await test.pool.query("update outbox set status = 'pending' where id = $1", [id]);
    expect(await attempt(charge)).toEqual({ charged: 1 });
    expect(charges).toHaveLength(1);
    const { rows } = await test.pool.query("select actor, action, filter, change, count, reason from outbox_action");
    expect(rows).toEqual([{ actor: "ann", action: "jobs:resolve", filter: { id, effect: "charge" }, change: { happened: true }, count: 1, reason: "seen in the dashboard" }]);
  });

  it("is done again when people say that it did not happen", async () => {
    const id = await test.aJob({ status: "error" });
    await crash(id);
    expect(await test.outbox.resolveEffect(id, "charge", { happened: false })).toBe(true);
    await test.pool.query("update outbox set status = 'pending' where id = $1", [id]);
    await attempt(charge);
    expect(charges).toEqual([`${id}/charge`]);
  });

  it("parks the job anew when it is retried and nobody has said anything", async () => {
    const id = await test.aJob();
    await crash(id);
    await attempt(charge);
    await test.pool.query("update outbox set status = 'pending' where id = $1", [id]);
    expect(await attempt(charge)).toBeInstanceOf(InDoubtError);
    expect(charges).toEqual([]);
  });

  it("is verified, if it can be: when it happened it is not done again", async () => {
    const id = await test.aJob();
    await crash(id);
    const asked: string[] = [];
    const verify = (key: string) => (asked.push(key), Promise.resolve({ result: { charged: 7 } }));
    expect(await attempt(charge, { verify })).toEqual({ charged: 7 });
    expect([asked, charges]).toEqual([[`${id}/charge`], []]);
    expect(await states(id)).toEqual(["charge done"]);
  });

  it("is verified, if it can be: when it did not happen it is done", async () => {
    const id = await test.aJob();
    await crash(id);
    expect(await attempt(charge, { verify: () => Promise.resolve(null) })).toEqual({ charged: 1 });
    expect(await states(id)).toEqual(["charge done"]);
  });

  it("whose verification fails is asked about again", async () => {
    const id = await test.aJob();
    await crash(id);
    await attempt(charge, { verify: () => Promise.reject(new Error("the API is down")) });
    expect(await test.job(id)).toMatchObject({ status: "pending", last_error: "Error: the API is down" });
    expect([await states(id), charges]).toEqual([["charge begun"], []]);
  });

  it("is done again with the same key when the receiver knows the key", async () => {
    const id = await test.aJob();
    await attempt(timesOut, { repeatable: true });
    await attempt(charge, { repeatable: true });
    expect(charges).toEqual([`${id}/charge`, `${id}/charge`]);
    expect(await test.job(id)).toMatchObject({ status: "done" });
  });

  it("of a running job is nothing for people yet, and what is done cannot be undone", async () => {
    const id = await test.aJob();
    let whileRunning: unknown;
    await attempt(charge, {}, async () => (whileRunning = await test.outbox.resolveEffect(id, "charge", { happened: false })));
    expect(whileRunning).toBe(false);
    expect(await test.outbox.resolveEffect(id, "charge", { happened: false })).toBe(false);
    expect(await test.outbox.resolveEffect(id, "refund", { happened: true })).toBe(false);
    expect((await test.pool.query("select from outbox_action")).rowCount).toBe(0);
  });
});

it("an attempt that has lost its lease begins no effect", async () => {
  const id = await test.aJob();
  const report = await test.outbox.drain({
    handlers: [
      worksBy(async (_, ctx) => {
        await test.pool.query("update outbox set lease_token = lease_token + 1");
        await ctx.effect("charge", charge);
      }),
    ],
  });
  expect([charges, await states(id), report.lost]).toEqual([[], [], 1]);
});

it("the effects of one job have names of their own", async () => {
  const id = await test.aJob();
  await test.outbox.drain({
    handlers: [
      worksBy(async (_, ctx) => {
        await ctx.effect("one", charge);
        await ctx.effect("two", charge);
      }),
    ],
  });
  expect(charges).toEqual([`${id}/one`, `${id}/two`]);
});

it.each([[""], ["x".repeat(201)], [7 as never], ["\u0000"]])("the name %j is refused", async (name) => {
  const id = await test.aJob({ max_attempts: 1 });
  await test.outbox.drain({ handlers: [worksBy((_, ctx) => ctx.effect(name, charge))] });
  expect(await test.job(id)).toMatchObject({ status: "error" });
  expect(charges).toEqual([]);
});
