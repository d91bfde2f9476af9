// Whoever reads our output may go away: a person with `| head`, a collector of logs that has died, a disk that is full.

import { exitCodes } from "./context.ts";

/** To be called once, when the process starts. A command whose output nobody reads any more is at its end, and that is no error. */
export function endWithReader(): void {
  process.stdout.on("error", end);
  process.stderr.on("error", ignore); // there is nobody left who could be told
}

/**
 * Jobs go on to their end whether or not anybody reads what is printed meanwhile: to end here would cost each of those
 * that run an attempt. It stays so for the rest of the process, whose exit code is theirs.
 */
export function outliveReader(): void {
  process.stdout.off("error", end).off("error", ignore).on("error", ignore);
}

function end({ code }: NodeJS.ErrnoException): void {
  process.exit(code === "EPIPE" ? exitCodes.ok : exitCodes.unexpected);
}

function ignore(): void {
  // Whoever has written is told by the answer to the write.
}
