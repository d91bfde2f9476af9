// Waiting for something to have happened, with an end to it.

import { setTimeout as sleep } from "node:timers/promises";

/** Asks every 10 ms until the answer is yes; an error with `what` when that takes too long. Gives back how long it took. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<number> {
  const startedAt = performance.now();
  while (!(await condition())) {
    if (performance.now() - startedAt > withinMs) throw new Error(`${what}: not within ${withinMs} ms`);
    await sleep(10);
  }
  return performance.now() - startedAt;
}
