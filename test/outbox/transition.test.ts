// assertTransition: what a table allows passes, everything else is refused with a sentence, and mistakes do not compile.

import { describe, expect, it } from "vitest";
import type { StateOf } from "../../src/index.ts";
import { assertTransition, TransitionError } from "../../src/index.ts";

const proposal = { draft: ["sent"], sent: ["accepted", "rejected", "draft"], expired: [] } as const;

function refusal(work: () => void): TransitionError {
  try {
    work();
  } catch (error) {
    if (error instanceof TransitionError) return error;
    throw error;
  }
  throw new Error("it was allowed");
}

describe("assertTransition", () => {
  it("lets pass what the table allows, and nothing else", () => {
    const states: readonly StateOf<typeof proposal>[] = ["draft", "sent", "accepted", "rejected", "expired"];
    const passing = states.flatMap((from) =>
      states.filter((to) => {
        try {
          assertTransition(proposal, from, to);
          return true;
        } catch (error) {
          expect(error).toBeInstanceOf(TransitionError);
          return false;
        }
      }).map((to) => `${from} -> ${to}`),
    );
    expect(passing).toEqual(["draft -> sent", "sent -> draft", "sent -> accepted", "sent -> rejected"]);
  });

  it("says from where, to where, and what is allowed, in a sentence and in fields", () => {
    const error = refusal(() => assertTransition(proposal, "sent", "expired"));
    expect(error).toMatchObject({ name: "TransitionError", code: "INVALID_TRANSITION", from: "sent", to: "expired", allowed: ["accepted", "rejected", "draft"] });
    expect(error.message).toBe('Expected "sent" to be followed by "accepted" or "rejected" or "draft", got "expired".');
  });

  it("lets nothing follow a last state, whether the table has an empty entry for it or none, nor itself", () => {
    expect(refusal(() => assertTransition(proposal, "expired", "draft")).message).toBe('Expected no state to follow "expired", which is a last one, got "draft".');
    expect(refusal(() => assertTransition(proposal, "accepted", "draft")).allowed).toEqual([]);
    expect(refusal(() => assertTransition(proposal, "draft", "draft")).allowed).toEqual(["sent"]);
  });

  it.each(["constructor", "__proto__", "toString", "", "Draft"])("refuses the state %j that a row may hold at run time", (state) => {
    const anywhere: Readonly<Record<string, readonly string[]>> = proposal;
    expect(refusal(() => assertTransition(anywhere, state, "sent")).from).toBe(state);
    expect(refusal(() => assertTransition(anywhere, "draft", state)).to).toBe(state);
  });

  it("does not compile with a state that the table does not name", () => {
    // @ts-expect-error no such state to come from
    expect(() => assertTransition(proposal, "sended", "draft")).toThrow(TransitionError);
    // @ts-expect-error no such state to go to
    expect(() => assertTransition(proposal, "draft", "acepted")).toThrow(TransitionError);
    const column: string = "draft".slice();
    // @ts-expect-error a column of any text must be narrowed first
    expect(() => assertTransition(proposal, column, "draft")).toThrow(TransitionError);
    // A table given in place needs no `as const`.
    assertTransition({ open: ["closed"] }, "open", "closed");
    // @ts-expect-error nor does it take others
    expect(() => assertTransition({ open: ["closed"] }, "open", "shut")).toThrow(TransitionError);
  });
});
