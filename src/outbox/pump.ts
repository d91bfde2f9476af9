// Claim -> run -> settle, over and over: the one loop of the drain (until nothing is due) and the worker (until stopped).
// It decides what to do next and starts it; turns.ts does it, lanes.ts knows where to claim, hands.ts runs the jobs.

import { setImmediate as turnOfTheEventLoop } from "node:timers/promises";
import type { Attempt, EndOfAttempts } from "./attempt.ts";
import { AttemptEnded, endOfAttempts } from "./attempt.ts";
import { createBell } from "./bell.ts";
import { createBreakers } from "./breaker.ts";
import type { Chore } from "./chores.ts";
import { createChores } from "./chores.ts";
import type { Database } from "./database.ts";
import type { Emit } from "./events.ts";
import type { Conceal } from "./failure.ts";
import { createHands } from "./hands.ts";
import type { ClaimedJob, Outcome } from "./job.ts";
import type { JobWrites } from "./job-writes.ts";
import { createLanes } from "./lanes.ts";
import { createLimitedTypes } from "./limited.ts";
import { limitsOf } from "./limits.ts";
import type { Look } from "./look.ts";
import type { Registry } from "./registry.ts";
import { runJob } from "./run-job.ts";
import type { Session } from "./session.ts";
import { openSession } from "./session.ts";
import type { Finished, Tally } from "./settle.ts";
import { createSettler } from "./settle.ts";
import { declareLimits } from "./store/limits.ts";
import type { Tracing } from "./tracing.ts";
import { isTransient, withRetry } from "./transient.ts";
import { createTurns } from "./turns.ts";
import { watchRunning } from "./watch.ts";

export type StopReason = "empty" | "paused" | "max_jobs" | "max_time" | "signal" | "locked";

export interface PumpOptions {
  readonly database: Database;
  readonly writes: JobWrites;
  readonly registry: Registry;
  /** Jobs taken by one claim, at most. */
  readonly batch: number;
  /** Jobs running at once, at most. */
  readonly concurrency: number;
  readonly leaseMs: number;
  /** Jobs taken altogether, at most. */
  readonly maxJobs: number;
  /** What happens when nothing is due: the drain ends, the worker sleeps until the doorbell rings, or for about `pollMs`. */
  readonly whenEmpty: "end" | "sleep";
  /** A worker that has had nothing to do for so long ends. */
  readonly idleTimeoutMs: number;
  readonly pollMs: number;
  /** How long a database that does not answer is tried again before the pump gives up. */
  readonly patienceMs: number;
  readonly chores: readonly Chore[];
  /** Aborted: claim no more, let the running jobs finish. Its reason is the StopReason. */
  readonly stop: AbortSignal;
  /** Aborted: end the running jobs too and give them back. */
  readonly halt: AbortSignal;
  readonly version: string;
  /** Runs nothing while another pump that is exclusive does. */
  readonly exclusive: boolean;
  readonly emit: Emit;
  readonly tracing: Tracing | null;
  readonly conceal: Conceal;
  /** Told whenever it changes what the worker is doing; for probes and beats. */
  readonly onState?: (state: PumpState) => void;
}

export interface PumpState {
  readonly running: number;
  readonly waiting: number;
  readonly tally: Tally;
  /** When the database answered last, as `performance.now()`. */
  readonly answeredAt: number;
}

/** Claims under way at once, at most. */
const maxExchanges = 4;
/** While claims come back full, what may have appeared behind the cursors is looked for so often. */
const busyLookMs = 200;
/** And without any reason so often, so that dead workers are noticed while every slot is taken. */
const quietLookMs = 10_000;
/** The lanes are looked at from their very beginning, and for jobs without a worker, so often, but for no more than a fiftieth of the time. */
const deepLookMs = 5000;
const deepLookShare = 50;
/** However long that takes, it is not put off for longer: the answer may have been late for another reason. */
const maxDeepPauseMs = 15_000;
/** Under load the doorbell is of no use, and while nobody listens it costs nothing. */
const loadMs = 100;
/** After a load, what was enqueued while nobody listened is looked for at first after this time, then twice as much, and so on. */
const afterglowMs = 10;
/** A drain waits this long for a token of a rate limit; for more it leaves the jobs to the next drain. */
const drainWaitsMs = 2000;
/** A type with jobs of a newer version is left to other workers, newer ones, for so long. */
const newerLeftMs = 30_000;
/** What could not be done just now, because somebody else holds a row, is not tried again before. */
const dutyPauseMs = 1000;

/** Comes back when it has stopped and everything it ran is settled. */
export function pump(options: PumpOptions): Promise<{ stopReason: StopReason; tally: Tally }> {
  const { tracing } = options;
  return tracing === null ? pumpOn(options) : tracing.quietly(() => pumpOn(options));
}

async function pumpOn(options: PumpOptions): Promise<{ stopReason: StopReason; tally: Tally }> {
  const { database, writes, registry, batch, concurrency, leaseMs, maxJobs, emit, tracing, conceal, stop } = options;
  const ends = options.whenEmpty === "end";
  const bell = createBell();
  const lanes = createLanes(() => registry.types());
  const limited = createLimitedTypes();
  const breakers = createBreakers((type) => registry.contractOf(type));
  // Beats may still get through: as long as the worker had a row, nobody would take the jobs.
  const settler = createSettler(database, emit, leaseMs, () => session?.abandon("what became of a job could not be written for a whole lease"));
  const choresEnd = new AbortController();
  const chores = createChores(options.chores, choresEnd.signal, emit);
  const hands = createHands({ slots: concurrency, batch, run: (job, attempt) => outcomeOf(job, attempt, attempts), onFinished: bell.ring });
  const loops = Math.min(maxExchanges, Math.ceil(concurrency / batch));

  let session = null as Session | null; // written by functions below, which the compiler does not follow
  /** The session that holds the lock of the exclusive ones. */
  let alone: Session | null = null;
  let declared = false;
  let attempts: EndOfAttempts = endOfAttempts(options.halt);
  const tasks = new Set<Promise<void>>();
  let choresRunning = 0;
  const broken: Error[] = [];
  let exchanges = 0;
  /** Jobs that the claims under way may bring. */
  let expected = 0;
  let taken = 0;
  const busy = { looking: false, settling: false, limiting: false };

  /** Counts what may have made jobs due. A look sees what was counted before it began. */
  let changes = 1;
  let seen: (Look & { readonly changes: number; readonly deep: boolean; readonly at: number }) | null = null;
  let claimedSinceLook = 0;
  let limitedTurn = false;
  let woken = false;
  let rung = false;
  let deepLookAt = Number.NEGATIVE_INFINITY;
  let lostLeaseAt = Number.NEGATIVE_INFINITY;
  let rescuedAt = Number.NEGATIVE_INFINITY;
  /** Since when the looks have shown jobs that workers have lost, and none of them was taken up again; null: the latest has shown none. */
  let lostSince: number | null = null;
  let suspectsIgnoredUntil = Number.NEGATIVE_INFINITY;
  let answeredAt = performance.now();
  let lastWorkAt = performance.now();
  let busySince = Number.POSITIVE_INFINITY;
  let glowMs = Number.POSITIVE_INFINITY;

  const trying = <Value>(doing: string, work: () => Promise<Value>) =>
    withRetry(
      options.patienceMs,
      async () => {
        const value = await work();
        answeredAt = performance.now();
        return value;
      },
      (error, retryInMs) => emit({ event: "database_failed", doing, error, retryInMs }),
      stop,
    );
  const turns = createTurns({ database, lanes, hands, settler, leaseMs, emit, trying });

  const tell = () => options.onState?.({ running: hands.running(), waiting: hands.waiting(), tally: settler.tally, answeredAt });

  async function outcomeOf(job: ClaimedJob, attempt: Attempt, end: EndOfAttempts): Promise<Outcome> {
    try {
      const handler = await registry.handlerOf(job.type, (error) => emit({ event: "handler_not_loaded", type: job.type, error }));
      if (handler === null) return { kind: "released" };
      const known = handler.contract.version;
      if (job.version > known) {
        if (registry.leave(job.type, newerLeftMs)) emit({ event: "newer_jobs_left", type: job.type, version: job.version, known });
        return { kind: "released" };
      }
      if (breakers.isOpen(job.type)) return { kind: "released" };
      const outcome = await runJob(job, { handler, attempt, end, writes, emit, tracing, conceal });
      const turn = breakers.note(job.type, outcome);
      if (turn !== null) startChore(() => turns.turnBreaker(job.type, turn));
      return outcome;
    } catch (error) {
      breakWith(error);
      return { kind: "lost" };
    }
  }

  /** What ends the pump: what is running is finished, and then it is thrown. */
  function breakWith(error: unknown): void {
    broken.push(error instanceof Error ? error : new Error(String(error)));
  }

  /** In the background. What it throws ends the pump. */
  function start(work: () => Promise<void>): void {
    const task: Promise<void> = work()
      .catch(breakWith)
      .finally(() => {
        tasks.delete(task);
        bell.ring();
      });
    tasks.add(task);
  }

  function startChore(work: () => Promise<void>): void {
    choresRunning += 1;
    start(async () => {
      try {
        await work();
      } finally {
        choresRunning -= 1;
        changes += 1;
      }
    });
  }

  function startExchange(from: Session, limit: number): void {
    exchanges += 1;
    expected += limit;
    start(async () => {
      try {
        const fromLook = !woken;
        woken = false;
        const { claimed, exhausted, settled } = await turns.exchange(from, limit);
        wasSettled(settled);
        wasClaimed(claimed);
        if (claimed === limit) {
          busySince = Math.min(busySince, performance.now());
          if (from.listening && performance.now() - busySince > loadMs) await listenFor(from, false);
        } else {
          busySince = Number.POSITIVE_INFINITY;
          // What a look had just shown and a claim could not have is locked by somebody else: there is no hurry.
          if (claimed > 0 || (exhausted && (claimedSinceLook > 0 || !fromLook))) changes += 1;
        }
      } finally {
        exchanges -= 1;
        expected -= limit;
      }
    });
  }

  function wasClaimed(count: number): void {
    taken += count;
    claimedSinceLook += count;
    if (count > 0) lastWorkAt = performance.now();
  }

  function wasSettled(batchSettled: readonly Finished[]): void {
    if (batchSettled.length === 0) return;
    lastWorkAt = performance.now();
    for (const { job } of batchSettled) limited.finished(job.type);
    // Given back or tried again, the next of a key promoted, follow-up jobs enqueued: there may be more to do. A worker
    // hears of what was enqueued by the doorbell.
    if (ends || batchSettled.some(({ job, outcome }) => outcome.kind !== "done" || job.orderingKey !== null)) changes += 1;
  }

  function startSettling(which: "all" | "not done"): void {
    busy.settling = true;
    start(async () => {
      try {
        wasSettled(await turns.settle(which));
      } finally {
        busy.settling = false;
      }
    });
  }

  function startLimited(from: Session, type: string, limit: number): void {
    busy.limiting = true;
    expected += limit;
    start(async () => {
      try {
        const { jobs, retryInMs } = await turns.claimLimited(from, type, limit);
        limited.claimed(type, retryInMs);
        wasClaimed(jobs.length);
      } finally {
        busy.limiting = false;
        expected -= limit;
      }
    });
  }

  function startLook(deep: boolean): void {
    busy.looking = true;
    start(async () => {
      try {
        const begun = changes;
        const beganAt = performance.now();
        const found = await turns.look(deep);
        claimedSinceLook = 0;
        seen = { ...found, changes: begun, deep, at: performance.now() };
        if (found.rescue || found.suspects.some(({ held }) => !held)) lostSince ??= seen.at;
        else if (deep) lostSince = null; // no other look would see all of them
        limited.learn(found.lanes);
        breakers.learn(found.tripped);
        // Late with a lease that was lost: the network was away. What the session had is looked for by the next one.
        if (deep) deepLookAt = lostLeaseAt > beganAt ? Number.NEGATIVE_INFINITY : seen.at + Math.min((seen.at - beganAt) * deepLookShare, maxDeepPauseMs);
      } finally {
        busy.looking = false;
      }
    });
  }

  async function openNewSession(): Promise<Session> {
    const onRing = () => {
      rung = true;
      bell.ring();
    };
    const onBeat = () => {
      answeredAt = performance.now();
      tell();
    };
    const types = registry.types();
    const opened = await trying("register", () =>
      openSession(database, { types, versions: () => registry.versionsOf(types), leaseMs, version: options.version, emit, onBeat, ...(ends ? {} : { onRing }) }),
    );
    attempts.leave(); // those of the session before have been ended, or are over
    attempts = endOfAttempts(opened.lost, options.halt);
    return opened;
  }

  /** A lock that a dead worker holds is free once that is buried. */
  async function isAlone(who: Session): Promise<boolean> {
    const lock = () => trying("lock", () => who.lock("drain"));
    if (await lock()) return true;
    await turns.rescue();
    return lock();
  }

  /** No more is claimed. What is in hand is finished, or given back if it has not begun, and settled. */
  async function finish(stopReason: StopReason, unstarted: "run" | "give back"): Promise<{ stopReason: StopReason; tally: Tally }> {
    choresEnd.abort();
    for (;;) {
      bell.silence();
      if (unstarted === "run") hands.start();
      else hands.drop({ kind: "released" });
      if (hands.hasFinished("all")) await turns.settle("all");
      else if (hands.isEmpty() && tasks.size === 0) break;
      else await bell.wait(options.pollMs);
    }
    const [error] = broken;
    if (error !== undefined && !(stop.aborted && isTransient(error))) throw error;
    return { stopReason, tally: settler.tally };
  }

  /** Nothing is due as far as the latest look could see, and nothing has happened since. */
  const nothingDue = () => !lanes.isDue() && seen !== null && seen.changes === changes && exchanges === 0 && !busy.looking && !busy.limiting;
  const suspects = () => (seen !== null && performance.now() > suspectsIgnoredUntil ? seen.suspects : []);

  function mustLook(): false | { deep: boolean } {
    if (busy.looking) return false;
    const now = performance.now();
    const deep = now - deepLookAt > deepLookMs;
    if (seen === null) return { deep: true };
    if (seen.changes < changes && !lanes.isDue()) return { deep: deep || (ends && hands.isEmpty()) };
    if (ends && !seen.deep && hands.isEmpty() && nothingDue()) return { deep: true };
    const load = lanes.isDue() || limited.next() !== null;
    if (now - seen.at > (load && hands.room() > 0 ? busyLookMs : quietLookMs)) return { deep };
    return false;
  }

  async function loop(): Promise<{ stopReason: StopReason; tally: Tally }> {
    for (;;) {
      await turnOfTheEventLoop(); // handlers that end together are settled together
      bell.silence(); // what rings from here on may have changed what is to be done
      tell();
      if (stop.aborted) return await finish(stop.reason as StopReason, "give back"); // set by drain.ts and worker.ts alone
      if (broken.length > 0) return await finish("signal", "give back"); // which throws
      if (taken >= maxJobs) return await finish("max_jobs", "run");
      if (session?.lost.aborted === true) {
        emit({ event: "worker_lost_lease", worker: session.worker, running: hands.running() });
        lostLeaseAt = performance.now();
        hands.drop({ kind: "lost" });
        await session.close();
        session = null;
        seen = null; // the jobs of the lost session are the first to be looked for
        changes += 1; // a look that is under way does not know of them yet
        suspectsIgnoredUntil = Number.NEGATIVE_INFINITY; // it was the lost session that could not have them
      }
      if (!declared) {
        const limits = registry.contracts().map(limitsOf);
        if (limits.length > 0) await trying("declare limits", () => declareLimits(database, limits));
        declared = true;
      }
      if (!ends || options.exclusive) session ??= await openNewSession();
      if (options.exclusive && session !== null && alone !== session) {
        if (!(await isAlone(session))) return await finish("locked", "give back");
        alone = session;
      }
      hands.start();
      chores.begin(startChore);
      if (rung) {
        rung = false;
        changes += 1;
        if (!lanes.isDue() && seen !== null && suspects().length === 0) {
          lanes.wake();
          woken = true;
        }
      }

      // What comes before any other job.
      if (seen?.rescue === true && performance.now() - rescuedAt > dutyPauseMs) {
        await turns.rescue();
        rescuedAt = performance.now();
        seen = null;
      } else if (seen?.unpromoted === true) {
        if ((await turns.promote()) > 0) changes += 1;
        seen = { ...seen, unpromoted: false }; // the next look says whether some are left
      }
      if (suspects().length > 0 && seen !== null) {
        if (!hands.isEmpty() || tasks.size > choresRunning) {
          if (hands.hasFinished("all") && !busy.settling) startSettling("all");
          await bell.wait(options.pollMs);
          continue;
        }
        session ??= await openNewSession();
        const claimed = await turns.claimSuspect(session, seen.suspects);
        wasClaimed(claimed);
        seen = null;
        if (claimed === 0) suspectsIgnoredUntil = performance.now() + dutyPauseMs;
        else {
          lostSince = null;
          await runAlone();
        }
        continue;
      }

      const room = () => Math.min(hands.room(), maxJobs - taken) - expected;
      const type = busy.limiting ? null : limited.next();
      const others = lanes.isDue();
      // Types with limits and the others share the room; the last place goes to each in turn.
      if (type !== null && room() > 0 && (!others || room() > 1 || limitedTurn)) {
        session ??= await openNewSession();
        startLimited(session, type, Math.min(batch, others ? Math.ceil(room() / 2) : room()));
        limitedTurn = false;
      }
      if (others && room() > 0) {
        session ??= await openNewSession();
        // One claim for whatever there is room; beside it only such as ask for a whole batch.
        while (exchanges < loops && room() > 0 && (exchanges === 0 || room() >= batch)) startExchange(session, Math.min(batch, room()));
        limitedTurn = true;
      }
      // What is done travels with the next claim, if there is one; nothing finished waits for anything unfinished.
      const settles = lanes.isDue() && hands.room() > 0 ? "not done" : "all";
      if (!busy.settling && hands.hasFinished(settles)) startSettling(settles);
      const looks = mustLook();
      if (looks !== false) startLook(looks.deep);

      if (!nothingDue()) {
        await bell.wait(options.pollMs);
        continue;
      }
      if (ends && hands.isEmpty() && tasks.size === 0 && seen?.deep === true && !limitedSoon() && !foundSoon()) {
        // One that was buried and has not noticed yet has claimed nothing, however much was due.
        const leaving = session;
        session = null;
        if (leaving !== null && !(await leaving.close())) {
          seen = null;
          suspectsIgnoredUntil = Number.NEGATIVE_INFINITY;
          continue;
        }
        const waits = seen.suspects.length > 0 || seen.suspectsPaused || seen.lanes.some(({ held, inMs }) => held !== null && inMs <= 0);
        return await finish(waits ? "paused" : "empty", "run");
      }
      if (!ends && performance.now() - lastWorkAt > options.idleTimeoutMs && hands.isEmpty()) return await finish("empty", "run");
      if (session !== null && !session.listening && database.canListen && !ends && room() > 0) {
        await listenFor(session, true);
        continue;
      }
      await sleep();
    }
  }

  /** Rate limits whose next token is so near that a drain waits for it. */
  const limitedSoon = () => limited.wait() && limited.nextInMs() < drainWaitsMs;

  /** Lost jobs that could not be had just now: their rows are held, perhaps by the transaction of the attempt that was lost. */
  const foundSoon = () => lostSince !== null && performance.now() - lostSince < options.patienceMs;

  async function listenFor(who: Session, on: boolean): Promise<void> {
    await trying("listen", () => who.listen(on));
    busySince = Number.POSITIVE_INFINITY;
    if (!on) return;
    // Whoever has enqueued in the meantime did not ring. What is not committed yet is found by looking again soon.
    changes += 1;
    glowMs = afterglowMs;
  }

  async function sleep(): Promise<void> {
    const pollMs = options.pollMs * (1.2 + Math.random() * 0.6);
    const nextDueMs = Math.min(...(seen?.lanes ?? []).filter(({ inMs, held }) => inMs > 0 && held !== "paused").map(({ inMs }) => inMs - (performance.now() - (seen?.at ?? 0))));
    // What was committed long after it was enqueued may have been missed by the latest look; the next poll may be far off.
    const deepMs = seen?.deep === false && options.pollMs > deepLookMs ? deepLookAt + deepLookMs - performance.now() : Number.POSITIVE_INFINITY;
    const idleMs = !ends && hands.isEmpty() ? lastWorkAt + options.idleTimeoutMs + 1 - performance.now() : Number.POSITIVE_INFINITY;
    const limitedMs = hands.room() > 0 ? limited.nextInMs() : Number.POSITIVE_INFINITY; // a slot that becomes free rings
    const rang = await bell.wait(Math.max(1, Math.min(pollMs, glowMs, deepMs, Math.ceil(nextDueMs), limitedMs, chores.nextInMs(), idleMs)));
    if (rang) return;
    changes += 1;
    glowMs = glowMs < options.pollMs ? glowMs * 2 : Number.POSITIVE_INFINITY;
  }

  /** A suspect runs while nothing else does. */
  async function runAlone(): Promise<void> {
    hands.start();
    tell();
    while (!hands.isEmpty()) {
      bell.silence();
      if (hands.hasFinished("all")) wasSettled(await turns.settle("all"));
      else await bell.wait(options.pollMs);
    }
  }

  stop.addEventListener("abort", bell.ring, { once: true });
  const unwatch = watchRunning(database, hands, emit);
  try {
    return await loop();
  } catch (error) {
    breakWith(error);
    return await finish("signal", "give back");
  } finally {
    stop.removeEventListener("abort", bell.ring);
    unwatch();
    await session?.close();
  }
}

/** Halts the attempts under `halt`: their jobs are given back. */
export function haltWith(halt: AbortController, message: string): void {
  halt.abort(new AttemptEnded("stopping", message));
}
