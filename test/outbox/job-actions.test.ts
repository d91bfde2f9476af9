// What operators do to jobs: retry and cancel, by the same filters that list them. All or nothing, in the ledger.

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JobFilter } from "../../src/outbox/filter.ts";
import { until } from "../support/until.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, work, worksBy } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(() => test.empty());

const ended = { finished_at: new Date() };
const dead = (columns: Record<string, unknown> = {}) => test.aJob({ status: "error", attempts: 3, last_error: "Error: no", ...ended, ...columns });
const status = async (id: string) => (await test.job(id)).status;
const ledger = async () => (await test.pool.query<object>("select actor, action, filter, change, count, reason from outbox_action order by id")).rows;
const holdsKey = (key: string, columns: Record<string, unknown> = {}) => test.aJob({ dedupe_key: key, dedupe_until: null, ...columns });
const does = (result: unknown) => worksBy(() => Promise.resolve(result));
const gaveKeyUp = (key: string, columns: Record<string, unknown> = {}) => dead({ dedupe_key: key, dedupe_released: true, ...columns });

describe("a filter", () => {
  const refused: [unknown, RegExp][] = [
    [{}, /name jobs by id, type, .*got none/],
    [{ type: undefined }, /type of the filter to have a value, got undefined/],
    [{ id: undefined, status: "error" }, /id of the filter to have a value, got undefined/],
    [null, /to be an object, got null/],
    [{ kind: "work" }, /the filter to be among .*got "kind"/],
    [{ id: "17" }, /the id of a job, a UUID/],
    [{ id: [] }, /id of the filter to be one or up to 1000, got 0/],
    [{ id: Array(1) }, /^Expected the id of a job, .*got undefined/],
    [{ tag: Array(1) }, /^Expected tag to be a text/],
    [{ payload: { customer: Array(1) } }, /^Expected the value at "customer" to be a text/],
    [{ status: "failed" }, /status to be one of waiting, .*got "failed"/],
    [{ type: "" }, /type to be a text of 1 to 200/],
    [{ owner: "a\u0000b" }, /owner/],
    [{ tag: ["a", 1] }, /tag to be a text/],
    [{ olderThan: "soon" }, /olderThan to be a duration/],
    [{ payload: {} }, /1 to 10 paths, got 0/],
    [{ payload: { "a..b": 1 } }, /a path into the payload such as/],
    [{ payload: { a: { b: 1 } } }, /the value at "a" to be a text/],
    [{ payload: ["a"] }, /an object of paths/],
    [{ all: true, type: "work" }, /either all or conditions \(type\)/],
    [{ all: "yes" }, /all of the filter to be true or false/],
  ];
  it.each(refused)("%j is refused, whoever asks, and changes nothing", async (filter, message) => {
    const id = await dead();
    const given = filter as JobFilter;
    for (const call of [() => test.outbox.list(given), () => test.outbox.retry(given), () => test.outbox.cancel(given)]) await expect(call()).rejects.toThrow(message);
    expect(await status(id)).toBe("error");
  });

  const wanted = { type: "work", status: "error", owner: "ada", dedupe_key: "key", ordering_key: "line", tags: "{a,b}", last_error: "Error: connect ECONNREFUSED 10.0.0.1:25", payload: { customer: { id: 42 }, items: [{ sku: "x" }], on: true } };
  const filters: JobFilter[] = [
    { type: "work", owner: "ada" },
    { type: ["work", "play"], status: ["error", "done"], olderThan: "1h" },
    { owner: "ada" },
    { dedupeKey: "key" },
    { orderingKey: "line" },
    { tag: "a" },
    { tag: ["b", "a"] },
    { error: "econnrefused" },
    { payload: { "customer.id": 42 } },
    { payload: { "customer.id": ["42", 42] } },
    { payload: { "items.0.sku": "x" } },
    { payload: { on: true, "customer.id": 42 } },
  ];
  it.each(filters)("%j finds the job that fulfils it, and no other", async (filter) => {
    const { tags, ...columns } = wanted;
    const id = await test.aJob({ ...columns, ...ended });
    await test.pool.query("update outbox set tags = $2::text[], created_at = created_at - interval '2 hours' where id = $1", [id, tags]);
    await test.aJob({ status: "done", ...ended, owner: "bob", dedupe_key: "other", last_error: "Error: timeout", payload: { customer: { id: 43 }, items: [{ sku: "y" }], on: false } });
    expect((await test.outbox.list(filter)).map((job) => job.id)).toEqual([id]);
    expect(await test.outbox.retry({ ...filter, status: "error" }, { dryRun: true })).toMatchObject({ count: 1, samples: [{ id }] });
  });

  it("by a dedupe key finds those who hold it and those who gave it up, of whatever types", async () => {
    const ids = [await gaveKeyUp("k"), await holdsKey("k"), await holdsKey("k", { type: "play" })];
    await holdsKey("other");
    expect((await test.outbox.list({ dedupeKey: "k" })).map(({ id }) => id).sort()).toEqual(ids.sort());
  });

  it("by an ordering key finds the whole line and all who have left it", async () => {
    const line: string[] = [];
    for (let n = 0; n < 3; n += 1) line.push(await test.aJob({ ordering_key: "line" }));
    line.push(await test.aJob({ ordering_key: "line", status: "done", ...ended }), await dead({ ordering_key: "line" }), await dead({ ordering_key: "line", block_on_dead: true }));
    expect((await test.outbox.list({ orderingKey: "line" })).map(({ id }) => id).sort()).toEqual(line.sort());
  });

  it("is never a pattern: % and _ in a text mean themselves", async () => {
    await dead({ last_error: "Error: 5 of 10", owner: "a_b" });
    expect(await test.outbox.list({ error: "5 % 10" })).toEqual([]);
    expect(await test.outbox.list({ owner: "a%" })).toEqual([]);
    expect(await test.outbox.list({ error: "5 OF" })).toHaveLength(1);
  });

  it("comes in pages that neither repeat nor leave out a job", async () => {
    await test.pool.query("insert into outbox (type, payload) select 'work', '{}' from generate_series(1, 25)");
    const seen: string[] = [];
    for (let after: string | undefined; ; after = seen.at(-1)) {
      const page = await test.outbox.list({ all: true }, { limit: 10, ...(after !== undefined && { after }) });
      if (page.length === 0) break;
      seen.push(...page.map(({ id }) => id));
    }
    expect(new Set(seen).size).toBe(25);
    expect(seen).toHaveLength(25);
  });

  it("that no index serves is ended in time, with the advice what to name", async () => {
    const { reading } = await import("../../src/outbox/reading.ts");
    await expect(reading(test.database, (sql) => sql.query("select pg_sleep(5)"), 100)).rejects.toMatchObject({ code: "TOO_SLOW", message: expect.stringContaining("name one of them") });
    await expect(reading(test.database, (sql) => sql.query("delete from outbox"))).rejects.toThrow(/read-only/);
  });
});

describe("a retry", () => {
  it("makes dead letters due now, with an attempt more, and the next drain runs them", async () => {
    const ids = [await dead(), await dead({ attempts: 1, max_attempts: 5 })];
    expect(await test.outbox.retry({ type: "work" }, { actor: "ada@host", reason: "mended" })).toMatchObject({ count: 2, keysTaken: 0 });
    expect(await Promise.all(ids.map((id) => test.job(id)))).toMatchObject([
      { status: "pending", attempts: 3, max_attempts: 4, finished_at: null },
      { status: "pending", attempts: 1, max_attempts: 5 },
    ]);
    expect(await test.outbox.drain({ handlers: [does("done")] })).toMatchObject({ done: 2 });
    expect(await ledger()).toEqual([{ actor: "ada@host", action: "jobs:retry", filter: { type: "work" }, change: { status: "pending", attempts: 1 }, count: 2, reason: "mended" }]);
  });

  it("gives as many attempts as it is told to", async () => {
    const id = await dead();
    await test.outbox.retry({ id }, { attempts: 5 });
    expect(await test.job(id)).toMatchObject({ attempts: 3, max_attempts: 8 });
    for (const attempts of [0, 1.5, 1001]) await expect(test.outbox.retry({ id }, { attempts })).rejects.toThrow(/attempts to be a whole number from 1 to 1000/);
  });

  it("leaves all but dead letters alone, unless their status or their ids are named", async () => {
    const [cancelled, done, later] = [await test.aJob({ status: "cancelled", ...ended }), await test.aJob({ status: "done", ...ended }), await test.aJob({ run_at: new Date(Date.now() + 3_600_000) })];
    expect(await test.outbox.retry({ type: "work" })).toMatchObject({ count: 0 });
    expect(await test.outbox.retry({ type: "work", status: "cancelled" })).toMatchObject({ count: 1 });
    expect(await test.outbox.retry({ id: [done, later] })).toMatchObject({ count: 1 });
    expect([await status(cancelled), await status(done)]).toEqual(["pending", "done"]);
    expect((await test.job(later)).run_at.getTime()).toBeLessThanOrEqual(Date.now() + 1000);
    for (const wrong of ["done", "processing", "waiting"] as const) await expect(test.outbox.retry({ status: wrong })).rejects.toThrow(`got ${wrong}: those jobs cannot be retried`);
  });

  it("does not count a job as changed that is due anyway", async () => {
    const id = await test.aJob();
    expect(await test.outbox.retry({ id })).toMatchObject({ count: 0 });
    expect(await ledger()).toEqual([]);
  });

  it("leaves out a job whose dedupe key a later one holds, and says how many", async () => {
    const [old, free] = [await gaveKeyUp("taken"), await gaveKeyUp("free")];
    await holdsKey("taken");
    expect(await test.outbox.retry({ type: "work" }, { dryRun: true })).toMatchObject({ count: 1, keysTaken: 1 });
    expect(await test.outbox.retry({ type: "work" })).toMatchObject({ count: 1, keysTaken: 1 });
    expect([await status(old), await status(free)]).toEqual(["error", "pending"]);
    expect((await test.outbox.get(free))?.dedupeKey).toBe("free");
  });

  it("of several that would take the same key runs the newest", async () => {
    const ids: string[] = [];
    for (let n = 0; n < 3; n += 1) ids.push(await gaveKeyUp("same", { id: `00000000-0000-7000-8000-00000000000${n}` }));
    expect(await test.outbox.retry({ type: "work" })).toMatchObject({ count: 1 });
    expect(await Promise.all(ids.map(status))).toEqual(["error", "error", "pending"]);
  });

  it("puts jobs of an ordering key back into their line, one under way at a time", async () => {
    for (let n = 0; n < 3; n += 1) await dead({ ordering_key: "line" });
    expect(await test.outbox.retry({ orderingKey: "line" })).toMatchObject({ count: 3 });
    expect((await test.jobs()).map((job) => job.status).sort()).toEqual(["pending", "waiting", "waiting"]);
    expect(await test.outbox.drain({ handlers: [does("done")] })).toMatchObject({ done: 3 });
  });

  it("wakes a worker that sleeps", async () => {
    const id = await dead();
    const worker = test.outbox.worker({ handlers: [does("done")], pollMs: 60_000 });
    const working = worker.start();
    await until("the worker sleeps", async () => (await test.pool.query("select from outbox_worker where listening")).rowCount === 1);
    await test.outbox.retry({ id });
    await until("the job is done", async () => (await status(id)) === "done");
    await worker.stop();
    await working;
  });
});

describe("an agreed number", () => {
  it("that is not the real one changes nothing at all", async () => {
    const ids = [await dead(), await dead()];
    await expect(test.outbox.retry({ type: "work" }, { expect: 1 })).rejects.toMatchObject({ code: "CONFLICT", message: "Expected 1 jobs to be changed, found 2. Nothing was changed." });
    expect(await Promise.all(ids.map(status))).toEqual(["error", "error"]);
    expect(await ledger()).toEqual([]);
    expect(await test.outbox.retry({ type: "work" }, { expect: 2 })).toMatchObject({ count: 2 });
  });

  it("a dry run changes nothing, counts all, and shows five", async () => {
    for (let n = 0; n < 7; n += 1) await dead();
    const seen = await test.outbox.retry({ type: "work" }, { dryRun: true });
    expect(seen.count).toBe(7);
    expect(seen.samples).toHaveLength(5);
    expect((await test.jobs("status = 'error'")).length).toBe(7);
  });
});

describe("a cancel", () => {
  it("ends waiting and pending jobs, leaves what has ended, and is on the timeline of each", async () => {
    const ids = [await test.aJob(), await test.aJob({ ordering_key: "line" }), await test.aJob({ ordering_key: "line" }), await test.aJob({ status: "done", ...ended })];
    expect(await test.outbox.cancel({ type: "work" }, { actor: "ada@host", reason: "a mistake" })).toMatchObject({ count: 3, running: 0 });
    expect(await Promise.all(ids.map(status))).toEqual(["cancelled", "cancelled", "cancelled", "done"]);
    expect((await test.outbox.get(ids[0]!))?.timeline).toMatchObject([{ what: "enqueued" }, { what: "jobs:cancel", who: "ada@host", detail: "a mistake; one of 3 jobs" }]);
    await expect(test.outbox.cancel({ status: "done" })).rejects.toThrow("those jobs cannot be cancelled");
  });

  it("lets the next job of an ordering key go on", async () => {
    const [first, second] = [await test.aJob({ ordering_key: "line" }), await test.aJob({ ordering_key: "line" })];
    await test.outbox.cancel({ id: first });
    expect(await status(second)).toBe("pending");
  });

  it("aborts the signal of a handler that runs, within two seconds; nothing of the attempt is stored after that", async () => {
    const id = await test.aJob();
    const [begun, over] = [barrier(), barrier()];
    let reason: unknown;
    let abortedAt = 0;
    const drained = test.other.drain({
      handlers: [
        worksBy(async (_, ctx) => {
          begun.open();
          await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve, { once: true }));
          abortedAt = Date.now();
          reason = ctx.signal.reason;
          await ctx.complete(() => Promise.resolve("too late")).catch(() => undefined);
          over.open();
          return "too late";
        }),
      ],
    });
    await begun.reached;
    const cancelledAt = Date.now();
    expect(await test.outbox.cancel({ id }, { actor: "ada@host" })).toMatchObject({ count: 1, running: 1 });
    await over.reached;
    expect(abortedAt - cancelledAt).toBeLessThan(2000);
    expect(reason).toMatchObject({ name: "AttemptEnded", why: "cancelled" });
    expect(await drained).toMatchObject({ done: 0, cancelled: 1, lost: 0 });
    expect(await test.job(id)).toMatchObject({ status: "cancelled", result: null });
    expect(await test.attempts(id)).toEqual([{ attempt: 1, outcome: "cancelled", error_class: null, message: "cancelled by ada@host" }]);
    expect(test.events.map(({ event }) => event)).toContain("job_cancelled");
  });

  it("reaches a job that was reset by hand while it ran, too: its old attempt loses, the new one counts", async () => {
    const id = await test.aJob();
    const begun = barrier();
    let attempts = 0;
    const handlers = [
      worksBy(async (_, ctx) => {
        attempts += 1;
        if (attempts > 1) return "second";
        begun.open();
        await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve, { once: true }));
        throw ctx.signal.reason;
      }),
    ];
    const drained = test.outbox.drain({ handlers });
    await begun.reached;
    await test.pool.query("update outbox set status = 'pending' where id = $1", [id]);
    expect(await drained).toMatchObject({ done: 1, lost: 1 });
    expect(await test.job(id)).toMatchObject({ status: "done", result: "second" });
  });

  it("does not disturb the neighbours of the job", async () => {
    const [a, b] = [await test.aJob(), await test.aJob()];
    const begun = barrier();
    let running = 0;
    const drained = test.outbox.drain({
      handlers: [
        worksBy(async (_, ctx) => {
          running += 1;
          if (running === 2) begun.open();
          await until("it is cancelled", async () => ctx.signal.aborted || (await status(a)) === "cancelled");
          if (ctx.job.id === a) await new Promise((resolve) => (ctx.signal.aborted ? resolve(null) : ctx.signal.addEventListener("abort", resolve, { once: true })));
          return "ok";
        }),
      ],
    });
    await begun.reached;
    await test.outbox.cancel({ id: a });
    expect(await drained).toMatchObject({ done: 1, cancelled: 1 });
    expect(await status(b)).toBe("done");
  });

  it("of 64 callers at once has one that does it", async () => {
    const id = await test.aJob();
    const all = await Promise.all(Array.from({ length: 64 }, () => test.outbox.cancel({ id })));
    expect(all.reduce((sum, { count }) => sum + count, 0)).toBe(1);
    expect(await ledger()).toHaveLength(1);
  });
});

describe("tags", () => {
  it("are stored with the job, once each, and found", async () => {
    const awkward = ["plain", 'quo"te', "back\\slash", "{brace}", "comma,comma", " blank ", "NULL", "ä€🙂"];
    const { id } = await test.outbox.enqueueAlone(work, {}, { tags: [...awkward, "plain"] });
    expect((await test.outbox.get(id))?.tags).toEqual(awkward);
    for (const tag of awkward) expect(await test.outbox.list({ tag })).toHaveLength(1);
    const { rows } = await test.pool.query<{ tags: unknown }>("select tags from outbox where id = $1", [id]);
    expect(rows).toEqual([{ tags: awkward }]);
  });

  it("of many jobs in one call are each its own", async () => {
    const client = await test.pool.connect();
    await client.query("begin");
    await test.outbox.enqueueMany(client, [work.job({}, { tags: ["a", "b"] }), work.job({}), work.job({}, { tags: ["b"] })]);
    await client.query("commit");
    client.release();
    expect((await test.outbox.list({ tag: "b" })).map(({ tags }) => tags).sort()).toEqual([["a", "b"], ["b"]]);
  });

  it.each([["no list", "a"], ["too many", Array.from({ length: 21 }, String)], ["no text", [1]], ["empty", [""]], ["too long", ["x".repeat(101)]], ["with a NUL", ["a\u0000"]], ["with a hole", Array(1)]])("%s is refused", async (_, tags) => {
    await expect(test.outbox.enqueueAlone(work, {}, { tags: tags as string[] })).rejects.toThrow(/^Expected tags/);
  });
});

it("the id of no job is answered by null, and a text that is no id is refused", async () => {
  expect(await test.outbox.get(randomUUID())).toBeNull();
  expect(await test.outbox.why(randomUUID())).toBeNull();
  await expect(test.outbox.wait(randomUUID())).rejects.toMatchObject({ code: "NOT_FOUND" });
  for (const call of [() => test.outbox.get("17"), () => test.outbox.why("17"), () => test.outbox.wait("17")]) await expect(call()).rejects.toThrow(/a UUID/);
});

describe("waiting for a job", () => {
  it("comes back with it once it has ended, with its result or its error", async () => {
    const { id } = await test.outbox.enqueueAlone(work, { n: 1 });
    const waiting = test.outbox.wait(id);
    await test.other.drain({ handlers: [worksBy(({ n }) => Promise.resolve({ twice: 2 * (n ?? 0) }))] });
    expect(await waiting).toMatchObject({ status: "done", result: { twice: 2 } });
    const failing = await dead();
    expect(await test.outbox.wait(failing)).toMatchObject({ status: "error", lastError: "Error: no" });
  });

  it("has an end: it says what the job still is, and what to ask", async () => {
    const { id } = await test.outbox.enqueueAlone(work, {});
    await expect(test.outbox.wait(id, { timeout: 100 })).rejects.toMatchObject({ code: "TOO_SLOW", message: expect.stringMatching(/is still pending after 100 ms\. Why, says .*jobs:why/) });
    const stop = new AbortController();
    const waiting = test.outbox.wait(id, { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow();
  });
});

describe("an exclusive drain", () => {
  const slow = () => {
    const [begun, over] = [barrier(), barrier()];
    return { begun, over, handler: worksBy(async () => (begun.open(), await over.reached, "done")) };
  };

  it("runs nothing while another one runs, and says so; afterwards it does", async () => {
    const { begun, over, handler } = slow();
    await test.aJob();
    const first = test.outbox.drain({ handlers: [handler], exclusive: true });
    await begun.reached;
    await test.aJob();
    expect(await test.other.drain({ handlers: [does("done")], exclusive: true })).toMatchObject({ done: 0, stopReason: "locked" });
    over.open();
    expect(await first).toMatchObject({ done: 2, stopReason: "empty" });
    await test.aJob();
    expect(await test.other.drain({ handlers: [does("done")], exclusive: true })).toMatchObject({ done: 1 });
    expect((await test.pool.query("select from outbox_lock")).rowCount).toBe(0);
  });

  it("does not keep others from draining that do not ask for it", async () => {
    const { begun, over, handler } = slow();
    await test.aJob();
    const first = test.outbox.drain({ handlers: [handler], exclusive: true, maxJobs: 1 });
    await begun.reached;
    await test.aJob();
    expect(await test.other.drain({ handlers: [does("done")] })).toMatchObject({ done: 1 });
    over.open();
    await first;
  });

  it("takes the lock over from one that has died, once its lease is over", async () => {
    const died = randomUUID();
    await test.pool.query("insert into outbox_worker (id, host, pid, version, types, lease_ms) values ($1, 'h', 1, 'test', '{work}', 30000)", [died]);
    await test.pool.query("insert into outbox_lock (name, worker) values ('drain', $1)", [died]);
    await test.aJob();
    expect(await test.outbox.drain({ handlers: [does("done")], exclusive: true })).toMatchObject({ stopReason: "locked" });
    await test.pool.query("update outbox_worker set beat_at = clock_timestamp() - interval '1 minute'");
    expect(await test.outbox.drain({ handlers: [does("done")], exclusive: true })).toMatchObject({ done: 1, stopReason: "empty" });
  });

  it("of eight in the same moment, those that run share nothing and lose nothing", async () => {
    await test.pool.query("insert into outbox (type, payload) select 'work', '{}' from generate_series(1, 200)");
    const ran = new Map<string, number>();
    const handlers = [worksBy((_, ctx) => Promise.resolve(void ran.set(ctx.job.id, (ran.get(ctx.job.id) ?? 0) + 1)))];
    const reports = await Promise.all(Array.from({ length: 8 }, (_, n) => (n % 2 === 0 ? test.outbox : test.other).drain({ handlers, exclusive: true })));
    expect(reports.reduce((sum, { done }) => sum + done, 0)).toBe(200);
    expect([...ran.values()].every((times) => times === 1)).toBe(true);
  });
});
