// What order costs: 2,000 ordering keys with 100 jobs each, against the same jobs without keys.

import type { Row } from "../row.ts";
import { drainOnce } from "./drain-run.ts";
import { ours20x4, oursBest } from "./settings.ts";
import { bestOf, ratio } from "./verdicts.ts";

export const orderingKeys: Row = {
  id: "ordering",
  title: "2,000 ordering keys × 100 jobs against unkeyed",
  async measure(bench) {
    const keys = bench.scaled(2000, 100);
    const jobs = keys * 100;
    const variants = [ours20x4, oursBest].flatMap((variant) =>
      [true, false].map((keyed) => ({ variant, keyed, label: `${variant.label}, ${keyed ? `${keys.toLocaleString("en")} keys` : "no keys"}` })),
    );
    const figures = await bench.alternate(variants, ({ variant, keyed }) => drainOnce(bench, variant, { jobs, ...(keyed ? { keys } : {}) }));
    const rate = (nth: number) => bestOf(figures.slice(nth, nth + 1), "jobs/s", () => true);
    return {
      verdicts: [
        ratio("batch 20, as it comes", "jobs/s", rate(0), rate(1), { atLeast: 0.5, unit: "" }),
        ratio("batch 500", "jobs/s", rate(2), rate(3), null),
      ],
      figures,
      notes: [`${jobs.toLocaleString("en")} jobs; the keys take turns.`],
    };
  },
};
