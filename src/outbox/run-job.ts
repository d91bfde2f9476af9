// Runs one claimed job under its limits and decides what the attempt came to. It writes nothing: settle.ts does.

import { setTimeout as sleep } from "node:timers/promises";
import { backoffMs } from "./backoff.ts";
import type { Transaction } from "./database.ts";
import type { Contract, Handler, JobContext } from "./define.ts";
import { FinalError, LeaseLostError, PayloadError, PayloadTooLargeError, RetryAfter } from "./errors.ts";
import type { Emit } from "./events.ts";
import { failureOf } from "./failure.ts";
import type { ClaimedJob, Outcome } from "./job.ts";
import { toJson } from "./payload.ts";
import { checkPayload } from "./schema.ts";

/** Largest result, in bytes of its JSON text as UTF-8. */
export const maxResultBytes = 64 * 1024;

/** Why an attempt is ended from outside. The reason of the abort, so that handlers and their libraries see it too. */
export class AttemptEnded extends Error {
  override readonly name = "AttemptEnded";
  readonly why: "timed_out" | "stopping" | "lease_lost";
  constructor(why: AttemptEnded["why"], message: string) {
    super(message);
    this.why = why;
  }
}

/** How long a commit that is under way is waited for when the attempt has been ended. */
const commitGraceMs = 5000;

interface Completion {
  /** `ctx.complete`, once it has been called; never rejects. */
  running: Promise<void> | null;
  done: boolean;
  error: unknown;
}

export interface RunJobOptions {
  readonly handler: Handler;
  /** Ends the attempt from outside; its reason is an AttemptEnded. */
  readonly signal: AbortSignal;
  /** Runs `work` and the fenced completion in one transaction; throws LeaseLostError when the fence no longer holds. */
  readonly complete: <Value>(job: ClaimedJob, work: (tx: Transaction) => Promise<{ value: Value; result: string | null }>) => Promise<Value>;
  readonly emit: Emit;
}

/** Never throws, and always comes back: at the latest when the time limit has passed, even if the handler never settles. */
export async function runJob(job: ClaimedJob, options: RunJobOptions): Promise<Outcome> {
  const { contract } = options.handler;
  const completion: Completion = { running: null, done: false, error: null };
  const attempt = new AbortController();
  const end = () => attempt.abort(options.signal.reason);
  let timer: NodeJS.Timeout | undefined;
  try {
    if (options.signal.aborted) throw options.signal.reason as AttemptEnded; // set by this package alone
    options.signal.addEventListener("abort", end, { once: true });
    const ended = whenAborted(attempt.signal);

    const payload = checkPayload(contract, job.payload);
    const { timeoutMs } = contract;
    timer = setTimeout(() => attempt.abort(new AttemptEnded("timed_out", `the attempt took longer than its limit of ${timeoutMs} ms`)), timeoutMs);
    const context = contextOf(job, attempt.signal, timeoutMs, options, completion);
    const running = (async () => options.handler.run(payload, context))();
    running.catch(() => undefined); // when the attempt has ended first, what the handler still throws is of no interest

    const result = await Promise.race([running, ended]);
    if (completion.running !== null) {
      // Also when the handler has forgotten to await it, or to pass its error on: the job is done by it or not at all.
      await Promise.race([completion.running, ended]);
      if (!completion.done) throw completion.error;
      return { kind: "completed" };
    }
    return { kind: "done", result: resultJson(job, result) };
  } catch (error) {
    // A commit that was under way when the time was up may well succeed: then the job is done, and nothing else is true.
    if (completion.running !== null) await Promise.race([completion.running, sleep(commitGraceMs, undefined, { ref: false })]);
    if (completion.done) {
      if (!(error instanceof AttemptEnded)) options.emit({ event: "job_failed_after_completion", job, failure: failureOf(error) });
      return { kind: "completed" };
    }
    return failed(job, contract, error);
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener("abort", end);
  }
}

function resultJson({ type }: ClaimedJob, result: unknown): string | null {
  return result === undefined ? null : toJson(type, result, "the handler's result", maxResultBytes);
}

/** Rejects with the signal's reason once it is aborted. */
function whenAborted(signal: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as AttemptEnded), { once: true });
  });
  aborted.catch(() => undefined); // it may be aborted when nobody races any more
  return aborted;
}

function contextOf(job: ClaimedJob, signal: AbortSignal, timeoutMs: number, { complete, emit }: RunJobOptions, completion: Completion): JobContext {
  const log = (level: "info" | "warn") => (message: string, fields: Record<string, unknown> = {}) => {
    emit({ event: "job_logged", job, level, message, fields });
  };
  return {
    job,
    attempt: job.attempt,
    maxAttempts: job.maxAttempts,
    idempotencyKey: job.id,
    lastError: job.lastError,
    signal,
    deadline: new Date(Date.now() + timeoutMs),
    log: { info: log("info"), warn: log("warn") },
    complete: async (work, result = () => undefined) => {
      if (completion.running !== null) throw new FinalError("ctx.complete was called twice in one attempt; expected once, as the handler's last step.");
      signal.throwIfAborted();
      const running = complete(job, async (tx) => {
        const value = await work(tx);
        signal.throwIfAborted();
        return { value, result: resultJson(job, result(value)) };
      });
      completion.running = running.then(
        () => void (completion.done = true),
        (error: unknown) => void (completion.error = error),
      );
      return await running;
    },
  };
}

function failed(job: ClaimedJob, contract: Contract, error: unknown): Outcome {
  if (error instanceof AttemptEnded && error.why === "stopping") return { kind: "released" };
  if ((error instanceof AttemptEnded && error.why === "lease_lost") || error instanceof LeaseLostError) return { kind: "lost" };

  const timedOut = error instanceof AttemptEnded;
  const failure = failureOf(error);
  // A payload that does not fit, or a result that cannot be stored, would be the same next time.
  const final = isA(error, FinalError) || error instanceof PayloadError || error instanceof PayloadTooLargeError;
  if (final || job.attempt >= job.maxAttempts) return { kind: "dead", failure, timedOut };

  const asked = isA(error, RetryAfter) && "delayMs" in error && typeof error.delayMs === "number" ? error.delayMs : null;
  return { kind: "retried", failure, timedOut, delayMs: asked ?? ownBackoff(contract, job, error) };
}

/** The contract's backoff may be the app's own function; when that throws, the default serves. */
function ownBackoff(contract: Contract, job: ClaimedJob, error: unknown): number {
  try {
    return backoffMs(contract.retry, job.attempt, error);
  } catch {
    return backoffMs({}, job.attempt, error);
  }
}

/** By name as well, because an app's handlers may throw the class of another copy of this package. */
function isA(error: unknown, kind: typeof FinalError | typeof RetryAfter): error is Error {
  return error instanceof kind || (error instanceof Error && error.name === kind.name);
}
