// What every contender can do. Each adapter is as thin as its library's documentation allows, and knows nothing of what is
// measured; ../child.ts does the measuring, the same for all.

import type pg from "pg";
import type { GraphileSettings } from "./graphile-worker.ts";
import type { PgBossSettings } from "./pg-boss.ts";
import type { PostcommitSettings } from "./postcommit.ts";

export type ContenderName = "postcommit" | "pg-boss" | "graphile-worker";

/** A contender with its settings. The label is what the tables say. */
export type Variant = { readonly label: string } & (
  | { readonly contender: "postcommit"; readonly settings: PostcommitSettings }
  | { readonly contender: "pg-boss"; readonly settings: PgBossSettings }
  | { readonly contender: "graphile-worker"; readonly settings: GraphileSettings }
);

export type Settings = Variant["settings"];

export interface Payload {
  /** Jobs of one run are numbered from 0. */
  readonly n: number;
  readonly text?: string;
}

export type Handler = (payload: Payload) => Promise<void>;

export interface EnqueueManyOptions {
  /** Jobs are given `keys` ordering keys in turn. */
  readonly keys?: number;
}

export interface Contender<Own> {
  /** Makes the tables in an empty database. `doorbell`: the queue is to wake idle workers. */
  setup(options: { readonly doorbell: boolean }): Promise<void>;
  /** Connects, so that what is timed afterwards does not pay for it. */
  open(settings: Own): Promise<void>;
  /** Stores one job, in a transaction of its own. */
  enqueue(payload: Payload): Promise<void>;
  /** Stores one job inside the transaction that is open on `client`. */
  enqueueIn(client: pg.Client, payload: Payload): Promise<void>;
  /** Stores them by one call of the fastest bulk insert there is. */
  enqueueMany(payloads: readonly Payload[], options: EnqueueManyOptions): Promise<void>;
  /** Runs all jobs there are, `total` of them. Calls `begun` when it begins to claim; comes back when all are stored as done. */
  drain(settings: Own, run: { readonly total: number; readonly handler: Handler; readonly begun: () => void }): Promise<void>;
  /** Runs jobs until the function that it gives back is called. */
  work(settings: Own, handler: Handler): Promise<() => Promise<void>>;
  counts(): Promise<Counts>;
  close(): Promise<void>;
}

export interface Counts {
  /** Jobs that are not done, whatever else they are. */
  readonly unfinished: number;
  /** Jobs that are done; null when the contender deletes them. */
  readonly done: number | null;
  /** Jobs that took more than one attempt. */
  readonly repeated: number;
}
