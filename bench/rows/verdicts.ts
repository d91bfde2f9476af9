// From figures to verdicts: the better of ours, the better peer, and their ratio.

import { median } from "../measure.ts";
import type { Bar, Figure, Verdict } from "../row.ts";

/** Greater is better. */
export function bestOf(figures: readonly Figure[], unit: string, which: (figure: Figure) => boolean): { label: string; value: number } | null {
  const values = figures.filter(which).flatMap((figure) => {
    const runs = figure.runs[unit];
    return runs === undefined || runs.length === 0 ? [] : [{ label: `${figure.contender}, ${figure.settings}`, value: median(runs) }];
  });
  return values.reduce<{ label: string; value: number } | null>((best, each) => (best === null || each.value > best.value ? each : best), null);
}

export const isOurs = ({ contender }: Figure): boolean => contender === "postcommit";
export const isPeer = (figure: Figure): boolean => !isOurs(figure);

/** Our best settings against the best settings of the better peer. */
export function againstBestPeer(figures: readonly Figure[], unit: string, bar: Bar | null, what = ""): Verdict {
  return ratio(what, unit, bestOf(figures, unit, isOurs), bestOf(figures, unit, isPeer), bar);
}

export function ratio(what: string, unit: string, ours: { label: string; value: number } | null, other: { label: string; value: number } | null, bar: Bar | null): Verdict {
  return {
    what,
    ours: ours === null ? "failed" : `${inWords(ours.value)} ${unit}`,
    against: other === null ? "failed" : `${inWords(other.value)} ${unit} (${other.label})`,
    value: ours === null || other === null ? null : ours.value / other.value,
    bar,
  };
}

/** A figure of ours against a fixed limit. */
export function absolute(what: string, figure: Figure | undefined, name: string, bar: Bar, against = ""): Verdict {
  const runs = figure?.runs[name];
  const value = runs === undefined || runs.length === 0 ? null : median(runs);
  return { what, ours: value === null ? "failed" : `${inWords(value)} ${bar.unit}`.trim(), against, value, bar };
}

export function medianOf(figure: Figure | undefined, name: string): number | null {
  const runs = figure?.runs[name];
  return runs === undefined || runs.length === 0 ? null : median(runs);
}

export function inWords(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}
