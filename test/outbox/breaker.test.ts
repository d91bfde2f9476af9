// When a receiver is down, its jobs wait instead of spending their attempts, over all workers; then one of them is tried.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Handler } from "../../src/index.ts";
import { defineJob, FinalError, handle } from "../../src/index.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { until } from "../support/until.ts";
import { workersOfEachTest } from "../support/workers.ts";

const startWorker = workersOfEachTest();
let test: TestOutbox;
let down: boolean;
let tried: number;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(async () => {
  await test.empty();
  down = true;
  tried = 0;
});

const breaks = (pause: `${number}${"ms" | "m"}` = "5m", error: Error = new Error("503")): Handler =>
  handle(defineJob({ type: "call", breaker: { failures: 3, pause } }), () => {
    tried += 1;
    return down ? Promise.reject(error) : Promise.resolve();
  });
async function backlog(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await test.aJob({ type: "call", max_attempts: 100 });
}
const state = async () => (await test.outbox.types()).find(({ type }) => type === "call")!;
const pauseIsOver = () => test.pool.query("update outbox_type set breaker_until = clock_timestamp() - interval '1 second'");
const untouched = async () => (await test.jobs("attempts = 0")).length;

describe("after so many failures in a row", () => {
  it("the type's other jobs wait, no attempt spent, in this drain and in others", async () => {
    await backlog(20);
    expect(await test.outbox.drain({ handlers: [breaks()], batch: 1, concurrency: 1 })).toMatchObject({ stopReason: "paused" });
    expect(tried).toBeLessThan(7); // three, and what was claimed while the breaker opened
    expect(await state()).toMatchObject({ breaker: "open" });
    expect((await state()).blockedUntil!.getTime()).toBeGreaterThan(Date.now() + 200_000);
    const left = await untouched();
    await test.other.drain({ handlers: [breaks()] });
    expect(await untouched()).toBe(left);
    expect(test.events.filter(({ event }) => event === "breaker_opened")).toHaveLength(1);
  });

  it("other types go on", async () => {
    await backlog(10);
    await test.aJob({ type: "fine" });
    const fine = handle(defineJob({ type: "fine" }), () => Promise.resolve());
    expect(await test.outbox.drain({ handlers: [breaks(), fine], batch: 1, concurrency: 1 })).toMatchObject({ done: 1 });
  });

  it("a success in between begins the count anew", async () => {
    let call = 0;
    const every = handle(defineJob({ type: "call", breaker: { failures: 3, pause: "5m" } }), () => ((call += 1) % 3 === 0 ? Promise.resolve() : Promise.reject(new Error("503"))));
    await backlog(12);
    await test.outbox.drain({ handlers: [every], batch: 1, concurrency: 1 });
    expect(call).toBe(12);
    expect(test.events.filter(({ event }) => event === "breaker_opened")).toEqual([]);
  });

  it("jobs that are to blame themselves do not count", async () => {
    await backlog(12);
    await test.outbox.drain({ handlers: [breaks("5m", new FinalError("404"))], batch: 1, concurrency: 1 });
    expect(tried).toBe(12);
  });
});

describe("when its time is over", () => {
  async function tripped(): Promise<void> {
    await backlog(20);
    await test.outbox.drain({ handlers: [breaks()], batch: 1, concurrency: 1 });
    await pauseIsOver();
    tried = 0;
  }

  it("one job is tried, and when it fails all wait twice as long", async () => {
    await tripped();
    expect(await state()).toMatchObject({ breaker: "half-open" });
    const before = await untouched();
    await test.outbox.drain({ handlers: [breaks()] });
    expect(tried).toBe(1);
    expect(await untouched()).toBe(before - 1);
    expect((await state()).blockedUntil!.getTime()).toBeGreaterThan(Date.now() + 550_000);
  });

  it("one job is tried, and when it is done the others follow", async () => {
    await tripped();
    down = false;
    const waiting = await untouched();
    const { done } = await test.outbox.drain({ handlers: [breaks()] });
    expect(done).toBe(waiting);
    expect(await state()).toMatchObject({ breaker: "closed", blockedUntil: null });
    expect(test.events.filter(({ event }) => event === "breaker_closed")).toHaveLength(1);
  });

  it("no second job is tried while the first one runs, on whatever worker", async () => {
    await tripped();
    let running = 0;
    let most = 0;
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const slow = handle(defineJob({ type: "call", breaker: { failures: 3, pause: "5m" } }), async () => {
      most = Math.max(most, (running += 1));
      await held;
      running -= 1;
    });
    startWorker(test.outbox, { handlers: [slow] });
    startWorker(test.other, { handlers: [slow] });
    await until("one is tried", () => running === 1);
    await until("both workers have looked again", async () => (await test.pool.query("select from outbox_worker")).rowCount === 2);
    await new Promise((resolve) => setTimeout(resolve, 600)); // several turns of either worker: nothing may happen, so nothing can be waited for
    expect(most).toBe(1);
    release();
    await until("the others follow", async () => (await test.jobs("status = 'pending' and attempts = 0")).length === 0);
  });
});

it("a worker opens it, waits, and goes on by itself", async () => {
  startWorker(test.outbox, { handlers: [breaks("300ms")], batch: 1, concurrency: 1 });
  await backlog(10);
  await until("it is open", () => test.events.some(({ event }) => event === "breaker_opened"));
  down = false;
  await until("it is closed", () => test.events.some(({ event }) => event === "breaker_closed"));
  await until("the rest is done", async () => (await untouched()) === 0);
});

it.each([[{ failures: 0, pause: "1m" }], [{ failures: 3 }], [{ failures: 3, pause: "soon" }], [{ failures: 3, pause: 0 }], ["always"]])("the breaker %j is refused", (breaker) => {
  expect(() => defineJob({ type: "call", breaker: breaker as never })).toThrow(/^Expected .*"call"/);
});
