// What may be stored as a payload or a result: plain JSON, of bounded size and depth, that jsonb can hold.
// Everything else is refused here, by its path, before a byte is sent: a statement that Postgres refuses would have
// poisoned the caller's transaction.

import { PayloadError, PayloadTooLargeError } from "./errors.ts";
import { unstorable } from "./text.ts";

/** Largest payload, in bytes of its JSON text as UTF-8. */
export const maxPayloadBytes = 1024 * 1024;
/** Largest result, of a job or an effect, and largest checkpoint. */
export const maxResultBytes = 64 * 1024;
const maxDepth = 200;

/** The JSON text of `payload`. Throws PayloadError or PayloadTooLargeError; `name` is what the path begins with. */
export function toJson(type: string, payload: unknown, name = "payload", maxBytes = maxPayloadBytes): string {
  const problem = problemOf(payload, new Set());
  if (problem !== null) throw new PayloadError(type, problem.key === undefined ? `${name}${problem.path}` : `the key ${JSON.stringify(problem.key)} of ${name}${problem.path}`, problem.text);
  const text = JSON.stringify(payload);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxBytes) throw new PayloadTooLargeError(type, bytes, maxBytes);
  return text;
}

interface Problem {
  /** From the value that was asked about down to the one that has it. It grows on the way back: nothing is spent on it while all is well. */
  readonly path: string;
  /** Given when it is not the value but the name of one of its properties. */
  readonly key?: string;
  readonly text: string;
}

function problemOf(value: unknown, ancestors: Set<object>): Problem | null {
  switch (typeof value) {
    case "boolean":
      return null;
    case "number":
      return Number.isFinite(value) ? null : { path: "", text: `is ${value}, which JSON cannot carry` };
    case "string":
      return problemOfText(value);
    case "undefined":
      return { path: "", text: "is undefined, which JSON cannot carry; use null or leave it out" };
    case "bigint":
      return { path: "", text: "is a BigInt, which JSON cannot carry; send it as a string" };
    case "symbol":
    case "function":
      return { path: "", text: `is a ${typeof value}, which JSON cannot carry` };
    case "object":
      break;
  }
  if (value === null) return null;
  if (ancestors.has(value)) return { path: "", text: "contains itself" };
  if (ancestors.size >= maxDepth) return { path: "", text: `is nested deeper than ${maxDepth} levels` };
  ancestors.add(value);
  const problem = Array.isArray(value) ? problemOfItems(value, ancestors) : problemOfProperties(value, ancestors);
  ancestors.delete(value);
  return problem;
}

function problemOfItems(items: readonly unknown[], ancestors: Set<object>): Problem | null {
  for (let index = 0; index < items.length; index += 1) {
    const problem = problemOf(items[index], ancestors);
    if (problem !== null) return { ...problem, path: `[${index}]${problem.path}` };
  }
  return null;
}

function problemOfProperties(object: object, ancestors: Set<object>): Problem | null {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) return { path: "", text: `is a ${className(object)}, which JSON cannot carry; ${advice(object)}` };
  if (typeof (object as { toJSON?: unknown }).toJSON === "function") return { path: "", text: "has a toJSON method; send what it returns" };
  for (const [key, item] of Object.entries(object)) {
    const ofKey = problemOfText(key);
    if (ofKey !== null) return { ...ofKey, key };
    // A property that is undefined is left out by JSON, as everywhere in JavaScript.
    const problem = item === undefined ? null : problemOf(item, ancestors);
    if (problem !== null) return { ...problem, path: `${segment(key)}${problem.path}` };
  }
  return null;
}

function problemOfText(text: string): Problem | null {
  const problem = unstorable(text);
  return problem === null ? null : { path: "", text: `${problem}, which Postgres cannot store` };
}

function segment(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

function className(value: object): string {
  return typeof value.constructor === "function" && value.constructor.name !== "" ? value.constructor.name : "class instance";
}

function advice(value: object): string {
  return value instanceof Date ? "send toISOString() of it" : "send a plain object, a string or a number";
}
