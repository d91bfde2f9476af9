// Which types with limits have due jobs, and when each is worth a claim. Such types are claimed by themselves, under a
// lock on their row, so that their limits hold over all workers.

import type { SeenLane } from "./look.ts";

export interface LimitedTypes {
  learn(lanes: readonly SeenLane[]): void;
  /** The type whose turn it is; null when none is worth a claim now. */
  next(): string | null;
  /** A claim of it came back: worth another after so many milliseconds; null: when something has changed. */
  claimed(type: string, retryInMs: number | null): void;
  /** A job of it has finished. */
  finished(type: string): void;
  /** Until one is worth a claim; infinite when none is known to be. */
  nextInMs(): number;
  /** Whether due jobs wait for their type. */
  wait(): boolean;
}

export function createLimitedTypes(): LimitedTypes {
  /** When each type with due jobs is worth a claim; in the order of their turns. */
  const readyAt = new Map<string, number>();
  return {
    learn(lanes) {
      const due = new Set(lanes.filter(({ held, inMs }) => held === "limited" && inMs <= 0).map(({ type }) => type));
      for (const type of readyAt.keys()) if (!due.has(type)) readyAt.delete(type);
      // What waited for a change that nobody here can see, such as a job that finishes elsewhere, is tried again.
      for (const type of due) if ((readyAt.get(type) ?? Number.POSITIVE_INFINITY) === Number.POSITIVE_INFINITY) readyAt.set(type, 0);
    },
    next() {
      for (const [type, at] of readyAt) if (at <= performance.now()) return type;
      return null;
    },
    claimed(type, retryInMs) {
      readyAt.delete(type); // to the end of the line
      readyAt.set(type, retryInMs === null ? Number.POSITIVE_INFINITY : performance.now() + retryInMs);
    },
    finished(type) {
      if (readyAt.get(type) === Number.POSITIVE_INFINITY) readyAt.set(type, 0);
    },
    nextInMs: () => Math.max(0, Math.min(...readyAt.values()) - performance.now()),
    wait: () => readyAt.size > 0,
  };
}
