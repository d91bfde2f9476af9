// What is kept of a run, as JSON.

import type { Bar, Measured, Verdict } from "../row.ts";

export interface Report {
  readonly startedAt: string;
  readonly machine: Machine;
  readonly runs: number;
  readonly scale: number;
  readonly rows: RowReport[];
}

export interface Machine {
  readonly cores: number;
  readonly processor: string;
  readonly platform: string;
  readonly node: string;
  readonly postgres: string;
}

export interface RowReport extends Measured {
  readonly id: string;
  readonly title: string;
  /** Rows may come from different runs: each says when it was measured, and how. */
  readonly measuredAt: string;
  readonly runs: number;
  readonly scale: number;
  /** Why there are no figures. */
  readonly failure: string | null;
}

export type Mark = "pass" | "FAIL" | "not measured" | "–";

export function markOf({ value, bar }: Verdict): Mark {
  if (bar === null) return "–";
  if (value === null || Number.isNaN(value)) return "not measured";
  if (bar.atLeast !== undefined && value < bar.atLeast) return "FAIL";
  return bar.atMost !== undefined && value > bar.atMost ? "FAIL" : "pass";
}

export function barInWords(bar: Bar | null): string {
  if (bar === null) return "–";
  const unit = bar.unit === "" ? "" : ` ${bar.unit}`;
  return bar.atLeast !== undefined ? `≥ ${bar.atLeast}${unit}` : `≤ ${bar.atMost ?? "?"}${unit}`;
}

/** A ratio; nothing for what is held against a fixed limit, where the first column says it. */
export function valueInWords({ value, bar }: Verdict): string {
  if (value === null || Number.isNaN(value)) return "–";
  return bar === null || bar.unit === "" ? value.toFixed(2) : "";
}
