// How long finished jobs are kept, as it is configured. Next: maintenance.ts, which deletes what has been kept long enough.

import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";
import { OutboxError, shown } from "./errors.ts";

/** Counted from `finishedAt`; `false` keeps them for ever. */
export interface Retention {
  /** Default: "7d". */
  readonly done?: Duration | false;
  /** Default: "7d". */
  readonly cancelled?: Duration | false;
  /** Dead letters. Default: "30d". */
  readonly dead?: Duration | false;
}

/** The same in milliseconds; null keeps them for ever. */
export type RetentionMs = Readonly<Record<keyof Retention, number | null>>;

/** The statuses that a prune may be asked for, and what retention calls the jobs in them. */
export const finishedStatuses = { done: "done", cancelled: "cancelled", error: "dead" } as const satisfies Record<string, keyof Retention>;
export type FinishedStatus = keyof typeof finishedStatuses;

const dayMs = 86_400_000;
export const defaultRetention: RetentionMs = { done: 7 * dayMs, cancelled: 7 * dayMs, dead: 30 * dayMs };

/** Whoever means days and writes 30 gets 30 ms, and the first prune would take everything. */
const leastMs = 60_000;
const mostMs = 36_500 * dayMs;

/** Checks what was configured; what is left out has its default. */
export function retentionMs(retention: unknown = {}): RetentionMs {
  if (typeof retention !== "object" || retention === null || Array.isArray(retention)) {
    throw new OutboxError("CONFIGURATION", `Expected retention to be an object such as { done: "7d", cancelled: "7d", dead: "30d" }, got ${shown(retention)}.`);
  }
  const unknown = Object.keys(retention).find((name) => !Object.hasOwn(defaultRetention, name));
  if (unknown !== undefined) {
    throw new OutboxError("CONFIGURATION", `Expected retention to name done, cancelled or dead (the dead letters, status error), got ${JSON.stringify(unknown)}.`);
  }
  const given = retention as Partial<Record<keyof Retention, unknown>>; // its names were checked, its values are now
  return { done: keptMs("done", given.done), cancelled: keptMs("cancelled", given.cancelled), dead: keptMs("dead", given.dead) };
}

function keptMs(name: keyof Retention, value: unknown): number | null {
  if (value === undefined) return defaultRetention[name];
  if (value === false) return null;
  const ms = parsed(value);
  if (ms >= leastMs && ms <= mostMs) return ms;
  const hint = typeof value === "number" ? " A number is milliseconds." : "";
  throw new OutboxError("CONFIGURATION", `Expected retention.${name} to be a duration from "1m" to "36500d", such as "7d", or false to keep them for ever, got ${shown(value)}.${hint}`);
}

function parsed(value: unknown): number {
  try {
    return typeof value === "string" || typeof value === "number" ? durationMs(value, "retention") : Number.NaN;
  } catch {
    return Number.NaN; // said above, with what is allowed here
  }
}

/** A duration in its greatest whole unit: "7d", "90m", "1500ms". */
export function shownDuration(ms: number): string {
  const [unit, size] = ([["d", dayMs], ["h", 3_600_000], ["m", 60_000], ["s", 1000]] as const).find(([, each]) => ms > 0 && ms % each === 0) ?? ["ms", 1];
  return `${ms / size}${unit}`;
}
