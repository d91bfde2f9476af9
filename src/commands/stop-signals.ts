// How a running command is told to stop. The first signal asks for a graceful stop; the second ends the process.

import { writeSync } from "node:fs";
import { npmFlags } from "../service/config.ts";

const exitCodeOf = { SIGINT: 130, SIGTERM: 143 } as const;

export interface StopSignals {
  /** Aborted by the first SIGINT or SIGTERM, or when npm, which should have passed one on, has died. */
  readonly signal: AbortSignal;
  release(): void;
}

export function stopSignals(onFirst: (name: string) => void): StopSignals {
  const stop = new AbortController();
  const received = (name: keyof typeof exitCodeOf) => {
    if (stop.signal.aborted) process.exit(exitCodeOf[name]);
    onFirst(name);
    stop.abort();
  };
  const handlers = { SIGINT: () => received("SIGINT"), SIGTERM: () => received("SIGTERM") };
  process.on("SIGINT", handlers.SIGINT);
  process.on("SIGTERM", handlers.SIGTERM);
  const parent = process.ppid;
  const orphaned = () => {
    if (process.ppid !== parent && !stop.signal.aborted) {
      onFirst("the end of npm");
      stop.abort();
    }
  };
  const guard = npmFlags().script === null ? undefined : setInterval(orphaned, 1000).unref();
  return {
    signal: stop.signal,
    release() {
      process.off("SIGINT", handlers.SIGINT);
      process.off("SIGTERM", handlers.SIGTERM);
      clearInterval(guard);
    },
  };
}

/**
 * While jobs run, the process must not end as if all were well: a handler that calls process.exit(0) would. The exit
 * code becomes 1, and the jobs that were running are rescued with their attempt counted. Gives back how to lift it.
 */
export function guardExit(what: string): () => void {
  const onExit = (code: number) => {
    if (code !== 0) return;
    process.exitCode = 1;
    try {
      writeSync(2, `The process was ended from inside while ${what} was running (did a handler call process.exit?). Its jobs count one attempt and are returned by the next drain or worker.\n`);
    } catch {
      // Nobody reads stderr. Thrown from here, that would go to whoever called process.exit, and leave a process that neither works nor ends.
    }
  };
  process.on("exit", onExit);
  return () => void process.off("exit", onExit);
}
