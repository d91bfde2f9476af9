// The values of flags, parsed once. What does not fit ends in exit code 2 with expected, got and the flag's name.

import { InvalidArgumentError } from "commander";
import { durationMs } from "../outbox/duration.ts";
import { instantIn } from "./instant.ts";

export function wholeNumber(value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= 1 && Number.isSafeInteger(number)) return number;
  throw new InvalidArgumentError(`Expected a whole number from 1, got ${JSON.stringify(value)}.`);
}

/** Milliseconds. */
export function duration(value: string): number {
  try {
    return durationMs(value, "it");
  } catch {
    throw new InvalidArgumentError(`Expected a duration such as 250ms, 30s, 5m or 2h, got ${JSON.stringify(value)}.`);
  }
}

export function instant(value: string): Date {
  const at = instantIn(value);
  if (at !== null) return at;
  throw new InvalidArgumentError(`Expected an instant such as 2026-12-01T08:00Z or 2026-12-01T08:00+01:00, got ${JSON.stringify(value)}.`);
}

/** A port; 0 asks for any that is free. */
export function port(value: string): number {
  if (/^\d+$/.test(value) && Number(value) <= 65_535) return Number(value);
  throw new InvalidArgumentError(`Expected a port from 0 to 65535, got ${JSON.stringify(value)}.`);
}

/** `a,b`; may be given more than once. */
export function list(value: string, before: readonly string[] = []): string[] {
  const names = value.split(",").map((name) => name.trim());
  if (names.some((name) => name === "")) throw new InvalidArgumentError(`Expected names with commas between them, got ${JSON.stringify(value)}.`);
  return [...before, ...names];
}
