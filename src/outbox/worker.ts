// Runs what is due, and goes on until it is stopped. The loop is in pump.ts.

import type { Database } from "./database.ts";
import type { RunOptions } from "./drain.ts";
import { runLimits } from "./drain.ts";
import type { Emit } from "./events.ts";
import { haltWith, pump } from "./pump.ts";
import type { StopReason } from "./pump.ts";
import type { Tally } from "./settle.ts";

export interface WorkerOptions extends RunOptions {
  /** How often it asks for due jobs while it has none, give or take a quarter. Default: 1000 ms. */
  readonly pollMs?: number;
}

export interface Worker {
  /** Begins. What comes back settles when the worker has stopped, by `stop` or by an error that does not pass. */
  start(): Promise<Tally>;
  /** Claims no more, lets running jobs finish within the grace, gives the rest back; comes back when that is done. */
  stop(): Promise<void>;
}

/** A worker keeps trying for ever while the database is away. */
export function createWorker(database: Database, options: WorkerOptions, version: string, emit: Emit): Worker {
  const limits = runLimits(options);
  const stop = new AbortController();
  const halt = new AbortController();
  let running: Promise<Tally> | null = null;
  return {
    start() {
      running ??= pump({
        ...limits,
        database,
        maxJobs: Number.POSITIVE_INFINITY,
        whenEmpty: "wait",
        pollMs: options.pollMs ?? 1000,
        patienceMs: Number.POSITIVE_INFINITY,
        stop: stop.signal,
        halt: halt.signal,
        version,
        emit,
      }).then(({ tally }) => tally);
      return running;
    },
    async stop() {
      stop.abort("signal" satisfies StopReason);
      const timer = setTimeout(() => haltWith(halt, "the worker is stopping and the grace has passed"), limits.graceMs);
      await running?.catch(() => undefined); // whoever holds what start() gave out is told of its error
      clearTimeout(timer);
    },
  };
}
