// Writes what run-job.ts has decided, fenced, and says what came of it. It decides nothing.

import type { Database, InTransaction, Sql, Transaction } from "./database.ts";
import { sqlOf } from "./database.ts";
import { LeaseLostError } from "./errors.ts";
import type { Emit } from "./events.ts";
import { failureOf } from "./failure.ts";
import type { ClaimedJob, Failure, Outcome } from "./job.ts";
import { blockType } from "./store/limits.ts";
import type { Settlement } from "./store/settle.ts";
import { findSettled, settleJobs } from "./store/settle.ts";
import { spanOf } from "./tracing.ts";
import { isTransient, withRetry } from "./transient.ts";

export interface Finished {
  readonly job: ClaimedJob;
  readonly outcome: Outcome;
  readonly durationMs: number;
}

/** What became of the jobs that one drain or worker has run. */
export interface Tally {
  done: number;
  retried: number;
  dead: number;
  released: number;
  /** By somebody, while they ran. */
  cancelled: number;
  lost: number;
}

export interface Settler {
  /** Writes the outcomes, tells of them, and comes back. Throws what does not pass and is no single outcome's fault. `answerLost`: an earlier try may have written them already. */
  settle(batch: readonly Finished[], answerLost?: boolean): Promise<void>;
  /** Tells of outcomes that have been written already, except those that are `lost`. */
  report(batch: readonly Finished[], lost: ReadonlySet<string>): void;
  readonly tally: Tally;
}

/** `onGivenUp`: what could not be written in `retryForMs` is left to others, who have to be able to take it. */
export function createSettler(database: Database, emit: Emit, retryForMs: number, onGivenUp: () => void = () => undefined): Settler {
  const tally: Tally = { done: 0, retried: 0, dead: 0, released: 0, cancelled: 0, lost: 0 };
  return {
    tally,
    async settle(batch, answerLost = false) {
      const stands = await write(database, emit, batch, { retryForMs, onGivenUp, answerLost });
      for (const finished of batch) report(finished, stands.get(finished.job.id) ?? { kind: "lost" }, tally, emit);
      await blockTypes(database, emit, batch);
    },
    report(batch, lost) {
      for (const finished of batch) report(finished, lost.has(finished.job.id) ? { kind: "lost" } : finished.outcome, tally, emit);
    },
  };
}

/** What a receiver has asked for by Retry-After. The outcomes are written by now: a failure here costs a few early attempts. */
async function blockTypes(database: Database, emit: Emit, batch: readonly Finished[]): Promise<void> {
  for (const { job, outcome } of batch) {
    const waitsMs = outcome.kind === "retried" ? outcome.typeWaitsMs : null;
    if (waitsMs === null) continue;
    await blockType(database, job.type, waitsMs).catch((error: unknown) => emit({ event: "database_failed", doing: "block the type", error, retryInMs: null }));
  }
}

/** The outcome that stands, by the id of the job; a job that is missing was lost. */
async function write(
  database: Database,
  emit: Emit,
  batch: readonly Finished[],
  { retryForMs, onGivenUp, ...before }: { retryForMs: number; onGivenUp: () => void; answerLost: boolean },
): Promise<Map<string, Outcome>> {
  const ended = batch.filter(({ outcome }) => outcome.kind === "completed" || outcome.kind === "cancelled");
  const stands = new Map(ended.map(({ job, outcome }) => [job.id, outcome]));
  const unwritten = batch.filter(({ outcome }) => !isWritten(outcome));
  if (unwritten.length === 0) return stands;

  let { answerLost } = before;
  const attempt = async (some: readonly Finished[]) => {
    const written = await settleJobs(database, some.map(settlementOf));
    // Not written now, but an earlier try's answer was lost: perhaps that try wrote it.
    const open = answerLost ? some.filter(({ job }) => !written.has(job.id)) : [];
    for (const id of open.length > 0 ? await findSettled(database, open.map(settlementOf)) : []) written.add(id);
    for (const { job, outcome } of some) if (written.has(job.id)) stands.set(job.id, outcome);
  };
  const retrying = (some: readonly Finished[]) =>
    withRetry(retryForMs, () => attempt(some), (error, retryInMs) => {
      answerLost = true;
      emit({ event: "database_failed", doing: "settle", error, retryInMs });
    });

  // The database has not taken them for a whole lease: others rescue the jobs.
  const givenUp = () => {
    onGivenUp();
    return stands;
  };
  try {
    await retrying(unwritten);
  } catch (error) {
    if (isTransient(error)) return givenUp();
    // One outcome that cannot be written must not fail the others: each by itself, and the culprit as a dead letter.
    for (const finished of unwritten) {
      try {
        await retrying([finished]);
      } catch (cause) {
        if (isTransient(cause)) return givenUp();
        await retrying([{ ...finished, outcome: unstorable(cause) }]);
      }
    }
  }
  return stands;
}

/** By the handler, by whoever cancelled it, or by the worker that has it now. */
function isWritten({ kind }: Outcome): boolean {
  return kind === "completed" || kind === "cancelled" || kind === "lost";
}

function settlementOf({ job, outcome }: Finished): Settlement {
  const unchanged = { lease: job.lease, delayMs: null, counted: true, result: null, entry: null };
  switch (outcome.kind) {
    case "done":
      return { ...unchanged, status: "done", result: outcome.result };
    case "retried":
      return { ...unchanged, status: "pending", delayMs: outcome.delayMs, entry: entryOf(job, outcome.failure, outcome.timedOut ? "timed_out" : "retried") };
    case "dead":
      return { ...unchanged, status: "error", entry: entryOf(job, outcome.failure, outcome.timedOut ? "timed_out" : "dead") };
    case "snoozed":
      return { ...unchanged, status: "pending", delayMs: outcome.delayMs, counted: false, entry: { outcome: "snoozed", errorClass: null, message: null, stack: null, traceId: traceIdOf(job) } };
    case "released":
      return { ...unchanged, status: "pending", counted: false };
    case "completed":
    case "cancelled":
    case "lost":
      throw new TypeError(`a job that is ${outcome.kind} has nothing to be written`); // write() has left it out
  }
}

function entryOf(job: ClaimedJob, { errorClass, message, stack }: Failure, outcome: "retried" | "dead" | "timed_out"): NonNullable<Settlement["entry"]> {
  return { outcome, errorClass, message, stack, traceId: traceIdOf(job) };
}

function traceIdOf(job: ClaimedJob): string | null {
  return spanOf(job)?.traceId ?? null;
}

function unstorable(cause: unknown): Outcome {
  const { errorClass, message } = failureOf(cause);
  return { kind: "dead", failure: { errorClass, message: `the outcome could not be stored: ${message}`, stack: null }, timedOut: false, final: true };
}

function report({ job, durationMs }: Finished, outcome: Outcome, tally: Tally, emit: Emit): void {
  switch (outcome.kind) {
    case "done":
    case "completed":
      tally.done += 1;
      emit({ event: "job_done", job, durationMs });
      return;
    case "retried":
      tally.retried += 1;
      emit({ event: "job_retried", job, durationMs, failure: outcome.failure, delayMs: outcome.delayMs, timedOut: outcome.timedOut });
      return;
    case "dead":
      tally.dead += 1;
      emit({ event: "job_dead", job, durationMs, message: `${outcome.failure.errorClass}: ${outcome.failure.message}` });
      return;
    case "snoozed":
      tally.released += 1;
      emit({ event: "job_snoozed", job, durationMs, delayMs: outcome.delayMs });
      return;
    case "released":
      tally.released += 1;
      emit({ event: "job_released", job });
      return;
    case "cancelled":
      tally.cancelled += 1;
      emit({ event: "job_cancelled", job, durationMs });
      return;
    case "lost":
      tally.lost += 1;
      emit({ event: "job_lost", job });
      return;
  }
}

/**
 * `ctx.complete`: the handler's writes and the fenced completion in one transaction. A fence that no longer holds
 * throws and rolls back. When the answer to the commit is lost, the job itself is asked whether it was committed.
 */
export async function completeJob<Value>(
  sql: Sql,
  inTransaction: InTransaction,
  job: ClaimedJob,
  work: (tx: Transaction) => Promise<{ value: Value; result: string | null }>,
): Promise<Value> {
  const done: Settlement = { lease: job.lease, status: "done", delayMs: null, counted: true, result: null, entry: null };
  const written: { value: Value }[] = [];
  try {
    return await inTransaction(async (tx) => {
      const { value, result } = await work(tx);
      if (!(await settleJobs(sqlOf(tx), [{ ...done, result }])).has(job.id)) throw new LeaseLostError(job.id);
      written.push({ value });
      return value;
    });
  } catch (error) {
    const [last] = written;
    if (last === undefined) throw error;
    // Whatever failed, failed at the commit.
    const found = await withRetry(10_000, () => findSettled(sql, [done]), () => undefined);
    if (found.has(job.id)) return last.value;
    throw error;
  }
}
