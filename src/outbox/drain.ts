// Runs what is due, then ends: what cron calls. The loop is in pump.ts.

import type { Alerts } from "./alerts.ts";
import type { Database } from "./database.ts";
import type { Duration } from "./duration.ts";
import { durationMs, timerMs } from "./duration.ts";
import { OutboxError } from "./errors.ts";
import type { Emit } from "./events.ts";
import type { Conceal } from "./failure.ts";
import type { JobWrites } from "./job-writes.ts";
import { lookForAlerts, redriveChores, scheduleChores } from "./housekeeping.ts";
import { countDue, nextDueAt, unhandledTypes } from "./inspect.ts";
import { haltWith, pump } from "./pump.ts";
import type { PumpOptions, PumpState, StopReason } from "./pump.ts";
import type { HandlerEntry } from "./registry.ts";
import { createRegistry } from "./registry.ts";
import type { RedrivePolicy } from "./redrive-policy.ts";
import type { RetentionMs } from "./retention.ts";
import type { Schedule, ScheduleDeclaration } from "./schedule.ts";
import type { Tally } from "./settle.ts";
import type { Tracing } from "./tracing.ts";

export interface RunOptions {
  readonly handlers: readonly HandlerEntry[];
  /** Only these types; each must have a handler. Default: all that have one. */
  readonly types?: readonly string[];
  /** Jobs taken by one claim, at most. Default: 20. */
  readonly batch?: number;
  /** Jobs running at once, at most. Default: 20. */
  readonly concurrency?: number;
  /** How long this process may be silent before others take its jobs over. Default: "30s". */
  readonly lease?: Duration;
  /** How long running jobs may go on after a stop before they are given back. Default: "30s". */
  readonly grace?: Duration;
  /** Fires their slots, beside all others that know them: each slot once. */
  readonly schedules?: readonly ScheduleDeclaration[];
}

export interface DrainOptions extends RunOptions {
  /** Jobs taken altogether, at most. */
  readonly maxJobs?: number;
  /** Runs nothing, with the stopReason "locked", while another exclusive drain does. To save load: drains do not disturb each other anyway. Default: false. */
  readonly exclusive?: boolean;
  /** Told whenever what it is doing changes; for a progress bar. */
  readonly onState?: (state: PumpState) => void;
  /** Nothing is claimed in the last fifth of this time, and what still runs at its end is given back. */
  readonly maxTime?: Duration;
  /** Aborted: claim no more, let the running jobs finish within the grace. */
  readonly signal?: AbortSignal;
}

export interface DrainReport extends Tally {
  /** Due jobs of its types that it has not run: 0 when it stopped because nothing was due. */
  readonly remaining: number;
  /** "paused": what is still due is held back by a pause or a limit of its type. */
  readonly stopReason: StopReason;
  /** When the next job it could run is due; null when none is pending. */
  readonly nextDueAt: Date | null;
  /** Types of pending jobs that have no handler here, or none that loads. */
  readonly unhandled: readonly { readonly type: string; readonly count: number }[];
  /** Types whose handler did not load; their jobs wait, no attempt spent. */
  readonly unloadable: readonly string[];
}

export type CompileSchedules = (declarations: readonly ScheduleDeclaration[]) => Promise<Schedule[]>;

/** What a drain and a worker are made of, beside their options. */
export interface RunParts {
  readonly database: Database;
  readonly writes: JobWrites;
  readonly version: string;
  readonly emit: Emit;
  readonly retention: RetentionMs;
  readonly compileSchedules: CompileSchedules;
  readonly redrive: readonly RedrivePolicy[];
  /** Null: none are configured. */
  readonly alerts: Alerts | null;
  /** Null: nothing is traced. */
  readonly tracing: Tracing | null;
  /** Keeps secrets out of what is stored, logged and traced of a failure. */
  readonly conceal: Conceal;
}

export async function drain({ database, writes, version, emit, compileSchedules, redrive, alerts, tracing, conceal }: RunParts, options: DrainOptions): Promise<DrainReport> {
  const { maxJobs = Number.POSITIVE_INFINITY, signal } = options;
  if (maxJobs !== Number.POSITIVE_INFINITY) wholeNumber("maxJobs", maxJobs);
  const limits = runLimits(options);
  const stop = new AbortController();
  const halt = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  const onSignal = () => {
    stop.abort("signal" satisfies StopReason);
    timers.push(setTimeout(() => haltWith(halt, "the drain is stopping and the grace has passed"), limits.graceMs));
  };
  if (signal?.aborted === true) onSignal();
  signal?.addEventListener("abort", onSignal, { once: true });
  if (options.maxTime !== undefined) {
    const maxTimeMs = timerMs(options.maxTime, "maxTime");
    timers.push(setTimeout(() => stop.abort("max_time" satisfies StopReason), maxTimeMs * 0.8));
    timers.push(setTimeout(() => haltWith(halt, "the drain's time is over"), maxTimeMs));
  }
  try {
    const pumpOptions: PumpOptions = {
      ...limits,
      database,
      writes,
      maxJobs,
      whenEmpty: "end",
      idleTimeoutMs: Number.POSITIVE_INFINITY,
      pollMs: 1000,
      chores: [...scheduleChores(database, await compileSchedules(options.schedules ?? []), emit), ...redriveChores(database, redrive, emit)],
      patienceMs: 10_000,
      stop: stop.signal,
      halt: halt.signal,
      version,
      exclusive: options.exclusive ?? false,
      emit,
      tracing,
      conceal,
      ...(options.onState && { onState: options.onState }),
    };
    const { stopReason, tally: before } = await pump(pumpOptions);
    // What there is to tell is told by jobs. They run now: where only drains run, the next one may be far off.
    const goesOn = (await lookForAlerts(database, alerts, emit)) && (stopReason === "empty" || stopReason === "paused");
    const tally = goesOn ? added(before, (await pump({ ...pumpOptions, maxJobs: maxJobs - sumOf(before), chores: [] })).tally) : before;
    const types = limits.registry.types();
    return {
      ...tally,
      remaining: stopReason === "empty" ? 0 : await countDue(database, types),
      stopReason,
      nextDueAt: await nextDueAt(database, types),
      unhandled: options.types === undefined ? await unhandledTypes(database, types) : [],
      unloadable: [...limits.registry.unloadable],
    };
  } finally {
    for (const timer of timers) clearTimeout(timer);
    signal?.removeEventListener("abort", onSignal);
  }
}

function sumOf({ done, retried, dead, released, cancelled, lost }: Tally): number {
  return done + retried + dead + released + cancelled + lost;
}

/** Both together. */
export function added(one: Tally, other: Tally): Tally {
  return {
    done: one.done + other.done,
    retried: one.retried + other.retried,
    dead: one.dead + other.dead,
    released: one.released + other.released,
    cancelled: one.cancelled + other.cancelled,
    lost: one.lost + other.lost,
  };
}

/** The limits that the drain and the worker share, checked. */
export function runLimits(options: RunOptions): Pick<PumpOptions, "registry" | "batch" | "concurrency" | "leaseMs"> & { graceMs: number } {
  const leaseMs = durationMs(options.lease ?? "30s", "lease");
  if (leaseMs < 1000) throw new OutboxError("INVALID_OPTION", `Expected lease to be at least 1s, got ${leaseMs} ms: a beat could not keep up with it.`);
  return {
    registry: createRegistry(options.handlers, options.types),
    batch: wholeNumber("batch", options.batch ?? 20),
    concurrency: wholeNumber("concurrency", options.concurrency ?? 20),
    leaseMs,
    graceMs: timerMs(options.grace ?? "30s", "grace"),
  };
}

function wholeNumber(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= 1_000_000) return value;
  throw new OutboxError("INVALID_OPTION", `Expected ${name} to be a whole number from 1 to 1000000, got ${value}.`);
}
