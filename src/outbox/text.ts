// Texts that people give, such as keys and names: what Postgres can hold, and no more of it than is sensible.

import { OutboxError, shown } from "./errors.ts";

/** `value`, which is to be a text of 1 to `maxLength` UTF-16 units that Postgres can store. Otherwise throws, and calls it `name`. */
export function text(name: string, value: unknown, maxLength = 500): string {
  if (typeof value !== "string" || value.length < 1 || value.length > maxLength) {
    throw new OutboxError("INVALID_OPTION", `Expected ${name} to be a text of 1 to ${maxLength} characters, got ${shown(value)}.`);
  }
  const problem = unstorable(value);
  if (problem !== null) throw new OutboxError("INVALID_OPTION", `Expected ${name} to be a text that Postgres can store, got ${shown(value)}, which ${problem}.`);
  return value;
}

/** What keeps Postgres from storing it; a statement that it refuses would have poisoned the caller's transaction. */
export function unstorable(value: string): string | null {
  if (value.includes("\u0000")) return "contains a NUL character";
  if (!value.isWellFormed()) return "contains half of a surrogate pair";
  return null;
}
