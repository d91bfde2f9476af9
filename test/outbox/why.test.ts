// `why`: every gate that keeps a job from running, in order, each with the fact behind it and the command that lifts it.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Gate } from "../../src/index.ts";
import { defineJob, handle } from "../../src/index.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, worksBy } from "../support/outbox.ts";
import { until } from "../support/until.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(() => test.empty());

const aWorker = async (columns: Record<string, unknown> = {}) => {
  const worker = { id: "01939a3c-0000-7000-8000-000000000001", host: "host-a", pid: 71, version: "1", types: "{work}", versions: "{1}", lease_ms: 30_000, ...columns };
  await test.pool.query(`insert into outbox_worker (${Object.keys(worker).join(", ")}) values (${Object.keys(worker).map((_, index) => `$${index + 1}`).join(", ")})`, Object.values(worker));
  return worker.id;
};
const aType = (columns: Record<string, unknown>) => {
  const row: Record<string, unknown> = { type: "work", ...columns };
  return test.pool.query(`insert into outbox_type (${Object.keys(row).join(", ")}) values (${Object.keys(row).map((_, index) => `$${index + 1}`).join(", ")})`, Object.values(row));
};
const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000);
async function gates(id: string): Promise<readonly Gate[]> {
  const found = await test.outbox.why(id);
  if (found === null) throw new Error(`there is no job ${id}`);
  return found.gates;
}

describe("a job that nothing keeps back", () => {
  it("would be claimed now", async () => {
    await aWorker();
    const id = await test.aJob();
    expect(await test.outbox.why(id)).toEqual({ id, type: "work", status: "pending", gates: [], verdict: "Nothing keeps it back: it would be claimed now." });
  });

  it("comes after those of its type that are claimed before it", async () => {
    await aWorker();
    await test.aJob();
    await test.aJob({ priority: 10 });
    await test.aJob({ priority: -10 });
    const id = await test.aJob({ run_at: new Date() });
    expect((await test.outbox.why(id))?.verdict).toBe("Nothing keeps it back: it would be claimed now, after 2 due jobs of its type.");
  });
});

describe("a job that has ended", () => {
  it("says how, and for how long", async () => {
    const done = await test.aJob({ status: "done", attempts: 1, finished_at: inHours(-3) });
    const dead = await test.aJob({ status: "error", attempts: 3, finished_at: inHours(-3), last_error: "Error: no" });
    const cancelled = await test.aJob({ status: "cancelled", finished_at: inHours(-72) });
    expect(await gates(done)).toEqual([{ gate: "finished", fact: "It was done 3 h ago.", lift: null, until: null }]);
    expect(await gates(dead)).toEqual([{ gate: "finished", fact: "It is a dead letter: it failed for good 3 h ago, in attempt 3 of 3: Error: no", lift: `jobs:retry --id ${dead}`, until: null }]);
    expect(await gates(cancelled)).toEqual([{ gate: "finished", fact: "It was cancelled 3 days ago.", lift: `jobs:retry --id ${cancelled}`, until: null }]);
  });
});

describe("a job that is not due", () => {
  it("says when it will be, and what the attempt before it failed with", async () => {
    await aWorker();
    const runAt = inHours(5);
    const fresh = await test.aJob({ run_at: runAt });
    const failed = await test.aJob({ run_at: runAt, attempts: 1, last_error: "Error: busy" });
    expect(await gates(fresh)).toEqual([{ gate: "not due", fact: `It is due in 5 h, at ${runAt.toISOString()}.`, lift: `jobs:retry --id ${fresh}`, until: runAt }]);
    expect((await gates(failed))[0]!.fact).toBe(`It is due in 5 h, at ${runAt.toISOString()}. Attempt 1 of 3 failed: Error: busy`);
  });

  it("is lifted by the command that it names", async () => {
    await aWorker();
    const id = await test.aJob({ run_at: inHours(5) });
    await test.outbox.retry({ id });
    expect(await gates(id)).toEqual([]);
  });
});

describe("a job behind an ordering key", () => {
  it("names the job that it waits behind, and how many others do", async () => {
    await aWorker();
    const [first, , third] = [await test.aJob({ ordering_key: "line" }), await test.aJob({ ordering_key: "line" }), await test.aJob({ ordering_key: "line" })];
    expect(await gates(third)).toEqual([{ gate: "ordering key", fact: `It waits behind ${first} (work, pending) of the same ordering key "line", and 1 other before it.`, lift: `jobs:why ${first}`, until: null }]);
  });

  it("names the dead letter that blocks it, and the command that lifts that works", async () => {
    const first = await test.aJob({ ordering_key: "line", block_on_dead: true });
    const second = await test.aJob({ ordering_key: "line" });
    await test.pool.query("update outbox set status = 'error', attempts = 3 where id = $1", [first]);
    const [gate] = await gates(second);
    expect(gate).toMatchObject({ fact: `It waits behind the dead letter ${first} (work), which blocks the ordering key "line".`, lift: `jobs:retry --id ${first}` });
    await test.outbox.retry({ id: first });
    expect(await test.outbox.drain({ handlers: [worksBy(() => Promise.resolve(null))] })).toMatchObject({ done: 2 });
    expect((await gates(second))[0]!.gate).toBe("finished");
  });
});

describe("a job whose type is held back", () => {
  it("says who has paused it, why and until when", async () => {
    await aWorker();
    const id = await test.aJob();
    await test.outbox.pause("work", { actor: "ada@host", reason: "the receiver moves" });
    expect(await gates(id)).toEqual([{ gate: "paused", fact: "Its type is paused by ada@host (the receiver moves), until somebody resumes it.", lift: "types:resume work", until: null }]);
    await test.outbox.resume("work");
    expect(await gates(id)).toEqual([]);
  });

  it("says until when its circuit breaker is open, and which job is tried while it is half open", async () => {
    const worker = await aWorker();
    const id = await test.aJob();
    const untilWhen = inHours(1);
    await aType({ breaker_opened: 2, breaker_until: untilWhen });
    expect(await gates(id)).toMatchObject([{ gate: "breaker", until: untilWhen, lift: null }]);
    await test.pool.query("update outbox_type set breaker_until = clock_timestamp() - interval '1 s'");
    expect(await gates(id)).toEqual([]);
    const tried = await test.aJob({ status: "processing", locked_by: worker, started_at: new Date() });
    expect(await gates(id)).toMatchObject([{ gate: "breaker", fact: expect.stringContaining(tried) }]);
  });

  it("says until when a receiver has asked to wait", async () => {
    await aWorker();
    const untilWhen = inHours(1);
    const id = await test.aJob();
    await aType({ rate_limit: 10, rate_ms: 60_000, tokens: 10, refilled_at: new Date(), blocked_until: untilWhen });
    expect(await gates(id)).toMatchObject([{ gate: "asked to wait", until: untilWhen }]);
  });

  it("says when a rate limit that is used up has its next token", async () => {
    await aWorker();
    const id = await test.aJob();
    await aType({ rate_limit: 1, rate_ms: 3_600_000, tokens: 0, refilled_at: new Date() });
    const [gate] = await gates(id);
    expect(gate).toMatchObject({ gate: "rate limit", fact: "The rate limit of its type, 1 per 60 min, is used up; the next token comes in 60 min." });
    expect(Math.abs(gate!.until!.getTime() - inHours(1).getTime())).toBeLessThan(5000);
  });

  it("names the jobs that fill its concurrency, those of its key only when the limit is by key", async () => {
    const worker = await aWorker();
    await aType({ concurrency: 1, concurrency_by_key: true });
    const [a, b] = [await test.aJob({ concurrency_key: "a" }), await test.aJob({ concurrency_key: "b" })];
    const running = await test.aJob({ status: "processing", locked_by: worker, started_at: new Date(), concurrency_key: "a" });
    expect(await gates(a)).toMatchObject([{ gate: "concurrency", fact: `The concurrency limit of its concurrency key "a", 1, is full: it is held by ${running}.`, lift: `jobs:why ${running}` }]);
    expect(await gates(b)).toEqual([]);
  });

  it("tells every gate, in the order in which the job meets them", async () => {
    const id = await test.aJob({ run_at: inHours(1), suspect: true });
    await aType({ paused_at: new Date(), paused_by: "ada", breaker_opened: 1, breaker_until: inHours(1) });
    expect((await gates(id)).map(({ gate }) => gate)).toEqual(["not due", "paused", "breaker", "suspect", "no worker"]);
  });
});

describe("a job that no worker would take", () => {
  it("says so, and who did last", async () => {
    const id = await test.aJob();
    expect((await gates(id))[0]).toMatchObject({ gate: "no worker", fact: 'No living worker handles "work". A drain runs it, if it has a handler for the type.' });
    await aWorker({ beat_at: inHours(-1) });
    expect((await gates(id))[0]!.fact).toBe('No living worker handles "work". The last one that did, pid 71 on host-a, has been silent for 60 min. A drain runs it, if it has a handler for the type.');
  });

  it("says which version is missing", async () => {
    await aWorker();
    const id = await test.aJob({ version: 3 });
    expect(await gates(id)).toMatchObject([{ gate: "no worker", fact: 'No living worker knows version 3 of "work"; the newest that one knows is 1. It waits for a newer program.' }]);
  });

  it("as a running worker reports them: its types, with the versions that it knows once their handlers are loaded", async () => {
    const contract = defineJob({ type: "work", version: 2, migrate: (payload) => payload });
    const begun = barrier();
    const over = barrier();
    const handler = handle(contract, async () => {
      begun.open();
      await over.reached;
    });
    const id = await test.aJob({ version: 3 });
    await test.aJob({ version: 2 });
    const worker = test.other.worker({ handlers: [handler] });
    const working = worker.start();
    await begun.reached;
    await until("the newer job has been left alone", async () => (await test.job(id)).status === "pending");
    expect((await gates(id)).find(({ gate }) => gate === "no worker")?.fact ?? "").toContain("the newest that one knows is 2");
    over.open();
    await worker.stop();
    await working;
  });
});

describe("a job that runs", () => {
  it("says by whom it is leased, since when, and when that last beat", async () => {
    const worker = await aWorker();
    const id = await test.aJob({ status: "processing", attempts: 2, locked_by: worker, started_at: new Date(Date.now() - 30_000), progress: 40, progress_note: "page 4" });
    const [gate] = await gates(id);
    expect(gate).toMatchObject({ gate: "running", lift: `jobs:cancel --id ${id}` });
    expect(gate!.fact).toMatch(/^It is running: attempt 2 of 3 since .*, 3\d s now, leased by pid 71 on host-a, whose last beat was \d+ m?s ago\. It says 40 %, page 4\.$/);
  });

  it("whose worker is silent for longer than its lease, or gone, is taken over", async () => {
    const worker = await aWorker({ beat_at: inHours(-1) });
    const id = await test.aJob({ status: "processing", attempts: 1, locked_by: worker, started_at: new Date() });
    expect((await gates(id))[0]).toMatchObject({ gate: "worker gone", lift: "jobs:drain", fact: expect.stringContaining("was last heard of 60 min ago, longer than its lease") });
    await test.pool.query("delete from outbox_worker");
    expect((await gates(id))[0]).toMatchObject({ gate: "worker gone", fact: expect.stringContaining("but its worker is gone") });
  });
});

it("changes nothing, and asks from one snapshot", async () => {
  const id = await test.aJob();
  const before = await test.pool.query("select xmin, * from outbox where id = $1", [id]);
  await test.outbox.why(id);
  expect((await test.pool.query("select xmin, * from outbox where id = $1", [id])).rows).toEqual(before.rows);
});
