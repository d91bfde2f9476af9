// Does the rate depend on what else is in the table? Ten million rows that are done; a backlog of a million.

import type { Figure, Row } from "../row.ts";
import { explainClaims } from "./explain.ts";
import { openTable } from "./table.ts";
import { bestOf, inWords, ratio } from "./verdicts.ts";

const any = (): boolean => true;
const rateOf = (figure: Figure | undefined) => (figure === undefined ? null : bestOf([figure], "jobs/s", any));

export const doneRows: Row = {
  id: "done-rows",
  title: "10 M done rows against 0",
  async measure(bench) {
    const done = bench.scaled(10_000_000, 10_000);
    const jobs = bench.scaled(50_000, 1000);
    const few = await openTable(bench, "few", 0);
    const many = await openTable(bench, "many", done);
    try {
      const [without, with_] = await bench.alternate(
        [
          { label: "no rows done before", table: few },
          { label: `${done.toLocaleString("en")} rows done before`, table: many },
        ],
        ({ table }) => table.drain(jobs),
      );
      const cheap = await explainClaims(bench, few);
      const dear = await explainClaims(bench, many);
      const costs = [cheap, dear].map(({ figures }, nth): Figure => ({
        contender: "postcommit",
        settings: `one claim, explained, ${nth === 0 ? "no rows" : `${done.toLocaleString("en")} rows`} done before`,
        runs: Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, [value]])),
      }));
      return {
        verdicts: [
          ratio("", "jobs/s", rateOf(with_), rateOf(without), { atLeast: 0.9, unit: "" }),
          { what: "buffers that one claim of 20 reads", ours: inWords(dear.figures["buffers a claim, median"] ?? Number.NaN), against: inWords(cheap.figures["buffers a claim, median"] ?? Number.NaN), value: null, bar: null },
        ],
        figures: [without, with_, ...costs].filter((figure) => figure !== undefined),
        plan: dear.plan,
        notes: [`${jobs.toLocaleString("en")} jobs at batch 20, concurrency 80. The done rows were inserted by generate_series with uuidv7 ids of their time, then vacuumed and analysed.`],
      };
    } finally {
      await few.close();
      await many.close();
    }
  },
};

export const backlog: Row = {
  id: "backlog",
  title: "backlog of 1 M against 10 k",
  async measure(bench) {
    const behind = bench.scaled(1_000_000, 50_000);
    const jobs = 10_000;
    const deep = await openTable(bench, "deep", 0);
    const shallow = await openTable(bench, "shallow", 0);
    try {
      await deep.preload(behind);
      const [few, first] = await bench.alternate(
        [
          { label: `${jobs.toLocaleString("en")} jobs, and nothing behind them`, run: () => shallow.drain(jobs) },
          { label: `the first ${jobs.toLocaleString("en")} of ${behind.toLocaleString("en")}`, run: () => deep.drainSome(jobs) },
        ],
        ({ run }) => run(),
      );
      const [rest] = await bench.alternate([{ label: "the whole backlog, refilled" }], () => deep.drain(behind));
      return {
        verdicts: [
          ratio("", "jobs/s", rateOf(first), rateOf(few), { atLeast: 0.9, unit: "" }),
          ratio("the whole backlog", "jobs/s", rateOf(rest), rateOf(few), null),
        ],
        figures: [few, first, rest].filter((figure) => figure !== undefined),
        notes: ["Batch 20, concurrency 80. Both sides take the same number of jobs (`maxJobs` on the deep one), so that beginning and ending cost them the same."],
      };
    } finally {
      await deep.close();
      await shallow.close();
    }
  },
};
