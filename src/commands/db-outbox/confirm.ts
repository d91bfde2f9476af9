// The question before a mutation, and the line to run instead where nobody can be asked.

import { createInterface } from "node:readline";
import type { CommandIo } from "../output.ts";
import { write } from "../output.ts";
import { visible, visibleJson } from "../../service/visible.ts";

const answerTimeoutMs = 120_000;

/** Asks on the terminal. Only "y" or "yes" is a yes; the end of the input, or two minutes without an answer, is a no. */
export async function ask(io: CommandIo, question: string): Promise<boolean> {
  await write(io.stderr, `${question} [y/N] `);
  const lines = createInterface({ input: io.stdin, terminal: false });
  const tooLate = setTimeout(() => lines.close(), answerTimeoutMs);
  try {
    const answer = await new Promise<string>((resolve) => {
      lines.once("line", resolve);
      lines.once("close", () => resolve(""));
    });
    return /^\s*y(es)?\s*$/i.test(answer);
  } finally {
    clearTimeout(tooLate);
    lines.close();
  }
}

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
export function commandLine({ operation, input, parsed, yes, confirm, reason }: Line): string {
  // A request that came from a file or a pipe comes from there again.
  const argument = input === "-" ? "-" : quote(input?.startsWith("@") === true ? visible(input) : visibleJson(parsed));
  const flags = [yes ? "--yes" : "", confirm === null ? "" : `--confirm=${confirm}`, reason === null ? "" : `--reason=${quote(visible(reason))}`];
  return ["npm run -s app:cli -- db outbox", operation, argument, ...flags].filter((part) => part !== "").join(" ");
}

function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
