// Whether JSON has what a test expects of it, and where it has not. Parts are enough; matchers of vitest and jest
// (expect.any(String) and the like) may stand anywhere, recognised by their method.

import { inspect } from "node:util";

/** Some of the properties of `Value`, at every depth. An array has all of its items. */
export type PartOf<Value> = Value extends readonly (infer Item)[] ? readonly PartOf<Item>[] : Value extends object ? { readonly [Key in keyof Value]?: PartOf<Value[Key]> } : Value;

interface Matcher {
  asymmetricMatch(actual: unknown): boolean;
}

/** A sentence about the first difference; null when `actual` has all that `expected` has. `path` is what `actual` is called. */
export function differenceOf(expected: unknown, actual: unknown, path: string): string | null {
  if (isMatcher(expected)) return expected.asymmetricMatch(actual) ? null : `${path} is ${shown(actual)}, which is refused by the matcher ${shown(expected)}`;
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual)) return `${path} is ${shown(actual)}, expected an array`;
    if (actual.length !== expected.length) return `${path} has ${actual.length} items, expected ${expected.length}`;
    return firstOf(expected.map((item, index) => differenceOf(item, actual[index], `${path}[${index}]`)));
  }
  if (isPlain(expected)) {
    if (!isPlain(actual)) return `${path} is ${shown(actual)}, expected an object`;
    return firstOf(Object.keys(expected).map((key) => differenceOf(expected[key], Object.hasOwn(actual, key) ? actual[key] : undefined, `${path}.${key}`)));
  }
  return expected === actual ? null : `${path} is ${shown(actual)}, expected ${shown(expected)}`;
}

function firstOf(differences: readonly (string | null)[]): string | null {
  return differences.find((difference) => difference !== null) ?? null;
}

function isMatcher(value: unknown): value is Matcher {
  return typeof value === "object" && value !== null && "asymmetricMatch" in value && typeof value.asymmetricMatch === "function";
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return Object.prototype.toString.call(value) === "[object Object]"; // also one of another realm, as jest has them
}

export function shown(value: unknown): string {
  return value === undefined ? "missing" : inspect(value, { depth: 6, maxStringLength: 300, maxArrayLength: 20, breakLength: Infinity });
}
