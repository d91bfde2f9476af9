import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Sql } from "../../src/outbox/database.ts";
import { previewPrune, pruneFinished } from "../../src/outbox/maintenance.ts";
import { defaultRetention, retentionMs } from "../../src/outbox/retention.ts";
import { pruneStep, rangesToWalk } from "../../src/outbox/store/prune.ts";
import { postgres } from "../../src/service/database.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox } from "../support/outbox.ts";
import { until } from "../support/until.ts";
import { createOutbox } from "../../src/index.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(async () => {
  await test.empty();
  await test.pool.query("truncate outbox_slot, outbox_schedule, outbox_unpromoted");
});

const ago = (days: number) => new Date(Date.now() - days * 86_400_000);
/** An id as enqueue would have made it then. */
const idFrom = (at: Date) => `${at.getTime().toString(16).padStart(12, "0")}7${randomUUID().slice(15).replaceAll("-", "")}`.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
/** A job that was made and finished so many days ago. */
const finished = (days: number, columns: Record<string, unknown> = {}) => test.aJob({ id: idFrom(ago(days)), status: "done", created_at: ago(days), updated_at: ago(days), finished_at: ago(days), ...columns });
/** The same, inserted by hand: its id says nothing about time. */
const byHand = (days: number, columns: Record<string, unknown> = {}) => finished(days, { id: randomUUID(), ...columns });
const left = async () => (await test.jobs()).map(({ id }) => id).sort();
const many = (count: number, days: number) =>
  // The drawn ids are those of no time, past or to come: one in 200,000 would be dated to this week, and stay.
  test.pool.query(
    `insert into outbox (id, type, payload, status, finished_at)
     select case when n % 2 = 0 then overlay(gen_random_uuid()::text placing 'a' from 1)::uuid else (lpad(to_hex($2::bigint + n), 12, '0') || '7' || substr(md5(n::text), 1, 19))::uuid end, 'work', '{}', 'done', to_timestamp($2::float8 / 1000)
     from generate_series(1, $1) as n`,
    [count, ago(days).getTime()],
  );

describe("a pass", () => {
  it("deletes what finished before its retention was over, however its id was made, and nothing else", async () => {
    for (const job of [finished, byHand]) {
      await job(8);
      await job(8, { status: "cancelled" });
      await job(31, { status: "error" });
    }
    const kept = [];
    for (const job of [finished, byHand]) {
      kept.push(await job(6), await job(6, { status: "cancelled" }), await job(29, { status: "error" }));
      for (const status of ["pending", "waiting", "processing"]) kept.push(await job(400, { status, finished_at: null }));
    }
    expect(await pruneFinished(test.database, defaultRetention)).toMatchObject({ done: 2, cancelled: 2, dead: 2, complete: true, rest: [] });
    expect(await left()).toEqual(kept.sort());
  });

  it("keeps a job that was made long ago and finished recently, and one of which nobody knows when it finished", async () => {
    const kept = [await finished(100, { finished_at: ago(6) }), await byHand(100, { finished_at: ago(6) }), await finished(100, { finished_at: null })];
    expect(await pruneFinished(test.database, defaultRetention)).toMatchObject({ done: 0, complete: true });
    expect(await left()).toEqual(kept.sort());
  });

  it("finds a job whose id a fast clock has dated into the future", async () => {
    await finished(8, { id: idFrom(ago(-1)) });
    expect(await pruneFinished(test.database, defaultRetention)).toMatchObject({ done: 1 });
  });

  it("takes the ledger of a job's attempts with it", async () => {
    const id = await finished(8);
    await test.pool.query("insert into outbox_attempt (job_id, attempt, outcome) values ($1, 1, 'retried')", [id]);
    await pruneFinished(test.database, defaultRetention);
    expect(await test.attempts(id)).toEqual([]);
  });

  it("never deletes a dead letter that blocks its ordering key, so that the line behind it goes on waiting for a human", async () => {
    const blocking = await byHand(400, { status: "error", ordering_key: "k", block_on_dead: true });
    const behind = await byHand(400, { status: "waiting", ordering_key: "k", finished_at: null });
    await byHand(400, { status: "error", ordering_key: "other" });
    await byHand(400, { status: "error", block_on_dead: true });
    expect(await pruneFinished(test.database, defaultRetention)).toMatchObject({ dead: 2 });
    expect(await test.outbox.prune({ olderThan: 0, statuses: ["error"] })).toMatchObject({ count: 0 });
    expect(await left()).toEqual([blocking, behind].sort());
    expect((await test.job(behind)).status).toBe("waiting");
  });

  it("keeps a job for as long as it holds its dedupe key", async () => {
    const kept = [await finished(400, { dedupe_key: "for ever", dedupe_until: "9999-12-31Z" }), await finished(400, { dedupe_key: "until tomorrow", dedupe_until: ago(-1) })];
    await finished(400, { dedupe_key: "until yesterday", dedupe_until: ago(1) });
    await finished(400, { dedupe_key: "until done" });
    await finished(400, { dedupe_key: "taken over", dedupe_until: ago(-1), dedupe_released: true });
    expect(await pruneFinished(test.database, defaultRetention)).toMatchObject({ done: 3 });
    expect(await left()).toEqual(kept.sort());
  });

  it("keeps for ever what is configured so, and looks at nothing when that is everything", async () => {
    const kept = await finished(4000);
    await finished(4000, { status: "cancelled" });
    expect(await pruneFinished(test.database, retentionMs({ done: false }))).toMatchObject({ done: 0, cancelled: 1 });
    expect(await pruneFinished(test.database, retentionMs({ done: false, cancelled: false, dead: false }))).toMatchObject({ steps: 0, complete: true });
    expect(await left()).toEqual([kept]);
  });

  it("deletes slots that came over 30 days ago, of schedules that are gone too, but none that its schedule has yet to come to", async () => {
    const slot = (schedule: string, days: number, firedDaysAgo = days) => test.pool.query("insert into outbox_slot (schedule, slot_at, job_id, fired_at) values ($1, $2, gen_random_uuid(), $3)", [schedule, ago(days), ago(firedDaysAgo)]);
    await test.pool.query(
      `insert into outbox_schedule (name, type, cron, time_zone, missed, next_slot_at)
       values ('daily', 'work', '0 0 * * *', 'UTC', 'all', now()), ('stopped', 'work', '0 0 * * *', 'UTC', 'all', now() - interval '35 days')`,
    );
    for (const days of [40, 35, 29, 1]) for (const schedule of ["daily", "gone"]) await slot(schedule, days);
    await slot("daily", 50, 1); // fired late
    await slot("stopped", 36);
    await slot("stopped", 34);
    expect(await test.outbox.prune({ dryRun: true })).toMatchObject({ slots: 5 });
    expect(await test.outbox.prune({ olderThan: "1d", statuses: ["done"] })).toMatchObject({ slots: 0 });
    expect(await pruneFinished(test.database, defaultRetention, { stepRows: 2 })).toMatchObject({ slots: 5, complete: true });
    const { rows } = await test.pool.query("select schedule, round(extract(epoch from now() - slot_at) / 86400)::integer as days from outbox_slot order by schedule, days");
    expect(rows).toEqual([{ schedule: "daily", days: 1 }, { schedule: "daily", days: 29 }, { schedule: "daily", days: 50 }, { schedule: "gone", days: 1 }, { schedule: "gone", days: 29 }, { schedule: "stopped", days: 34 }]); // prettier-ignore
  });
});

describe("the steps of a pass", () => {
  it("stop when the signal is aborted, and the next pass goes on where this one was", async () => {
    await many(100, 10);
    const stop = new AbortController();
    const record = () => {
      stop.abort();
      return Promise.resolve();
    };
    const first = await pruneFinished(test.database, defaultRetention, { stepRows: 10, signal: stop.signal, record });
    expect(first).toMatchObject({ steps: 1, done: 10, complete: false });
    // What is young enough to be behind the place where it stopped is not looked at again.
    expect(first.rest[0]!.after > (await rangesToWalk(test.database, 0))[0]!.after).toBe(true);
    const second = await pruneFinished(test.database, defaultRetention, { stepRows: 10, pause: 0, from: first.rest });
    expect(second).toMatchObject({ done: 90, complete: true, rest: [] });
    expect(await pruneFinished(test.database, defaultRetention, { signal: stop.signal })).toMatchObject({ steps: 0, complete: false });
  });

  it("end a rest at once when the signal is aborted", async () => {
    await many(100, 10);
    const stop = new AbortController();
    const pruning = pruneFinished(test.database, defaultRetention, { stepRows: 50, pause: 1e9, signal: stop.signal });
    await vanished(50);
    stop.abort();
    expect(await pruning).toMatchObject({ steps: 1, complete: false });
  });

  it("delete no more than the limit, and what is left of the last step is looked at again", async () => {
    await many(100, 10);
    const first = await pruneFinished(test.database, defaultRetention, { stepRows: 40, pause: 0, limit: 50 });
    expect(first).toMatchObject({ done: 50, complete: false });
    expect(await pruneFinished(test.database, defaultRetention, { from: first.rest })).toMatchObject({ done: 50, complete: true });
  });

  it("become smaller where a time limit of the database's cuts them off", async () => {
    await many(300, 10);
    await test.pool.query("create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(0.002); return old; end $$; create trigger dawdle before delete on outbox for each row execute function dawdle()");
    const limited = postgres(test.url, { statementTimeoutMs: 400 });
    try {
      expect(await pruneFinished(limited, defaultRetention, { pause: 0 })).toMatchObject({ done: 300, complete: true });
    } finally {
      await limited.close();
      await test.pool.query("drop trigger dawdle on outbox; drop function dawdle()");
    }
  });

  it("each look at no more jobs than they may, also while the statistics are those of an empty table", { timeout: 120_000 }, async () => {
    await test.pool.query("alter table outbox set (autovacuum_enabled = off)");
    await test.pool.query("vacuum analyze outbox");
    await many(200_000, 10);
    for (const analyzed of [false, true]) {
      if (analyzed) await test.pool.query("analyze outbox");
      for (const range of await rangesToWalk(test.database, 7 * 86_400_000)) {
        await test.database.transaction(async (tx) => {
          const { plans, sql } = explaining(tx);
          await pruneStep(sql, range, defaultRetention, 2000, 2000);
          expect(plans.flatMap(rowsReadFromOutbox)).toEqual([["Index Scan", 2000], ["Tid Scan", 2000], ["Tid Scan", 2000]]); // prettier-ignore
          throw new Error("not for good");
        }).catch((error: unknown) => expect(String(error)).toContain("not for good"));
      }
    }
    await test.pool.query("alter table outbox reset (autovacuum_enabled)");
  });
});

describe("beside others, a prune", () => {
  it("deletes each job once, however many run at once", async () => {
    await many(3000, 10);
    const options = { stepRows: 100, pause: 0 };
    const passes = await Promise.all([1, 2, 3].map(() => pruneFinished(test.database, defaultRetention, { ...options, whenBusy: "wait" })));
    const report = await test.outbox.prune();
    expect(passes.reduce((sum, { done }) => sum + done, report.count)).toBe(3000);
    expect(await left()).toEqual([]);
  });

  it("leaves the work to one that is at it, unless it was asked to take turns with it", async () => {
    await many(10, 10);
    const [stepped, goOn] = [barrier(), barrier()];
    const [range] = await rangesToWalk(test.database, 0);
    const first = test.database.transaction(async (tx) => {
      await pruneStep(tx, range!, defaultRetention, 1, 1);
      stepped.open();
      await goOn.reached;
    });
    await stepped.reached;
    expect(await pruneFinished(test.database, defaultRetention)).toMatchObject({ steps: 0, done: 0, complete: false, rest: [] });
    const second = test.outbox.prune();
    goOn.open();
    await first;
    expect(await second).toMatchObject({ count: 9, complete: true });
  });

  it("skips a job that somebody has locked, and does not wait for it", async () => {
    const locked = await finished(10);
    await finished(10);
    const client = await test.pool.connect();
    try {
      await client.query("begin");
      await client.query("select from outbox where id = $1 for key share", [locked]);
      expect(await pruneFinished(test.database, defaultRetention)).toMatchObject({ done: 1, complete: true });
      await client.query("rollback");
    } finally {
      client.release();
    }
    expect(await left()).toEqual([locked]);
    expect(await pruneFinished(test.database, defaultRetention)).toMatchObject({ done: 1 });
  });

  it("loses to a redrive that came first, and the job runs", async () => {
    const id = await finished(40, { status: "error", attempts: 3 });
    const client = await test.pool.connect();
    try {
      await client.query("begin");
      await client.query("update outbox set status = 'pending' where id = $1", [id]);
      expect(await pruneFinished(test.database, defaultRetention)).toMatchObject({ dead: 0, complete: true });
      await client.query("commit");
    } finally {
      client.release();
    }
    expect(await pruneFinished(test.database, defaultRetention)).toMatchObject({ dead: 0 });
    expect(await test.job(id)).toMatchObject({ status: "pending", finished_at: null });
  });

  it("wins over a redrive that comes later, which then changes nothing", async () => {
    const id = await finished(40, { status: "error" });
    const [deleted, redriven] = [barrier(), barrier()];
    const [range] = await rangesToWalk(test.database, 0);
    const pruning = test.database.transaction(async (tx) => {
      expect(await pruneStep(tx, range!, defaultRetention, 10, 10)).toMatchObject({ dead: 1 });
      deleted.open();
      await redriven.reached;
    });
    await deleted.reached;
    const redrive = test.pool.query("update outbox set status = 'pending' where id = $1", [id]);
    await blocked();
    redriven.open();
    await pruning;
    expect((await redrive).rowCount).toBe(0);
    expect(await left()).toEqual([]);
  });

  it("and a redrive in the same moment: the job is either gone or pending, as each was told", async () => {
    let redriven = 0;
    for (let round = 0; round < 30; round += 1) {
      const ids = await Promise.all(Array.from({ length: 5 }, () => finished(40, { status: "error" })));
      const [updates, pass] = await Promise.all([
        Promise.all(ids.map(async (id) => (await test.pool.query("update outbox set status = 'pending' where id = $1", [id])).rowCount ?? 0)),
        pruneFinished(test.database, defaultRetention),
      ]);
      const won = ids.filter((_, index) => updates[index] === 1);
      expect((await test.jobs("status = 'pending'")).map(({ id }) => id).sort()).toEqual(won.sort());
      expect(pass.dead).toBe(5 - won.length);
      redriven += won.length;
      await test.pool.query("delete from outbox");
    }
    expect(redriven).toBeGreaterThan(0);
  });
});

describe("outbox.prune", () => {
  it("does what retention says, and writes who did it and what was deleted into the ledger", async () => {
    await many(30, 10);
    await finished(40, { status: "error" });
    const { count, done, dead, complete } = await test.outbox.prune({ actor: "ada@example", reason: "disk" });
    expect({ count, done, dead, complete }).toEqual({ count: 31, done: 30, dead: 1, complete: true });
    expect(await ledger()).toEqual([{ actor: "ada@example", action: "prune", filter: { olderThan: { done: "7d", cancelled: "7d", error: "30d" } }, count: 31, reason: "disk" }]);
    await test.outbox.prune();
    expect(await ledger()).toHaveLength(1); // nothing was deleted
  });

  it("counts everything in one row of the ledger, and does so with each step", async () => {
    await many(5000, 10);
    const stop = new AbortController();
    const pruning = test.outbox.prune({ signal: stop.signal, actor: "ada" });
    await vanished(1);
    stop.abort();
    const { count, complete } = await pruning;
    expect(complete).toBe(false);
    expect(await ledger()).toMatchObject([{ count }]);
    expect(5000 - (await left()).length).toBe(count);
    expect((await test.outbox.prune({ actor: "ada" })).count).toBe(5000 - count);
    expect((await ledger()).map((row) => row.count)).toEqual([count, 5000 - count]);
  });

  it("by age takes done and cancelled jobs, and dead letters when they are named", async () => {
    const dead = await finished(3, { status: "error" });
    const young = await finished(1);
    await finished(3);
    await finished(3, { status: "cancelled" });
    expect(await test.outbox.prune({ olderThan: "2d" })).toMatchObject({ count: 2, done: 1, cancelled: 1 });
    expect(await left()).toEqual([dead, young].sort());
    expect(await test.outbox.prune({ olderThan: "2d", statuses: ["error"] })).toMatchObject({ count: 1, dead: 1 });
    expect(await test.outbox.prune({ statuses: ["done"] })).toMatchObject({ count: 0 }); // 7 days
    expect(await test.outbox.prune({ olderThan: 0 })).toMatchObject({ count: 1 });
  });

  it("in a dry run counts, shows five, and changes nothing", async () => {
    await many(8, 10);
    const dead = await finished(40, { status: "error", attempts: 3 });
    const before = await left();
    const report = await test.outbox.prune({ dryRun: true });
    expect(report).toMatchObject({ count: 9, done: 8, dead: 1, complete: true });
    expect(report.samples).toHaveLength(5);
    expect((await test.outbox.prune({ dryRun: true, statuses: ["error"] })).samples).toEqual([{ id: dead, type: "work", status: "error", attempts: 3, finishedAt: expect.any(Date) as Date }]);
    expect(await left()).toEqual(before);
    expect(await ledger()).toEqual([]);
    expect(await previewPrune(test.database, defaultRetention, 5, { stepRows: 2, pause: 0 })).toMatchObject({ done: 8, dead: 1, complete: true });
  });

  it("deletes no more than its limit", async () => {
    await many(20, 10);
    expect(await test.outbox.prune({ limit: 7 })).toMatchObject({ count: 7, complete: false });
    expect(await left()).toHaveLength(13);
  });

  it.each([
    [{ statuses: ["pending"] }, 'Expected statuses that are finished (done, cancelled, error), got "pending"'],
    [{ statuses: ["dead"] }, 'got "dead"'],
    [{ statuses: [] }, "Expected at least one status to prune, got none. Finished are done, cancelled, error"],
    [{ olderThan: "soon" }, 'Expected olderThan to be a duration such as "250ms", "30s", "5m", "2h" or "7d", got "soon"'],
    [{ olderThan: -1 }, "Expected olderThan to be a duration"],
    [{ limit: 0 }, "Expected limit to be a whole number from 1, got 0"],
    [{ limit: 1.5 }, "Expected limit to be a whole number from 1, got 1.5"],
  ])("refuses %j with a sentence that helps, and deletes nothing", async (options, sentence) => {
    await finished(400);
    await expect(test.outbox.prune(options as object)).rejects.toThrow(sentence);
    expect(await left()).toHaveLength(1);
  });

  it("asks for an age where retention keeps the jobs for ever", async () => {
    const outbox = createOutbox({ connection: test.url, retention: { dead: false } });
    await finished(400, { status: "error" });
    expect(await outbox.prune()).toMatchObject({ count: 0 });
    await expect(outbox.prune({ statuses: ["error"] })).rejects.toThrow('Expected olderThan beside the status "error": retention keeps those jobs for ever');
    expect(await outbox.prune({ statuses: ["error"], olderThan: "1d" })).toMatchObject({ count: 1 });
    await outbox.close();
  });
});

describe("retention", () => {
  it("is 7 days for done and cancelled jobs and 30 for dead letters, each unless told otherwise", () => {
    const day = 86_400_000;
    expect(retentionMs(undefined)).toEqual({ done: 7 * day, cancelled: 7 * day, dead: 30 * day });
    expect(retentionMs({ done: "12h", dead: false })).toEqual({ done: day / 2, cancelled: 7 * day, dead: null });
  });

  it.each([
    [{ done: "soon" }, 'Expected retention.done to be a duration from "1m" to "36500d", such as "7d", or false to keep them for ever, got "soon".'],
    [{ dead: 30 }, 'such as "7d", or false to keep them for ever, got 30. A number is milliseconds.'],
    [{ cancelled: true }, "retention.cancelled to be a duration"],
    [{ cancelled: null }, "retention.cancelled to be a duration"],
    [{ done: "40000d" }, "retention.done to be a duration"],
    [{ error: "7d" }, 'Expected retention to name done, cancelled or dead (the dead letters, status error), got "error".'],
    ["7d", 'Expected retention to be an object such as { done: "7d", cancelled: "7d", dead: "30d" }, got "7d".'],
  ])("%j is refused when the outbox is made", (retention, sentence) => {
    expect(() => createOutbox({ connection: test.url, retention: retention as object })).toThrow(sentence);
  });
});

async function ledger(): Promise<{ actor: string; action: string; filter: unknown; count: number; reason: string | null }[]> {
  return (await test.pool.query<Awaited<ReturnType<typeof ledger>>[number]>("select actor, action, filter, count, reason from outbox_action order by id")).rows;
}

/** Until a statement waits for a lock. */
async function blocked(): Promise<void> {
  await until("a statement waits for a lock", async () => (await test.pool.query("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")).rowCount !== 0);
}

/** Until at least so many jobs have been deleted. */
async function vanished(count: number): Promise<void> {
  const { length } = await left();
  await until(`${count} jobs have been deleted`, async () => (await left()).length <= length - count);
}

interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Actual Rows": number;
  readonly Plans?: readonly PlanNode[];
}

/** Runs statements by explaining them. As prepared ones: EXPLAIN plans what it is given itself for its values. */
function explaining(tx: Sql): { plans: PlanNode[]; sql: Sql } {
  const plans: PlanNode[] = [];
  const query = async (text: string, values: readonly unknown[] = []) => {
    if (values.length === 0) return tx.query(text);
    await tx.query(`prepare explained as ${text}`);
    const [row] = await tx.query(`explain (analyze, buffers, format json) execute explained (${values.map((value) => `'${String(value)}'`).join(", ")})`);
    await tx.query("deallocate explained");
    plans.push((row?.["QUERY PLAN"] as { Plan: PlanNode }[])[0]!.Plan);
    return [];
  };
  return { plans, sql: { query } };
}

function rowsReadFromOutbox(node: PlanNode): [string, number][] {
  const below = (node.Plans ?? []).flatMap(rowsReadFromOutbox);
  const reads = node["Relation Name"] === "outbox" && node["Node Type"].endsWith("Scan");
  return reads ? [[node["Node Type"], node["Actual Rows"]], ...below] : below;
}
