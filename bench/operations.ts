// What the driver can ask of a process, one argument and one answer each, both JSON. child.ts carries them out.

import type { Counts, Settings } from "./contenders/contender.ts";

export interface Operations {
  setup(arg: { doorbell: boolean }): Promise<void>;
  open(arg: { settings: Settings }): Promise<void>;
  /** Stores `jobs` jobs, numbered from `from`, in bulk. */
  preload(arg: { jobs: number; from: number; payloadBytes: number; keys: number | null }): Promise<void>;
  drain(arg: { settings: Settings; jobs: number; from: number; handlerMs: number }): Promise<DrainFigures>;
  /** Drains, and gives back every statement that was sent to the database, in order. */
  record(arg: { settings: Settings; jobs: number; from: number }): Promise<readonly Statement[]>;
  counts(arg: Record<string, never>): Promise<Counts>;
  /** Begins to work, and notes when each handler starts. */
  startWorker(arg: { settings: Settings; handlerMs: number }): Promise<void>;
  /** Ends it; gives back when each handler started. */
  stopWorker(arg: Record<string, never>): Promise<{ starts: readonly HandlerStart[] }>;
  /** Single enqueues with random pauses of 5 to 15 ms between them. */
  enqueueOneByOne(arg: { jobs: number; from: number }): Promise<readonly EnqueueTimes[]>;
  /** Clients that begin, enqueue, keep the transaction open for 20 to 50 ms, and commit; together `jobsPerSecond`. */
  enqueueInOpenTransactions(arg: { clients: number; jobsPerSecond: number; seconds: number; jobsPerTransaction: number; from: number }): Promise<readonly EnqueueTimes[]>;
  /** Calls of `size` jobs each, one after the other. */
  enqueueBatches(arg: { size: number; calls: number; warmUpCalls: number }): Promise<{ ms: number }>;
  /** Clients that begin, enqueue one job and commit, as often as they can. */
  commitOneEach(arg: { clients: number; seconds: number; from: number }): Promise<{ commits: number; ms: number }>;
  /** Processor time since the last call, and memory. */
  usage(arg: Record<string, never>): Promise<Usage>;
}

export interface DrainFigures {
  readonly ms: number;
  /** When each twentieth of the jobs had been handled, in ms from the beginning. */
  readonly marks: readonly number[];
  readonly handled: number;
  /** Jobs that were handled more than once. */
  readonly repeated: number;
  readonly cpuMs: number;
  /** The most memory the process has had in its life. */
  readonly peakRssMb: number;
}

export interface Statement {
  readonly text: string;
  /** As the driver sends them: text, or null. */
  readonly values: readonly (string | null)[];
}

/** Instants are milliseconds of the clock that all processes of the machine share. */
export interface HandlerStart {
  readonly n: number;
  readonly at: number;
}

export interface EnqueueTimes {
  readonly n: number;
  /** Just before the enqueue was called. */
  readonly calledAt: number;
  /** Just before the commit was sent; for an enqueue that is its own transaction, the same as calledAt. */
  readonly commitSentAt: number;
  /** When the commit had come back. */
  readonly committedAt: number;
}

export interface Usage {
  readonly ms: number;
  readonly cpuMs: number;
  readonly rssMb: number;
}
