// Workers whose clocks are wrong: an hour fast, an hour slow, and one that jumps from one to the other ten times a second.
// Only the database's clock decides what is due, dead, held or kept, so none of it may matter.
//
// The clock of a child is shifted by a module that Node loads before the program (`--import`). libfaketime would shift
// what the C library says too, but it has to be installed, and it breaks the monotonic clock that timers need; a real
// machine whose clock is wrong has a monotonic clock that is right, which is what performance.now() is here.

import { describe, expect, it, vi } from "vitest";
import { sceneOfEachTest } from "../support/scene.ts";
import { until as within } from "../support/until.ts";

vi.setConfig({ testTimeout: 90_000 });
const scene = sceneOfEachTest();
const hourMs = 3_600_000;
/** Programs start slowly on a machine that is busy. */
const until = (what: string, condition: () => Promise<boolean>) => within(what, condition, 50_000);

/** As an environment: `new Date()` and Date.now() are off by what the expression says. */
function clockThatIsOffBy(expression: string): Record<string, string> {
  const shift = `
    const RealDate = Date;
    const now = () => { const real = RealDate.now(); return real + (${expression}); };
    globalThis.Date = new Proxy(RealDate, {
      construct: (target, given, newTarget) => Reflect.construct(target, given.length === 0 ? [now()] : given, newTarget),
      apply: () => new RealDate(now()).toString(),
      get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
    });`;
  return { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(shift)}` };
}
const clocks = { fast: clockThatIsOffBy(`${hourMs}`), slow: clockThatIsOffBy(`-${hourMs}`), jumping: clockThatIsOffBy(`(Math.floor(real / 100) % 2 === 0 ? 1 : -1) * ${hourMs}`) };
const eachClock = Object.entries(clocks);

const job = (id: string) => scene.test.job(id);
const rows = async <Row extends object>(sql: string, values: unknown[] = []) => (await scene.test.pool.query<Row>(sql, values)).rows;
/** Seconds from now on, by the database's clock. */
const dueIn = async (id: string) => (await rows<{ seconds: number }>("select extract(epoch from run_at - clock_timestamp())::float8 as seconds from outbox where id = $1", [id]))[0]!.seconds;
const inMinutes = async (minutes: number) => new Date((await scene.now()).getTime() + minutes * 60_000);

describe("workers whose clocks are an hour fast, an hour slow, and jumping", () => {
  it("run what is due by the database's clock, once, leave what is not, and take each other for alive", async () => {
    const workers = eachClock.map(([, env]) => scene.runWith(env, "jobs:worker", "--lease", "10s", "--poll", "100ms"));
    for (const worker of workers) await scene.asleep(worker);
    const future = [await scene.aJob("return", { run_at: await inMinutes(30) }), await scene.aJob("return", { run_at: await inMinutes(59) })];
    const soon = await scene.aJob("return", { run_at: new Date((await scene.now()).getTime() + 1000) });
    const snoozed = await Promise.all(Array.from({ length: 6 }, () => scene.aJob("snooze")));
    const due = await Promise.all(Array.from({ length: 60 }, () => scene.aJob("return")));
    // Each worker has one for many polls of the others, who would rescue it if they took the beats for an hour old.
    const long = await Promise.all(workers.map(() => scene.aJob("sleep", {}, { ms: 3000 })));
    await until("what is due is done", async () => (await rows("select from outbox where status = 'done'")).length === due.length + long.length + 1);
    for (const id of [...due, ...long, soon]) expect(await job(id)).toMatchObject({ status: "done", attempts: 1 });
    for (const id of future) expect(await job(id)).toMatchObject({ status: "pending", attempts: 0 });
    for (const id of snoozed) {
      expect(await job(id)).toMatchObject({ status: "pending", attempts: 0 });
      expect(Math.abs((await dueIn(id)) - 570)).toBeLessThanOrEqual(30);
    }
    const effects = await scene.effects();
    expect(effects).toHaveLength(due.length + snoozed.length + long.length + 1);
    expect(effects.find(({ job: id }) => id === soon)!.at.getTime()).toBeGreaterThanOrEqual((await job(soon)).run_at.getTime());
    expect(await rows("select from outbox_attempt where outcome <> 'snoozed'")).toEqual([]);
    expect(await rows("select from outbox_worker")).toHaveLength(3);
    await rows(`update outbox set run_at = now(), payload = '{"then":"return"}' where id = any ($1)`, [snoozed]);
    await until("the snoozed ones are done", async () => (await rows("select from outbox where status = 'done' and id = any ($1)", [snoozed])).length === snoozed.length);

    for (const { child } of workers) child.kill("SIGTERM");
    for (const { ended } of workers) {
      const { code, stderr } = await ended;
      expect(code).toBe(0);
      const logged = [...stderr.matchAll(/"time":"([^"]+)"/g)].map(([, time]) => Math.abs(Date.parse(time!) - Date.now()));
      expect(Math.min(...logged), "its clock was wrong all the time").toBeGreaterThan(0.9 * hourMs);
    }
  });
});

it("a worker whose clock is an hour slow rescues a killed one's job as soon as the lease is over by the database's clock, and not before", async () => {
  const id = await scene.aJob("hang");
  const killed = scene.run("jobs:worker", "--lease", "3s");
  await until("it runs", async () => (await scene.effects()).length === 1);
  killed.child.kill("SIGKILL");
  await killed.ended;
  const [killedOne] = await rows<{ beat_at: Date }>("select beat_at from outbox_worker");
  await rows(`update outbox set payload = '{"then":"return"}'`);
  const slow = scene.runWith(clocks.slow, "jobs:worker", "--lease", "3s", "--poll", "100ms");
  await until("it is rescued", async () => (await job(id)).status === "done");
  expect(await job(id)).toMatchObject({ attempts: 2 });
  expect((await scene.effects())[1]!.at.getTime() - killedOne!.beat_at.getTime()).toBeGreaterThanOrEqual(3000);
  slow.child.kill("SIGTERM");
  expect((await slow.ended).code).toBe(0);
});

describe("programs whose clocks are an hour fast, an hour slow, and jumping", () => {
  it("enqueue with a delay and a dedupe key that count by the database's clock", async () => {
    const ids: string[] = [];
    for (const [, env] of eachClock) {
      // Held for half an hour, whoever asks.
      const { code, stdout } = await scene.runWith(env, "jobs:enqueue", "effect", '{"then":"return"}', "--delay", "10m", "--key", "k", "--key-for", "30m").ended;
      expect(code).toBe(0);
      ids.push(stdout.trim());
    }
    expect(new Set(ids).size).toBe(1);
    expect(Math.abs((await dueIn(ids[0]!)) - 570)).toBeLessThanOrEqual(30);
  });

  it("prune what was finished for longer than its retention by the database's clock, and nothing else", async () => {
    const finished = async (minutes: number) =>
      (await rows<{ id: string }>("insert into outbox (type, payload, status, attempts, finished_at) values ('kept', '{}', 'done', 1, clock_timestamp() - interval '7 days' + $1 * interval '1 minute') returning id", [minutes]))[0]!;
    const kept = await finished(30);
    for (const [, env] of eachClock) {
      await finished(-30);
      expect((await scene.runWith(env, "jobs:prune").ended).code).toBe(0);
      expect(await rows("select id from outbox")).toEqual([kept]);
    }
  });
});
