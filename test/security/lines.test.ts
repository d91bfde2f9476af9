// What a line of the log or of a metric holds from data stays within its line, and within its field.
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import type { OutboxEvent } from "../../src/index.ts";
import type { ClaimedJob } from "../../src/outbox/job.ts";
import { createLog } from "../../src/service/log.ts";
import { logEvents } from "../../src/service/log-events.ts";

const hostile = ["two\nlines", "\r\n2026-01-01T00:00:00.000Z info  all is well", "\u001b[2J\u001b]0;title\u0007", '","level":60,"msg":"forged"}\n{"a":"', "\u202egnihton", "\u0000\u0085\u2028\u2029", "%s %o %d", "__proto__", "\u009b31m"];

function jobOf(type: string): ClaimedJob {
  const now = new Date();
  const id = "0198f2c4-6f00-7000-8000-000000000001";
  return {
    ...{ id, type, payload: {}, version: 1, attempt: 1, maxAttempts: 3, priority: 0, owner: null, orderingKey: null, lastError: null, suspect: false, checkpoint: null },
    ...{ runAt: now, createdAt: now, startedAt: now, lease: { jobId: id, worker: id, token: 1 } },
  };
}

const eventsOf = (odd: string): OutboxEvent[] => {
  const job = jobOf(odd);
  const failure = { errorClass: odd, message: odd, stack: odd };
  return [
    { event: "job_done", job, durationMs: 1 },
    { event: "job_retried", job, durationMs: 1, failure, delayMs: 1, timedOut: false },
    { event: "job_dead", job, durationMs: 1, message: odd },
    { event: "job_logged", job, level: "warn", message: odd, fields: { [odd]: odd, level: "forged", job: "forged", time: "forged", nested: [{ [odd]: odd }] } },
    { event: "handler_not_loaded", type: odd, error: new Error(odd) },
    { event: "schedule_failed", schedule: odd, error: odd },
    { event: "database_failed", doing: odd, error: new Error(odd), retryInMs: null },
  ];
};

async function logged(format: "json" | "text", events: readonly OutboxEvent[]): Promise<string[]> {
  const stderr = new PassThrough();
  const written = text(stderr);
  const log = createLog({ level: "debug", format, stderr });
  for (const event of events) logEvents(log)(event);
  await log.flush();
  stderr.end();
  return (await written).split("\n").filter((line) => line !== "");
}

describe.each(hostile.map((odd) => [JSON.stringify(odd), odd] as const))("%s as a type, an error, a message and a field", (_name, odd) => {
  it("is one line of text each, which no terminal obeys", async () => {
    const events = eventsOf(odd);
    const lines = await logged("text", events);
    expect(lines.length).toBe(events.length);
    for (const line of lines) {
      expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z (?:debug|info|warn|error) /);
      expect(line).not.toMatch(/[\p{Cc}\u2028\u2029\u202e]/u);
    }
  });

  it("is one line of JSON each, with the job's own name in it", async () => {
    const events = eventsOf(odd);
    const lines = (await logged("json", events)).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ event }) => event)).toEqual(events.map(({ event }) => event));
    for (const { type, job } of lines.filter(({ job }) => job !== undefined)) expect([type, job]).toEqual([odd, jobOf("").id]);
    expect(({} as Record<string, unknown>).forged).toBeUndefined();
  });
});
