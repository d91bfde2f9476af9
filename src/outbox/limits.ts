// What a contract says about how fast its jobs may run: how many at once over all workers, and how many begin in a
// while. Next: store/limits.ts (made known to every worker), store/claim-limited.ts (kept).

import { inspect } from "node:util";
import type { Contract } from "./define.ts";
import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";
import { OutboxError } from "./errors.ts";

/** How many jobs of a type run at once, over all workers on all machines. */
export type Concurrency<Input = unknown> =
  | number
  | {
      /** Counts for each key by itself. */
      readonly limit: number;
      /** Of the payload as it is enqueued, for example its customer: a text of 1 to 500 characters. */
      key(payload: Input): string;
    };

/** How many attempts begin: `limit` at once, and then `limit` in each `per`, evenly. */
export interface RateLimit {
  readonly limit: number;
  /** For example "1s" or "1m". */
  readonly per: Duration;
}

/** The limits of one type, as the table outbox_type holds them; null where there is none. */
export interface TypeLimits {
  readonly type: string;
  readonly concurrency: number | null;
  readonly concurrencyByKey: boolean;
  readonly rateLimit: number | null;
  readonly rateMs: number | null;
}

export function limitsOf({ type, concurrency, rateLimit }: Contract): TypeLimits {
  return {
    type,
    concurrency: concurrency?.limit ?? null,
    concurrencyByKey: concurrency?.byKey ?? false,
    rateLimit: rateLimit?.limit ?? null,
    rateMs: rateLimit?.perMs ?? null,
  };
}

export function checkConcurrency<Input>(type: string, concurrency: Concurrency<Input> | undefined): { limit: number; byKey: boolean } | null {
  if (concurrency === undefined) return null;
  if (typeof concurrency === "number") return { limit: wholeNumber(`concurrency of "${type}"`, concurrency), byKey: false };
  // From JavaScript, or a configuration file, anything may come.
  const given: unknown = concurrency;
  if (typeof given === "object" && given !== null && "limit" in given && "key" in given && typeof given.key === "function") {
    return { limit: wholeNumber(`concurrency.limit of "${type}"`, given.limit), byKey: true };
  }
  throw new OutboxError("INVALID_OPTION", `Expected concurrency of "${type}" to be a whole number, or { limit, key } with a function as key, got ${shown(given)}.`);
}

export function checkRateLimit(type: string, rateLimit: RateLimit | undefined): { limit: number; perMs: number } | null {
  if (rateLimit === undefined) return null;
  const given: unknown = rateLimit;
  if (typeof given !== "object" || given === null || !("limit" in given) || !("per" in given)) {
    throw new OutboxError("INVALID_OPTION", `Expected rateLimit of "${type}" to be { limit, per }, such as { limit: 100, per: "1m" }, got ${shown(given)}.`);
  }
  const perMs = durationMs(rateLimit.per, `rateLimit.per of "${type}"`);
  if (perMs < 1) throw new OutboxError("INVALID_OPTION", `Expected rateLimit.per of "${type}" to be at least 1ms, got ${shown(given.per)}.`);
  return { limit: wholeNumber(`rateLimit.limit of "${type}"`, given.limit), perMs };
}

function wholeNumber(name: string, value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 1_000_000) return value;
  throw new OutboxError("INVALID_OPTION", `Expected ${name} to be a whole number from 1 to 1000000, got ${shown(value)}.`);
}

function shown(value: unknown): string {
  return inspect(value, { depth: 1, breakLength: Infinity });
}
