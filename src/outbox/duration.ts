// Durations as people write them: "250ms", "30s", "5m", "2h", "7d", or a number of milliseconds.

import { OutboxError, shown } from "./errors.ts";

export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A thousand years: Postgres can add it to this day, and take it away, and still has a date for it. */
const mostMs = 365_000 * unitMs.d;
/** The longest that a timer of Node takes. One that is set to more goes off at once. */
const longestTimerMs = 2 ** 31 - 1;

/** Milliseconds of a duration; `name` is what the error calls it. */
export function durationMs(duration: number | string, name: string): number {
  const given: unknown = duration;
  const match = typeof given === "string" ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(given.trim()) : null;
  const ms = typeof given === "number" ? given : match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : Number.NaN;
  if (ms > mostMs) throw new OutboxError("INVALID_OPTION", `Expected ${name} to be a duration of at most ${mostMs / unitMs.d} days, got ${shown(duration)}.`);
  if (ms >= 0) return Math.round(ms);
  throw new OutboxError("INVALID_OPTION", `Expected ${name} to be a duration such as "250ms", "30s", "5m", "2h" or "7d", got ${shown(duration)}.`);
}

/** The same for what a timer is set to. */
export function timerMs(duration: number | string, name: string): number {
  const ms = durationMs(duration, name);
  if (ms <= longestTimerMs) return ms;
  throw new OutboxError("INVALID_OPTION", `Expected ${name} to be a duration of at most 24 days, got ${shown(duration)}.`);
}

/** For people: "340 ms", "12 s", "5 min", "3 h", "2 days". */
export function roughly(ms: number): string {
  const units = [["days", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1000]] as const;
  const [unit, size] = units.find(([, each]) => ms >= 2 * each) ?? (ms >= 1000 ? (["s", 1000] as const) : (["ms", 1] as const));
  return `${Math.max(0, Math.round(ms / size))} ${unit}`;
}
