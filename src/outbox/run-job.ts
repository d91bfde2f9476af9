// Runs one claimed job under its limits and decides what the attempt came to. It writes nothing: settle.ts does.

import { setTimeout as sleep } from "node:timers/promises";
import type { EndOfAttempts } from "./attempt.ts";
import { Attempt, AttemptEnded } from "./attempt.ts";
import { backoffMs } from "./backoff.ts";
import { Context, resultJson } from "./context.ts";
import type { Contract, Handler } from "./define.ts";
import { FinalError, isA, LeaseLostError, PayloadError, PayloadTooLargeError, RetryAfter } from "./errors.ts";
import type { Emit } from "./events.ts";
import type { Conceal } from "./failure.ts";
import { askable, concealNothing, failureOf } from "./failure.ts";
import type { ClaimedJob, Failure, Outcome } from "./job.ts";
import type { JobWrites } from "./job-writes.ts";
import { payloadOf } from "./schema.ts";
import type { Tracing } from "./tracing.ts";

/** How long a commit that is under way is waited for when the attempt has been ended. */
const commitGraceMs = 5000;

export interface RunJobOptions {
  readonly handler: Handler;
  /** Ends all attempts of a worker from outside. */
  readonly end: EndOfAttempts;
  /** This one attempt, for who wants to end it alone. */
  readonly attempt?: Attempt;
  readonly writes: JobWrites;
  readonly emit: Emit;
  /** Null, or nothing: it is not traced. */
  readonly tracing?: Tracing | null;
  /** Keeps secrets out of what is stored of a failure. Default: nothing is taken for one. */
  readonly conceal?: Conceal;
}

/** Never throws, and always comes back: at the latest when the time limit has passed, even if the handler never settles. */
export function runJob(job: ClaimedJob, options: RunJobOptions): Promise<Outcome> {
  const { tracing = null } = options;
  return tracing === null ? runAttempt(job, options) : tracing.run(job, () => runAttempt(job, options));
}

async function runAttempt(job: ClaimedJob, options: RunJobOptions): Promise<Outcome> {
  const { contract } = options.handler;
  const shown = (error: unknown) => failureOf(error, (text, ...from) => (options.conceal ?? concealNothing)(text, job.payload, ...from));
  if (options.end.reason !== null) return failed(job, contract, options.end.reason, shown);
  const { timeoutMs } = contract;
  const { attempt = new Attempt() } = options;
  const context = new Context(job, attempt, timeoutMs, options);
  const unlisten = options.end.listen((reason) => attempt.end(reason));
  let timer: NodeJS.Timeout | undefined;
  try {
    const payload = payloadOf(contract, job);
    timer = setTimeout(() => attempt.end(new AttemptEnded("timed_out", `the attempt took longer than its limit of ${timeoutMs} ms`)), timeoutMs);
    const result = await attempt.orEnd((async () => options.handler.run(payload, context))());
    if (context.completing !== null) {
      // Also when the handler has forgotten to await it, or to pass its error on: the job is done by it or not at all.
      await attempt.orEnd(context.completing);
      if (!context.completed) throw context.completionError;
      return { kind: "completed" };
    }
    if (context.snoozedMs !== null) return { kind: "snoozed", delayMs: context.snoozedMs };
    return { kind: "done", result: resultJson(job, result) };
  } catch (thrown) {
    const error = askable(thrown);
    // A commit that was under way when the time was up may well succeed: then the job is done, and nothing else is true.
    if (context.completing !== null) await Promise.race([context.completing, sleep(commitGraceMs, undefined, { ref: false })]);
    if (context.completed) {
      if (!(error instanceof AttemptEnded)) options.emit({ event: "job_failed_after_completion", job, failure: shown(error) });
      return { kind: "completed" };
    }
    if (context.snoozedMs !== null && !(error instanceof AttemptEnded)) return { kind: "snoozed", delayMs: context.snoozedMs };
    return failed(job, contract, error, shown);
  } finally {
    clearTimeout(timer);
    unlisten();
  }
}

function failed(job: ClaimedJob, contract: Contract, error: unknown, shown: (error: unknown) => Failure): Outcome {
  if (error instanceof AttemptEnded && error.why === "stopping") return { kind: "released" };
  if (error instanceof AttemptEnded && error.why === "cancelled") return { kind: "cancelled" };
  if ((error instanceof AttemptEnded && error.why === "lease_lost") || error instanceof LeaseLostError) return { kind: "lost" };

  const timedOut = error instanceof AttemptEnded;
  const failure = shown(error);
  // A payload that does not fit, or a result that cannot be stored, would be the same next time.
  const final = isA(error, FinalError) || error instanceof PayloadError || error instanceof PayloadTooLargeError;
  if (final || job.attempt >= job.maxAttempts) return { kind: "dead", failure, timedOut, final };

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
