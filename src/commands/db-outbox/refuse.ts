// How a request is refused: what was expected, what came, and, for a mistyped name, which one was probably meant.

import { OutboxError } from "../../outbox/errors.ts";
import { cut, visible, visibleJson } from "../../service/visible.ts";

/** Throws the sentence that the person reads; nothing has been changed by then. */
export function refuse(message: string): never {
  throw new OutboxError("USAGE", message);
}

/** Throws "Expected where.attempts.lt to be a whole number, got "ten"." */
export function refuseValue(path: string, expected: string, value: unknown): never {
  return refuse(`Expected ${path} to be ${expected}, got ${got(value)}.`);
}

/** Throws for a name outside the closed list. `what` is the kind of name, for example "field". */
export function refuseName(what: string, path: string, name: string, known: readonly string[]): never {
  const guess = closest(name, known);
  const place = path === "" ? "" : ` in ${path}`;
  return refuse(
    `Unknown ${what} ${got(name)}${place}.${guess === null ? "" : ` Did you mean ${JSON.stringify(guess)}?`} Known: ${known.join(", ")}.`,
  );
}

export function isKnown<Name extends string>(name: string, known: readonly Name[]): name is Name {
  return (known as readonly string[]).includes(name);
}

function got(value: unknown): string {
  return cut(visibleJson(value), 60);
}

/** The name that differs least, when it differs by no more than a third of its letters. */
export function closest(name: string, known: readonly string[]): string | null {
  const typed = visible(name).slice(0, 60).toLowerCase();
  let best: string | null = null;
  let bestDistance = Infinity;
  for (const candidate of known) {
    const distance = editDistance(typed, candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best !== null && bestDistance <= Math.max(1, Math.floor(best.length / 3)) ? best : null;
}

/** Letters to insert, delete or replace, two neighbours swapped counting as one: Damerau's distance. */
function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const at = (line: number[], index: number): number => line[index] ?? Infinity;
      const replaced = at(last, column - 1) + (from[row - 1] === to[column - 1] ? 0 : 1);
      const swapped =
        row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1] ? at(beforeLast, column - 2) + 1 : Infinity;
      current.push(Math.min(replaced, swapped, at(last, column) + 1, at(current, column - 1) + 1));
    }
    [beforeLast, last] = [last, current];
  }
  return last[to.length] ?? Infinity;
}
