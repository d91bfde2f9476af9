// A forgotten session holds a snapshot open, so that vacuum may remove nothing: a dump, a report, a debugger.

import type { Variant } from "../contenders/contender.ts";
import type { Row, Verdict } from "../row.ts";
import { drainOnce } from "./drain-run.ts";
import { boss20x4, bossBest, graphile20, graphileBest, ours20x4, oursBest } from "./settings.ts";
import { inWords, medianOf } from "./verdicts.ts";

/** The peers get fewer jobs, because they become so slow. */
const cases: readonly { variant: Variant; jobs: number; bar: boolean }[] = [
  { variant: ours20x4, jobs: 300_000, bar: true },
  { variant: boss20x4, jobs: 75_000, bar: false },
  { variant: graphile20, jobs: 75_000, bar: false },
  { variant: oursBest, jobs: 300_000, bar: true },
  { variant: bossBest, jobs: 150_000, bar: false },
  { variant: graphileBest, jobs: 150_000, bar: false },
];

export const snapshotHeld: Row = {
  id: "snapshot",
  title: "snapshot held open for 300,000 jobs, against its own clean rate",
  async measure(bench) {
    const all = cases.flatMap(({ variant, jobs }) =>
      [false, true].map((snapshotHeld) => ({
        ...variant,
        variant,
        label: `${variant.label}, ${inWords(bench.scaled(jobs, 2000))} jobs, ${snapshotHeld ? "snapshot held" : "clean"}`,
        jobs: bench.scaled(jobs, 2000),
        snapshotHeld,
      })),
    );
    const figures = await bench.alternate(all, ({ variant, jobs, snapshotHeld }) => drainOnce(bench, variant, { jobs, snapshotHeld, lastFifth: true }));
    const verdicts = cases.map(({ variant, bar }, nth): Verdict => {
      const clean = medianOf(figures[nth * 2], "jobs/s");
      const held = medianOf(figures[nth * 2 + 1], "jobs/s");
      const last = medianOf(figures[nth * 2 + 1], "jobs/s, last fifth");
      return {
        what: `${variant.contender}, ${variant.label}`,
        ours: held === null ? "failed" : `${inWords(held)} jobs/s (last fifth ${inWords(last ?? Number.NaN)})`,
        against: clean === null ? "failed" : `${inWords(clean)} jobs/s clean`,
        value: held === null || clean === null ? null : held / clean,
        bar: bar ? { atLeast: 0.95, unit: "" } : null,
      };
    });
    return { verdicts, figures, notes: ["Another session has begun a transaction at isolation level repeatable read, has read once, and stays idle in it from before the first claim to after the last completion."] };
  },
};
