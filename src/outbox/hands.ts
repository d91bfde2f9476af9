// The jobs a worker has in hand: those that wait for a slot, those that run, and those that are over but not yet settled.

import { Attempt } from "./attempt.ts";
import type { ClaimedJob, Outcome } from "./job.ts";
import type { Finished } from "./settle.ts";

/** So far ahead jobs are claimed: those expected to start within this time, so that no slot is idle while a claim is under way. */
const aheadMs = 50;

export interface Hands {
  take(jobs: readonly ClaimedJob[]): void;
  /** Starts what waits, as far as there are free slots. */
  start(): void;
  /** How many more jobs are of use: for the free slots, and a few ahead when jobs are quick. */
  room(): number;
  /** Outcomes that were not settled yet: all of them, those that are `done`, or the others. No two are of one job. */
  takeFinished(which: Which): Finished[];
  /** What waits comes to an end without having been started. */
  drop(outcome: Outcome): void;
  running(): number;
  /** The attempts that have run for longer than `ms`. */
  longRunning(ms: number): RunningJob[];
  waiting(): number;
  hasFinished(which: Which): boolean;
  isEmpty(): boolean;
}

export interface RunningJob {
  readonly job: ClaimedJob;
  readonly attempt: Attempt;
  /** As `performance.now()`. */
  readonly startedAt: number;
}

export type Which = "all" | "done" | "not done";

export interface HandsOptions {
  readonly slots: number;
  readonly batch: number;
  /** Runs one job; never rejects. */
  readonly run: (job: ClaimedJob, attempt: Attempt) => Promise<Outcome>;
  readonly onFinished: () => void;
}

export function createHands({ slots, batch, run, onFinished }: HandsOptions): Hands {
  const queue: ClaimedJob[] = [];
  let over: Finished[] = [];
  const running = new Set<RunningJob>();
  /** How long jobs take, on a moving average. */
  let typicalMs: number | null = null;

  async function begin(job: ClaimedJob): Promise<void> {
    const startedAt = performance.now();
    const now = { job, attempt: new Attempt(), startedAt };
    running.add(now);
    const outcome = await run(job, now.attempt);
    const durationMs = performance.now() - startedAt;
    typicalMs = typicalMs === null ? durationMs : typicalMs * 0.9 + durationMs * 0.1;
    running.delete(now);
    over.push({ job, outcome, durationMs });
    onFinished();
  }

  const ahead = () => (typicalMs === null ? 0 : Math.min(batch, Math.floor((slots * aheadMs) / Math.max(typicalMs, 1))));

  return {
    take: (jobs) => void queue.push(...jobs),
    start() {
      for (let free = slots - running.size; free > 0; free -= 1) {
        const job = queue.shift();
        if (job === undefined) return;
        void begin(job);
      }
    },
    room: () => slots + ahead() - running.size - queue.length,
    takeFinished(which) {
      const taken = new Map<string, Finished>();
      const left: Finished[] = [];
      for (const finished of over) {
        // One job twice: a hand-made reset gave it back while it ran, and it was claimed anew. Each settles by itself.
        const fits = matches(finished, which) && !taken.has(finished.job.id);
        if (fits) taken.set(finished.job.id, finished);
        else left.push(finished);
      }
      over = left;
      return [...taken.values()];
    },
    drop(outcome) {
      for (const job of queue.splice(0)) over.push({ job, outcome, durationMs: 0 });
    },
    running: () => running.size,
    longRunning: (ms) => [...running].filter(({ startedAt }) => performance.now() - startedAt > ms),
    waiting: () => queue.length,
    hasFinished: (which) => over.some((finished) => matches(finished, which)),
    isEmpty: () => running.size + queue.length + over.length === 0,
  };
}

function matches({ outcome }: Finished, which: Which): boolean {
  return which === "all" || (outcome.kind === "done") === (which === "done");
}
