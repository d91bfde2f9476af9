// What may be stored as a payload or a result: plain JSON, of bounded size and depth, that jsonb can hold.
// Everything else is refused here, by its path, before a byte is sent: a statement that Postgres refuses would have
// poisoned the caller's transaction.

import { PayloadError, PayloadTooLargeError } from "./errors.ts";

/** Largest payload, in bytes of its JSON text as UTF-8. */
export const maxPayloadBytes = 1024 * 1024;
const maxDepth = 200;

/** The JSON text of `payload`. Throws PayloadError or PayloadTooLargeError; `name` is what the path begins with. */
export function toJson(type: string, payload: unknown, name = "payload", maxBytes = maxPayloadBytes): string {
  check(type, payload, name, new Set());
  const text = JSON.stringify(payload);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxBytes) throw new PayloadTooLargeError(type, bytes, maxBytes);
  return text;
}

function check(type: string, value: unknown, path: string, ancestors: Set<object>): void {
  const refuse = (problem: string): never => {
    throw new PayloadError(type, path, problem);
  };
  switch (typeof value) {
    case "boolean":
      return;
    case "number":
      if (!Number.isFinite(value)) refuse(`is ${value}, which JSON cannot carry`);
      return;
    case "string":
      checkText(type, value, path);
      return;
    case "undefined":
      return refuse("is undefined, which JSON cannot carry; use null or leave it out");
    case "bigint":
      return refuse("is a BigInt, which JSON cannot carry; send it as a string");
    case "symbol":
    case "function":
      return refuse(`is a ${typeof value}, which JSON cannot carry`);
    case "object":
      break;
  }
  if (value === null) return;
  if (ancestors.has(value)) refuse("contains itself");
  if (ancestors.size >= maxDepth) refuse(`is nested deeper than ${maxDepth} levels`);
  ancestors.add(value);
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) check(type, value[index], `${path}[${index}]`, ancestors);
  } else {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) refuse(`is a ${className(value)}, which JSON cannot carry; ${advice(value)}`);
    if (typeof (value as { toJSON?: unknown }).toJSON === "function") refuse("has a toJSON method; send what it returns");
    for (const [key, item] of Object.entries(value)) {
      checkText(type, key, `the key ${JSON.stringify(key)} of ${path}`);
      // A property that is undefined is left out by JSON, as everywhere in JavaScript.
      if (item !== undefined) check(type, item, keyPath(path, key), ancestors);
    }
  }
  ancestors.delete(value);
}

function checkText(type: string, text: string, path: string): void {
  if (text.includes("\u0000")) throw new PayloadError(type, path, "contains a NUL character, which Postgres cannot store");
  if (!text.isWellFormed()) throw new PayloadError(type, path, "contains half of a surrogate pair, which Postgres cannot store");
}

function keyPath(path: string, key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

function className(value: object): string {
  return typeof value.constructor === "function" && value.constructor.name !== "" ? value.constructor.name : "class instance";
}

function advice(value: object): string {
  return value instanceof Date ? "send toISOString() of it" : "send a plain object, a string or a number";
}
