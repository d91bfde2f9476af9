// How fast the machine is while others use it too: measured by what the runs do all the time, the start of a process.

import { setTimeout as sleep } from "node:timers/promises";
import { appCli } from "../support/cli.ts";

/** `--version` on a machine of two cores that does nothing else takes about half of it. */
export const startMs = 400;
const pauseMs = 1000;

/** Measures until `stop`. The slowest start counts, in multiples of what a free machine needs; never below 1. */
export function measurePace(): { slowness(): number; stop(): Promise<void> } {
  const stopped = new AbortController();
  let slowest = 1;
  const measuring = (async () => {
    while (!stopped.signal.aborted) {
      const startedAt = performance.now();
      await appCli(["--version"], {}).ended;
      slowest = Math.max(slowest, (performance.now() - startedAt) / startMs);
      await sleep(pauseMs, undefined, { signal: stopped.signal }).catch(() => undefined); // stop ends it
    }
  })();
  return {
    slowness: () => slowest,
    async stop() {
      stopped.abort();
      await measuring;
    },
  };
}
