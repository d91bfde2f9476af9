// How long a failed job waits for its next attempt.

import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";

/**
 * When a failed job is tried again: exponentially (10 s, 40 s, 2 min 40 s, 11 min, 43 min, then every hour, each ±25 %),
 * after a fixed list of waits, or as a function of the attempt (from 1) and its error says, in milliseconds.
 */
export type Retry =
  | { readonly maxAttempts?: number; readonly backoff?: "exponential" }
  | { readonly maxAttempts?: number; readonly delays: readonly Duration[] }
  | ((attempt: number, error: unknown) => number);

const baseMs = 10_000;
const factor = 4;
const capMs = 3_600_000;

/** Spreads a wait by ±25 %, so that jobs which failed together do not come back together. */
export function jittered(ms: number, random = Math.random): number {
  return Math.round(ms * (0.75 + random() * 0.5));
}

/** Milliseconds until the attempt after `attempt`; always finite, from 0 to a day. */
export function backoffMs(retry: Retry, attempt: number, error: unknown, random = Math.random): number {
  if (typeof retry === "function") return bounded(retry(attempt, error));
  if ("delays" in retry) {
    const delay = retry.delays[Math.min(attempt, retry.delays.length) - 1];
    return delay === undefined ? 0 : bounded(durationMs(delay, "a retry delay"));
  }
  // The exponent is bounded before the power is taken: 4 ** 1000 is Infinity.
  return jittered(Math.min(capMs, baseMs * factor ** Math.min(attempt - 1, 10)), random);
}

function bounded(ms: number): number {
  return Number.isFinite(ms) ? Math.min(Math.max(Math.round(ms), 0), 86_400_000) : capMs;
}
