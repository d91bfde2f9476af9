// audit.log: one row, exactly once, and no way to change it.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { auditLogHandler } from "../../src/handlers/audit-log.ts";
import { FinalError, LeaseLostError } from "../../src/index.ts";
import { auditLog } from "../../src/jobs.ts";
import type { Handler } from "../../src/outbox/define.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox } from "../support/outbox.ts";
import { runHandler } from "../support/run-handler.ts";
import { thrownBy } from "./local-server.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(() => test.pool.query("delete from outbox"));

const reminded = { event: "invoice.reminded", actor: "ada", subject: "invoice-1", data: { channel: "email", times: [1, 2] } };
const drain = (handler: Handler = auditLogHandler()) => test.outbox.drain({ handlers: [handler] });
// Rows of the log stay, so each test looks at those of its own jobs.
const rowsOf = async (id: string) => (await test.pool.query<Record<string, unknown>>("select * from audit_log where job_id = $1", [id])).rows;

describe("the row", () => {
  it("holds what was enqueued, which job wrote it, and to the microsecond when that was enqueued", async () => {
    const { id } = await test.outbox.enqueueAlone(auditLog, reminded);
    expect(await drain()).toMatchObject({ done: 1 });
    const [row, ...others] = await rowsOf(id);
    expect(others).toEqual([]);
    expect(row).toMatchObject({ ...reminded, job_id: id });
    expect(await test.job(id)).toMatchObject({ status: "done", attempts: 1, result: { id: row?.id } });
    const { rows } = await test.pool.query<{ same: boolean; later: boolean }>(
      "select a.enqueued_at = o.created_at as same, a.at > a.enqueued_at as later from audit_log a join outbox o on o.id = a.job_id where o.id = $1",
      [id],
    );
    expect(rows).toEqual([{ same: true, later: true }]);
  });

  it("has nulls for what was left out, and null data is no data", async () => {
    const { id } = await test.outbox.enqueueAlone(auditLog, { event: "cache.cleared" });
    const nullData = await test.outbox.enqueueAlone(auditLog, { event: "cache.cleared", data: null });
    expect(await drain()).toMatchObject({ done: 2 });
    for (const each of [id, nullData.id]) expect(await rowsOf(each)).toMatchObject([{ event: "cache.cleared", actor: null, subject: null, data: null }]);
  });

  it("is written by the job alone: a business write that is rolled back leaves neither", async () => {
    const client = await test.pool.connect();
    try {
      await client.query("begin");
      const { id } = await test.outbox.enqueue(client, auditLog, reminded);
      await client.query("rollback");
      expect(await drain()).toMatchObject({ done: 0 });
      expect(await rowsOf(id)).toEqual([]);
    } finally {
      client.release();
    }
  });
});

describe("exactly once", () => {
  /** Completes, and only then does what `then` says. */
  function afterwards(then: () => Promise<void>): Handler {
    const { contract, run } = auditLogHandler();
    return { contract, run: async (payload, ctx) => { await run(payload, ctx); await then(); } }; // prettier-ignore
  }

  it("an attempt that fails after its commit has written the row, and is not repeated", async () => {
    const { id } = await test.outbox.enqueueAlone(auditLog, reminded);
    expect(await drain(afterwards(() => Promise.reject(new Error("too late to matter"))))).toMatchObject({ done: 1 });
    expect(await drain()).toMatchObject({ done: 0 });
    expect(await rowsOf(id)).toHaveLength(1);
  });

  it("an attempt that fails before its commit has written nothing, and the next one writes the row", async () => {
    const { id } = await test.outbox.enqueueAlone(auditLog, reminded);
    const { contract, run } = auditLogHandler();
    const fails: Handler = { contract, run: (payload, ctx) => run(payload, { ...ctx, job: ctx.job, complete: (work) => ctx.complete(async (tx) => { await work(tx); throw new Error("the connection broke"); }) }) }; // prettier-ignore
    expect(await drain(fails)).toMatchObject({ retried: 1 });
    expect(await rowsOf(id)).toEqual([]);
    await test.pool.query("update outbox set run_at = clock_timestamp()");
    expect(await drain()).toMatchObject({ done: 1 });
    expect(await rowsOf(id)).toHaveLength(1);
  });

  it("a worker that was overtaken writes no second row", async () => {
    const { id } = await test.outbox.enqueueAlone(auditLog, reminded);
    const [claimed, overtaken] = [barrier(), barrier()];
    const { contract, run } = auditLogHandler();
    let error: unknown;
    const late: Handler = {
      contract,
      run: async (payload, ctx) => {
        claimed.open();
        await overtaken.reached;
        await run(payload, ctx).catch((cause: unknown) => { error = cause; throw cause; }); // prettier-ignore
      },
    };
    const silent = drain(late);
    await claimed.reached;
    await test.pool.query("update outbox_worker set beat_at = beat_at - interval '1 hour'");
    expect(await test.other.drain({ handlers: [auditLogHandler()] })).toMatchObject({ done: 1 });
    overtaken.open();
    expect(await silent).toMatchObject({ done: 0, lost: 1 });
    expect(error).toBeInstanceOf(LeaseLostError);
    expect(await rowsOf(id)).toHaveLength(1);
  });
});

describe("the log is append-only", () => {
  it.each(["update audit_log set event = 'nothing'", "update audit_log set data = null where false", "delete from audit_log", "truncate audit_log"])("%s is refused, and every row stays as it is", async (statement) => {
    const { id } = await test.outbox.enqueueAlone(auditLog, reminded);
    await drain();
    const before = await rowsOf(id);
    await expect(test.pool.query(statement)).rejects.toThrow(/The audit log is append-only: nobody may (update|delete|truncate) its rows/);
    expect(await rowsOf(id)).toEqual(before);
  });

  it("a row outlives the job that wrote it", async () => {
    const { id } = await test.outbox.enqueueAlone(auditLog, reminded);
    await drain();
    await test.pool.query("delete from outbox");
    expect(await rowsOf(id)).toHaveLength(1);
  });
});

describe("the payload", () => {
  it.each<[unknown, string]>([
    [{}, "payload.event"],
    [{ event: "" }, "payload.event"],
    [{ event: "e".repeat(201) }, "payload.event"],
    [{ event: "a", actor: 7 }, "payload.actor"],
    [{ event: "a", subject: "" }, "payload.subject"],
    [{ event: "a", at: "2020-01-01" }, '"at"'],
    [null, "payload"],
  ])("%j is refused, and the message names the place", async (payload, words) => {
    const error = await thrownBy(runHandler(auditLogHandler(), payload));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toContain(words);
  });
});
