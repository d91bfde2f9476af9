// Runs what is due, and goes on until it is stopped. The loop is in pump.ts.

import type { RunOptions, RunParts } from "./drain.ts";
import { runLimits } from "./drain.ts";
import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";
import { alertChores, pruneChore, redriveChores, scheduleChores } from "./housekeeping.ts";
import { haltWith, pump } from "./pump.ts";
import type { PumpState, StopReason } from "./pump.ts";
import type { Tally } from "./settle.ts";

export interface WorkerOptions extends RunOptions {
  /** How often it looks for due jobs while the doorbell is silent; 20 to 80 % more, so that workers do not look together. Default: 1000 ms. */
  readonly pollMs?: number;
  /** Ends when there has been nothing to do for so long. Default: never. */
  readonly idleTimeout?: Duration;
}

export interface WorkerStatus {
  /** False before `start` and after the end. */
  readonly working: boolean;
  /** Jobs that run now. */
  readonly running: number;
  /** Jobs that are claimed and wait for a free slot. */
  readonly waiting: number;
  readonly tally: Tally;
  /** Milliseconds since the database answered last. While nothing is to be done it is asked about once a second. */
  readonly silentMs: number;
}

export interface Worker {
  /** Begins. What comes back settles when the worker has stopped, by `stop` or by an error that does not pass. */
  start(): Promise<Tally>;
  /** Claims no more, lets running jobs finish within the grace, gives the rest back; comes back when that is done. */
  stop(): Promise<void>;
  /** What it is doing, for probes. Asks nobody. */
  status(): WorkerStatus;
}

/** A sign of life in the log. */
const healthBeatMs = 30_000;
const noTally: Tally = { done: 0, retried: 0, dead: 0, released: 0, cancelled: 0, lost: 0 };

/** A worker keeps trying for ever while the database is away. */
export function createWorker({ database, writes, version, emit, retention, compileSchedules, redrive, alerts, tracing, conceal }: RunParts, options: WorkerOptions): Worker {
  const limits = runLimits(options);
  const idleTimeoutMs = options.idleTimeout === undefined ? Number.POSITIVE_INFINITY : durationMs(options.idleTimeout, "idleTimeout");
  const stop = new AbortController();
  const halt = new AbortController();
  let running: Promise<Tally> | null = null;
  let state: PumpState | null = null;

  function status(): WorkerStatus {
    const { tally = noTally, answeredAt = performance.now() } = state ?? {};
    return { working: state !== null, running: state?.running ?? 0, waiting: state?.waiting ?? 0, tally: { ...tally }, silentMs: Math.round(performance.now() - answeredAt) };
  }

  async function work(): Promise<Tally> {
    const chores = [...scheduleChores(database, await compileSchedules(options.schedules ?? []), emit), ...redriveChores(database, redrive, emit), ...alertChores(database, alerts, emit), pruneChore(database, retention, emit)];
    const beats = setInterval(() => emit({ event: "worker_beat", ...status(), memoryMb: Math.round(process.memoryUsage.rss() / 1e6) }), healthBeatMs).unref();
    try {
      const { tally } = await pump({
        ...limits,
        database,
        writes,
        maxJobs: Number.POSITIVE_INFINITY,
        whenEmpty: "sleep",
        idleTimeoutMs,
        pollMs: options.pollMs ?? 1000,
        patienceMs: Number.POSITIVE_INFINITY,
        chores,
        stop: stop.signal,
        halt: halt.signal,
        version,
        exclusive: false,
        emit,
        tracing,
        conceal,
        onState: (now) => (state = now),
      });
      return tally;
    } finally {
      clearInterval(beats);
      state = null;
    }
  }

  return {
    status,
    start: () => (running ??= work()),
    async stop() {
      stop.abort("signal" satisfies StopReason);
      const timer = setTimeout(() => haltWith(halt, "the worker is stopping and the grace has passed"), limits.graceMs);
      await running?.catch(() => undefined); // whoever holds what start() gave out is told of its error
      clearTimeout(timer);
    },
  };
}
