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

/**
 * Ends all attempts of a worker at once. A set of functions and no AbortSignal: a job would otherwise spend more on
 * listening for its end than a short handler takes.
 */
export interface EndOfAttempts {
  readonly reason: AttemptEnded | null;
  /** Called with the reason when it comes. Gives back how to listen no longer. */
  listen(listener: (reason: AttemptEnded) => void): () => void;
}

/** Ended by whichever signal is aborted first; their reasons are AttemptEnded. */
export function endOfAttempts(...signals: readonly AbortSignal[]): EndOfAttempts {
  const listeners = new Set<(reason: AttemptEnded) => void>();
  let reason: AttemptEnded | null = null;
  const end = (signal: AbortSignal) => {
    if (reason !== null) return;
    reason = signal.reason as AttemptEnded; // set by this package alone
    for (const listener of [...listeners]) listener(reason);
  };
  for (const signal of signals) {
    if (signal.aborted) end(signal);
    else signal.addEventListener("abort", () => end(signal), { once: true });
  }
  return {
    get reason() {
      return reason;
    },
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** One attempt's own end: its time limit, or the end of all. Its signal is made when the handler asks for it. */
class Attempt {
  reason: AttemptEnded | null = null;
  /** Told of the end; set by whoever waits for it. */
  onEnd: (reason: AttemptEnded) => void = () => undefined;
  #controller: AbortController | null = null;

  end(reason: AttemptEnded): void {
    if (this.reason !== null) return;
    this.reason = reason;
    this.#controller?.abort(reason);
    this.onEnd(reason);
  }

  /** What `work` comes to, or the reason of the attempt's end if that is sooner. */
  orEnd<Value>(work: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      this.onEnd = reject;
      if (this.reason !== null) reject(this.reason);
      work.then(resolve, reject); // when the attempt has ended first, what it still comes to is of no interest
    });
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.reason !== null) this.#controller.abort(this.reason);
    return this.#controller.signal;
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
  /** Ends the attempt from outside. */
  readonly end: EndOfAttempts;
  /** Runs `work` and the fenced completion in one transaction; throws LeaseLostError when the fence no longer holds. */
  readonly complete: <Value>(job: ClaimedJob, work: (tx: Transaction) => Promise<{ value: Value; result: string | null }>) => Promise<Value>;
  readonly emit: Emit;
}

/** Never throws, and always comes back: at the latest when the time limit has passed, even if the handler never settles. */
export async function runJob(job: ClaimedJob, options: RunJobOptions): Promise<Outcome> {
  const { contract } = options.handler;
  const completion: Completion = { running: null, done: false, error: null };
  if (options.end.reason !== null) return failed(job, contract, options.end.reason);
  const attempt = new Attempt();
  const unlisten = options.end.listen((reason) => attempt.end(reason));
  let timer: NodeJS.Timeout | undefined;
  try {
    const payload = checkPayload(contract, job.payload);
    const { timeoutMs } = contract;
    timer = setTimeout(() => attempt.end(new AttemptEnded("timed_out", `the attempt took longer than its limit of ${timeoutMs} ms`)), timeoutMs);
    const context = contextOf(job, attempt, timeoutMs, options, completion);
    const result = await attempt.orEnd((async () => options.handler.run(payload, context))());
    if (completion.running !== null) {
      // Also when the handler has forgotten to await it, or to pass its error on: the job is done by it or not at all.
      await attempt.orEnd(completion.running);
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
    unlisten();
  }
}

function resultJson({ type }: ClaimedJob, result: unknown): string | null {
  return result === undefined ? null : toJson(type, result, "the handler's result", maxResultBytes);
}

function contextOf(job: ClaimedJob, attempt: Attempt, timeoutMs: number, { complete, emit }: RunJobOptions, completion: Completion): JobContext {
  const endsAt = Date.now() + timeoutMs;
  const log = (level: "info" | "warn") => (message: string, fields: Record<string, unknown> = {}) => {
    emit({ event: "job_logged", job, level, message, fields });
  };
  return {
    job,
    attempt: job.attempt,
    maxAttempts: job.maxAttempts,
    idempotencyKey: job.id,
    lastError: job.lastError,
    // What many handlers never ask for is made when they do.
    get signal() {
      return attempt.signal;
    },
    get deadline() {
      return new Date(endsAt);
    },
    get log() {
      return { info: log("info"), warn: log("warn") };
    },
    complete: async (work, result = () => undefined) => {
      if (completion.running !== null) throw new FinalError("ctx.complete was called twice in one attempt; expected once, as the handler's last step.");
      if (attempt.reason !== null) throw attempt.reason;
      const running = complete(job, async (tx) => {
        const value = await work(tx);
        if (attempt.reason !== null) throw attempt.reason;
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
  return { kind: "retried", failure, timedOut, delayMs: asked ?? ownBackoff(contract, job, error), typeWaitsMs: contract.rateLimit === null ? null : asked };
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
