// advance(time): whatever waits for a time has waited for it.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ScheduleDeclaration } from "postcommit";
import { defineJob, defineSchedule, handle } from "postcommit";
import type { TestOutbox } from "postcommit/testing";
import { testOutbox } from "postcommit/testing";
import type { TestDatabase } from "../support/database.ts";
import { testDatabase } from "../support/database.ts";

let db: TestDatabase;
let outbox: TestOutbox;
const work = defineJob<{ slotAt?: string }>({ type: "work", retry: { delays: ["10m"] } });
let failing = false;
const handler = handle(work, () => (failing ? Promise.reject(new Error("not now")) : Promise.resolve()));
beforeAll(async () => {
  db = await testDatabase();
  outbox = testOutbox({ connection: db.url, handlers: [handler] });
});
afterAll(async () => {
  await outbox.close();
  await db.close();
});
beforeEach(async () => {
  failing = false;
  await outbox.clear();
});

it("a delayed job is due when its time has passed, and not before", async () => {
  await outbox.enqueueAlone(work, {}, { delay: "10m" });
  await outbox.advance("9m");
  expect(await outbox.drainAll()).toMatchObject({ done: 0 });
  await outbox.advance("1m");
  expect(await outbox.drainAll()).toMatchObject({ done: 1 });
});

it("a failed job is tried again after its backoff", async () => {
  await outbox.enqueueAlone(work, {});
  failing = true;
  expect(await outbox.drainAll({ failures: "report" })).toMatchObject({ retried: 1 });
  failing = false;
  expect(await outbox.drainAll()).toMatchObject({ done: 0 });
  await outbox.advance("11m"); // with its jitter
  expect(await outbox.drainAll()).toMatchObject({ done: 1 });
});

it("a dedupe key is free when its window is over; one held for ever is not", async () => {
  await outbox.enqueueAlone(work, {}, { dedupeKey: "hour" });
  await outbox.enqueueAlone(work, {}, { dedupeKey: "ever", dedupeFor: "forever" });
  expect(await outbox.enqueueAlone(work, {}, { dedupeKey: "hour" })).toMatchObject({ deduplicated: true });
  await outbox.advance("1h");
  expect(await outbox.enqueueAlone(work, {}, { dedupeKey: "hour" })).toMatchObject({ deduplicated: false });
  await outbox.advance("1000d");
  expect(await outbox.enqueueAlone(work, {}, { dedupeKey: "ever" })).toMatchObject({ deduplicated: true });
});

it("a pause with an end ends", async () => {
  await outbox.pause("work", { until: new Date(Date.now() + 3_600_000) });
  await outbox.enqueueAlone(work, {});
  expect(await outbox.drainAll()).toMatchObject({ done: 0 });
  await outbox.advance("61m");
  expect(await outbox.drainAll()).toMatchObject({ done: 1 });
});

it("every instant that the outbox's tables hold is moved, whatever is added to them", async () => {
  const { rows } = await db.pool.query<{ table_name: string; column_name: string }>(
    `select table_name, column_name from information_schema.columns
     where table_schema = 'public' and table_name like 'outbox%' and table_name not in ('outbox_worker', 'outbox_lock', 'outbox_waiter') and data_type = 'timestamp with time zone'
     order by 1, 2`,
  );
  const byTable = new Map<string, typeof rows>();
  for (const row of rows) byTable.set(row.table_name, [...(byTable.get(row.table_name) ?? []), row]);
  const past = "'2030-01-01T00:00:00Z'";
  const fill: Record<string, string> = {
    outbox: "insert into outbox (type, payload) values ('work', '{}')",
    outbox_attempt: "insert into outbox_attempt (job_id, attempt, outcome) select id, 1, 'retried' from outbox",
    outbox_effect: "insert into outbox_effect (job_id, name, state, attempt) select id, 'a', 'done', 1 from outbox",
    outbox_action: "insert into outbox_action (actor, action, filter, count) values ('a', 'b', '{}', 1)",
    outbox_type: "insert into outbox_type (type) values ('work')",
    outbox_alert: "insert into outbox_alert (name, value, threshold) values ('deadLetters', 1, 1)",
    outbox_redrive: "insert into outbox_redrive (type, finished_at, job_id) select 'work', clock_timestamp(), id from outbox",
    outbox_schedule: "insert into outbox_schedule (name, type, cron, time_zone, missed) values ('s', 'work', '@daily', 'UTC', 'last')",
    outbox_slot: `insert into outbox_slot (schedule, slot_at, job_id) select 's', ${past}, id from outbox`,
  };
  expect([...byTable.keys()].sort()).toEqual(Object.keys(fill).sort());
  for (const sql of Object.values(fill)) await db.pool.query(sql);
  for (const [table, columns] of byTable) await db.pool.query(`update ${table} set ${columns.map(({ column_name }) => `${column_name} = ${past}`).join(", ")}`);
  await outbox.advance("1h");
  for (const [table, columns] of byTable) {
    const { rows: found } = await db.pool.query<Record<string, Date>>(`select ${columns.map(({ column_name }) => column_name).join(", ")} from ${table}`);
    for (const { column_name } of columns) expect([table, column_name, found[0]?.[column_name]?.toISOString()]).toEqual([table, column_name, "2029-12-31T23:00:00.000Z"]);
  }
});

describe("a schedule", () => {
  const opened: TestOutbox[] = [];
  afterEach(() => Promise.all(opened.splice(0).map((each) => each.close())));
  const ofSlots = (cron: string, missed: "last" | "all" = "last"): ScheduleDeclaration => defineSchedule({ name: "tick", cron, missed, contract: work, payload: (slotAt) => ({ slotAt: slotAt.toISOString() }) });
  function scheduled(...schedules: ScheduleDeclaration[]): TestOutbox {
    const made = testOutbox({ connection: db.url, handlers: [handler], schedules });
    opened.push(made);
    return made;
  }
  const slotsOf = async (run: TestOutbox) => (await run.jobs(work)).map(({ payload }) => new Date(payload.slotAt ?? ""));

  it("fires the slot that comes within the time, once, with the slot's own time", async () => {
    const run = scheduled(ofSlots("0 7 * * *"));
    const before = Date.now();
    await run.advance("1d");
    expect(await run.drainAll()).toMatchObject({ done: 1 });
    expect(await run.drainAll()).toMatchObject({ done: 0 });
    const [slot] = await slotsOf(run);
    expect([slot?.getUTCHours(), slot?.getUTCMinutes(), slot?.getUTCSeconds()]).toEqual([7, 0, 0]);
    expect(slot!.getTime()).toBeGreaterThan(before);
    expect(slot!.getTime()).toBeLessThanOrEqual(Date.now() + 86_400_000);
  });

  it("in steps, every day's slot fires, one after the other", async () => {
    const run = scheduled(ofSlots("0 7 * * *"));
    for (let day = 0; day < 5; day += 1) {
      await run.advance("1d");
      await run.drainAll();
    }
    const slots = (await slotsOf(run)).map(Number);
    expect(slots).toHaveLength(5);
    expect(slots.slice(1).map((slot, index) => slot - slots[index]!)).toEqual([86_400_000, 86_400_000, 86_400_000, 86_400_000]);
  });

  it("in one go, as many fire as its policy says of a time in which nothing ran", async () => {
    const last = scheduled(ofSlots("@hourly"));
    await last.advance("5h");
    expect(await last.drainAll()).toMatchObject({ done: 1 });
    await last.clear();
    const all = scheduled(ofSlots("@hourly", "all"));
    await all.advance("5h");
    expect(await all.drainAll()).toMatchObject({ done: 5 });
  });

  it("after clear no time has passed", async () => {
    const run = scheduled(ofSlots("0 7 * * *", "all"));
    await run.advance("300d");
    await run.clear();
    await run.advance("1d");
    expect(await run.drainAll()).toMatchObject({ done: 1 });
    expect((await slotsOf(run))[0]!.getTime()).toBeLessThanOrEqual(Date.now() + 86_400_000);
  });
});
