// What a row of the table is, and what it is given to be measured with. Next: rows/index.ts (all rows).

import type { ContenderName, Variant } from "./contenders/contender.ts";
import type { Operations } from "./operations.ts";
import type { Remote } from "./process.ts";
import type { Server, ServerSettings } from "./server.ts";

export interface Row {
  readonly id: string;
  /** The first column of the table of bars, as docs and ENGINE.md say it. */
  readonly title: string;
  measure(bench: Bench): Promise<Measured>;
}

export interface Measured {
  /** What is held against the bars; most rows have one. */
  readonly verdicts: readonly Verdict[];
  /** Every contender's figures. */
  readonly figures: readonly Figure[];
  /** How it was measured, and what to bear in mind: sentences for the document. */
  readonly notes: readonly string[];
  /** A query plan, for those who read them. */
  readonly plan?: string;
}

export interface Verdict {
  readonly what: string;
  readonly ours: string;
  /** The better peer, or whatever ours is held against. */
  readonly against: string;
  /** What is compared with the bar; null when it could not be measured. */
  readonly value: number | null;
  /** Null: there is no bar, the figures are for information. */
  readonly bar: Bar | null;
}

export interface Bar {
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly unit: "" | "ms" | "/s" | "%" | "MB";
}

export interface Figure {
  readonly contender: string;
  readonly settings: string;
  /** For example { "jobs/s": [19800, 20100, 19900] }: all runs; the document shows medians. */
  readonly runs: Readonly<Record<string, readonly number[]>>;
  /** Why some or all runs failed. */
  readonly failure?: string;
}

export interface Bench {
  readonly server: Server;
  readonly runs: number;
  /** `jobs` times the scale, and at least `atLeast`. */
  scaled(jobs: number, atLeast?: number): number;
  /** A factor for durations: a trial is a short one. */
  readonly scale: number;
  /** A server of its own, for a row that needs other settings. Closed with the bench. */
  serverWith(settings: ServerSettings): Promise<Server>;
  /** Starts a process for a contender. */
  start(contender: ContenderName, url: string): Promise<Remote<Operations>>;
  startScript<Own>(script: "prisma", url: string): Promise<Remote<Own>>;
  /**
   * Runs every variant once, then every variant again, `runs` times: what changes on the machine in the meantime hits
   * all of them alike. What fails is kept as a failure, and the others go on.
   */
  alternate<V extends { readonly label: string }>(variants: readonly V[], run: (variant: V) => Promise<Readonly<Record<string, number>>>): Promise<Figure[]>;
  say(line: string): void;
}

export type { Variant };
