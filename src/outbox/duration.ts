// Durations as people write them: "250ms", "30s", "5m", "2h", "7d", or a number of milliseconds.

import { OutboxError } from "./errors.ts";

export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of a duration; `name` is what the error calls it. */
export function durationMs(duration: number | string, name: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(String(duration).trim());
  const ms = typeof duration === "number" ? duration : match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : Number.NaN;
  if (Number.isFinite(ms) && ms >= 0) return Math.round(ms);
  throw new OutboxError("INVALID_OPTION", `Expected ${name} to be a duration such as "250ms", "30s", "5m", "2h" or "7d", got ${JSON.stringify(duration)}.`);
}

/** For people: "340 ms", "12 s", "5 min", "3 h", "2 days". */
export function roughly(ms: number): string {
  const units = [["days", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1000]] as const;
  const [unit, size] = units.find(([, each]) => ms >= 2 * each) ?? (ms >= 1000 ? (["s", 1000] as const) : (["ms", 1] as const));
  return `${Math.max(0, Math.round(ms / size))} ${unit}`;
}
