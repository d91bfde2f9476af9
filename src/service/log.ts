// The program's log, on stderr: JSON lines by pino, or plain sentences for people. Payloads are never logged.

import type { Logger } from "pino";
import type { LogLevel } from "./config.ts";
import { visible } from "./visible.ts";

export type Severity = Exclude<LogLevel, "silent">;

export interface Log {
  write(severity: Severity, fields: Record<string, unknown>, sentence: string): void;
  /** Comes back when everything is written. */
  flush(): Promise<void>;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "json" | "text";
  readonly stderr: NodeJS.WritableStream;
}

const ranks = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 } as const;

export function createLog({ level, format, stderr }: LogOptions): Log {
  // pino is loaded with the first line: a drain that has nothing to say never loads it.
  let opening: Promise<Logger> | null = null;
  let written = Promise.resolve();
  const openPino = async () => (await import("pino")).pino({ level, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` }, stderr);
  return {
    write(severity, fields, sentence) {
      if (ranks[severity] < ranks[level]) return;
      if (format === "text") {
        stderr.write(`${new Date().toISOString()} ${severity.padEnd(5)} ${visible(sentence)}\n`);
        return;
      }
      written = written.then(async () => (await (opening ??= openPino()))[severity](fields, sentence));
    },
    flush: () => written,
  };
}
