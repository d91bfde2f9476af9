// Finds the place where a text stops being JSON. Beyond JSON itself it refuses what JSON.parse lets through silently:
// a name given twice, a number that would become another one, text that Postgres cannot hold, nesting without end.

import { isExactNumber } from "../../outbox/exact-number.ts";
import { visible } from "../../service/visible.ts";

const maxDepth = 32;

export interface Problem {
  readonly at: number;
  readonly message: string;
}

class Found extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.message);
    this.problem = problem;
  }
}

/** What is wrong with a text as JSON, and where; null when nothing is. */
export function findProblem(text: string): Problem | null {
  try {
    const end = skipSpace(text, scanValue(text, skipSpace(text, 0), 1));
    return end === text.length ? null : { at: end, message: `expected the end, got ${shown(text, end)}` };
  } catch (error) {
    if (error instanceof Found) return error.problem;
    throw error;
  }
}

/** Scans the value at `at` and returns where it ends. */
function scanValue(text: string, at: number, depth: number): number {
  const opening = text[at];
  if (opening === "{" || opening === "[") {
    if (depth > maxDepth) stop(at, `nested deeper than ${maxDepth} levels`);
    return opening === "{" ? scanObject(text, at, depth) : scanList(text, at, depth);
  }
  if (opening === '"') return scanString(text, at);
  const end = match(text, at, /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y) ?? stop(at, `expected a value, got ${shown(text, at)}`);
  const word = text.slice(at, end);
  if (/\d/.test(word) && !isExactNumber(word)) stop(at, `JavaScript keeps about 16 digits and would make ${String(Number(word))} of this number; write it with fewer, or as text`);
  return end;
}

function scanObject(text: string, start: number, depth: number): number {
  const keys = new Set<string>();
  let at = skipSpace(text, start + 1);
  if (text[at] === "}") return at + 1;
  for (;;) {
    if (text[at] !== '"') stop(at, `expected a name in double quotes, got ${shown(text, at)}`);
    const end = scanString(text, at);
    const key = JSON.parse(text.slice(at, end)) as string;
    if (keys.has(key)) stop(at, `the name ${visible(text.slice(at, end))} is here twice, and only one of them would count`);
    keys.add(key);
    at = skipSpace(text, end);
    if (text[at] !== ":") stop(at, `expected ":", got ${shown(text, at)}`);
    at = skipSpace(text, scanValue(text, skipSpace(text, at + 1), depth + 1));
    if (text[at] === "}") return at + 1;
    if (text[at] !== ",") stop(at, `expected "," or "}", got ${shown(text, at)}`);
    at = skipSpace(text, at + 1);
  }
}

function scanList(text: string, start: number, depth: number): number {
  let at = skipSpace(text, start + 1);
  if (text[at] === "]") return at + 1;
  for (;;) {
    at = skipSpace(text, scanValue(text, at, depth + 1));
    if (text[at] === "]") return at + 1;
    if (text[at] !== ",") stop(at, `expected "," or "]", got ${shown(text, at)}`);
    at = skipSpace(text, at + 1);
  }
}

function scanString(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    // Character by character where it matters, in one step over everything that is plain.
    at = match(text, at, /[^"\\\u0000-\u001f]+/y) ?? at;
    const char = text[at];
    if (char === '"') break;
    if (char === undefined) stop(start, "this string has no end");
    if (char !== "\\") stop(at, `expected ${visible(JSON.stringify(char))} to be written as an escape inside a string`);
    at = match(text, at, /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y) ?? stop(at, `expected an escape such as \\n or \\u00e9, got ${visible(text.slice(at, at + 2))}`);
  }
  const value = JSON.parse(text.slice(start, at + 1)) as string;
  if (value.includes("\u0000") || !value.isWellFormed()) stop(start, "this text holds a NUL character or half of a surrogate pair, which Postgres cannot hold");
  return at + 1;
}

function skipSpace(text: string, at: number): number {
  return match(text, at, /[ \t\r\n]+/y) ?? at;
}

function match(text: string, at: number, sticky: RegExp): number | null {
  sticky.lastIndex = at;
  return sticky.test(text) ? sticky.lastIndex : null;
}

function stop(at: number, message: string): never {
  throw new Found({ at, message });
}

function shown(text: string, at: number): string {
  const char = text.codePointAt(at);
  return char === undefined ? "the end" : visible(String.fromCodePoint(char));
}
