// Calls a handler the way a worker does, without a database: checked payload, a context with a signal, a log in memory.
// The tests of src/handlers use it; what the engine adds around a handler is tested in test/outbox.

import type { Handler, JobContext } from "../../src/outbox/define.ts";
import { FinalError, PayloadError } from "../../src/outbox/errors.ts";
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
  const { attempt = 1, jobId = defaultJobId, signal = new AbortController().signal, log = [] } = options;
  const now = new Date();
  return {
    job: {
      id: jobId,
      type: handler.contract.type,
      payload,
      priority: 0,
      attempt,
      maxAttempts: handler.contract.maxAttempts,
      runAt: now,
      createdAt: now,
      startedAt: now,
      owner: null,
      orderingKey: null,
      lastError: null,
      suspect: false,
      lease: { jobId, worker: "0198f2c4-6f00-7000-8000-00000000000f", token: attempt },
    },
    attempt,
    maxAttempts: handler.contract.maxAttempts,
    idempotencyKey: jobId,
    lastError: null,
    signal,
    deadline: new Date(now.getTime() + timeLimitMs),
    log: {
      info: (message, fields = {}) => log.push({ level: "info", message, fields }),
      warn: (message, fields = {}) => log.push({ level: "warn", message, fields }),
    },
    complete: () => Promise.reject(new Error("This handler called ctx.complete, which needs a database: test it with a real outbox.")),
  };
}
