// outbox.wait: it hears of the end, and does not ask for it all the time.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Database } from "../../src/outbox/database.ts";
import type { Outbox } from "../../src/outbox/outbox.ts";
import { postgres } from "../../src/service/database.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, worksBy } from "../support/outbox.ts";
import { until } from "../support/until.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(() => test.empty());

const waiters = async () => (await test.pool.query("select job_id from outbox_waiter")).rowCount;
const end = (id: string, status = "done") => test.pool.query("update outbox set status = $2, finished_at = now() where id = $1", [id, status]);

/** An outbox whose way to the database counts what is asked; `deaf` as behind a pooler. */
function counting(deaf = false): { outbox: Outbox; asked: () => number } {
  const database = postgres(test.url);
  let asked = 0;
  const counted: Database = { ...database, canListen: !deaf, query: (text, values) => ((asked += 1), database.query(text, values)), transaction: (work) => ((asked += 1), database.transaction(work)) };
  return { outbox: test.over(counted), asked: () => asked };
}

describe("waiting for a job", () => {
  it.each(["done", "error", "cancelled"])("hears within moments that it is %s, whoever has changed it", async (status) => {
    const { outbox } = counting();
    const id = await test.aJob({ status: "processing", started_at: new Date() });
    const waiting = outbox.wait(id);
    await until("it is known who waits", async () => (await waiters()) === 1);
    await sleep(3000); // the looks are seconds apart by now: what comes at once, comes by the ring
    const endedAt = performance.now();
    await end(id, status);
    expect((await waiting).status).toBe(status);
    expect(performance.now() - endedAt).toBeLessThan(400);
    expect(await waiters()).toBe(0);
    await outbox.close();
  });

  it("does not ask the database all the time: over 4 s a dozen times at most", async () => {
    const { outbox, asked } = counting();
    const id = await test.aJob();
    await expect(outbox.wait(id, { timeout: "4s" })).rejects.toMatchObject({ code: "TOO_SLOW" });
    expect(asked()).toBeLessThanOrEqual(12);
    expect(await waiters()).toBe(0);
    await outbox.close();
  });

  it("a hundred who wait share one connection, and each hears of his own job", async () => {
    const { outbox } = counting();
    const ids = await Promise.all(Array.from({ length: 100 }, () => test.aJob()));
    const waiting = ids.map(async (id) => outbox.wait(id));
    await until("all are known", async () => (await waiters()) === 100);
    const listening = await test.pool.query("select from pg_stat_activity where datname = current_database() and query = 'listen outbox_ended'");
    expect(listening.rowCount).toBe(1);
    await test.outbox.drain({ handlers: [worksBy(() => Promise.resolve(null))] });
    expect((await Promise.all(waiting)).map((job) => job.id)).toEqual(ids);
    await until("nobody listens any more", async () => (await test.pool.query("select from pg_stat_activity where datname = current_database() and query = 'listen outbox_ended'")).rowCount === 0);
    await outbox.close();
  });

  it("behind a pooler, where nothing can be heard, it looks", async () => {
    const { outbox } = counting(true);
    const id = await test.aJob();
    const waiting = outbox.wait(id);
    await end(id);
    expect((await waiting).status).toBe("done");
    await outbox.close();
  });

  it("goes on when the connection that listens is cut", async () => {
    const { outbox } = counting();
    const id = await test.aJob();
    const waiting = outbox.wait(id);
    await until("it is known who waits", async () => (await waiters()) === 1);
    await test.pool.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query = 'listen outbox_ended'");
    await end(id);
    expect((await waiting).status).toBe("done");
    await outbox.close();
  });

  it("ends with the signal's reason, and at once", async () => {
    const { outbox } = counting();
    const leaving = new AbortController();
    const waiting = outbox.wait(await test.aJob(), { signal: leaving.signal });
    leaving.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await until("nobody waits", async () => (await waiters()) === 0);
    await outbox.close();
  });

  it("what a process that died has left behind goes with the next end after its time", async () => {
    await test.pool.query("insert into outbox_waiter values (gen_random_uuid(), gen_random_uuid(), now() - interval '1 second')");
    await end(await test.aJob());
    expect(await waiters()).toBe(0);
  });

  it("a role that may not say that it waits, looks", async () => {
    const name = `looker_${process.pid}`;
    await test.pool.query(`create role ${name} login password 'x'; grant select on outbox, outbox_attempt, outbox_action, outbox_action_job, outbox_effect to ${name}`);
    const url = new URL(test.url);
    url.username = name;
    url.password = "x";
    const outbox = test.over(postgres(url.href));
    try {
      const id = await test.aJob();
      const waiting = outbox.wait(id);
      await end(id);
      expect((await waiting).status).toBe("done");
    } finally {
      await outbox.close();
      await test.pool.query(`drop owned by ${name}; drop role ${name}`);
    }
  });
});
