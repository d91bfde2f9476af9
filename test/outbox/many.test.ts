// A handler of many jobs shares the call, and nothing else: each job has its own outcome, attempts and time limit.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JobOfMany } from "../../src/index.ts";
import { defineJob, FinalError, handleMany } from "../../src/index.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, work } from "../support/outbox.ts";

let test: TestOutbox;
let calls: number[][];
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(async () => {
  await test.empty();
  calls = [];
});

type Jobs = readonly JobOfMany<{ n?: number }>[];
const together = (run: (jobs: Jobs) => Promise<readonly unknown[] | undefined> = () => Promise.resolve(undefined), max?: number) =>
  handleMany(
    work,
    (jobs) => {
      calls.push(jobs.map(({ payload }) => payload.n ?? -1));
      return run(jobs);
    },
    max === undefined ? {} : { max },
  );
async function backlog(count: number, columns: Record<string, unknown> = {}): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n += 1) ids.push(await test.aJob({ payload: { n }, ...columns }));
  return ids;
}

it("jobs that begin together are given to one call", async () => {
  await backlog(20);
  expect(await test.outbox.drain({ handlers: [together()] })).toMatchObject({ done: 20 });
  expect(calls).toHaveLength(1);
  expect([...calls[0]!].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n));
});

it("no call is given more than max", async () => {
  await backlog(25);
  await test.outbox.drain({ handlers: [together(undefined, 10)], batch: 25, concurrency: 25 });
  expect(calls.map((jobs) => jobs.length)).toEqual([10, 10, 5]);
});

it("a job that comes alone is run alone", async () => {
  await backlog(1);
  expect(await test.outbox.drain({ handlers: [together()] })).toMatchObject({ done: 1 });
});

it("each job has its own outcome", async () => {
  const ids = await backlog(4);
  const handler = together((jobs) =>
    Promise.resolve(
      jobs.map(({ payload: { n } }): unknown => {
        if (n === 1) return new Error("try again");
        return n === 2 ? new FinalError("never") : { sent: n };
      }),
    ),
  );
  expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 2, retried: 1, dead: 1 });
  const jobs = await Promise.all(ids.map((id) => test.job(id)));
  expect(jobs).toMatchObject([
    { status: "done", result: { sent: 0 } },
    { status: "pending", last_error: "Error: try again" },
    { status: "error", last_error: "FinalError: never" },
    { status: "done", result: { sent: 3 } },
  ]);
});

describe("all of a call fail", () => {
  it("when it throws", async () => {
    await backlog(3);
    expect(await test.outbox.drain({ handlers: [together(() => Promise.reject(new Error("down")))] })).toMatchObject({ retried: 3 });
  });

  it("when it throws before its first await", async () => {
    await backlog(2);
    const handler = handleMany(work, () => { throw new Error("at once"); }); // prettier-ignore
    expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ retried: 2 });
  });

  it("when it gives back a wrong number of outcomes", async () => {
    const [id] = await backlog(3);
    expect(await test.outbox.drain({ handlers: [together(() => Promise.resolve([1]))] })).toMatchObject({ retried: 3 });
    expect((await test.job(id!)).last_error).toContain("an outcome for each of its 3 jobs, got 1");
  });
});

it("a call that never ends loses its jobs by their own time limits", async () => {
  const slow = defineJob<{ n?: number }>({ type: "work", timeout: "100ms" });
  await backlog(3);
  expect(await test.outbox.drain({ handlers: [handleMany(slow, () => new Promise(() => undefined))] })).toMatchObject({ retried: 3 });
});

it("one job of a call can complete by itself", async () => {
  const ids = await backlog(2);
  const handler = together(async (jobs) => {
    await jobs.find(({ payload }) => payload.n === 0)!.context.complete((tx) => tx.query("select 1"), () => "by itself");
    return undefined;
  });
  expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 2 });
  expect(await test.job(ids[0]!)).toMatchObject({ status: "done", result: "by itself" });
});

it.each([[0], [1.5], [20_000]])("max of %s is refused", (max) => {
  expect(() => handleMany(work, () => Promise.resolve(undefined), { max })).toThrow('Expected max of the handler of "work"');
});
