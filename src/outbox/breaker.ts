// Circuit breakers: when the jobs of a type fail one after the other, the receiver is down, and to try the others too would
// only spend their attempts. So all of them wait for a while, over all workers; then one is tried.

import type { Contract } from "./define.ts";
import { durationMs } from "./duration.ts";
import type { Duration } from "./duration.ts";
import { OutboxError, shown } from "./errors.ts";
import type { Outcome } from "./job.ts";

export interface Breaker {
  /** So many failures in a row, in one process, open it. FinalError does not count: it is the job's fault. */
  readonly failures: number;
  /** So long it stays open; twice as long each time it opens again at once, 64 times at most. */
  readonly pause: Duration;
}

export interface Breakers {
  /** What a look has found: types whose breaker is not closed. */
  learn(tripped: readonly string[]): void;
  /** This process has opened it, and others may not know yet: what was claimed before is given back. */
  isOpen(type: string): boolean;
  /** Told of every outcome, in the order in which they came. What is to be done about the type's breaker. */
  note(type: string, outcome: Outcome): { readonly open: number } | "close" | null;
}

/** `contractOf`: null while the type's handler has not been loaded. */
export function createBreakers(contractOf: (type: string) => Contract | null): Breakers {
  let tripped: ReadonlySet<string> = new Set();
  const failures = new Map<string, number>();
  const openUntil = new Map<string, number>();
  return {
    learn(types) {
      tripped = new Set(types);
    },
    isOpen: (type) => (openUntil.get(type) ?? Number.NEGATIVE_INFINITY) > performance.now(),
    note(type, outcome) {
      const breaker = contractOf(type)?.breaker ?? null;
      if (breaker === null) return null;
      if (outcome.kind === "done" || outcome.kind === "completed") {
        failures.delete(type);
        openUntil.delete(type);
        return tripped.has(type) ? "close" : null;
      }
      if (!(outcome.kind === "retried" || (outcome.kind === "dead" && !outcome.final))) return null;
      const inRow = (failures.get(type) ?? 0) + 1;
      const opens = tripped.has(type) || inRow >= breaker.failures;
      failures.set(type, opens ? 0 : inRow);
      if (opens) openUntil.set(type, performance.now() + breaker.pauseMs);
      return opens ? { open: breaker.pauseMs } : null;
    },
  };
}

export function checkBreaker(type: string, breaker: Breaker | undefined): { failures: number; pauseMs: number } | null {
  if (breaker === undefined) return null;
  // From JavaScript anything may come.
  const given: unknown = breaker;
  const { failures, pause } = typeof given === "object" && given !== null ? (given as Partial<Breaker>) : {};
  if (typeof failures !== "number" || !Number.isInteger(failures) || failures < 1 || failures > 1_000_000 || pause === undefined) {
    throw new OutboxError("INVALID_OPTION", `Expected breaker of "${type}" to be { failures, pause }, such as { failures: 5, pause: "1m" }, got ${shown(breaker)}.`);
  }
  const pauseMs = durationMs(pause, `breaker.pause of "${type}"`);
  if (pauseMs < 1) throw new OutboxError("INVALID_OPTION", `Expected breaker.pause of "${type}" to be at least 1ms, got ${String(pause)}.`);
  return { failures, pauseMs };
}
