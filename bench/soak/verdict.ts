// What a soak has shown, against the bars that were fixed before it.

import { countOf, percentile } from "./histogram.ts";
import type { Look, Soak } from "./record.ts";

/** The first minutes are the program's warm-up, and retention has nothing to delete in them yet. */
const warmMinutes = 1;
/** So many windows in a row make "back to clean". */
const calmWindows = 3;
/** A window's p99 that is at most this much above that of all clean windows is clean. */
const calmRatio = 1.25;

export interface Verdict {
  readonly what: string;
  readonly value: string;
  readonly bar: string | null;
  readonly met: boolean | null;
}

export function verdicts({ plan, startedAt, windows, looks, end }: Soak): Verdict[] {
  const minute = (at: number) => (at - startedAt) / 60_000;
  const between = <Point extends { at: number }>(points: readonly Point[], from: number, until: number) => points.filter(({ at }) => minute(at) > from && minute(at) <= until);
  const waitsIn = (from: number, until: number) => between(windows, from, until).map(({ waits }) => waits);
  const p99 = (from: number, until: number) => percentile(waitsIn(from, until), 0.99) ?? Number.NaN;

  const clean = p99(warmMinutes, plan.holdFrom);
  // The window in which it begins is neither.
  const held = p99(plan.holdFrom + 1 / 6, plan.holdUntil);
  const after = p99(plan.holdUntil + 1, plan.minutes);
  const calmAfterS = secondsUntilCalm(
    between(windows, plan.holdUntil, plan.minutes).map(({ at, waits }) => ({ s: (minute(at) - plan.holdUntil) * 60, p99: percentile([waits], 0.99) ?? Number.POSITIVE_INFINITY })),
    clean * calmRatio,
  );
  const secondHalf = between(looks, plan.minutes / 2, plan.minutes);
  const growth = (size: (look: Look) => number) => size(secondHalf.at(-1)!) / size(secondHalf[0]!) - 1; // a soak of a minute has looks in both halves
  const peak = (points: readonly Look[], of: (look: Look) => number) => Math.max(...points.map(of));
  const ran = windows.reduce((sum, { waits }) => sum + countOf(waits), 0);
  const seconds = plan.minutes * 60;
  const worked = between(windows, warmMinutes, plan.minutes);
  const rssOf = (points: typeof windows) => points.reduce((sum, { rss }) => sum + rss, 0) / points.length;
  const fifth = plan.minutes / 5;
  const rss = { early: rssOf(between(windows, warmMinutes, warmMinutes + fifth)), late: rssOf(between(windows, plan.minutes - fifth, plan.minutes)) };

  return [
    { what: "jobs committed, run once, lost, run twice", value: `${end.committed}, ${end.run}, ${end.notDone}, ${end.twice}`, bar: "0 lost, 0 twice", met: end.notDone === 0 && end.twice === 0 && end.run === end.committed },
    { what: "rate", value: `${(ran / seconds).toFixed(0)} jobs/s; ${end.behind} were not enqueued because the database was behind, ${end.failed} failed to be`, bar: `${plan.perSecond} jobs/s`, met: ran / seconds >= plan.perSecond * 0.99 && end.failed === 0 },
    { what: "wait from enqueue to handler, p50 while clean", value: ms(percentile(waitsIn(warmMinutes, plan.holdFrom), 0.5)), bar: null, met: null },
    { what: "p99 while clean", value: ms(clean), bar: null, met: null },
    { what: "p99 while the snapshot is held", value: `${ms(held)} (${(held / clean).toFixed(2)} × clean)`, bar: "≤ 3 × clean", met: held <= 3 * clean },
    { what: "p99 from a minute after it on", value: `${ms(after)} (${(after / clean).toFixed(2)} × clean)`, bar: null, met: null },
    { what: `back to clean (${calmWindows} windows of 10 s running at ≤ ${calmRatio} × its p99)`, value: calmAfterS === null ? "not within the run" : `after ${Math.max(0, calmAfterS).toFixed(0)} s`, bar: "≤ 60 s", met: calmAfterS !== null && calmAfterS <= 60 },
    { what: "growth of the table over the second half", value: percent(growth(({ table }) => table)), bar: "≤ 5 %", met: growth(({ table }) => table) <= 0.05 },
    { what: "growth of its indexes over the second half", value: percent(growth(({ indexes }) => indexes)), bar: "≤ 5 %", met: growth(({ indexes }) => indexes) <= 0.05 },
    { what: "table and indexes: most before the snapshot, most of all, at the end", value: [between(looks, 0, plan.holdFrom), looks, looks.slice(-1)].map((points) => mb(peak(points, ({ table, indexes }) => table + indexes))).join(", "), bar: null, met: null },
    { what: "dead tuples: most before the snapshot, most of all, at the end", value: [between(looks, 0, plan.holdFrom), looks, looks.slice(-1)].map((points) => peak(points, ({ dead }) => dead).toLocaleString("en")).join(", "), bar: null, met: null },
    { what: "the worker's memory (RSS), mean of the first fifth and of the last", value: `${mb(rss.early)}, ${mb(rss.late)}`, bar: null, met: null },
    { what: "the worker's processor time", value: `${(((worked.at(-1)!.cpuMs - worked[0]!.cpuMs) / (worked.at(-1)!.at - worked[0]!.at)) * 100).toFixed(1)} % of a core`, bar: null, met: null },
  ];
}

/** The end of the first window with which so many calm ones begin. */
function secondsUntilCalm(windows: readonly { s: number; p99: number }[], limitMs: number): number | null {
  const from = windows.findIndex((_, nth) => nth + calmWindows <= windows.length && windows.slice(nth, nth + calmWindows).every(({ p99 }) => p99 <= limitMs));
  return from === -1 ? null : from === 0 ? 0 : windows[from]!.s - 10;
}

const ms = (value: number | null) => (value === null ? "none" : `${value.toFixed(1)} ms`);
const mb = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MB`;
const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
