// Alerts against a real Postgres: told once however many look, again while they last, and when they are over. Time moves
// by ageing rows.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AlertMessage, AlertsConfig, OutboxEvent } from "../../src/index.ts";
import { defineJob, FinalError, handle } from "../../src/index.ts";
import { checkAlerts } from "../../src/outbox/alerts.ts";
import type { Database } from "../../src/outbox/database.ts";
import { outboxOver } from "../../src/outbox/outbox.ts";
import { alertsOf } from "../../src/service/alerts.ts";
import { postgres } from "../../src/service/database.ts";
import { compileSchedules } from "../../src/service/schedules.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, worksBy } from "../support/outbox.ts";
import { until } from "../support/until.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(async () => {
  await test.empty();
  await test.pool.query("truncate outbox_alert");
});

interface Told {
  alert: string;
  state: string;
  sentence: string;
  next: readonly string[];
}
const tell = defineJob<Told>({ type: "tell", retry: { delays: ["1h"] } });
const telling = (alert: AlertMessage) => tell.job({ alert: alert.name, state: alert.state, sentence: alert.sentence, next: alert.next });

const alertsWith = (config: AlertsConfig) => alertsOf({ notify: [telling], ...config }, null);
const check = (config: AlertsConfig, database: Database = test.database, emit = (event: OutboxEvent) => void test.events.push(event)) => checkAlerts(database, alertsWith(config), emit);
/** What was told since the last time, oldest first; it has been delivered then. */
async function told(): Promise<Told[]> {
  const jobs = await test.jobs("type = 'tell' and status in ('pending', 'waiting')");
  await test.pool.query("update outbox set status = 'done', finished_at = clock_timestamp() where type = 'tell'");
  return jobs.map(({ payload }) => payload as Told);
}
const states = async () => (await told()).map(({ state }) => state);
const ago = (ms: number) => new Date(Date.now() - ms);
const aDeadLetter = (columns: Record<string, unknown> = {}) => test.aJob({ status: "error", attempts: 3, finished_at: new Date(), last_error: "Error: no", ...columns });
const rows = async () => (await test.pool.query<{ name: string; value: number; threshold: number; calm_since: Date | null }>("select * from outbox_alert order by name")).rows;
/** So much later, as far as the rows of alerts know. */
const later = (minutes: number) => test.pool.query("update outbox_alert set raised_at = raised_at - $1 * interval '1 minute', told_at = told_at - $1 * interval '1 minute', calm_since = calm_since - $1 * interval '1 minute'", [minutes]);
const redriveAll = () => test.pool.query("update outbox set status = 'done' where status = 'error'");

describe("a threshold on dead letters", () => {
  it("is reached by as many as it says, not by one fewer", async () => {
    const config = { deadLetters: 3 };
    await aDeadLetter();
    await aDeadLetter();
    expect(await check(config)).toBe(0);
    expect(await rows()).toEqual([]);
    await aDeadLetter();
    expect(await check(config)).toBe(1);
    expect(await rows()).toMatchObject([{ name: "deadLetters", value: 3, threshold: 3, calm_since: null }]);
    expect(await test.jobs("type = 'tell'")).toMatchObject([{ status: "pending", priority: 10, payload: { alert: "deadLetters", state: "raised" } }]);
  });

  it("says how many, of which types, the newest with its error but no value of a payload, and the commands to run", async () => {
    await aDeadLetter({ type: "email.send", finished_at: ago(60_000) });
    await aDeadLetter({ type: "email.send", finished_at: ago(50_000) });
    const newest = await aDeadLetter({ type: "pay", finished_at: ago(40_000), payload: { card: "4242" }, last_error: 'CardError: card "4242" of ada@example.com was refused' });
    await check({ deadLetters: 2 });
    const [message] = await told();
    expect(message!.sentence).toBe(`3 dead letters, threshold 2 (2 email.send, 1 pay); the newest: pay ${newest}, of ${(await test.job(newest)).finished_at!.toISOString()}, CardError: card "…" of …@… was refused.`);
    expect(message!.next).toEqual(["npm run app:cli errors", "npm run -s app:cli -- jobs:list --status error"]);
    expect(test.events).toMatchObject([{ event: "alert_told", jobs: 1, alert: { state: "raised", value: 3, jobs: 3, more: false } }]);
  });

  it("counts what it is narrowed to: types, all but some types, those that died within a time", async () => {
    await aDeadLetter({ type: "a" });
    await aDeadLetter({ type: "b", finished_at: ago(2 * 3_600_000) });
    await aDeadLetter({ type: "c", finished_at: null });
    const config: AlertsConfig = {
      deadLetters: [
        { atLeast: 1, types: ["a"] },
        { atLeast: 2, types: ["a"], within: "1h" },
        { atLeast: 2, except: ["a"] },
        { atLeast: 3, except: ["nothing"] },
        { atLeast: 2, within: "1h" },
        { atLeast: 2, within: "3h" },
      ],
    };
    await check(config);
    expect((await rows()).map(({ name, value }) => `${name}: ${value}`)).toEqual(["deadLetters but for a: 2", "deadLetters but for nothing: 3", "deadLetters of a: 1", "deadLetters within 3h: 2"]);
  });

  it("counts no further than it must", async () => {
    await test.pool.query("insert into outbox (type, payload, status, finished_at) select 't' || n % 7, '{}', 'error', clock_timestamp() from generate_series(1, 3000) as n");
    await check({ deadLetters: 10 });
    expect((await told())[0]!.sentence).toMatch(/^1000 or more dead letters, threshold 10 /);
    expect(await rows()).toMatchObject([{ value: 1000 }]);
  });
});

describe("a threshold on the age of the oldest due job", () => {
  const config: AlertsConfig = { oldestDue: "15m" };

  it("is reached by one that has been due for so long, not by a younger one, one that is not due, or one that waits its turn", async () => {
    await test.aJob({ run_at: ago(14 * 60_000) });
    await test.aJob({ run_at: new Date(Date.now() + 60_000), created_at: ago(3_600_000) });
    await test.aJob({ status: "waiting", run_at: ago(3_600_000) });
    await test.aJob({ status: "processing", run_at: ago(3_600_000) });
    expect(await check(config)).toBe(0);
    const id = await test.aJob({ type: "slow", priority: -10, run_at: ago(15 * 60_000 + 500) });
    expect(await check(config)).toBe(1);
    const [message] = await told();
    expect(message!.sentence).toContain(`1 job has been due for 15m or longer (slow); the oldest: slow ${id}, since ${(await test.job(id)).run_at.toISOString()}.`);
    expect(message!.next[0]).toBe(`npm run app:cli jobs:why ${id}`);
    expect((await rows())[0]!.value).toBeGreaterThanOrEqual(15 * 60_000);
  });

  it("looks at every lane, and counts those that wait so long", async () => {
    for (const [type, priority, minutes] of [["a", 10, 1], ["a", 0, 20], ["a", 0, 25], ["a", -10, 2], ["b", 3, 30]] as const) await test.aJob({ type, priority, run_at: ago(minutes * 60_000) });
    await check(config);
    expect((await told())[0]!.sentence).toMatch(/^3 jobs have been due for 15m or longer \(2 a, 1 b\); the oldest: b /);
  });

  it("does not count types that somebody has paused, until the pause is over", async () => {
    await test.aJob({ run_at: ago(3_600_000) });
    await test.outbox.pause("work", { until: "1h" });
    expect(await check(config)).toBe(0);
    await test.pool.query("update outbox_type set paused_until = clock_timestamp() - interval '1 s'");
    expect(await check(config)).toBe(1);
  });

  it("counts what a circuit breaker or a limit holds back: those wait for somebody, or for something that is broken", async () => {
    await test.aJob({ run_at: ago(3_600_000) });
    await test.pool.query("insert into outbox_type (type, breaker_opened, breaker_until, concurrency) values ('work', 3, clock_timestamp() + interval '1 h', 1)");
    expect(await check(config)).toBe(1);
  });

  it("takes a job that is due since for ever as old as it is", async () => {
    await test.aJob({ run_at: "-infinity" });
    expect(await check(config)).toBe(0);
    await test.aJob({ run_at: "-infinity", priority: 1, created_at: ago(3_600_000) });
    expect(await check(config)).toBe(1);
  });
});

describe("a threshold on stuck jobs", () => {
  it("is reached by a job that has been processing for so long without a word from its handler", async () => {
    const config: AlertsConfig = { stuck: [{ after: "10m", except: ["video"] }, { after: "3h", types: ["video"] }] };
    await test.aJob({ status: "processing", updated_at: ago(9 * 60_000), started_at: ago(3_600_000) });
    await test.aJob({ type: "video", status: "processing", updated_at: ago(3_600_000) });
    expect(await check(config)).toBe(0);
    const id = await test.aJob({ status: "processing", updated_at: ago(10 * 60_000 + 500) });
    await test.aJob({ type: "video", status: "processing", updated_at: ago(3 * 3_600_000 + 500) });
    expect(await check(config)).toBe(2);
    const [other, video] = (await told()).sort((a, b) => (a.alert < b.alert ? -1 : 1));
    expect(other).toMatchObject({ alert: "stuck but for video", next: [`npm run app:cli jobs:get ${id}`, "npm run app:cli workers"] });
    expect(video!.sentence).toMatch(/^1 job has been processing for 3h or longer \(video\); the longest: video /);
  });
});

describe("however many look", () => {
  it("eight at the same moment tell once", async () => {
    await aDeadLetter();
    const others = Array.from({ length: 8 }, () => postgres(test.url, { maxConnections: 1 }));
    const counts = await Promise.all(others.map((database) => check({ deadLetters: 1 }, database)));
    await Promise.all(others.map((database) => database.close()));
    expect(counts.reduce((a, b) => a + b)).toBe(1);
    expect(await states()).toEqual(["raised"]);
    expect(test.events).toHaveLength(1);
  });

  it("one that comes while another is telling waits for it, and then has nothing to tell", async () => {
    await aDeadLetter();
    const [toldIt, letGo] = [barrier(), barrier()];
    let transactions = 0;
    const slow: Database = {
      ...test.database,
      transaction: (work) =>
        test.database.transaction(async (tx) => {
          const value = await work(tx);
          transactions += 1;
          if (transactions === 2) {
            toldIt.open();
            await letGo.reached;
          }
          return value;
        }),
    };
    const first = check({ deadLetters: 1 }, slow);
    await toldIt.reached;
    const second = check({ deadLetters: 1 });
    await until("it waits for the lock", async () => (await test.pool.query("select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())")).rowCount === 1);
    letGo.open();
    expect(await Promise.all([first, second])).toEqual([1, 0]);
    expect(await states()).toEqual(["raised"]);
  });

  it("a crash before the commit leaves neither the alert nor its jobs behind, and the next look tells", async () => {
    await aDeadLetter();
    let transactions = 0;
    const crashing: Database = {
      ...test.database,
      transaction: (work) =>
        test.database.transaction(async (tx) => {
          const value = await work(tx);
          transactions += 1;
          if (transactions === 2) throw new Error("killed");
          return value;
        }),
    };
    await expect(check({ deadLetters: 1 }, crashing)).rejects.toThrow("killed");
    expect([await rows(), await test.jobs("type = 'tell'"), test.events]).toEqual([[], [], []]);
    expect(await check({ deadLetters: 1 })).toBe(1);
  });
});

describe("an alert that lasts", () => {
  it("is told again after `repeat`, not before, and with `repeat: false` never", async () => {
    await aDeadLetter();
    await check({ deadLetters: 1, repeat: "6h" });
    await told();
    await later(6 * 60 - 1);
    expect(await check({ deadLetters: 1, repeat: "6h" })).toBe(0);
    await later(2);
    expect(await check({ deadLetters: 1, repeat: false })).toBe(0);
    expect(await check({ deadLetters: 1, repeat: "6h" })).toBe(1);
    const [again] = await told();
    expect(again!.state).toBe("lasting");
    expect(again!.sentence).toMatch(/^Still, since 20.*Z: 1 dead letter, threshold 1 /);
    expect(await check({ deadLetters: 1, repeat: "6h" })).toBe(0);
  });

  it("and is above its threshold again when it is to be told again, begins its five minutes anew", async () => {
    const config: AlertsConfig = { deadLetters: 1 };
    const id = await aDeadLetter();
    await check(config);
    await test.pool.query("delete from outbox where id = $1", [id]);
    await check(config);
    await told();
    await later(7 * 60);
    await aDeadLetter();
    expect(await check(config)).toBe(1);
    await redriveAll();
    await check(config);
    expect(await states()).toEqual(["lasting"]);
    expect(await rows()).toHaveLength(1);
  });

  it("is the same alert with another threshold", async () => {
    for (let n = 0; n < 5; n += 1) await aDeadLetter();
    await check({ deadLetters: 5 });
    expect(await check({ deadLetters: 2 })).toBe(0);
    expect(await rows()).toHaveLength(1);
  });
});

describe("an alert that is over", () => {
  const config: AlertsConfig = { deadLetters: 2 };

  it("is told of when it has been below its threshold for five minutes, once, and can be raised again", async () => {
    await aDeadLetter();
    await aDeadLetter();
    await check(config);
    await redriveAll();
    expect(await states()).toEqual(["raised"]);
    expect(await check(config)).toBe(0);
    expect((await rows())[0]!.calm_since).not.toBeNull();
    await later(4);
    expect(await check(config)).toBe(0);
    await later(2);
    const raisedAt = (await test.pool.query<{ raised_at: Date }>("select raised_at from outbox_alert")).rows[0]!.raised_at;
    expect(await check(config)).toBe(1);
    const [over] = await told();
    expect(over).toMatchObject({ state: "over", next: [], sentence: `Over: the alert "deadLetters", raised ${raisedAt.toISOString()}, is below its threshold again.` });
    expect(await rows()).toEqual([]);
    expect(await check(config)).toBe(0);
    await aDeadLetter();
    await aDeadLetter();
    expect(await check(config)).toBe(1);
    expect(await states()).toEqual(["raised"]);
  });

  it("one that goes below and above its threshold all the time stays raised, and is told once", async () => {
    await aDeadLetter();
    for (let n = 0; n < 10; n += 1) {
      const id = await aDeadLetter();
      await check(config);
      await later(3);
      await test.pool.query("delete from outbox where id = $1", [id]);
      await check(config);
      await later(3);
    }
    expect(await states()).toEqual(["raised"]);
  });

  it("eight that look at the same moment tell of its end once", async () => {
    await aDeadLetter();
    await aDeadLetter();
    await check(config);
    await redriveAll();
    await check(config);
    await later(6);
    expect((await Promise.all(Array.from({ length: 8 }, () => check(config)))).reduce((a, b) => a + b)).toBe(1);
  });

  it("reaches the receiver after it was told that it was raised, however long that took", async () => {
    await aDeadLetter();
    await aDeadLetter();
    await check(config);
    await redriveAll();
    await check(config);
    await later(6);
    await check(config);
    expect((await test.jobs("type = 'tell'")).map(({ status, payload }) => `${(payload as Told).state}: ${status}`).sort()).toEqual(["over: waiting", "raised: pending"]);
    const seen: string[] = [];
    await test.outbox.drain({ handlers: [handle(tell, ({ state }) => void seen.push(state) as never)] });
    expect(seen).toEqual(["raised", "over"]);
  });

  it("whose rule was taken out of the configuration is forgotten in the end, not told of, and not by those that know another rule", async () => {
    await aDeadLetter();
    await check({ deadLetters: { atLeast: 1, types: ["work"] } });
    await told();
    await check({ deadLetters: 1 });
    expect((await rows()).map(({ name }) => name)).toEqual(["deadLetters", "deadLetters of work"]);
    await test.pool.query("update outbox_alert set told_at = told_at - interval '31 days' where name = 'deadLetters of work'");
    await later(7 * 60);
    await check({ deadLetters: 1 });
    expect((await rows()).map(({ name }) => name)).toEqual(["deadLetters"]);
  });
});

describe("the jobs that tell of alerts", () => {
  it("raise no alert themselves, when they die, wait or hang", async () => {
    const config: AlertsConfig = { deadLetters: 1, oldestDue: "15m", stuck: "10m" };
    const id = await aDeadLetter();
    await check(config);
    await test.pool.query("delete from outbox where id = $1", [id]);
    for (const status of ["error", "pending", "processing"]) {
      await test.pool.query("update outbox set status = $1, run_at = now() - interval '1 h', updated_at = now() - interval '1 h', finished_at = now() where type = 'tell'", [status]);
      await check(config);
      expect((await rows()).map(({ name }) => name)).toEqual(["deadLetters"]);
    }
    await later(6);
    expect(await check(config)).toBe(1);
    expect(await rows()).toEqual([]);
  });

  it("do not pile up at a receiver that is away: while one is on its way no second says the same, and when it has died the next is tried", async () => {
    const config: AlertsConfig = { deadLetters: 1, repeat: "6h" };
    await aDeadLetter();
    await check(config);
    for (let n = 0; n < 3; n += 1) {
      await later(7 * 60);
      expect(await check(config)).toBe(0);
    }
    await test.pool.query("update outbox set status = 'error', finished_at = now() where type = 'tell'");
    await later(7 * 60);
    expect(await check(config)).toBe(1);
    expect(await test.jobs("type = 'tell'")).toHaveLength(2);
  });

  it("that cannot be delivered end as dead letters, and the drain that finds out ends", async () => {
    const refusing = handle(defineJob<Told>({ type: "tell" }), () => Promise.reject(new FinalError("gone")));
    const alerts = alertsWith({ deadLetters: 1 });
    const outbox = outboxOver(test.database, { version: "test", emit: (event) => test.events.push(event), compileSchedules, alerts });
    await aDeadLetter();
    expect(await outbox.drain({ handlers: [refusing] })).toMatchObject({ dead: 1, stopReason: "empty" });
    expect(await outbox.drain({ handlers: [refusing] })).toMatchObject({ dead: 0, done: 0 });
    expect(await test.jobs("type = 'tell'")).toHaveLength(1);
  });

  it("one receiver that is wrong keeps nothing from the others, and the log says which and why", async () => {
    const strict = defineJob<{ n: number }>({ type: "strict", schema: { "~standard": { version: 1, vendor: "test", validate: () => ({ issues: [{ message: "expected better" }] }) } } });
    await aDeadLetter();
    const notify = [
      () => {
        throw new TypeError("oh");
      },
      () => strict.job({ n: 1 }),
      (() => ({ type: "tell", payload: {} })) as never,
      (() => undefined) as never,
      telling,
    ];
    expect(await check({ deadLetters: 1, notify })).toBe(1);
    const failed = test.events.flatMap((event) => (event.event === "alert_not_told" ? [`${event.receiver}: ${(event.error as Error).message}`] : []));
    expect(failed).toEqual([
      "alerts.notify[0]: oh",
      'alerts.notify[1]: Job "strict" was refused: payload does not fit: expected better.',
      "alerts.notify[2]: Expected alerts.notify[2] to give back a job, as contract.job(payload) makes it, got object.",
      "alerts.notify[3]: Expected alerts.notify[3] to give back a job, as contract.job(payload) makes it, got undefined.",
    ]);
    expect(await states()).toEqual(["raised"]);
  });

  it("to a mail address and to a webhook are what their handlers take", async () => {
    await aDeadLetter();
    expect(await check({ deadLetters: 1, notify: [{ email: "Ops <ops@example.com>" }, { webhook: "ops" }] })).toBe(2);
    const [mail, webhook] = (await test.jobs("priority = 10")).sort((a, b) => (a.type < b.type ? -1 : 1));
    expect(mail).toMatchObject({ type: "email.send", payload: { to: "Ops <ops@example.com>", subject: "[postcommit] 1 dead letter, threshold 1" } });
    expect((mail!.payload as { body: string }).body).toContain("Look at it:\n\n    npm run app:cli errors\n\n    npm run -s app:cli -- jobs:list --status error --type work\n");
    expect(webhook).toMatchObject({ type: "webhook.send", payload: { endpoint: "ops", event: "outbox.alert", data: { alert: "deadLetters", kind: "deadLetters", state: "raised", threshold: 1, value: 1, types: [{ type: "work", jobs: 1 }] } } });
  });
});

describe("a drain", () => {
  const seen: string[] = [];
  const handlers = [handle(tell, ({ state }) => void seen.push(state) as never), worksBy(() => Promise.reject(new FinalError("no")))];
  const drained = (config: AlertsConfig, options: object = {}, database: Database = test.database) =>
    outboxOver(database, { version: "test", emit: (event) => test.events.push(event), compileSchedules, alerts: alertsWith(config) }).drain({ handlers, ...options });
  beforeEach(() => void (seen.length = 0));

  it("looks at its end, so that it tells of what has just died, and runs the job that tells", async () => {
    await test.aJob();
    expect(await drained({ deadLetters: 1 })).toMatchObject({ dead: 1, done: 1, stopReason: "empty", remaining: 0 });
    expect(seen).toEqual(["raised"]);
    expect(await drained({ deadLetters: 1 })).toMatchObject({ dead: 0, done: 0 });
  });

  it("that was to take so many jobs takes no more for that; the next one tells", async () => {
    await test.aJob();
    expect(await drained({ deadLetters: 1 }, { maxJobs: 1 })).toMatchObject({ dead: 1, done: 0, stopReason: "max_jobs", remaining: 1 });
    expect(seen).toEqual([]);
    await drained({ deadLetters: 1 });
    expect(seen).toEqual(["raised"]);
  });

  it("whose database fails while it looks has worked all the same, and says so", async () => {
    await test.aJob();
    const failing: Database = { ...test.database, transaction: () => Promise.reject(Object.assign(new Error("gone"), { code: "57P01" })) };
    expect(await drained({ deadLetters: 1 }, {}, failing)).toMatchObject({ dead: 1 });
    expect(test.events).toContainEqual(expect.objectContaining({ event: "database_failed", doing: "look for alerts", retryInMs: null }));
  });
});

it("a worker looks when it starts, and what it tells runs", async () => {
  await aDeadLetter();
  const outbox = outboxOver(test.database, { version: "test", emit: () => undefined, compileSchedules, alerts: alertsWith({ deadLetters: 1 }) });
  const worker = outbox.worker({ handlers: [handle(tell, () => Promise.resolve())] });
  const finished = worker.start();
  await until("somebody was told", async () => (await test.jobs("type = 'tell' and status = 'done'")).length === 1);
  await worker.stop();
  await finished;
});

describe("a configuration that cannot be meant is refused with its path and the rule", () => {
  it.each([
    [{}, "Expected alerts to have a threshold such as"],
    [[], "Expected alerts to be an object such as"],
    [{ deadLetters: 1, notfy: [] }, 'Expected alerts to have deadLetters, oldestDue, stuck, repeat, notify, got "notfy".'],
    [{ deadLetters: 0 }, "Expected alerts.deadLetters to be a whole number from 1 to 10000, got 0."],
    [{ deadLetters: "many" }, 'Expected alerts.deadLetters to be a whole number from 1 to 10000, got "many".'],
    [{ deadLetters: { atLeast: 1.5 } }, "Expected alerts.deadLetters.atLeast to be a whole number from 1 to 10000, got 1.5."],
    [{ deadLetters: {} }, "Expected alerts.deadLetters.atLeast to be a whole number from 1 to 10000, got nothing."],
    [{ deadLetters: [] }, "Expected alerts.deadLetters to have at least one rule, got []."],
    [{ deadLetters: [{ atLeast: 1, within: "1s" }] }, 'Expected alerts.deadLetters[0].within to be a duration from "1m" to "365d", such as "1h", got "1s".'],
    [{ deadLetters: [{ atLeast: 1 }, { atLeast: 9 }] }, "Expected the rules of alerts.deadLetters to differ in what they count, got two of deadLetters."],
    [{ deadLetters: { atLeast: 1, type: "a" } }, 'Expected alerts.deadLetters to have atLeast, within, types, except, got "type".'],
    [{ deadLetters: { atLeast: 1, types: [] } }, 'Expected alerts.deadLetters.types to be a list of job types such as ["email.send"], got [].'],
    [{ deadLetters: { atLeast: 1, types: ["a"], except: ["b"] } }, 'Expected alerts.deadLetters to have either types or except, got "both".'],
    [{ oldestDue: 15 }, 'Expected alerts.oldestDue to be a duration from "10s" to "365d", such as "15m", got 15. A number is milliseconds.'],
    [{ oldestDue: { after: "soon" } }, 'Expected alerts.oldestDue.after to be a duration from "10s" to "365d", such as "15m", got "soon".'],
    [{ stuck: { after: "10m", within: "1h" } }, 'Expected alerts.stuck to have after, types, except, got "within".'],
    [{ stuck: null }, 'Expected alerts.stuck to be "15m" or { after: "15m" }, got null.'],
    [{ deadLetters: 1, repeat: "1m" }, 'Expected alerts.repeat to be a duration from "5m" to "30d", such as "6h", or false to tell once, got "1m".'],
    [{ deadLetters: 1, notify: "ops@example.com" }, "Expected alerts.notify to be a list such as"],
    [{ deadLetters: 1, notify: [{ email: "ops" }] }, 'Expected alerts.notify[0].email to be one address such as "ops@example.com", got "ops".'],
    [{ deadLetters: 1, notify: [{ email: "a@example.com\nBcc: b@example.com" }] }, "Expected alerts.notify[0].email to be one address"],
    [{ deadLetters: 1, notify: [{ email: "a@example.com" }, { webhook: "opps" }] }, 'Expected alerts.notify[1].webhook to be the name of one of webhooks in the configuration (ops), got "opps".'],
    [{ deadLetters: 1, notify: [{ slack: "x" }] }, 'Expected alerts.notify[0] to be { email: "ops@example.com" }, { webhook: "name" } or a function that makes a job, got {"slack":"x"}.'],
    [{ deadLetters: 1, notify: [{ email: "a@example.com", webhook: "ops" }] }, "Expected alerts.notify[0] to be"],
  ])("%j", (config, sentence) => {
    expect(() => alertsOf(config, ["ops"])).toThrow(sentence);
  });

  it("and an alert has a name that fits, however many types it has", () => {
    const types = Array.from({ length: 50 }, (_, n) => `type.${n}`);
    const [one, other] = [types, types.slice(1)].map((each) => alertsOf({ deadLetters: { atLeast: 1, types: each } }, null).rules[0]!.name) as [string, string];
    expect(one.length).toBeLessThanOrEqual(200);
    expect(one).not.toBe(other);
  });
});
