// Handlers that take several jobs of one type in one call: a mail provider's bulk endpoint, one insert for many rows.
// Claims, leases, time limits and settlements stay those of single jobs; only the call is shared.

import { setImmediate as turnOfTheEventLoop } from "node:timers/promises";
import type { Contract, Handler, JobContext } from "./define.ts";
import { OutboxError } from "./errors.ts";

/** One job of a batch: its payload, and the context that a handler of single jobs would be given. */
export interface JobOfMany<Output> {
  readonly payload: Output;
  readonly context: JobContext;
}

export interface HandleManyOptions {
  /** Jobs in one call, at most. A worker gathers no more than its concurrency leaves room for. Default: 20. */
  readonly max?: number;
}

interface Call {
  readonly job: JobOfMany<unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Joins a contract and a function that does the work of up to `max` jobs at once: those that begin together. It gives
 * back an outcome for each, in their order: an Error for a job that failed (as if it had been thrown: FinalError,
 * RetryAfter and the contract's retries apply to that job alone), anything else as the job's result; or nothing at all,
 * and all are done. What it throws fails all of them.
 */
export function handleMany<Input, Output>(
  contract: Contract<Input, Output>,
  run: (jobs: readonly JobOfMany<Output>[]) => Promise<readonly unknown[] | undefined>,
  { max = 20 }: HandleManyOptions = {},
): Handler {
  if (!Number.isInteger(max) || max < 1 || max > 10_000) {
    throw new OutboxError("INVALID_OPTION", `Expected max of the handler of "${contract.type}" to be a whole number from 1 to 10000, got ${max}.`);
  }
  let gathered: Call[] = [];

  function begin(): void {
    const calls = gathered;
    gathered = [];
    // Sound, because run-job.ts calls it only with what this very contract's schema has returned.
    void settle(calls, (jobs) => run(jobs as readonly JobOfMany<Output>[]));
  }

  return {
    contract: contract,
    run: (payload, context) =>
      new Promise((resolve, reject) => {
        gathered.push({ job: { payload, context }, resolve, reject });
        if (gathered.length === max) begin();
        // Jobs that begin together do so in one turn of the event loop.
        else if (gathered.length === 1) void turnOfTheEventLoop().then(() => (gathered.length > 0 ? begin() : undefined));
      }),
  };
}

/** Never rejects: every call is told. */
async function settle(calls: readonly Call[], run: (jobs: readonly JobOfMany<unknown>[]) => Promise<readonly unknown[] | undefined>): Promise<void> {
  try {
    const outcomes: unknown = await run(calls.map(({ job }) => job));
    if (outcomes !== undefined && !(Array.isArray(outcomes) && outcomes.length === calls.length)) {
      const got = Array.isArray(outcomes) ? `${outcomes.length}` : typeof outcomes;
      throw new OutboxError("INVALID_OPTION", `Expected the handler to give back nothing, or an array with an outcome for each of its ${calls.length} jobs, got ${got}.`);
    }
    calls.forEach(({ resolve, reject }, nth) => {
      const outcome: unknown = outcomes?.[nth];
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    });
  } catch (error) {
    for (const { reject } of calls) reject(error);
  }
}
