// Values of outbox.config.ts, whose types nobody has checked when it is JavaScript: each is of its kind, or refused by its
// name. A value is never shown: it may be a secret.

import { OutboxError } from "../outbox/errors.ts";

/** Undefined, null: it is not there. */
type Entry<Value> = Value | null | undefined;

export const textIn = <Value extends string>(name: string, given: Entry<Value>): Entry<Value> => expected(name, given, "a text", typeof given === "string");
/** What is no boolean is refused: the text "false" would open what it was meant to keep closed. */
export const trueOrFalseIn = (name: string, given: Entry<boolean>): Entry<boolean> => expected(name, given, "true or false", typeof given === "boolean");
export const objectIn = <Value extends object>(name: string, given: Entry<Value>): Entry<Value> => expected(name, given, "an object", isObject(given));
export const functionIn = <Value extends () => unknown>(name: string, given: Entry<Value>): Entry<Value> => expected(name, given, "a function", typeof given === "function");
/** `fits`: what each of the list must be besides an object, in case it was made by hand. */
export const listIn = <Item extends object>(name: string, given: Entry<readonly Item[]>, kind: string, fits: (item: Item) => boolean): Entry<readonly Item[]> => expected(name, given, `a list of ${kind}`, isListOf(given, fits));

function expected<Value>(name: string, given: Entry<Value>, kind: string, fits: boolean): Entry<Value> {
  if (given === undefined || given === null || fits) return given;
  throw new OutboxError("CONFIGURATION", `Expected ${name} of the configuration to be ${kind}, got ${Array.isArray(given) ? "a list" : `a value of the type ${typeof given}`}.`);
}

function isObject(given: unknown): given is object {
  return typeof given === "object" && given !== null && !Array.isArray(given);
}

function isListOf<Item>(given: Entry<readonly Item[]>, fits: (item: Item) => boolean): boolean {
  // From JavaScript a list may be anything, and have holes.
  const items: unknown = given;
  return Array.isArray(items) && Array.from(items as unknown[]).every((item) => isObject(item) && fits(item as Item)); // what `fits` reads of it, it checks
}
