// Whether the suite has noticed a mutant, and for the right reason: by a test that passes without it and failed at what it
// asserts, not by a file that does not load.

import type { Mutant } from "./mutant.ts";
import type { Failure, Run } from "./suite.ts";
import { idOf } from "./suite.ts";

export type Verdict = { readonly kind: "noticed"; readonly by: Failure } | { readonly kind: "survived" | "proves nothing"; readonly why: string };

/** Those of `.rejects` go by another name; and the suite's own waits that came to nothing (test/support/until.ts) assert as well. */
const assertion = /^AssertionError|^Error: promise (?:resolved|rejected) |^Error: .*: not within \d+ ms$/;

/** `green`: what passed in the control. `whole`: any test may have noticed, not the expected ones alone. */
export function verdictOn({ noticedBy, says }: Mutant, { passed, failures, broken }: Run, { green, whole }: { readonly green: ReadonlySet<string>; readonly whole: boolean }): Verdict {
  const isMeant = (failure: Failure) => (whole || failure.file in noticedBy) && green.has(idOf(failure)) && (assertion.test(failure.message) || (says !== undefined && failure.message.startsWith(says)));
  const by = failures.find(isMeant);
  if (by !== undefined) return { kind: "noticed", by };
  const [other] = failures;
  if (other !== undefined) return { kind: "proves nothing", why: `${idOf(other)} ${green.has(idOf(other)) ? `failed by something else than an assertion: ${other.message}` : "is red without the mutant too"}` };
  if (broken !== "") return { kind: "proves nothing", why: broken };
  return passed.size === 0 ? { kind: "proves nothing", why: "no test was run: the expected ones have other names now" } : { kind: "survived", why: `all ${passed.size} tests that were to notice passed` };
}
