// What order costs: 2,000 ordering keys with 100 jobs each, against the same jobs without keys.

import type { Row } from "../row.ts";
import { drainOnce, withClient } from "./drain-run.ts";
import { ours20x4, oursBest } from "./settings.ts";
import { bestOf, ratio } from "./verdicts.ts";

const stepTimeoutMs = 60_000;

export const orderingKeys: Row = {
  id: "ordering",
  title: "2,000 ordering keys × 100 jobs against unkeyed",
  async measure(bench) {
    if (!(await hasOrderingKeys(bench))) {
      return { verdicts: [{ what: "", ours: "not built yet", against: "", value: null, bar: { atLeast: 0.5, unit: "" } }], figures: [], notes: ["The table outbox has no column ordering_key, or enqueue has no such option."] };
    }
    const keys = bench.scaled(2000, 100);
    const jobs = keys * 100;
    const variants = [oursBest, ours20x4].flatMap((variant) =>
      [true, false].map((keyed) => ({ variant, keyed, label: `${variant.label}, ${keyed ? `${keys.toLocaleString("en")} keys` : "no keys"}` })),
    );
    const figures = await bench.alternate(variants, ({ variant, keyed }) => drainOnce(bench, variant, { jobs, ...(keyed ? { keys } : {}) }));
    const rate = (nth: number) => bestOf(figures.slice(nth, nth + 1), "jobs/s", () => true);
    return {
      verdicts: [
        ratio("batch 500, concurrency 2000", "jobs/s", rate(0), rate(1), { atLeast: 0.5, unit: "" }),
        ratio("batch 20, concurrency 80", "jobs/s", rate(2), rate(3), null),
      ],
      figures,
      notes: [`${jobs.toLocaleString("en")} jobs; the keys take turns.`],
    };
  },
};

/** Stores a keyed job and looks whether the key has arrived: enqueue ignores options that it does not know. */
async function hasOrderingKeys(bench: Parameters<Row["measure"]>[0]): Promise<boolean> {
  const url = await bench.server.createDatabase("ordering-probe");
  const producer = await bench.start("postcommit", url);
  try {
    await producer.ask("setup", { doorbell: false }, stepTimeoutMs);
    await producer.ask("preload", { jobs: 1, from: 0, payloadBytes: 0, keys: 1 }, stepTimeoutMs);
    return await withClient(url, async (client) => {
      const column = await client.query("select from information_schema.columns where table_name = 'outbox' and column_name = 'ordering_key'");
      return column.rowCount === 1 && (await client.query("select from outbox where ordering_key is not null")).rowCount === 1;
    });
  } finally {
    await producer.close();
    await bench.server.dropDatabase(url);
  }
}
