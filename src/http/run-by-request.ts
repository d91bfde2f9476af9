// Runs what a request to /api/jobs/process has asked for, within its time, and waits for the job that it names.

import { durationMs } from "../outbox/duration.ts";
import type { DrainOptions, DrainReport } from "../outbox/drain.ts";
import { added } from "../outbox/drain.ts";
import type { JobDetails } from "../outbox/inspect-jobs.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { typeOf } from "../outbox/registry.ts";
import type { ScheduleDeclaration } from "../outbox/schedule.ts";
import { Problem } from "./problem.ts";
import type { Answer } from "./route.ts";
import type { Redact } from "./routes/job.ts";
import { endOf } from "./routes/job.ts";

export interface ProcessParts {
  readonly outbox: Outbox;
  readonly redact: Redact;
  /** None: nothing is run here. */
  readonly handlers: readonly HandlerEntry[];
  readonly schedules: readonly ScheduleDeclaration[];
  readonly concurrency: number;
  /** The longest that one request runs jobs, and how long it does unless told otherwise. */
  readonly maxTimeMs: number;
  readonly graceMs: number;
  /** Aborted: the server is stopping. */
  readonly stop: AbortSignal | undefined;
  readonly stats: () => Promise<unknown>;
}

/** As routes/process.ts has checked it. */
export interface Wanted {
  readonly action?: "process-type" | "process-batch" | "drain" | undefined;
  readonly type?: string;
  readonly types?: readonly string[] | undefined;
  readonly limit?: number | undefined;
  readonly maxTime?: number | string | undefined;
  readonly exclusive?: boolean | undefined;
  readonly waitForJobId?: string | undefined;
}

export async function runByRequest(parts: ProcessParts, wanted: Wanted): Promise<Answer> {
  const endsAt = performance.now() + timeOf(parts, wanted);
  const action = wanted.action ?? "drain";
  const known = parts.handlers.map(typeOf);
  const asked = wanted.type === undefined ? wanted.types : [wanted.type];
  const unknown = asked?.find((each) => !known.includes(each));
  if (unknown !== undefined) throw new Problem("invalid_request", `Expected types that have a handler here (${known.join(", ")}), got ${JSON.stringify(unknown)}.`, { path: wanted.type === undefined ? "types" : "type" });
  const awaited = wanted.waitForJobId === undefined ? null : await jobOf(parts.outbox, wanted.waitForJobId);
  const ran = action === "process-batch" ? await eachOf(parts, asked ?? known, wanted, endsAt) : { report: await drain(parts, wanted, endsAt, asked) };
  if (ran.report.stopReason === "locked") throw new Problem("locked", "Another exclusive drain runs.", { headers: { "retry-after": "10" } });
  if (awaited === null) return { status: 200, body: { action, ...ran } };
  const { id, status, result, lastError } = await endOf(parts.outbox, awaited, Math.max(0, endsAt - performance.now()));
  return { status: 200, body: { action, ...ran, job: { id, status, result: parts.redact(result), lastError } } };
}

function timeOf({ maxTimeMs }: ProcessParts, { maxTime }: Wanted): number {
  return maxTime === undefined ? maxTimeMs : Math.min(durationMs(maxTime, "maxTime"), maxTimeMs);
}

/** One type after the other, each with its own limit, until the time is over. */
async function eachOf(parts: ProcessParts, asked: readonly string[], wanted: Wanted, endsAt: number): Promise<{ report: DrainReport; byType: Record<string, DrainReport> }> {
  const reports: [string, DrainReport][] = [];
  for (const each of new Set(asked)) {
    const report = await drain(parts, wanted, endsAt, [each]);
    reports.push([each, report]);
    if (["locked", "max_time", "signal"].includes(report.stopReason)) break;
  }
  return { report: sumOf(reports.map(([, report]) => report)), byType: Object.fromEntries(reports) };
}

function drain({ outbox, handlers, schedules, concurrency, graceMs, stop }: ProcessParts, { limit, exclusive = false }: Wanted, endsAt: number, asked: readonly string[] | undefined): Promise<DrainReport> {
  const options: DrainOptions = {
    handlers,
    schedules,
    concurrency,
    grace: graceMs,
    exclusive,
    maxTime: Math.max(1, Math.round(endsAt - performance.now())),
    ...(stop !== undefined && { signal: stop }),
    ...(asked !== undefined && { types: asked }),
    ...(limit !== undefined && { maxJobs: limit }),
  };
  return outbox.drain(options);
}

function sumOf(reports: readonly DrainReport[]): DrainReport {
  const [first, ...others] = reports;
  if (first === undefined) throw new TypeError("a batch has at least one type"); // its schema says so
  return others.reduce((sum, each) => {
    const dueAts = [sum.nextDueAt, each.nextDueAt].filter((at) => at !== null).sort((a, b) => a.getTime() - b.getTime());
    return {
      ...added(sum, each),
      remaining: sum.remaining + each.remaining,
      stopReason: each.stopReason === "empty" ? sum.stopReason : each.stopReason,
      nextDueAt: dueAts[0] ?? null,
      unhandled: [],
      unloadable: [...sum.unloadable, ...each.unloadable],
    };
  }, first);
}

async function jobOf(outbox: Outbox, id: string): Promise<JobDetails> {
  const job = await outbox.get(id);
  if (job !== null) return job;
  throw new Problem("not_found", "There is no such job to wait for: the transaction that enqueued it has not committed, or it was pruned.", { path: "waitForJobId" });
}
