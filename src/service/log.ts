// The program's log, on stderr: JSON lines by pino, or plain sentences for people. Payloads are never logged.

import type { Logger } from "pino";
import type { Conceal } from "../outbox/failure.ts";
import { concealNothing } from "../outbox/failure.ts";
import type { LogLevel } from "./config.ts";
import { visible } from "./visible.ts";

export type Severity = Exclude<LogLevel, "silent">;

export interface Log {
  /** `from`: the payload that what is said may speak of. */
  write(severity: Severity, fields: Record<string, unknown>, sentence: string, from?: unknown): void;
  /** Comes back when everything is written. */
  flush(): Promise<void>;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "json" | "text";
  readonly stderr: NodeJS.WritableStream;
  /** Keeps secrets out of the lines. Default: nothing is taken for one. */
  readonly conceal?: Conceal;
}

/** Many, and without a word of the app's: what is not in them need not be looked for. */
const wordless: ReadonlySet<unknown> = new Set(["job_done", "claim_answered"]);

const ranks = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 } as const;

export function createLog({ level, format, stderr, conceal = concealNothing }: LogOptions): Log {
  // pino is loaded with the first line: a drain that has nothing to say never loads it.
  let opening: Promise<Logger> | null = null;
  let written = Promise.resolve();
  let shown = conceal;
  // The whole line, because fields may have any depth; pino writes it before its call has come back.
  const lines = { write: (line: string) => void stderr.write(shown(line)) };
  const openPino = async () => (await import("pino")).pino({ level, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` }, lines);
  return {
    write(severity, fields, sentence, from) {
      if (ranks[severity] < ranks[level]) return;
      const concealed: Conceal = wordless.has(fields.event) ? concealNothing : (line) => conceal(line, from);
      if (format === "text") {
        stderr.write(`${new Date().toISOString()} ${severity.padEnd(5)} ${visible(concealed(sentence))}\n`);
        return;
      }
      written = written.then(async () => {
        const pino = await (opening ??= openPino());
        shown = concealed;
        pino[severity](fields, sentence);
      });
    },
    flush: () => written,
  };
}
