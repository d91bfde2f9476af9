// What the benchmark is told on its command line.

import { parseArgs } from "node:util";

export interface Flags {
  /** Ids of the rows to measure; null for all. */
  readonly only: readonly string[] | null;
  /** Runs of each contender, of which the median counts. */
  readonly runs: number;
  /** Numbers of jobs are multiplied by it. Less than 1 is a trial, and its figures are not to be published. */
  readonly scale: number;
  /** Where the JSON goes; null for a name made of the date. */
  readonly out: string | null;
  /** Whether bench/latest.json and the document are written: a full run at scale 1 does, anything else only when told. */
  readonly publish: boolean;
  /** Write the document from bench/latest.json, and measure nothing. */
  readonly documentOnly: boolean;
  readonly list: boolean;
}

export const usage = `npm run bench -- [flags]

  --only row,row   measure these rows only (--list names them)
  --runs 3         runs of each contender; the median counts
  --scale 1        multiplies the numbers of jobs; 0.05 for a trial
  --out FILE       where the JSON goes; default: bench/results/<date>.json
  --publish        write bench/latest.json and docs/reference/performance.md even after a partial run
  --document       write the document from bench/latest.json, measure nothing
  --list           name the rows
`;

export function parseFlags(argv: readonly string[]): Flags {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: "string" },
      runs: { type: "string", default: "3" },
      scale: { type: "string", default: "1" },
      out: { type: "string" },
      publish: { type: "boolean", default: false },
      document: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
    },
  });
  const runs = Number(values.runs);
  const scale = Number(values.scale);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`Expected --runs to be a whole number from 1, got "${values.runs}".`);
  if (!(scale > 0 && scale <= 10)) throw new Error(`Expected --scale to be a number above 0, up to 10, got "${values.scale}".`);
  const only = values.only?.split(",").map((id) => id.trim()) ?? null;
  return {
    only,
    runs,
    scale,
    out: values.out ?? null,
    publish: values.publish || (only === null && scale === 1 && runs >= 3),
    documentOnly: values.document,
    list: values.list,
  };
}
