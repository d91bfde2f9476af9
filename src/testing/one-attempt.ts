// One attempt at a job that is in no table. What decides is the engine's own run-job.ts; only what an attempt writes is kept
// in memory (memory-writes.ts).

import type { EndOfAttempts } from "../outbox/attempt.ts";
import { AttemptEnded, endOfAttempts } from "../outbox/attempt.ts";
import type { Contract, Handler } from "../outbox/define.ts";
import { durationMs } from "../outbox/duration.ts";
import type { ClaimedJob, Outcome } from "../outbox/job.ts";
import { toJson } from "../outbox/payload.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { runJob as runAttempt } from "../outbox/run-job.ts";
import { uuid7 } from "../outbox/uuid.ts";
import { recording } from "../service/replay/recording.ts";
import type { Kept } from "./memory-writes.ts";
import { memoryWrites } from "./memory-writes.ts";
import type { JobRun, LoggedLine, RunJobOptions } from "./run-job.ts";
import { errorOf } from "./thrown.ts";

/** runJob, for one of several attempts, which share what is `kept`. */
export async function runKept(entry: HandlerEntry, payload: unknown, options: RunJobOptions, kept: Kept): Promise<JobRun> {
  const handler = "load" in entry ? await entry.load() : entry;
  const { timeout, tx, signal } = options;
  const contract: Contract = { ...handler.contract, ...(timeout === undefined ? {} : { timeoutMs: durationMs(timeout, "timeout") }) };
  const job = aJob(contract, JSON.parse(toJson(contract.type, payload)), { createdAt: kept.createdAt, ...options });
  const logs: LoggedLine[] = [];
  const thrown: unknown[] = [];
  const watched: Handler = {
    contract,
    async run(output, handed) {
      try {
        return await handler.run(output, recording(handed, kept.enqueued));
      } catch (error) {
        thrown.push(error);
        throw error;
      }
    },
  };
  const outcome = await runAttempt(job, {
    handler: watched,
    end: endedBy(signal),
    writes: memoryWrites(kept, tx),
    emit(event) {
      if (event.event === "job_logged") logs.push({ level: event.level, message: event.message, fields: event.fields });
    },
  });
  if (kept.mistake !== null) throw kept.mistake;
  const { enqueued, progress, checkpoint } = kept;
  return { ...cameTo(outcome, thrown, kept.result), logs, enqueued: [...enqueued], progress: [...progress], checkpoint, idempotencyKey: job.id };
}

function aJob(contract: Contract, payload: unknown, { attempt = 1, jobId = uuid7(), createdAt = new Date(), ...options }: RunJobOptions): ClaimedJob {
  return {
    id: jobId,
    type: contract.type,
    payload,
    priority: 0,
    attempt,
    maxAttempts: options.maxAttempts ?? contract.maxAttempts,
    runAt: createdAt,
    createdAt,
    startedAt: new Date(),
    owner: options.owner ?? null,
    orderingKey: null,
    lastError: options.lastError ?? null,
    suspect: false,
    checkpoint: options.checkpoint ?? null,
    version: options.version ?? contract.version,
    lease: { jobId, worker: uuid7(), token: attempt },
  };
}

function endedBy(signal: AbortSignal | undefined): EndOfAttempts {
  const stop = new AbortController();
  const end = () => stop.abort(new AttemptEnded("stopping", "the worker is stopping"));
  if (signal?.aborted === true) end();
  signal?.addEventListener("abort", end, { once: true });
  return endOfAttempts(stop.signal);
}

function cameTo(outcome: Outcome, thrown: readonly unknown[], completedWith: string | null): Pick<JobRun, "outcome" | "result" | "error" | "delayMs"> {
  const nothing = { result: null, error: null, delayMs: null };
  switch (outcome.kind) {
    case "done":
      return { ...nothing, outcome: "done", result: parsed(outcome.result) };
    case "completed":
      return { ...nothing, outcome: "done", result: parsed(completedWith), error: thrown[0] ?? null };
    case "retried":
    case "dead": {
      const { kind, failure, timedOut } = outcome;
      // What a handler throws because its time was up is not what ended it.
      const error = thrown.length > 0 && !timedOut ? thrown[0] : errorOf(failure);
      return { ...nothing, outcome: kind, error, delayMs: outcome.kind === "retried" ? outcome.delayMs : null };
    }
    case "snoozed":
      return { ...nothing, outcome: "snoozed", delayMs: outcome.delayMs };
    case "released":
    case "cancelled":
    case "lost":
      return { ...nothing, outcome: outcome.kind, error: thrown[0] ?? null };
  }
}

function parsed(json: string | null): unknown {
  return json === null ? null : JSON.parse(json);
}
