// Slots against a real Postgres: each fires once, whoever looks and however often, and none is lost. Time moves by
// setting a schedule back.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { defineJob, defineSchedule } from "../../src/index.ts";
import type { Database } from "../../src/outbox/database.ts";
import { declareSchedules, fireDueSchedules } from "../../src/outbox/fire.ts";
import type { FireReport } from "../../src/outbox/fire.ts";
import { pauseSchedule, resumeSchedule, runSchedule } from "../../src/outbox/schedule-actions.ts";
import type { Schedule } from "../../src/outbox/schedule.ts";
import type { NextAfter } from "../../src/outbox/slots.ts";
import { postgres } from "../../src/service/database.ts";
import { compileSchedules } from "../../src/service/schedules.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, work, worksBy } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
let begunAt: number;
beforeEach(async () => {
  begunAt = Math.floor(Date.now() / 1000) * 1000;
  await test.empty();
  await test.pool.query("truncate outbox_schedule, outbox_slot");
});
afterEach(() => vi.useRealTimers());

const minute = 60_000;
const hour = 60 * minute;
/** Slots so far apart, the one before this test half of that ago: none comes while it runs. */
const every = (ms: number): NextAfter => (after) => new Date(begunAt - ms / 2 + (Math.floor((after.getTime() - begunAt + ms / 2) / ms) + 1) * ms);

/** A schedule whose slots are `ms` apart. */
function aSchedule({ ms = hour, ...rest }: Partial<Parameters<typeof defineSchedule>[0]> & { ms?: number } = {}): Schedule {
  return { ...defineSchedule({ name: "tick", cron: `every ${ms} ms`, contract: work, payload: {}, ...rest }), nextAfter: every(ms) };
}

const fire = (schedules: readonly Schedule[], database: Database = test.database): Promise<FireReport> => fireDueSchedules(database, schedules, (event) => test.events.push(event));
const later = (ms: number) => test.pool.query("update outbox_schedule set next_slot_at = next_slot_at - $1 * interval '1 millisecond'", [ms]);
const databaseNow = async () => (await test.pool.query<{ now: Date }>("select clock_timestamp() as now")).rows[0]!.now;
const rowOf = async (name = "tick") => (await test.pool.query<{ next_slot_at: Date | null; last_slot_at: Date | null; cron: string; type: string; paused_at: Date | null; paused_by: string | null; pause_reason: string | null }>("select * from outbox_schedule where name = $1", [name])).rows[0]!;
const slotRows = async () => (await test.pool.query<{ schedule: string; slot_at: Date; job_id: string }>("select schedule, slot_at, job_id from outbox_slot order by schedule, slot_at")).rows;
const ledger = async () => (await test.pool.query<Record<string, unknown>>("select actor, action, filter, change, count, reason from outbox_action order by id")).rows;

/** Declared, and then so much time passes. */
async function declared(schedules: readonly Schedule[], passedMs: number): Promise<void> {
  await declareSchedules(test.database, schedules);
  await later(passedMs);
}

describe("a declared schedule", () => {
  it("has its first slot after the moment it was first declared, by the database's clock", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: new Date("2001-01-01T00:00:00Z") });
    const tick = aSchedule();
    await declareSchedules(test.database, [tick]);
    expect((await rowOf()).next_slot_at).toEqual(every(hour)(await databaseNow()));
    expect((await fire([tick])).fired).toEqual([]);
  });

  it("keeps its place when it is declared again, also with another policy or type", async () => {
    await declared([aSchedule()], 5 * hour);
    const before = await rowOf();
    await declareSchedules(test.database, [aSchedule()]);
    await declareSchedules(test.database, [aSchedule({ missed: "all", contract: defineJob({ type: "other" }) })]);
    expect(await rowOf()).toEqual({ ...before, missed: "all", type: "other" });
  });

  it("with another expression or another time zone goes on from now", async () => {
    await declared([aSchedule()], 5 * hour);
    await declareSchedules(test.database, [aSchedule({ ms: minute })]);
    expect((await rowOf()).next_slot_at!.getTime()).toBeGreaterThan(Date.now() - minute);
    await later(hour);
    await declareSchedules(test.database, [aSchedule({ ms: minute, timeZone: "Europe/Berlin" })]);
    expect((await rowOf()).next_slot_at!.getTime()).toBeGreaterThan(Date.now() - minute);
  });

  it("of another program is neither changed nor fired", async () => {
    await declared([aSchedule({ name: "theirs" })], hour);
    const before = await rowOf("theirs");
    await declareSchedules(test.database, [aSchedule()]);
    expect(await fire([aSchedule()])).toMatchObject({ fired: [] });
    expect(await rowOf("theirs")).toEqual(before);
  });

  it("is not fired by a program that still has its old expression", async () => {
    await declared([aSchedule()], 0);
    await declareSchedules(test.database, [aSchedule({ ms: minute })]);
    await later(hour);
    expect(await fire([aSchedule()])).toEqual({ fired: [], nextDueAt: null, dueInMs: null });
    expect((await fire([aSchedule({ ms: minute })])).fired).toHaveLength(1);
  });

  it("whose library finds no further slot is over", async () => {
    const once: Schedule = { ...aSchedule(), nextAfter: (after) => (after.getTime() < Date.UTC(2020, 0) ? new Date(Date.UTC(2020, 0)) : null) };
    await declareSchedules(test.database, [once]);
    expect((await rowOf()).next_slot_at).toBeNull();
    await test.pool.query("update outbox_schedule set next_slot_at = '2020-01-01T00:00:00Z'");
    expect((await fire([once])).fired).toHaveLength(1);
    expect(await fire([once])).toEqual({ fired: [], nextDueAt: null, dueInMs: null });
  });

  it("none at all asks the database nothing", async () => {
    const database = postgres("postgresql://nobody@127.0.0.1:1/nothing");
    await declareSchedules(database, []);
    expect(await fire([], database)).toEqual({ fired: [], nextDueAt: null, dueInMs: null });
    await database.close();
  });
});

describe("a slot that has come", () => {
  it("makes one job, due now, and a row that names it; the next call fires nothing", async () => {
    const tick = aSchedule({ payload: { n: 7 }, options: { priority: "high", owner: "ada" } });
    await declared([tick], hour);
    const slotAt = (await rowOf()).next_slot_at!;
    const { fired, nextDueAt, dueInMs } = await fire([tick]);
    const [job] = await test.jobs();
    expect(job).toMatchObject({ type: "work", payload: { n: 7 }, status: "pending", priority: 10, owner: "ada" });
    expect(job!.run_at.getTime()).toBeLessThanOrEqual((await databaseNow()).getTime());
    expect(fired).toEqual([{ schedule: "tick", slotAt, jobId: job!.id }]);
    expect(await slotRows()).toEqual([{ schedule: "tick", slot_at: slotAt, job_id: job!.id }]);
    expect(await rowOf()).toMatchObject({ next_slot_at: nextDueAt, last_slot_at: slotAt });
    expect(nextDueAt).toEqual(new Date(slotAt.getTime() + hour));
    expect(dueInMs).toBeLessThanOrEqual(hour);
    expect(test.events).toEqual([{ event: "schedule_fired", schedule: "tick", type: "work", slotAt, jobId: job!.id }]);

    expect(await fire([tick])).toMatchObject({ fired: [], nextDueAt });
    expect(await test.jobs()).toHaveLength(1);
  });

  it("is known to the job when its payload is a function of it", async () => {
    const report = defineJob({ type: "report", schema: z.object({ day: z.string() }) });
    const daily: Schedule = { ...defineSchedule({ name: "tick", cron: "@hourly", contract: report, payload: (slotAt) => ({ day: slotAt.toISOString() }) }), nextAfter: every(hour) };
    await declared([daily], hour);
    const { fired } = await fire([daily]);
    expect((await test.jobs())[0]!.payload).toEqual({ day: fired[0]!.slotAt.toISOString() });
  });

  it("is not fired before the database says so, nor missed, whatever this process's clock says", async () => {
    const tick = aSchedule({ ms: minute, missed: "none" });
    await declareSchedules(test.database, [tick]);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 365 * 24 * hour });
    expect((await fire([tick])).fired).toEqual([]);
    await later(minute);
    expect((await fire([tick])).fired).toHaveLength(1);
    vi.useFakeTimers({ toFake: ["Date"], now: new Date("2001-01-01T00:00:00Z") });
    await later(2 * minute);
    expect((await fire([tick])).fired).toEqual([]); // the newest has been fired, the one before it is missed
  });

  it("fires once however many callers look at the same moment, on as many machines", async () => {
    const callers = Array.from({ length: 8 }, () => postgres(test.url, { maxConnections: 2 }));
    const schedules = ["a", "b", "c"].map((name) => aSchedule({ name, ms: minute, missed: "all" }));
    await declareSchedules(test.database, schedules);
    try {
      for (let round = 1; round <= 15; round += 1) {
        // Each round there are 20 slots more, before those that have been fired.
        await test.pool.query("update outbox_schedule set next_slot_at = clock_timestamp() - $1 * interval '1 minute'", [20 * round]);
        const reports = await Promise.all(callers.map((database) => fire(schedules, database)));
        expect(reports.flatMap(({ fired }) => fired).length).toBeGreaterThanOrEqual(60);
      }
      expect((await fire(schedules)).fired).toEqual([]);
      const slots = await slotRows();
      const jobs = await test.jobs();
      expect(slots.length).toBeGreaterThanOrEqual(3 * 15 * 20);
      expect(new Set(slots.map(({ schedule, slot_at }) => `${schedule} ${slot_at.toISOString()}`)).size).toBe(slots.length);
      expect(jobs.map(({ id }) => id).sort()).toEqual(slots.map(({ job_id }) => job_id).sort());
      expect(test.events.filter(({ event }) => event === "schedule_fired")).toHaveLength(jobs.length);
      expect(test.events.filter(({ event }) => event === "schedule_failed")).toEqual([]);
    } finally {
      await Promise.all(callers.map((database) => database.close()));
    }
  });

  it("that another caller is firing at this moment is left to that one, without waiting", async () => {
    const tick = aSchedule();
    await declared([tick], hour);
    await test.database.transaction(async (tx) => {
      await tx.query("select from outbox_schedule for no key update");
      const { fired, nextDueAt } = await fire([tick]);
      expect(fired).toEqual([]);
      expect(nextDueAt!.getTime()).toBeGreaterThan((await databaseNow()).getTime());
    });
    expect((await fire([tick])).fired).toHaveLength(1);
  });

  it("is neither lost nor fired twice when the transaction that fires it is broken off halfway", async () => {
    const tick = aSchedule();
    await declared([tick], hour);
    const broken = postgres(test.url, { maxConnections: 1 });
    const blocker = await test.pool.connect();
    try {
      await blocker.query("begin; lock table outbox in share row exclusive mode");
      const [{ pid }] = (await broken.query("select pg_backend_pid() as pid")) as [{ pid: number }];
      const end = expect(fire([tick], broken)).rejects.toThrow("canceling statement");
      const waits = "select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'";
      while ((await test.pool.query(waits, [pid])).rowCount === 0); // until it stands before the insert of the job
      await test.pool.query("select pg_cancel_backend($1)", [pid]);
      await end;
    } finally {
      await blocker.query("rollback");
      blocker.release();
      await broken.close();
    }
    expect([await test.jobs(), await slotRows()]).toEqual([[], []]);
    expect((await fire([tick])).fired).toHaveLength(1);
    expect((await fire([tick])).fired).toEqual([]);
  });

  it("does not fire again when somebody sets the schedule back", async () => {
    const tick = aSchedule({ missed: "all" });
    await declared([tick], 3 * hour);
    expect((await fire([tick])).fired).toHaveLength(3);
    await later(6 * hour);
    const again = await fire([tick]);
    expect(again.fired).toHaveLength(3); // the three before those
    expect(await slotRows()).toHaveLength(6);
    expect(await test.jobs()).toHaveLength(6);
  });
});

describe("slots that nobody fired in time", () => {
  const late = 11 * minute;
  it.each([
    ["none", 9 * minute, hour, [0]],
    ["none", late, hour, []],
    ["none", minute, 2 * minute, [0]], // the newest is not missed; those before it are, because it has come
    ["last", minute, 2 * minute, [0]],
    ["last", late, hour, [0]],
    ["all", minute, 2 * minute, [2, 1, 0]],
    ["all", late, hour, [2, 1, 0]],
  ] as const)("with %s, when three have come, the newest %i ms ago, each %i ms after the one before: fires (0 is the newest) %j", async (missed, ageMs, ms, expected) => {
    const newest = begunAt - ageMs;
    const tick: Schedule = { ...aSchedule({ missed }), nextAfter: (after) => new Date(newest + (Math.floor((after.getTime() - newest) / ms) + 1) * ms) };
    await declareSchedules(test.database, [tick]);
    await test.pool.query("update outbox_schedule set next_slot_at = $1", [new Date(newest - 2 * ms)]);
    const { fired } = await fire([tick]);
    expect(fired.map(({ slotAt }) => (newest - slotAt.getTime()) / ms)).toEqual(expected);
    expect((await rowOf()).next_slot_at).toEqual(new Date(newest + ms));
  });

  it("with all are fired 100 a call, and of many the newest 1000", async () => {
    const tick = aSchedule({ ms: 1000, missed: "all" });
    await declared([tick], 365 * 24 * hour);
    const slots: number[] = [];
    for (let call = 1; call <= 10; call += 1) {
      const { fired, dueInMs } = await fire([tick]);
      expect(fired).toHaveLength(100);
      slots.push(...fired.map(({ slotAt }) => slotAt.getTime()));
      if (call < 10) expect(dueInMs).toBe(0);
    }
    expect(slots).toEqual(slots.map((_, nth) => slots[0]! + nth * 1000));
    expect((await databaseNow()).getTime() - slots[0]!).toBeLessThan(1100 * 1000);
  });

  it("of a second-by-second schedule are passed over in no time after a year", async () => {
    const tick = aSchedule({ ms: 1000 });
    let asked = 0;
    const counting: Schedule = { ...tick, nextAfter: (after) => ((asked += 1), tick.nextAfter(after)) };
    await declared([counting], 365 * 24 * hour);
    expect((await fire([counting])).fired).toHaveLength(1);
    expect(asked).toBeLessThan(200);
  });
});

describe("slots in the nights when the clocks change", () => {
  // Long ago, so that they can be missed: in the months of the changes only, and less than 1,000 of them until 2040.
  const fired = async (cron: string, timeZone: string, from: string): Promise<string[]> => {
    const schedules = await compileSchedules([defineSchedule({ name: "tick", cron, timeZone, missed: "all", contract: work, payload: {} })]);
    await declareSchedules(test.database, schedules);
    await test.pool.query("update outbox_schedule set next_slot_at = $1", [from]);
    while ((await fire(schedules)).dueInMs === 0);
    return (await slotRows()).map(({ slot_at: slotAt }) => slotAt.toISOString().slice(0, 16));
  };
  const day = (date: string) => (slot: string) => slot.startsWith(date);

  it("are stored and fired once each in Europe/Berlin: 02:30 at the end of the gap in spring, the first of two in autumn", async () => {
    // 2024-03-31: 02:00 became 03:00 (01:00 UTC). 2024-10-27: 03:00 became 02:00 again (01:00 UTC).
    const slots = await fired("30 2 * 3,10 *", "Europe/Berlin", "2024-03-01T01:30:00Z");
    expect(new Set(slots).size).toBe(slots.length);
    expect(slots.filter((slot) => ["2024-03-30", "2024-03-31", "2024-10-01"].some((date) => day(date)(slot)))).toEqual(["2024-03-30T01:30", "2024-03-31T01:00", "2024-10-01T00:30"]);
    expect(slots.filter((slot) => ["2024-10-26", "2024-10-27", "2024-10-28"].some((date) => day(date)(slot)))).toEqual(["2024-10-26T00:30", "2024-10-27T00:30", "2024-10-28T01:30"]);
    expect(slots.filter(day("2024-03"))).toHaveLength(31);
    expect(slots.filter(day("2024-10"))).toHaveLength(31);
  });

  it("are stored and fired once each in America/Santiago, where midnight is what does not exist, and 23:30 is what exists twice", async () => {
    // 2024-09-08: 00:00 became 01:00 (04:00 UTC). 2024-04-06: 24:00 became 23:00 again (2024-04-07, 03:00 UTC).
    const midnights = await fired("0 0 * 9 *", "America/Santiago", "2024-09-01T04:00:00Z");
    expect(midnights.filter((slot) => ["2024-09-07", "2024-09-08", "2024-09-09"].some((date) => day(date)(slot)))).toEqual(["2024-09-07T04:00", "2024-09-08T04:00", "2024-09-09T03:00"]);
    expect(midnights.filter(day("2024"))).toHaveLength(30);
    await test.pool.query("truncate outbox_schedule, outbox_slot");
    const evenings = await fired("30 23 * 4 *", "America/Santiago", "2024-04-02T02:30:00Z");
    expect(evenings.filter((slot) => ["2024-04-06", "2024-04-07", "2024-04-08"].some((date) => day(date)(slot)))).toEqual(["2024-04-06T02:30", "2024-04-07T02:30", "2024-04-08T03:30"]);
    expect(evenings.filter(day("2024"))).toHaveLength(30);
    expect(await test.jobs()).toHaveLength(midnights.length + evenings.length);
  });
});

describe("a schedule that fails", () => {
  const broken = (name: string, payload: () => { n?: number }) => aSchedule({ name, payload });

  it("stops no other, loses nothing, and fires once it is mended", async () => {
    let mended = false;
    const sick = broken("sick", () => {
      if (!mended) throw new Error("no rates today");
      return { n: 1 };
    });
    const well = aSchedule({ name: "well" });
    await declared([sick, well], hour);
    expect((await fire([sick, well])).fired.map(({ schedule }) => schedule)).toEqual(["well"]);
    expect(test.events).toContainEqual({ event: "schedule_failed", schedule: "sick", error: expect.objectContaining({ message: "no rates today" }) });
    expect((await rowOf("sick")).last_slot_at).toBeNull();
    mended = true;
    const { fired } = await fire([sick, well]);
    expect(fired.map(({ schedule }) => schedule)).toEqual(["sick"]);
    expect(await test.jobs()).toHaveLength(2);
  });

  it("because its contract refuses the payload, or Postgres the job, stores nothing of it", async () => {
    const strict = defineJob({ type: "strict", schema: z.object({ day: z.string() }) });
    const wrong = { ...defineSchedule({ name: "wrong", cron: "x", contract: strict, payload: () => JSON.parse('{"day":1}') as { day: string } }), nextAfter: every(hour) };
    const refused: Schedule = { ...aSchedule({ name: "refused" }), request: () => work.job({}, { runAt: new Date(8.64e15) }) };
    const well = aSchedule({ name: "well" });
    await declared([wrong, refused, well], hour);
    expect((await fire([wrong, refused, well])).fired.map(({ schedule }) => schedule)).toEqual(["well"]);
    const failures = test.events.flatMap((event) => (event.event === "schedule_failed" ? [event.schedule] : []));
    expect(failures.sort()).toEqual(["refused", "wrong"]);
    expect(await slotRows()).toHaveLength(1);
    expect(await test.jobs()).toHaveLength(1);
  });

  it("because its cron library stands still is an error, not an endless loop", async () => {
    const stuck: Schedule = { ...aSchedule({ missed: "all" }), nextAfter: (after) => after };
    await declared([aSchedule()], hour);
    expect((await fire([stuck])).fired).toEqual([]);
    expect(test.events).toContainEqual({ event: "schedule_failed", schedule: "tick", error: expect.objectContaining({ message: expect.stringContaining("to be later") }) });
  });

  it("is not waited for: the caller is told of the next slot of the others", async () => {
    const sick = broken("sick", () => {
      throw new Error("no");
    });
    const well = aSchedule({ name: "well" });
    await declared([sick, well], hour);
    expect((await fire([sick, well])).nextDueAt).toEqual((await rowOf("well")).next_slot_at);
    expect((await fire([sick])).nextDueAt).toBeNull();
  });
});

describe("a drain", () => {
  const handlers = [worksBy(() => Promise.resolve())];
  const aRealOne = (cron: string, missed: "last" | "all") => defineSchedule({ name: "tick", cron, missed, contract: work, payload: {} });

  it("fires what has come, however much, and runs the jobs of it before it ends", async () => {
    const schedules = [aRealOne("* * * * *", "all")];
    await declared(await compileSchedules(schedules), 250 * minute);
    const { done, remaining, stopReason } = await test.outbox.drain({ handlers, schedules });
    expect(done).toBeGreaterThanOrEqual(250);
    expect([remaining, stopReason, (await slotRows()).length]).toEqual([0, "empty", done]);
  });

  it("twice in one second makes one job of a slot", async () => {
    const schedules = [aRealOne("0 0 1 1 *", "last")];
    await declared(await compileSchedules(schedules), 366 * 24 * hour);
    const reports = await Promise.all([1, 2].map(() => test.outbox.drain({ handlers, schedules })));
    expect(reports.reduce((sum, { done }) => sum + done, 0)).toBe(1);
    expect(await test.jobs()).toHaveLength(1);
  });
});

describe("operators", () => {
  const ada = { actor: "ada@example", reason: "the printer burns" };

  it("pause a schedule: its slots pass unfired, and after the resume it goes on from there", async () => {
    const tick = aSchedule({ missed: "all" });
    await declared([tick], hour);
    expect(await pauseSchedule(test.database, "tick", ada)).toBe(true);
    expect(await rowOf()).toMatchObject({ paused_by: "ada@example", pause_reason: "the printer burns" });
    await later(5 * hour);
    expect(await fire([tick])).toEqual({ fired: [], nextDueAt: null, dueInMs: null });
    await declareSchedules(test.database, [tick]);
    expect(await fire([tick])).toMatchObject({ fired: [] });

    expect(await resumeSchedule(test.database, "tick", { actor: "bob@example", reason: null })).toBe(true);
    const { fired, nextDueAt } = await fire([tick]);
    expect(fired).toEqual([]);
    expect(nextDueAt!.getTime()).toBeGreaterThan(Date.now() - minute);
    expect(await rowOf()).toMatchObject({ paused_at: null, paused_by: null, pause_reason: null, next_slot_at: nextDueAt });
    await later(hour);
    expect((await fire([tick])).fired).toHaveLength(1);
    expect(await ledger()).toEqual([
      { actor: "ada@example", action: "schedules:pause", filter: { schedule: "tick" }, change: null, count: 0, reason: "the printer burns" },
      { actor: "bob@example", action: "schedules:resume", filter: { schedule: "tick" }, change: null, count: 0, reason: null },
    ]);
  });

  it("who pause what is paused, or resume what is not, change nothing", async () => {
    await declareSchedules(test.database, [aSchedule()]);
    const before = await rowOf();
    expect(await resumeSchedule(test.database, "tick", ada)).toBe(false);
    expect(await rowOf()).toEqual(before);
    await pauseSchedule(test.database, "tick", ada);
    expect(await pauseSchedule(test.database, "tick", { actor: "eve@example", reason: null })).toBe(false);
    expect((await rowOf()).paused_by).toBe("ada@example");
    expect(await ledger()).toHaveLength(1);
  });

  it("who name a schedule that is not there are told which are", async () => {
    await expect(pauseSchedule(test.database, "tock", ada)).rejects.toMatchObject({ code: "NOT_FOUND", message: expect.stringContaining("there is none") });
    await declareSchedules(test.database, [aSchedule()]);
    await expect(resumeSchedule(test.database, "tock", ada)).rejects.toMatchObject({ code: "NOT_FOUND", message: 'Expected the name of a schedule (tick), got "tock".' });
  });

  it("run a schedule now, beside its slots, also while it is paused", async () => {
    const tick = aSchedule({ payload: (slotAt: Date) => ({ n: slotAt.getUTCFullYear() }) });
    await declared([tick], hour);
    await pauseSchedule(test.database, "tick", ada);
    const before = await rowOf();
    const { id, deduplicated } = await runSchedule(test.database, tick, ada);
    expect(deduplicated).toBe(false);
    expect(await test.job(id)).toMatchObject({ type: "work", status: "pending", payload: { n: (await databaseNow()).getUTCFullYear() } });
    expect(await rowOf()).toEqual(before);
    expect(await slotRows()).toEqual([]);
    expect((await ledger())[1]).toEqual({ actor: "ada@example", action: "schedules:run", filter: { schedule: "tick" }, change: { job: id }, count: 1, reason: "the printer burns" });
  });

  it("whose run is refused leave no trace in the ledger", async () => {
    const sick = aSchedule({ payload: () => { throw new Error("no rates today"); } });
    await expect(runSchedule(test.database, sick, ada)).rejects.toThrow("no rates today");
    expect(await ledger()).toEqual([]);
  });
});
