// JSON as people type it: what is wrong is shown with line, column and a caret under the place.
// The place is found by a scanner of our own, because every version of Node words JSON.parse's errors differently.

import { cut, displayWidth, visible } from "../../service/visible.ts";
import { refuse } from "./refuse.ts";
import type { Problem } from "./scan-json.ts";
import { findProblem } from "./scan-json.ts";

/** The value of a JSON document. `columns` is the width of the terminal. */
export function parseJson(text: string, columns: number): unknown {
  const problem = findProblem(text);
  if (problem !== null) refuse(describe(text, problem, columns));
  return JSON.parse(text) as unknown;
}

/** The sentence, the line it is about (cut to the terminal) and the caret under the place. */
function describe(text: string, { at, message }: Problem, columns: number): string {
  const lineStart = text.lastIndexOf("\n", at - 1) + 1;
  const lineNumber = text.slice(0, lineStart).split("\n").length;
  const nextBreak = text.indexOf("\n", at);
  const lineEnd = nextBreak === -1 ? text.length : nextBreak;
  const room = Math.max(columns - 4, 20);
  // In a long line the place stands two thirds from the left, so that what led to it is in sight.
  const from = Math.max(lineStart, at - Math.floor((room * 2) / 3));
  const before = (from > lineStart ? "…" : "") + visible(text.slice(from, at));
  const after = visible(text.slice(at, Math.min(lineEnd, at + room)));
  const caret = " ".repeat(displayWidth(before)) + "^";
  const hint = text.includes('"') ? "" : "\nThere is not one double quote in it: the shell may have eaten them. Put the JSON in single quotes, or use - or @file.";
  return `The JSON is wrong at line ${lineNumber}, column ${at - lineStart + 1}: ${message}.\n  ${cut(before + after, room)}\n  ${caret}${hint}`;
}
