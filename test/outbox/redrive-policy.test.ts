// The automatic redrive against a real Postgres: each dead letter has its turn once, when it has been dead for so long.
// Time moves by ageing rows, those of the policy with those of the jobs.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Handler } from "../../src/index.ts";
import { defineJob, FinalError, handle } from "../../src/index.ts";
import type { Database } from "../../src/outbox/database.ts";
import { outboxOver } from "../../src/outbox/outbox.ts";
import type { Redrive, RedriveRule } from "../../src/outbox/redrive-policy.ts";
import { redriveByPolicy, redrivePolicies } from "../../src/outbox/redrive-policy.ts";
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
  await test.pool.query("truncate outbox_redrive, outbox_action_job");
  await pass(); // makes the policy known, an hour before now
  await later(24 * 60);
});

const hour = { after: "1h" } satisfies RedriveRule;
const pass = (rule: RedriveRule = hour, database: Database = test.database, more: Redrive = {}) => redriveByPolicy(database, redrivePolicies({ work: rule, ...more }), (event) => test.events.push(event));
/** So many minutes later, as far as the rows know. */
async function later(minutes: number): Promise<void> {
  await test.pool.query("update outbox_redrive set finished_at = finished_at - $1 * interval '1 minute'", [minutes]);
  await test.pool.query("update outbox set finished_at = finished_at - $1 * interval '1 minute'", [minutes]);
}
const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000);
async function aDeadLetter(minutes = 61, { errorClass = "TimeoutError", ...columns }: Record<string, unknown> = {}): Promise<string> {
  const id = await test.aJob({ status: "error", attempts: 3, finished_at: ago(minutes), run_at: ago(minutes), ...columns });
  await test.pool.query("insert into outbox_attempt (job_id, attempt, outcome, error_class) values ($1, 2, 'retried', 'Earlier'), ($1, 3, 'dead', $2)", [id, errorClass]);
  return id;
}
const status = async (id: string) => (await test.job(id)).status;
const ledger = async () => (await test.pool.query<{ count: number }>("select actor, action, filter, change, count, reason from outbox_action order by id")).rows;
const redriven = async () => (await test.pool.query<{ job_id: string }>("select job_id from outbox_action_job order by job_id")).rows.map((row) => row.job_id);
/** Dead again, so long ago. */
const dies = (id: string, minutes: number) => test.pool.query("update outbox set status = 'error', attempts = attempts + 1, finished_at = $2 where id = $1", [id, ago(minutes)]);

describe("a dead letter", () => {
  it("is redriven when it has been dead for so long, not before: due now, with an attempt more, in the ledger, told of", async () => {
    const young = await aDeadLetter(59);
    const id = await aDeadLetter(61);
    const other = await aDeadLetter(61, { type: "other" });
    await pass();
    expect([await status(young), await status(other)]).toEqual(["error", "error"]);
    const job = await test.job(id);
    expect(job).toMatchObject({ status: "pending", attempts: 3, max_attempts: 4, finished_at: null });
    expect(Math.abs(job.run_at.getTime() - Date.now())).toBeLessThan(30_000);
    expect(await ledger()).toEqual([{ actor: "redrive policy", action: "jobs:retry", filter: { type: "work", status: "error", after: "1h", atMost: 1 }, change: { status: "pending", attempts: 1 }, count: 1, reason: null }]);
    expect(await redriven()).toEqual([id]);
    expect(test.events).toEqual([{ event: "jobs_redriven", type: "work", count: 1 }]);
    await later(2);
    await pass();
    expect(await status(young)).toBe("pending");
  });

  it("gets as many attempts as the rule says, and keeps those it has not used", async () => {
    const used = await aDeadLetter();
    const unused = await aDeadLetter(61, { attempts: 1, max_attempts: 8 });
    await pass({ after: "1h", attempts: 4 });
    expect([(await test.job(used)).max_attempts, (await test.job(unused)).max_attempts]).toEqual([7, 8]);
  });

  it("is redriven at most so often, whatever people did in between, each time after it has been dead for so long", async () => {
    const rule = { after: "1h", atMost: 2 } as const;
    const id = await aDeadLetter();
    await pass(rule);
    await dies(id, 30);
    await pass(rule);
    expect(await status(id)).toBe("error");
    await later(31);
    await pass(rule);
    expect(await status(id)).toBe("pending");
    await dies(id, 90);
    await pass(rule);
    expect(await status(id)).toBe("error");
    expect(await redriven()).toHaveLength(2);
    await test.outbox.retry({ id: [id] }, { actor: "ada" });
    await dies(id, 61);
    await pass(rule);
    expect(await status(id)).toBe("error");
  });

  it("that somebody has retried is not counted as redriven by the policy", async () => {
    const id = await aDeadLetter();
    await test.outbox.retry({ id: [id] }, { actor: "ada" });
    await dies(id, 61);
    await pass();
    expect(await status(id)).toBe("pending");
  });

  it("is left alone when its last failure was of another class, or nobody knows of which", async () => {
    const meant = await aDeadLetter(61, { errorClass: "TimeoutError" });
    const other = await aDeadLetter(61, { errorClass: "FinalError" });
    const unknown = await test.aJob({ status: "error", finished_at: ago(61) });
    await pass({ after: "1h", only: ["ServerError", "TimeoutError"] });
    expect([await status(meant), await status(other), await status(unknown)]).toEqual(["pending", "error", "error"]);
    expect((await ledger())[0]).toMatchObject({ filter: { only: ["ServerError", "TimeoutError"] } });
  });

  it("that died long before the policy came is for people", async () => {
    await test.pool.query("truncate outbox_redrive");
    const old = await aDeadLetter(24 * 60);
    const recent = await aDeadLetter(30);
    await pass();
    await pass();
    expect([await status(old), await status(recent)]).toEqual(["error", "error"]);
    await later(31);
    await pass();
    expect([await status(old), await status(recent)]).toEqual(["error", "pending"]);
  });

  it("of which nobody knows when it died is left alone", async () => {
    const id = await test.aJob({ status: "error", finished_at: null });
    await pass();
    expect(await status(id)).toBe("error");
  });
});

describe("keys", () => {
  it("a dead letter whose dedupe key a later job has taken over is left out, and keeps nobody else from being redriven", async () => {
    const before = await aDeadLetter(62, { dedupe_key: "k", dedupe_released: true });
    const holder = await aDeadLetter(61, { dedupe_key: "k" });
    const free = await aDeadLetter(61);
    const taken = await aDeadLetter(61, { dedupe_key: "other", dedupe_released: true });
    await test.aJob({ dedupe_key: "other" });
    await pass();
    expect(await Promise.all([before, holder, free, taken].map(status))).toEqual(["error", "pending", "pending", "error"]);
    await test.pool.query("delete from outbox where dedupe_key = 'other' and status = 'pending'");
    await test.pool.query("update outbox set dedupe_released = false where id = $1", [taken]);
    await pass();
    expect(await status(taken)).toBe("error"); // its turn is over
  });

  it("a key that is taken over in the same moment: one of the two jobs has it, and nothing fails", async () => {
    const id = await aDeadLetter(61, { dedupe_key: "k", dedupe_until: null });
    const work = defineJob<{ n?: number }>({ type: "work" });
    const client = await test.pool.connect();
    try {
      await client.query("begin");
      await test.outbox.enqueue(client, work, {}, { dedupeKey: "k", dedupeFor: "until-done" });
      await pass(); // its row is locked by the enqueue: its turn is kept
      expect(await redriven()).toEqual([]);
      await client.query("rollback");
    } finally {
      client.release();
    }
    await pass();
    expect(await status(id)).toBe("pending");
  });

  it("jobs of an ordering key join the end of their line in the order in which they stood, one under way at a time", async () => {
    const [first, second] = [await aDeadLetter(61, { ordering_key: "a" }), await aDeadLetter(62, { ordering_key: "a" })];
    await pass();
    expect([await status(first), await status(second)]).toEqual(["pending", "waiting"]);
    const order: string[] = [];
    await test.outbox.drain({ handlers: [worksBy((_, { job }) => void order.push(job.id) as never)] });
    expect(order).toEqual([first, second]);
  });

  it("a dead letter that blocks its line goes on at its head", async () => {
    const id = await aDeadLetter(61, { ordering_key: "a", block_on_dead: true });
    const behind = await test.aJob({ ordering_key: "a" });
    expect(await status(behind)).toBe("waiting");
    await pass();
    expect([await status(id), await status(behind)]).toEqual(["pending", "waiting"]);
  });

  it("a line that somebody is enqueuing for is not waited for: others go on, its jobs keep their turn", async () => {
    const [keyed, other] = [await aDeadLetter(61, { ordering_key: "a" }), await aDeadLetter(61)];
    const client = await test.pool.connect();
    try {
      await client.query("begin");
      await client.query("insert into outbox (type, payload, ordering_key) values ('x', '{}', 'a')");
      await client.query("commit; begin");
      await client.query("insert into outbox (type, payload, ordering_key) values ('x', '{}', 'a')");
      await pass();
      expect([await status(keyed), await status(other)]).toEqual(["error", "pending"]);
      await client.query("commit");
    } finally {
      client.release();
    }
    await pass();
    expect(await status(keyed)).toBe("waiting");
  });
});

describe("a row that somebody holds", () => {
  it("is passed over, keeps its turn, and has it when it is free", async () => {
    const [held, other] = [await aDeadLetter(62), await aDeadLetter(61)];
    const client = await test.pool.connect();
    try {
      await client.query("begin");
      await client.query("select from outbox where id = $1 for update", [held]);
      await pass();
      expect([await status(held), await status(other)]).toEqual(["error", "pending"]);
      await client.query("rollback");
      await pass();
      expect(await status(held)).toBe("pending");
    } finally {
      client.release();
    }
  });

  it("for longer than ten minutes loses its turn, so that it holds up nobody's", async () => {
    const held = await aDeadLetter(75);
    const client = await test.pool.connect();
    try {
      await client.query("begin");
      await client.query("select from outbox where id = $1 for update", [held]);
      await pass();
    } finally {
      await client.query("rollback");
      client.release();
    }
    await pass();
    expect(await status(held)).toBe("error");
  });
});

describe("however many look", () => {
  it("eight passes at once redrive each dead letter once", async () => {
    const ids = [];
    for (let n = 0; n < 40; n += 1) ids.push(await aDeadLetter());
    const others = Array.from({ length: 8 }, () => postgres(test.url, { maxConnections: 1 }));
    await Promise.all(others.map((database) => pass(hour, database)));
    await Promise.all(others.map((database) => database.close()));
    expect(await redriven()).toEqual(ids.sort());
    expect((await test.pool.query("select sum(count)::int as sum from outbox_action")).rows).toEqual([{ sum: 40 }]);
  });

  it("one that comes while another has the turn does nothing and waits for nothing", async () => {
    const id = await aDeadLetter();
    const [inside, letGo] = [barrier(), barrier()];
    const slow: Database = {
      ...test.database,
      transaction: (work) =>
        test.database.transaction(async (tx) => {
          const value = await work(tx);
          inside.open();
          await letGo.reached;
          return value;
        }),
    };
    const first = pass(hour, slow);
    await inside.reached;
    expect(await pass()).toEqual({ more: false });
    expect(await status(id)).toBe("error");
    letGo.open();
    await first;
    expect(await status(id)).toBe("pending");
    expect(await redriven()).toEqual([id]);
  });

  it("a crash before the commit leaves everything as it was", async () => {
    const id = await aDeadLetter();
    const crashing: Database = { ...test.database, transaction: (work) => test.database.transaction(async (tx) => work(tx).then(() => Promise.reject(new Error("killed")))) };
    await expect(pass(hour, crashing)).rejects.toThrow("killed");
    expect([await status(id), await ledger(), test.events]).toEqual(["error", [], []]);
    await pass();
    expect(await status(id)).toBe("pending");
  });
});

describe("many", () => {
  it("go in batches of 100, each a row in the ledger, a thousand in one pass, and the rest in the next", async () => {
    await test.pool.query("insert into outbox (type, payload, status, attempts, finished_at) select 'work', '{}', 'error', 3, now() - interval '61 minutes' - n * interval '1 ms' from generate_series(1, 1050) as n");
    expect(await pass()).toEqual({ more: true });
    expect(await test.jobs("status = 'pending'")).toHaveLength(1000);
    expect((await ledger()).map(({ count }) => count)).toEqual(Array.from({ length: 10 }, () => 100));
    expect(test.events).toEqual([{ event: "jobs_redriven", type: "work", count: 1000 }]);
    expect(await pass()).toEqual({ more: false });
    expect(await test.jobs("status = 'pending'")).toHaveLength(1050);
  });

  it("that are not meant are looked at once, and keep no one from their turn", async () => {
    await test.pool.query("insert into outbox (type, payload, status, attempts, finished_at) select 'work', '{}', 'error', 3, now() - interval '62 minutes' - n * interval '1 ms' from generate_series(1, 2500) as n");
    const meant = await aDeadLetter(61);
    await pass({ after: "1h", only: ["TimeoutError"] });
    expect(await status(meant)).toBe("pending");
    const [{ place }] = (await test.pool.query<{ place: Date }>("select finished_at as place from outbox_redrive where type = 'work'")).rows as [{ place: Date }];
    expect(place.getTime()).toBeGreaterThan(ago(61.5).getTime());
  });
});

describe("a drain and a worker", () => {
  const ran: string[] = [];
  const handler: Handler = handle(defineJob({ type: "work", retry: { maxAttempts: 1 } }), (_, { job }) => {
    ran.push(job.id);
    return Promise.reject(new FinalError("no"));
  });
  const outbox = (rule: RedriveRule) => outboxOver(test.database, { version: "test", emit: (event) => test.events.push(event), compileSchedules, redrive: redrivePolicies({ work: rule }) });
  beforeEach(() => void (ran.length = 0));

  it("a drain redrives as it begins, and runs what it has redriven", async () => {
    const id = await aDeadLetter();
    expect(await outbox(hour).drain({ handlers: [handler] })).toMatchObject({ dead: 1, stopReason: "empty" });
    expect(ran).toEqual([id]);
    expect(await outbox(hour).drain({ handlers: [handler] })).toMatchObject({ dead: 0 });
  });

  it("a worker redrives when it starts", async () => {
    const id = await aDeadLetter();
    const worker = outbox(hour).worker({ handlers: [handler] });
    const finished = worker.start();
    await until("it was redriven and has died again", async () => (await test.job(id)).attempts === 4 && (await status(id)) === "error");
    await worker.stop();
    await finished;
  });

  it("without a policy nothing is redriven", async () => {
    const id = await aDeadLetter();
    await test.outbox.drain({ handlers: [handler] });
    expect(await status(id)).toBe("error");
  });
});

describe("a configuration that cannot be meant is refused with its path and the rule", () => {
  it.each([
    [[], "Expected redrive to be rules by job type such as"],
    [{ work: "1h" }, 'Expected redrive["work"] to be a rule such as { after: "1h", atMost: 3 }, got "1h".'],
    [{ work: {} }, 'Expected redrive["work"].after to be a duration from "1m" to "30d", such as "1h", got nothing.'],
    [{ work: { after: 60 } }, 'Expected redrive["work"].after to be a duration from "1m" to "30d", such as "1h", got 60. A number is milliseconds.'],
    [{ work: { after: "1h", atMost: 0 } }, 'Expected redrive["work"].atMost to be a whole number from 1 to 1000, got 0.'],
    [{ work: { after: "1h", attempts: 1.5 } }, 'Expected redrive["work"].attempts to be a whole number from 1 to 1000, got 1.5.'],
    [{ work: { after: "1h", only: [] } }, 'Expected redrive["work"].only to be a list of error classes such as ["TimeoutError"], got [].'],
    [{ work: { after: "1h", only: "TimeoutError" } }, 'got "TimeoutError".'],
    [{ work: { after: "1h", most: 3 } }, 'Expected redrive["work"] to have after, atMost, only, attempts, got "most".'],
    [{ "": { after: "1h" } }, 'Expected redrive[""] to have a job type of 1 to 200 characters, got "".'],
  ])("%j", (config, sentence) => {
    expect(() => redrivePolicies(config)).toThrow(sentence);
  });
});
