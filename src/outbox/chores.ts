// What a worker does beside its jobs, now and then: firing schedules, pruning. Each runs in the background, one run at a
// time, and a failure of one is told of and tried again later.

import type { Emit } from "./events.ts";
import { isTransient } from "./transient.ts";

export interface Chore {
  readonly name: string;
  /** Gives back after how many milliseconds it is to run again; null: not any more. */
  readonly run: (signal: AbortSignal) => Promise<number | null>;
}

export interface Chores {
  /** Begins those whose time has come. */
  begin(start: (work: () => Promise<void>) => void): void;
  /** Milliseconds until the next one's time. */
  nextInMs(): number;
}

const retryMs = { passing: 5000, other: 60_000 };

export function createChores(chores: readonly Chore[], signal: AbortSignal, emit: Emit): Chores {
  /** When each is due; null while it runs, and for ever when it has had its last run. */
  const dueAt = new Map<Chore, number | null>(chores.map((chore) => [chore, 0]));

  async function run(chore: Chore): Promise<void> {
    try {
      const againInMs = await chore.run(signal);
      dueAt.set(chore, againInMs === null ? null : performance.now() + againInMs);
    } catch (error) {
      const retryInMs = isTransient(error) ? retryMs.passing : retryMs.other;
      dueAt.set(chore, performance.now() + retryInMs);
      emit({ event: "database_failed", doing: chore.name, error, retryInMs });
    }
  }

  return {
    begin(start) {
      if (signal.aborted) return;
      for (const [chore, at] of dueAt) {
        if (at === null || at > performance.now()) continue;
        dueAt.set(chore, null);
        start(() => run(chore));
      }
    },
    nextInMs: () => Math.max(0, Math.min(...[...dueAt.values()].filter((at) => at !== null)) - performance.now()),
  };
}
