// What every change of jobs by hand goes through: a question on a terminal, a number for many, samples of what is meant.

import { OutboxError } from "../outbox/errors.ts";
import { quoted } from "../outbox/shell.ts";
import { visible } from "../service/visible.ts";
import type { CommandIo, OutputRow } from "./output.ts";
import { note, printRows, write } from "./output.ts";

/** More jobs than this are changed only by someone who has named their number. */
const maxUnconfirmed = 1000;
const answerTimeoutMs = 120_000;

export function canAsk(io: CommandIo): boolean {
  return io.stdinIsTty && io.stderrIsTty;
}

/** Asks on the terminal. Only "y" or "yes" is a yes; Ctrl-C, the end of the input, or two minutes without an answer, is a no. */
export async function ask(io: CommandIo, question: string): Promise<boolean> {
  const { createInterface } = await import("node:readline");
  const lines = createInterface({ input: io.stdin, terminal: false });
  const stop = () => lines.close();
  const tooLate = setTimeout(stop, answerTimeoutMs);
  // Before those of a command that goes on until its step is done: a question is no step.
  process.prependListener("SIGINT", stop);
  try {
    // Listened for before the question is there: fast fingers answer at once.
    const answered = new Promise<string | null>((resolve) => {
      lines.once("line", resolve);
      lines.once("close", () => resolve(null));
    });
    await write(io.stderr, `${question} [y/N] `);
    const answer = await answered;
    if (answer === null) await write(io.stderr, "\n"); // nobody has pressed Enter
    return answer !== null && /^\s*y(es)?\s*$/i.test(answer);
  } finally {
    clearTimeout(tooLate);
    process.off("SIGINT", stop);
    lines.close();
  }
}

export interface CountCheck {
  /** How many jobs there really are. */
  readonly count: number;
  /** How many the person has agreed to; null when nobody was asked. */
  readonly expected: number | null;
  /** What --confirm said. */
  readonly confirm: number | null;
  /** The line that does it with --confirm for that many. */
  readonly lineFor: (count: number) => string;
}

/** Throws when there are more or fewer jobs than was agreed to, or too many for nobody to have named their number. */
export function checkCount({ count, expected, confirm, lineFor }: CountCheck): void {
  if (expected !== null && expected !== count) {
    throw new OutboxError("USAGE", `Expected ${jobs(expected)}, found ${count}. Nothing was changed. For that many:\n  ${lineFor(count)}`);
  }
  if (count > maxUnconfirmed && confirm === null) {
    throw new OutboxError("USAGE", `This would change ${count} jobs; more than ${maxUnconfirmed} need --confirm=${count}. Nothing was changed. To run it:\n  ${lineFor(count)}`);
  }
}

/** Samples are for the person, so they go to stderr whatever stdout is. */
export async function showSamples(io: CommandIo, { count, samples }: { readonly count: number; readonly samples: readonly OutputRow[] }): Promise<void> {
  await printRows({ ...io, stdout: io.stderr, stdoutIsTty: true }, samples, { json: false, ndjson: false });
  if (count > samples.length) await note(io, {}, `… and ${count - samples.length} more.`);
}

/** The flags of a change as they have to be typed. */
export function consentFlags({ yes, confirm, reason }: { readonly yes: boolean; readonly confirm: number | null; readonly reason: string | null }): string[] {
  return [...(yes ? ["--yes"] : []), ...(confirm === null ? [] : [`--confirm=${confirm}`]), ...(reason === null ? [] : [`--reason=${quoted(visible(reason))}`])];
}

/** "1 job", "3 jobs". */
export function jobs(count: number): string {
  return count === 1 ? "1 job" : `${count} jobs`;
}
