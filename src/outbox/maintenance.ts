// The pass that keeps the table small: a walk over the primary key in short steps, with a rest after each, that deletes
// what has been finished for long enough. The SQL is in store/prune.ts; prune.ts makes an operator's action of it.

import { setTimeout as sleep } from "node:timers/promises";
import type { Database, Sql } from "./database.ts";
import { isTimeout } from "./reading.ts";
import type { RetentionMs } from "./retention.ts";
import type { IdRange, Looked } from "./store/prune.ts";
import { previewStep, pruneStep, rangesToWalk } from "./store/prune.ts";
import { pruneSlots } from "./store/prune-slots.ts";

/** How long the slots of schedules are kept. */
export const slotRetentionMs = 30 * 86_400_000;
/** A step that takes longer, on a slow disk say, is followed by a smaller one. */
const slowStepMs = 250;
const leastStepRows = 50;
const maxPauseMs = 60_000;
/** How long one that waits for another prune waits before it asks again. */
const busyMs = 50;

export interface WalkOptions {
  /** Aborted: the step that runs is the last. */
  readonly signal?: AbortSignal | undefined;
  /** Jobs looked at by one step, at most. Default: 2,000. */
  readonly stepRows?: number;
  /** The rest after a step, as a multiple of the time that the step took. Default: 1. */
  readonly pause?: number;
}

export interface PassOptions extends WalkOptions {
  /** Where the pass before this one has stopped: its `rest`. Default: from the beginning. */
  readonly from?: readonly IdRange[];
  /** Deletes no more jobs than this. */
  readonly limit?: number;
  /** When another pass is at it: leave it to that one (the default), or take turns with it. */
  readonly whenBusy?: "leave" | "wait";
  /** Whether old slots of schedules go too. Default: true. */
  readonly withSlots?: boolean;
  /** Called in the transaction of each step that deletes jobs, with how many. */
  readonly record?: (tx: Sql, deleted: number) => Promise<void>;
}

export interface Pass {
  readonly done: number;
  readonly cancelled: number;
  /** Dead letters. */
  readonly dead: number;
  /** Slots of schedules. */
  readonly slots: number;
  readonly steps: number;
  /** False when the signal, the limit or another pass has ended it early. */
  readonly complete: boolean;
  /** What it has not walked, for `from`. Empty when the next pass is to begin at the beginning. */
  readonly rest: readonly IdRange[];
}

/**
 * Deletes the finished jobs whose retention is over, and slots of more than 30 days ago. Nothing else can be harmed by
 * it, by two at once, or by its end at any moment: each step is a transaction of its own.
 */
export async function pruneFinished(database: Database, retention: RetentionMs, options: PassOptions = {}): Promise<Pass> {
  const { signal, limit = Number.POSITIVE_INFINITY, whenBusy = "leave", withSlots = true, record } = options;
  const sum = { done: 0, cancelled: 0, dead: 0, slots: 0, steps: 0 };
  const deleted = () => sum.done + sum.cancelled + sum.dead;
  const ranges = options.from !== undefined && options.from.length > 0 ? options.from : await startOf(database, retention);

  const other = { isAtIt: false };
  const rest = await walk(ranges, options, async (range, rows) => {
    const step = await database.transaction(async (tx) => {
      const looked = await pruneStep(tx, range, retention, rows, Math.min(rows, limit - deleted()));
      if (looked !== null && deletedBy(looked) > 0) await record?.(tx, deletedBy(looked));
      return looked;
    });
    if (step === null) {
      other.isAtIt = whenBusy === "leave";
      return other.isAtIt ? "stop" : "again";
    }
    add(sum, step);
    // What is left of this step's jobs when the limit is reached has been looked at, but not dealt with.
    return deleted() >= limit ? "stop" : step;
  });
  if (other.isAtIt) return { ...sum, complete: false, rest: [] };
  if (rest.length > 0) return { ...sum, complete: false, rest };

  const slotsAtOnce = options.stepRows ?? 2000;
  for (let last = withSlots ? slotsAtOnce : 0; last === slotsAtOnce && signal?.aborted !== true; ) {
    last = await pruneSlots(database, slotRetentionMs, slotsAtOnce);
    sum.slots += last;
  }
  return { ...sum, complete: signal?.aborted !== true, rest: [] };
}

export interface Preview extends Pick<Pass, "done" | "cancelled" | "dead" | "complete"> {
  /** Ids of the first few of them. */
  readonly first: readonly string[];
}

/** What a pass would delete, counted by the same walk. */
export async function previewPrune(database: Database, retention: RetentionMs, samples: number, options: WalkOptions = {}): Promise<Preview> {
  const sum = { done: 0, cancelled: 0, dead: 0, steps: 0 };
  const first: string[] = [];
  const rest = await walk(await startOf(database, retention), options, async (range, rows) => {
    const step = await database.transaction((tx) => previewStep(tx, range, retention, rows, samples - first.length));
    add(sum, step);
    first.push(...step.first);
    return step;
  });
  return { ...sum, first, complete: rest.length === 0 };
}

async function startOf(database: Database, retention: RetentionMs): Promise<readonly IdRange[]> {
  const kept = [retention.done, retention.cancelled, retention.dead].filter((ms) => ms !== null);
  return kept.length === 0 ? [] : rangesToWalk(database, Math.min(...kept));
}

/** Takes step after step until the ranges have come to their end, or a step or the signal says stop. Gives back what is left of them. */
async function walk(
  ranges: readonly IdRange[],
  { signal, stepRows = 2000, pause = 1 }: WalkOptions,
  step: (range: IdRange, rows: number) => Promise<Looked | "again" | "stop">,
): Promise<readonly IdRange[]> {
  const left = [...ranges];
  let rows = stepRows;
  for (let range = left[0]; range !== undefined && signal?.aborted !== true; range = left[0]) {
    const startedAt = performance.now();
    const took = () => performance.now() - startedAt;
    const smaller = Math.max(Math.min(leastStepRows, stepRows), Math.floor(rows / 4));
    try {
      const looked = await step(range, rows);
      if (looked === "stop") break;
      if (looked !== "again") {
        if (looked.lastId === null || looked.looked < rows) left.shift();
        else left[0] = { after: looked.lastId, before: range.before };
        rows = took() > slowStepMs ? smaller : Math.min(stepRows, rows * 2);
      }
      if (left.length > 0) await pauseFor(looked === "again" ? busyMs : Math.min(took() * pause, maxPauseMs), signal);
    } catch (error) {
      if (!isTimeout(error) || rows === smaller) throw error;
      rows = smaller;
    }
  }
  return left;
}

async function pauseFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal ? { signal } : {}).catch(() => undefined); // an abort ends the rest; the loop sees it
}

const deletedBy = ({ done, cancelled, dead }: Looked): number => done + cancelled + dead;

function add(sum: { done: number; cancelled: number; dead: number; steps: number }, step: Looked): void {
  sum.done += step.done;
  sum.cancelled += step.cancelled;
  sum.dead += step.dead;
  sum.steps += 1;
}
