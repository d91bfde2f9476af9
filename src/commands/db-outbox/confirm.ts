// The line to run instead where a mutation needs more than was typed.

import { visible, visibleJson } from "../../service/visible.ts";
import { quoted } from "../../outbox/shell.ts";
import { consentFlags } from "../consent.ts";

export interface Line {
  readonly operation: string;
  /** The argument as it was typed. */
  readonly input: string | undefined;
  readonly parsed: unknown;
  readonly yes: boolean;
  readonly confirm: number | null;
  readonly reason: string | null;
}

/** The command as it has to be typed, quoted for a POSIX shell. */
export function commandLine({ operation, input, parsed, ...flags }: Line): string {
  // A request that came from a file or a pipe comes from there again.
  const argument = input === "-" ? "-" : quoted(input?.startsWith("@") === true ? visible(input) : visibleJson(parsed));
  return ["npm run -s app:cli -- db outbox", operation, argument, ...consentFlags(flags)].join(" ");
}
