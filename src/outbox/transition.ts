// A guard for the states of an app's own rows: which state may follow which, as one table. Asked before the transaction, it
// refuses with a sentence; against races the update's `where` names the old state as well (docs/how-to/guard-transitions.md).

import { OutboxError } from "./errors.ts";

/** Which states may follow each state. One without an entry, or with an empty one, is a last one. */
export type Transitions = Readonly<Record<string, readonly string[]>>;

/** Every state that a table names, on either side. */
export type StateOf<Table extends Transitions> = (keyof Table & string) | Table[keyof Table][number];

/** A state may not follow another one. */
export class TransitionError extends OutboxError {
  override readonly name = "TransitionError";
  readonly from: string;
  readonly to: string;
  /** The states that may follow `from`. */
  readonly allowed: readonly string[];

  constructor(from: string, to: string, allowed: readonly string[]) {
    const states = allowed.map((state) => JSON.stringify(state)).join(" or ");
    super("INVALID_TRANSITION", `Expected ${allowed.length === 0 ? `no state to follow ${JSON.stringify(from)}, which is a last one` : `${JSON.stringify(from)} to be followed by ${states}`}, got ${JSON.stringify(to)}.`);
    this.from = from;
    this.to = to;
    this.allowed = allowed;
  }
}

/**
 * Throws a TransitionError unless the table lets `to` follow `from`. With a table that is `as const`, a state that it does
 * not name does not compile.
 */
export function assertTransition<const Table extends Transitions>(table: Table, from: NoInfer<StateOf<Table>>, to: NoInfer<StateOf<Table>>): void {
  // Own entries only: from JavaScript, or from a row that somebody else has written, `from` may be "constructor".
  const allowed: readonly string[] = Object.hasOwn(table, from) ? (table[from] ?? []) : [];
  if (!allowed.includes(to)) throw new TransitionError(from, to, allowed);
}
