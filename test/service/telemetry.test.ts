// Traces: with an OpenTelemetry SDK in the app, what a job does is in the trace of the request that enqueued it. Without
// one nothing is different. Across processes: test/process/trace.test.ts.
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { context, createTraceState, SpanKind, SpanStatusCode, trace, TraceFlags } from "@opentelemetry/api";
import { AlwaysOffSampler, ParentBasedSampler } from "@opentelemetry/sdk-trace-base";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AppOutbox, Handler, OutboxEvent } from "../../src/index.ts";
import { createOutbox, defineJob, FinalError, handle, handleMany } from "../../src/index.ts";
import type { Database } from "../../src/outbox/database.ts";
import { outboxOver } from "../../src/outbox/outbox.ts";
import { createLog } from "../../src/service/log.ts";
import { logEvents } from "../../src/service/log-events.ts";
import { openTelemetry } from "../../src/service/telemetry/open-telemetry.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, work, worksBy } from "../support/outbox.ts";
import type { Traced } from "../support/spans.ts";
import { traced } from "../support/spans.ts";
import { workersOfEachTest } from "../support/workers.ts";

let test: TestOutbox;
let outbox: AppOutbox;
let tracing: Traced;
const events: OutboxEvent[] = [];
beforeAll(async () => {
  test = await testOutbox();
  outbox = createOutbox({ connection: test.url, onEvent: (event) => events.push(event) });
});
afterAll(async () => {
  await outbox.close();
  await test.close();
});
beforeEach(async () => {
  await test.empty();
  events.length = 0;
  tracing = traced();
});
const startWorker = workersOfEachTest();
afterEach(() => tracing.unregister());

const stored = async () => (await test.pool.query<{ id: string; traceparent: string | null; tracestate: string | null }>("select id, traceparent, tracestate from outbox order by id")).rows;
const drain = (...handlers: Handler[]) => outbox.drain({ handlers });
const traceparentOf = ({ traceId, spanId }: { traceId: string; spanId: string }) => `00-${traceId}-${spanId}-01`;
const none = worksBy(() => Promise.resolve());

describe("from the enqueue to the handler", () => {
  it("one trace: the request, the enqueue, the attempt, and what the handler does", async () => {
    const { id } = await tracing.within("POST /orders", () => outbox.enqueueAlone(work, {}));
    const enqueue = tracing.span("enqueue work");
    const [row] = await stored();
    expect(row).toEqual({ id, traceparent: traceparentOf(enqueue.spanContext()), tracestate: null });

    await drain(worksBy(async () => tracing.within("SELECT", () => Promise.resolve())));
    const [request, attempt, inner] = [tracing.span("POST /orders"), tracing.span("run work"), tracing.span("SELECT")];
    expect(new Set(tracing.spans().map((span) => span.spanContext().traceId)).size).toBe(1);
    expect(enqueue.parentSpanContext?.spanId).toBe(request.spanContext().spanId);
    expect(attempt.parentSpanContext).toMatchObject({ spanId: enqueue.spanContext().spanId, isRemote: true });
    expect(attempt.links.map(({ context }) => context.spanId)).toEqual([enqueue.spanContext().spanId]);
    expect(inner.parentSpanContext?.spanId).toBe(attempt.spanContext().spanId);
    expect([enqueue.kind, attempt.kind]).toEqual([SpanKind.PRODUCER, SpanKind.CONSUMER]);
    expect(enqueue.attributes).toEqual({ "messaging.system": "postcommit", "messaging.operation.name": "enqueue", "messaging.operation.type": "send", "messaging.destination.name": "work", "messaging.message.id": id });
    expect(attempt.attributes).toEqual({
      "messaging.system": "postcommit",
      "messaging.operation.name": "run",
      "messaging.operation.type": "process",
      "messaging.destination.name": "work",
      "messaging.message.id": id,
      "messaging.client.id": (await test.job(id)).locked_by,
      "postcommit.attempt": 1,
      "postcommit.max_attempts": 3,
      "postcommit.outcome": "done",
    });
    expect(attempt.status).toEqual({ code: SpanStatusCode.UNSET });
  });

  it("what the handler enqueues goes on in the trace, by ctx.enqueue in its completion and by the outbox itself", async () => {
    const [first, second, third] = ["first", "second", "third"].map((type) => defineJob({ type })) as [typeof work, typeof work, typeof work];
    const handlers = [
      handle(first, (_, ctx) => ctx.complete((tx) => ctx.enqueue(tx, second, {}))),
      handle(second, () => outbox.enqueueAlone(third, {})),
      handle(third, () => Promise.resolve()),
    ];
    await tracing.within("request", () => outbox.enqueueAlone(first, {}));
    await drain(...handlers);
    const path = ["request", "enqueue first", "run first", "enqueue second", "run second", "enqueue third", "run third"].map((name) => tracing.span(name));
    expect(path.slice(1).map((span) => span.parentSpanContext?.spanId)).toEqual(path.slice(0, -1).map((span) => span.spanContext().spanId));
    expect(new Set(path.map((span) => span.spanContext().traceId)).size).toBe(1);
  });

  it("many jobs of one call share one span, which says how many and whether keys were held", async () => {
    await tracing.within("request", async () => {
      await outbox.enqueueAlone(work, {}, { dedupeKey: "k" });
      const client = await test.pool.connect();
      await client.query("begin");
      await outbox.enqueueMany(client, [work.job({}, { dedupeKey: "k" }), work.job({}), defineJob({ type: "other" }).job({})]);
      await outbox.enqueueMany(client, []);
      await client.query("commit");
      client.release();
    });
    const many = tracing.span("enqueue");
    expect(many.attributes).toEqual({ "messaging.system": "postcommit", "messaging.operation.name": "enqueue", "messaging.operation.type": "send", "messaging.batch.message_count": 3, "postcommit.deduplicated": 1 });
    expect((await stored()).slice(1).map(({ traceparent }) => traceparent)).toEqual(Array(2).fill(traceparentOf(many.spanContext())));
    expect(tracing.spans()).toHaveLength(3);
  });

  it("jobs of one handleMany call have a span each, in the trace of each", async () => {
    for (const name of ["one", "two"]) await tracing.within(name, () => outbox.enqueueAlone(work, {}));
    await drain(handleMany(work, () => Promise.resolve(undefined)));
    expect(tracing.spans("run work").map((span) => span.spanContext().traceId).sort()).toEqual(["one", "two"].map((name) => tracing.span(name).spanContext().traceId).sort());
  });

  it("an enqueue outside any span stores nothing, and its attempt begins a trace of its own", async () => {
    await outbox.enqueueAlone(work, {});
    expect(await stored()).toMatchObject([{ traceparent: null, tracestate: null }]);
    expect(tracing.spans()).toEqual([]);
    await drain(none);
    const attempt = tracing.span("run work");
    expect([attempt.parentSpanContext, attempt.links]).toEqual([undefined, []]);
  });

  it("a worker that was started within a span takes no job into that", async () => {
    const ran = barrier();
    const opening = worksBy(() => {
      ran.open();
      return Promise.resolve();
    });
    await tracing.within("boot", () => Promise.resolve(startWorker(outbox, { handlers: [opening] })));
    await outbox.enqueueAlone(work, {});
    await ran.reached;
    await expect.poll(() => tracing.spans("run work").map(({ parentSpanContext }) => parentSpanContext)).toEqual([undefined]);
  });

  it("what the engine asks of the database by itself is in no trace, what an attempt asks is in its own", async () => {
    const query: Database["query"] = (statement, values) => tracing.within("query", () => test.database.query(statement, values));
    const instrumented = outboxOver({ ...test.database, query }, { version: "test", emit: () => undefined, tracing: openTelemetry() });
    const ran = barrier();
    const worker = startWorker(instrumented, {
      handlers: [
        worksBy(async (_, { progress }) => {
          await progress(50);
          ran.open();
        }),
      ],
    });
    await outbox.enqueueAlone(work, {});
    await ran.reached;
    await worker.stop();
    expect(tracing.span("query").parentSpanContext?.spanId).toBe(tracing.span("run work").spanContext().spanId);
  });

  it("the first statement is sent before anything is awaited, as without traces", async () => {
    await tracing.within("request", async () => {
      const sent: string[] = [];
      const enqueued = outbox.enqueue({ query: (statement: string) => Promise.resolve({ rows: (sent.push(statement), []) }) }, work, {});
      expect(sent).toHaveLength(1);
      await enqueued;
    });
  });

  it("the sampling of the request is that of the job, and what is not sampled is still followed", async () => {
    tracing.unregister();
    tracing = traced({ sampler: new ParentBasedSampler({ root: new AlwaysOffSampler() }) });
    await tracing.within("request", () => outbox.enqueueAlone(work, {}));
    const [row] = await stored();
    expect(row?.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    const seen: (string | undefined)[] = [];
    await drain(worksBy(() => Promise.resolve(void seen.push(trace.getActiveSpan()?.spanContext().traceId))));
    expect(seen).toEqual([row?.traceparent?.split("-")[1]]);
    expect(tracing.spans()).toEqual([]);
  });
});

describe("attempts that do not succeed", () => {
  const once = defineJob({ type: "once", retry: { maxAttempts: 2, delays: ["1s"] } });

  it("each is a span with its error, and the ledger names the trace", async () => {
    const { id } = await tracing.within("request", () => outbox.enqueueAlone(once, {}));
    const failing = handle(once, () => Promise.reject(new RangeError("too far")));
    await drain(failing);
    await test.pool.query("update outbox set run_at = now()");
    await drain(failing);
    const attempts = tracing.spans("run once");
    expect(attempts.map(({ attributes }) => [attributes["postcommit.attempt"], attributes["postcommit.outcome"], attributes["error.type"]])).toEqual([
      [1, "retried", "RangeError"],
      [2, "dead", "RangeError"],
    ]);
    for (const attempt of attempts) {
      expect(attempt.status).toEqual({ code: SpanStatusCode.ERROR, message: "RangeError: too far" });
      expect(attempt.events).toMatchObject([{ name: "exception", attributes: { "exception.type": "RangeError", "exception.message": "too far", "exception.stacktrace": expect.stringContaining("telemetry.test.ts") } }]);
    }
    const { rows } = await test.pool.query("select trace_id from outbox_attempt where job_id = $1", [id]);
    expect(rows).toEqual(Array(2).fill({ trace_id: tracing.span("request").spanContext().traceId }));
  });

  it("a snooze, a cancellation and a release are no errors", async () => {
    await outbox.enqueueAlone(work, {});
    await drain(worksBy((_, { snooze }) => snooze("1h")));
    expect(tracing.span("run work")).toMatchObject({ status: { code: SpanStatusCode.UNSET }, attributes: { "postcommit.outcome": "snoozed" } });
  });

  it("a worker that dies of a job leaves the trace in the ledger too", async () => {
    const { id } = await tracing.within("request", () => outbox.enqueueAlone(work, {}));
    await test.pool.query("update outbox set status = 'processing', attempts = 1, locked_by = gen_random_uuid(), lease_token = 1, started_at = now()");
    await drain(none);
    const { rows } = await test.pool.query("select outcome, trace_id from outbox_attempt where job_id = $1", [id]);
    expect(rows).toEqual([{ outcome: "lost", trace_id: tracing.span("request").spanContext().traceId }]);
  });

  it("an enqueue that is refused is an error of its span, and is thrown as ever", async () => {
    const refused = tracing.within("request", () => outbox.enqueueAlone(work, {}, { priority: 0.5 }));
    await expect(refused).rejects.toThrow("Expected priority");
    expect(tracing.span("enqueue work")).toMatchObject({ status: { code: SpanStatusCode.ERROR }, attributes: { "error.type": "OutboxError" }, events: [{ name: "exception" }] });
  });

  it("an SDK that throws fails no enqueue and no attempt", async () => {
    tracing.unregister();
    const fails = () => {
      throw new Error("the exporter is broken");
    };
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    for (const broken of [{ onStart: fails, onEnd: () => undefined }, { onStart: () => undefined, onEnd: fails }]) {
      tracing = traced({ processors: [{ ...broken, shutdown: () => Promise.resolve(), forceFlush: () => Promise.resolve() }] });
      const around = trace.setSpanContext(context.active(), { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: TraceFlags.SAMPLED });
      await context.with(around, () => outbox.enqueueAlone(work, {}));
      expect(await drain(none)).toMatchObject({ done: 1, lost: 0 });
      tracing.unregister();
    }
    process.off("warning", onWarning);
    expect(warnings.map(({ message }) => message)).toEqual(["postcommit could not trace by OpenTelemetry: the exporter is broken"]);
    tracing = traced();
  });
});

describe("rows that others have written", () => {
  const [traceId, spanId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];

  it.each([
    ["of our own version", `00-${traceId}-${spanId}-01`],
    ["of a later version, with more behind it", `cc-${traceId}-${spanId}-01-what.the-future-brings`],
  ])("a traceparent %s is followed, with its tracestate", async (_, traceparent) => {
    await test.aJob({ traceparent, tracestate: "vendor=a b,other=1" });
    await drain(none);
    const attempt = tracing.span("run work");
    expect(attempt.parentSpanContext).toMatchObject({ traceId, spanId, isRemote: true });
    expect(attempt.spanContext().traceState?.serialize()).toBe("vendor=a b,other=1");
  });

  it.each([
    ["nothing at all", null],
    ["an empty text", ""],
    ["no traceparent", "hello"],
    ["zeros", `00-${"0".repeat(32)}-${spanId}-01`],
    ["a short id", `00-${traceId.slice(1)}-${spanId}-01`],
    ["capitals", `00-${traceId.toUpperCase()}-${spanId}-01`],
    ["a version that cannot be", `ff-${traceId}-${spanId}-01`],
    ["more than its version has", `00-${traceId}-${spanId}-01-more`],
    ["two lines", `00-${traceId}-${spanId}-01\n00`],
    ["a megabyte", "0".repeat(1_000_000)],
    ["a space within", `00-${traceId} ${spanId}-01`],
  ])("%s is run in a trace of its own", async (_, traceparent) => {
    const id = await test.aJob({ traceparent, tracestate: traceparent });
    await drain(none);
    expect((await test.job(id)).status).toBe("done");
    expect(tracing.span("run work").parentSpanContext).toBeUndefined();
  });

  it.each([["too long", `a=${"x".repeat(600)}`], ["of control characters", "a=\u0007"], ["that is none", "===,,="]])("a tracestate %s harms nothing", async (_, tracestate) => {
    await test.aJob({ traceparent: `00-${traceId}-${spanId}-01`, tracestate });
    await drain(none);
    expect(tracing.span("run work").parentSpanContext?.traceId).toBe(traceId);
  });

  it("a tracestate of the request is stored with the job, up to 512 characters", async () => {
    for (const [state, expected] of [["vendor=1", "vendor=1"], [`a=${"x".repeat(250)},b=${"y".repeat(250)},c=${"z".repeat(250)}`, null]] as const) {
      await test.empty();
      const around = { traceId, spanId, traceFlags: TraceFlags.SAMPLED, traceState: createTraceState().set("ignored", "1").unset("ignored") };
      const filled = state.split(",").reduce((all, entry) => all.set(entry.split("=")[0]!, entry.split("=")[1]!), around.traceState);
      await context.with(trace.setSpanContext(context.active(), { ...around, traceState: filled }), () => outbox.enqueueAlone(work, {}));
      expect((await stored())[0]?.tracestate).toBe(expected);
    }
  });
});

describe("the log", () => {
  it("has the trace and the span on each line about an attempt, and never a payload", async () => {
    const stderr = new PassThrough();
    const log = createLog({ level: "debug", format: "json", stderr });
    const logged = createOutbox({ connection: test.url, onEvent: logEvents(log) });
    await tracing.within("request", () => logged.enqueueAlone(work, { secret: "canary" } as never));
    await logged.drain({
      handlers: [
        worksBy((_, ctx) => {
          ctx.log.info("half way");
          throw new FinalError("no");
        }),
      ],
    });
    await logged.close();
    await log.flush();
    stderr.end();
    const written = await text(stderr);
    const lines = written.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ job }) => job !== undefined);
    const { traceId, spanId } = tracing.span("run work").spanContext();
    expect(lines.map(({ event, trace_id, span_id }) => [event, trace_id, span_id])).toEqual([["job_logged", traceId, spanId], ["job_dead", traceId, spanId]]);
    expect(written).not.toContain("canary");
  });

  it("has no such fields when nothing is traced", async () => {
    tracing.unregister();
    const stderr = new PassThrough();
    const log = createLog({ level: "info", format: "json", stderr });
    const logged = createOutbox({ connection: test.url, onEvent: logEvents(log) });
    await logged.enqueueAlone(work, {});
    await logged.drain({ handlers: [none] });
    await logged.close();
    await log.flush();
    stderr.end();
    expect(await text(stderr)).not.toMatch(/trace_id|span_id/);
    tracing = traced();
  });
});

describe("without", () => {
  it("tracing: false there are no spans and nothing is stored", async () => {
    const untraced = createOutbox({ connection: test.url, tracing: false });
    await tracing.within("request", () => untraced.enqueueAlone(work, {}));
    await untraced.drain({ handlers: [none] });
    await untraced.close();
    expect(tracing.spans().map(({ name }) => name)).toEqual(["request"]);
    expect(await stored()).toMatchObject([{ traceparent: null }]);
  });

  it("an SDK nothing is stored; one that is registered later is found", async () => {
    tracing.unregister();
    await outbox.enqueueAlone(work, {});
    await drain(none);
    expect(await stored()).toMatchObject([{ traceparent: null }]);
    tracing = traced();
    await tracing.within("request", () => outbox.enqueueAlone(work, {}));
    await drain(none);
    expect(tracing.spans().map(({ name }) => name)).toEqual(["enqueue work", "request", "run work"]);
  });
});
