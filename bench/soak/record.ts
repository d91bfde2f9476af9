// What a soak writes down: one line of JSON for each of the worker's windows and each look at the database.

import { readFile } from "node:fs/promises";
import type { Waits } from "./histogram.ts";

export interface Window {
  /** Milliseconds of the machine's clock, at the window's end. */
  readonly at: number;
  /** Bytes. */
  readonly rss: number;
  /** Of the worker, since its start. */
  readonly cpuMs: number;
  readonly waits: Waits;
}

export interface Look {
  readonly at: number;
  /** Bytes of the table outbox without its indexes, and of these. */
  readonly table: number;
  readonly indexes: number;
  /** Rows, as the statistics collector counts them. */
  readonly live: number;
  readonly dead: number;
  /** Jobs that are due and not claimed. */
  readonly due: number;
}

export interface Plan {
  readonly minutes: number;
  readonly perSecond: number;
  /** Minutes from the start. */
  readonly holdFrom: number;
  readonly holdUntil: number;
}

export interface Soak {
  readonly plan: Plan;
  readonly startedAt: number;
  readonly versions: string;
  readonly windows: readonly Window[];
  readonly looks: readonly Look[];
  /** At the end: what was committed, what was run, what the tables say. */
  readonly end: { readonly committed: number; readonly failed: number; readonly behind: number; readonly run: number; readonly notDone: number; readonly twice: number };
}

export async function linesOf<Line>(file: string): Promise<Line[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line) as Line); // a program of this folder wrote it
}
