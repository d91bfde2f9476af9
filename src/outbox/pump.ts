// Claim -> run -> settle, over and over: the one loop of the drain (until nothing is due) and the worker (until stopped).
// In order: store/claim.ts takes jobs, run-job.ts runs each, settle.ts writes what became of it.

import { setMaxListeners } from "node:events";
import { jittered } from "./backoff.ts";
import { createBell } from "./bell.ts";
import type { Database } from "./database.ts";
import type { Emit } from "./events.ts";
import { hasSuspects } from "./inspect.ts";
import type { ClaimedJob, Outcome } from "./job.ts";
import type { Registry } from "./registry.ts";
import { AttemptEnded, runJob } from "./run-job.ts";
import type { Session } from "./session.ts";
import { openSession } from "./session.ts";
import type { Tally } from "./settle.ts";
import { completeJob, createSettler } from "./settle.ts";
import type { Claim } from "./store/claim.ts";
import { claimJobs, claimSuspect, unclaim } from "./store/claim.ts";
import { buryWorkers, rescueJobs } from "./store/workers.ts";
import { isTransient, withRetry } from "./transient.ts";

export type StopReason = "empty" | "max_jobs" | "max_time" | "signal";

export interface PumpOptions {
  readonly database: Database;
  readonly registry: Registry;
  /** Jobs taken by one claim, at most. */
  readonly batch: number;
  /** Jobs running at once, at most. */
  readonly concurrency: number;
  readonly leaseMs: number;
  /** Jobs taken altogether, at most. */
  readonly maxJobs: number;
  /** What happens when nothing is due: the drain ends, the worker asks again after about `pollMs`. */
  readonly whenEmpty: "end" | "wait";
  readonly pollMs: number;
  /** How long a database that does not answer is tried again before the pump gives up. */
  readonly patienceMs: number;
  /** Aborted: claim no more, let the running jobs finish. Its reason is the StopReason. */
  readonly stop: AbortSignal;
  /** Aborted: end the running jobs too and give them back. */
  readonly halt: AbortSignal;
  readonly version: string;
  readonly emit: Emit;
}

const rescueBatch = 100;
const suspectPauseMs = 1000;

/** Comes back when it has stopped and everything it ran is settled. */
export async function pump(options: PumpOptions): Promise<{ stopReason: StopReason; tally: Tally }> {
  const { database, registry, batch, concurrency, leaseMs, maxJobs, emit } = options;
  const settler = createSettler(database, emit, leaseMs);
  const running = new Map<string, Promise<void>>();
  const doubtful = new Map<Claim, number>(); // claims whose answer was lost, and when
  let taken = 0;
  const broken: Error[] = []; // outcomes that could not be written, for no reason that passes
  let rescuedAt = Number.NEGATIVE_INFINITY;
  let suspectsSoughtAt = Number.NEGATIVE_INFINITY;

  const trying = <Value>(doing: string, work: () => Promise<Value>) =>
    withRetry(options.patienceMs, work, (error, retryInMs) => emit({ event: "database_failed", doing, error, retryInMs }), options.stop);
  const newSession = () => trying("register", () => openSession(database, { types: registry.types(), leaseMs, version: options.version, emit }));

  async function claim(session: Session, take: (next: Claim) => Promise<ClaimedJob[]>): Promise<ClaimedJob[]> {
    return trying("claim", async () => {
      const next = session.nextClaim(registry.types());
      try {
        await settleDoubts();
        return await take(next);
      } catch (error) {
        if (isTransient(error)) doubtful.set(next, performance.now());
        throw error;
      }
    });
  }

  /** A claim may have been carried out although its answer was lost: what it took is given back, for as long as it might still arrive. */
  async function settleDoubts(): Promise<void> {
    for (const [lostClaim, since] of doubtful) {
      await unclaim(database, lostClaim.worker, lostClaim.token);
      if (performance.now() - since > leaseMs) doubtful.delete(lostClaim);
    }
  }

  /** Looks for suspects now and then. While one waits nothing else is begun, until it has run alone. */
  async function suspectWaits(): Promise<boolean> {
    if (performance.now() - suspectsSoughtAt < suspectPauseMs) return false;
    const waits = await trying("look for suspects", () => hasSuspects(database, registry.types()));
    if (!waits) suspectsSoughtAt = performance.now();
    return waits;
  }

  async function runSuspect(session: Session, attempts: AbortSignal): Promise<void> {
    const suspects = await claim(session, (next) => claimSuspect(database, next));
    for (const job of suspects) begin(job, attempts);
    if (suspects.length === 0) suspectsSoughtAt = performance.now(); // another process is at it
    await settled(running);
  }

  async function rescue(): Promise<void> {
    if (performance.now() - rescuedAt < leaseMs / 3) return;
    for (const { id, host, pid } of await buryWorkers(database)) emit({ event: "worker_buried", worker: id, host, pid });
    for (let found = rescueBatch; found === rescueBatch; ) {
      const { returned, dead } = await rescueJobs(database, rescueBatch);
      found = returned + dead.length;
      if (found > 0) emit({ event: "jobs_rescued", returned, dead: dead.length });
      if (returned > 0) suspectsSoughtAt = Number.NEGATIVE_INFINITY;
      settler.tally.dead += dead.length;
      for (const { id, type, attempt, lastError } of dead) emit({ event: "job_dead", job: { id, type, attempt }, message: lastError });
    }
    rescuedAt = performance.now();
  }

  async function outcomeOf(job: ClaimedJob, signal: AbortSignal): Promise<Outcome> {
    const handler = await registry.handlerOf(job.type, (error) => emit({ event: "handler_not_loaded", type: job.type, error }));
    if (handler === null) return { kind: "released" };
    return runJob(job, { handler, signal, complete: (which, work) => completeJob(database, which, work), emit });
  }

  function begin(job: ClaimedJob, signal: AbortSignal): void {
    taken += 1;
    running.set(job.id, attempt(job, signal));
  }

  /** Never rejects: what could not be settled is kept in `broken`. */
  async function attempt(job: ClaimedJob, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    try {
      const outcome = await outcomeOf(job, signal);
      await settler.settle({ job, outcome, durationMs: performance.now() - startedAt });
    } catch (error) {
      broken.push(error instanceof Error ? error : new Error(String(error)));
    }
    running.delete(job.id);
    bell.ring();
  }

  /** Waits for what still runs. A job whose outcome could not be written makes it an error: ended, others rescue the job. */
  async function ended(stopReason: StopReason): Promise<{ stopReason: StopReason; tally: Tally }> {
    await settled(running);
    const [error] = broken;
    if (error !== undefined) throw error;
    return { stopReason, tally: settler.tally };
  }

  let session = await newSession();
  let attempts = attemptsUnder(session.lost, options.halt);
  const bell = createBell();
  options.stop.addEventListener("abort", bell.ring, { once: true });
  try {
    for (;;) {
      bell.silence(); // what rings from here on may have made room for another claim
      if (broken.length > 0) return await ended("signal"); // which throws
      if (options.stop.aborted) return await ended(options.stop.reason as StopReason); // set by drain.ts and worker.ts alone
      if (taken >= maxJobs) return await ended("max_jobs");
      if (session.lost.aborted) {
        emit({ event: "worker_lost_lease", worker: session.worker, running: running.size });
        await session.close();
        session = await newSession();
        rescuedAt = Number.NEGATIVE_INFINITY; // the jobs of the lost session are the first to be looked for
        attempts = attemptsUnder(session.lost, options.halt);
      }
      await trying("rescue", rescue);
      if (await suspectWaits()) {
        if (running.size > 0) await bell.wait(options.pollMs);
        else await runSuspect(session, attempts);
        continue;
      }
      const room = Math.min(batch, concurrency - running.size, maxJobs - taken);
      const jobs = room > 0 ? await claim(session, (next) => claimJobs(database, next, room)) : [];
      for (const job of jobs) begin(job, attempts);

      if (jobs.length === room && running.size < concurrency) continue;
      if (running.size === 0 && options.whenEmpty === "end") return await ended("empty");
      await bell.wait(jittered(options.pollMs));
    }
  } catch (error) {
    // Told to stop while the database was away: there is nothing left to give back that its lease will not.
    if (options.stop.aborted && isTransient(error)) return await ended(options.stop.reason as StopReason);
    throw error;
  } finally {
    options.stop.removeEventListener("abort", bell.ring);
    await settled(running);
    await session.close();
  }
}

/** One signal for all attempts of a session: ended when the lease is lost or the pump is halted. */
function attemptsUnder(...ends: readonly AbortSignal[]): AbortSignal {
  const attempts = new AbortController();
  setMaxListeners(0, attempts.signal); // one listener for each running job
  for (const end of ends) {
    if (end.aborted) attempts.abort(end.reason);
    end.addEventListener("abort", () => attempts.abort(end.reason), { once: true, signal: attempts.signal });
  }
  return attempts.signal;
}

async function settled(running: ReadonlyMap<string, Promise<void>>): Promise<void> {
  await Promise.all(running.values());
}

/** Halts the attempts under `halt`: their jobs are given back. */
export function haltWith(halt: AbortController, message: string): void {
  halt.abort(new AttemptEnded("stopping", message));
}
