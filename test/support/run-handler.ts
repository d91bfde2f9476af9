// Calls a handler the way a worker does, without a database: checked payload, a context with a signal, a log in memory.
// The tests of src/handlers use it; what the engine adds around a handler is tested in test/outbox.

import type { AttemptEnded } from "../../src/outbox/attempt.ts";
import { Attempt } from "../../src/outbox/attempt.ts";
import { Context } from "../../src/outbox/context.ts";
import type { Handler, JobContext } from "../../src/outbox/define.ts";
import { FinalError, PayloadError } from "../../src/outbox/errors.ts";
import type { Emit } from "../../src/outbox/events.ts";
import type { ClaimedJob } from "../../src/outbox/job.ts";
import type { JobWrites } from "../../src/outbox/job-writes.ts";
import { checkPayload } from "../../src/outbox/schema.ts";

export interface LogLine {
  readonly level: "info" | "warn";
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

export interface RunOptions {
  /** Default: 1. */
  readonly attempt?: number;
  /** Also the idempotency key. Default: the same UUID every time. */
  readonly jobId?: string;
  readonly signal?: AbortSignal;
  /** Gets what the handler logs. */
  readonly log?: LogLine[];
}

const defaultJobId = "0198f2c4-6f00-7000-8000-000000000001";
const timeLimitMs = 120_000;

/**
 * Runs `handler` once and gives back what it returned. The payload goes through JSON, as it does through the table,
 * and through the contract's schema; one that does not fit is a FinalError with the path and the schema's message.
 */
export async function runHandler(handler: Handler, payload: unknown, options: RunOptions = {}): Promise<unknown> {
  const stored: unknown = JSON.parse(JSON.stringify(payload));
  return await handler.run(checked(handler, stored), contextFor(handler, stored, options));
}

function checked(handler: Handler, payload: unknown): unknown {
  try {
    return checkPayload(handler.contract, payload);
  } catch (error) {
    if (error instanceof PayloadError) throw new FinalError(error.message, { cause: error });
    throw error;
  }
}

function contextFor(handler: Handler, payload: unknown, options: RunOptions): JobContext {
  const { attempt = 1, jobId = defaultJobId, signal, log = [] } = options;
  const { type, version, maxAttempts } = handler.contract;
  const now = new Date();
  const job: ClaimedJob = {
    ...{ id: jobId, type, payload, version, attempt, maxAttempts, priority: 0, owner: null, orderingKey: null, lastError: null, suspect: false, checkpoint: null },
    ...{ runAt: now, createdAt: now, startedAt: now, lease: { jobId, worker: "0198f2c4-6f00-7000-8000-00000000000f", token: attempt } },
  };
  const own = new Attempt();
  const end = () => own.end(signal?.reason as AttemptEnded);
  if (signal?.aborted === true) end();
  signal?.addEventListener("abort", end, { once: true });
  const emit: Emit = (event) => {
    if (event.event === "job_logged") log.push({ level: event.level, message: event.message, fields: event.fields });
  };
  return new Context(job, own, timeLimitMs, { writes: needingDatabase, emit });
}

const refuse = (name: string) => () => Promise.reject(new Error(`This handler called ctx.${name}, which needs a database: test it with a real outbox.`));
const needingDatabase: JobWrites = { complete: refuse("complete"), progress: refuse("progress"), checkpoint: refuse("checkpoint"), checkpointIn: refuse("checkpoint"), effect: refuse("effect") };
