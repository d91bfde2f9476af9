// Values, parsed once: objects with known names, lists, whole numbers, and one value of every kind of field.
// What comes out is what Prisma is given, rebuilt from checked parts.

import { statuses } from "../../outbox/job.ts";
import { hasDay, instantIn } from "../instant.ts";
import type { Kind } from "./fields.ts";
import { refuse, refuseName, refuseValue, isKnown } from "./refuse.ts";

const maxListLength = 1000;
const uuidForm = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;

export type JsonObject = Readonly<Record<string, unknown>>;

export function expectObject(value: unknown, path: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuseValue(path, "an object", value);
  return value as JsonObject; // neither null nor a list, and it came from JSON
}

/** The entries of an object that may hold only `known` names and must hold one. */
export function expectEntries<Name extends string>(value: unknown, path: string, what: string, known: readonly Name[]): [Name, unknown][] {
  const entries = Object.entries(expectObject(value, path)).map(([name, item]): [Name, unknown] => {
    if (!isKnown(name, known)) refuseName(what, path, name, known);
    return [name, item];
  });
  // An empty condition means everything in one place and nothing in another, and is never what was meant.
  if (entries.length === 0) refuse(`Expected ${path} to name at least one ${what}, got {}. Leave it out when it should say nothing.`);
  return entries;
}

export function expectList<Item>(value: unknown, path: string, parse: (item: unknown, path: string) => Item): Item[] {
  if (!Array.isArray(value)) refuseValue(path, "a list", value);
  const items = value as unknown[];
  if (items.length === 0) refuse(`Expected ${path} to be a list of at least one, got []. Leave it out when it should say nothing.`);
  if (items.length > maxListLength) refuse(`Expected ${path} to be a list of at most ${maxListLength}, got ${items.length}.`);
  return items.map((item, index) => parse(item, `${path}[${index}]`));
}

export function expectName<Name extends string>(value: unknown, path: string, what: string, known: readonly Name[]): Name {
  if (typeof value !== "string") refuseValue(path, `a ${what}`, value);
  if (!isKnown(value, known)) refuseName(what, path, value, known);
  return value;
}

export function expectBoolean(value: unknown, path: string): boolean {
  return typeof value === "boolean" ? value : refuseValue(path, "true or false", value);
}

export function expectText(value: unknown, path: string): string {
  return typeof value === "string" ? value : refuseValue(path, "text", value);
}

export function expectWhole(value: unknown, path: string, from: number, to: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= from && value <= to) return value;
  return refuseValue(path, `a whole number from ${from} to ${to}`, value);
}

/** One value, not null, of a field of this kind. */
export function expectKind(kind: Kind | "number", value: unknown, path: string): unknown {
  switch (kind) {
    case "uuid":
      return typeof value === "string" && uuidForm.test(value) ? value : refuseValue(path, 'an id such as "01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61"', value);
    case "text":
      return expectText(value, path);
    case "status":
      return expectName(value, path, "status", statuses);
    case "integer":
      return expectWhole(value, path, -2_147_483_648, 2_147_483_647);
    case "smallint":
      return expectWhole(value, path, -32_768, 32_767);
    case "bigint":
      return expectBigInt(value, path);
    case "number":
      return typeof value === "number" && Number.isFinite(value) ? value : refuseValue(path, "a number", value);
    case "boolean":
      return expectBoolean(value, path);
    case "time":
      return expectTime(value, path);
    case "texts":
      return expectList(value, path, expectText);
    case "json":
      return value === null ? refuse(`Expected ${path} to be a JSON value other than null: null cannot be asked for here.`) : value;
  }
}

function expectBigInt(value: unknown, path: string): bigint {
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  // JSON numbers of this size have lost digits by now, so larger ones come as text.
  if (typeof value === "string" && /^-?\d{1,19}$/.test(value) && BigInt.asIntN(64, BigInt(value)) === BigInt(value)) return BigInt(value);
  return refuseValue(path, 'a whole number of 64 bits, as text when it is large ("9007199254740993")', value);
}

/** ISO text with a zone, as Prisma wants it. Without one it would mean another instant on every machine. */
export function expectTime(value: unknown, path: string): string {
  const expected = 'a time with its zone, such as "2024-01-01T00:00:00Z"';
  if (typeof value !== "string") return refuseValue(path, expected, value);
  if (/^\d{4}-\d\d-\d\d$/.test(value)) refuse(`Expected ${path} to be ${expected}, got the date "${value}". For its midnight in UTC write "${value}T00:00:00Z".`);
  return instantIn(value)?.toISOString() ?? refuseValue(path, /^\d{4}-(?:0[1-9]|1[0-2])-(?:[0-2]\d|3[01])T/.test(value) && !hasDay(value) ? "a day that the calendar has" : expected, value);
}
