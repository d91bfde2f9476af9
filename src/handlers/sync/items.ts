// The data that data.sync moves: an object, or an array of objects.

import { FinalError } from "../../outbox/errors.ts";

export type Item = Readonly<Record<string, unknown>>;

export function isItem(value: unknown): value is Item {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isData(value: unknown): value is Item | Item[] {
  return Array.isArray(value) ? value.every(isItem) : isItem(value);
}

/** `name` is what the error calls the value. */
export function asItems(value: unknown, name: string): Item | Item[] {
  if (isData(value)) return value;
  const index = Array.isArray(value) ? value.findIndex((item) => !isItem(item)) : -1;
  const [where, wrong] = Array.isArray(value) ? [` at index ${index}`, value[index] as unknown] : ["", value];
  throw new FinalError(`Expected an object or an array of objects in ${name}, got ${kindOf(wrong)}${where}.`);
}

/** As an array, whichever of the two it is. */
export function listOf(data: Item | readonly Item[]): readonly Item[] {
  return Array.isArray(data) ? (data as readonly Item[]) : [data as Item];
}

/**
 * Where a whole number stands that a JSON number has rounded, for example `[2].id`: above 2^53 neighbours look alike, so
 * a row could be given another one's key. Null when there is none.
 */
export function roundedNumber(value: unknown, path = ""): string | null {
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value) ? path : null;
  if (typeof value !== "object" || value === null) return null;
  for (const [key, inner] of Object.entries(value)) {
    const found = roundedNumber(inner, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`);
    if (found !== null) return found;
  }
  return null;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return `a ${typeof value}`;
}
