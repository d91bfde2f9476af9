// docs/reference/performance.md, made of bench/latest.json.

import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { root } from "../internals.ts";
import { median } from "../measure.ts";
import type { Figure } from "../row.ts";
import { inWords } from "../rows/verdicts.ts";
import type { Report, RowReport } from "./report.ts";
import { barInWords, markOf, valueInWords } from "./report.ts";
import { versionsOfPeers } from "./versions.ts";

export async function writeDocument(report: Report): Promise<void> {
  const path = join(root, "docs/reference/performance.md");
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, await documentOf(report));
}

async function documentOf(report: Report): Promise<string> {
  const { machine, rows } = report;
  const days = [...new Set(rows.map(({ measuredAt }) => measuredAt.slice(0, 10)))].sort();
  const trial = rows.filter(({ scale, runs }) => scale !== 1 || runs < 3);
  return `<!-- Written by bench/ (npm run bench). Do not edit: run it again. -->

# Performance

Measured against ${await versionsOfPeers()}, all on Node ${machine.node} and PostgreSQL ${machine.postgres},
on ${machine.cores} cores (${machine.processor}, ${machine.platform}), on ${days.join(", ")}.
${trial.length === 0 ? "" : `\n**Of these rows only a trial exists, with fewer jobs or runs: ${trial.map(({ id }) => id).join(", ")}. Do not quote them.**\n`}
## The bars

Each bar is a ratio or a limit that was fixed before it was measured. A row that fails stands here as one that fails.

| what | ours | against | ratio | bar | |
|---|---|---|---|---|---|
${rows.flatMap(barLines).join("\n")}

## How it is measured

- One throw-away Postgres with its default durability (fsync and synchronous_commit on); only max_connections, the port, time zone and locale
  differ from what initdb makes. A fresh database for every contender and run, dropped afterwards.
- Every contender runs in a process of its own, started for that run, on the same Node and the same version of \`pg\`, as plain
  JavaScript. Jobs are enqueued by another process, which has ended before the clock starts where a backlog is drained.
- Contenders take turns (A B C, A B C, …), so that whatever else the machine does hits all of them. The tables show medians.
- Before each timed drain the same process drains 2,000 jobs to warm up; then the jobs are stored by each contender's fastest bulk
  insert, \`analyze\` and \`checkpoint\` are run, and the clock runs from the first claim until the last completion is stored. Afterwards
  it is checked that every job was handled exactly once and that the table has every job as done (graphile-worker deletes its jobs: that
  its table is empty). A run that fails the check counts as failed.
- Each peer has several documented settings, and its best counts. pg-boss runs its timed drains without its own monitoring and cron,
  graphile-worker without a log line for each job, both to their advantage.

## What this does not tell

- Client and server share ${machine.cores} cores of one machine, so there is no network, and a contender that needs less processor time in its client
  leaves more to its server. Absolute figures will differ elsewhere; ratios differ less, but they differ.
- Most handlers here do nothing. Where handlers do real work, they are what takes the time; see the rows with 1 ms and 2 KB.
- The disk of this machine decides what a commit costs, and with it every row about single commits.
- The contenders do not do the same. graphile-worker deletes a job when it is done; pg-boss and postcommit keep the row. postcommit fences every
  completion; pg-boss does when it is given jobs instead of ids, and was measured with ids, which is cheaper; graphile-worker locks a job for hours.

## The figures

${rows.map(section).join("\n\n")}
`;
}

function barLines(row: RowReport): string[] {
  if (row.failure !== null) return [`| ${row.title} | failed | ${firstLine(row.failure)} | – | – | **FAILED** |`];
  return row.verdicts.map((verdict) => {
    const mark = markOf(verdict);
    const what = verdict.what === "" ? row.title : `${row.title}: ${verdict.what}`;
    return `| ${what} | ${verdict.ours} | ${verdict.against} | ${valueInWords(verdict)} | ${barInWords(verdict.bar)} | ${mark === "FAIL" ? "**FAIL**" : mark} |`;
  });
}

function section(row: RowReport): string {
  const names = [...new Set(row.figures.flatMap(({ runs }) => Object.keys(runs)))];
  const head = [`| contender | settings | ${names.join(" | ")} |`, `|---|---|${names.map(() => "--:|").join("")}`];
  const lines = row.figures.map((figure) => `| ${figure.contender} | ${settingsOf(figure)} | ${names.map((name) => cell(figure, name)).join(" | ")} |`);
  const how = `Measured ${row.measuredAt.slice(0, 16).replace("T", " ")} UTC, ${row.runs} ${row.runs === 1 ? "run" : "runs"}${row.scale === 1 ? "" : `, a trial at scale ${row.scale}`}.`;
  const failure = row.failure === null ? [] : ["", `Failed: ${firstLine(row.failure)}`];
  const plan = row.plan === undefined ? [] : ["", "<details><summary>A claim's plan</summary>", "", "```", row.plan.trim(), "```", "", "</details>"];
  return [`### ${row.title}`, "", [...row.notes, how].join(" "), ...failure, ...(lines.length === 0 ? [] : ["", ...head, ...lines]), ...plan].join("\n");
}

function cell({ runs }: Figure, name: string): string {
  const values = runs[name];
  return values === undefined || values.length === 0 ? "" : inWords(median(values));
}

function settingsOf({ settings, failure }: Figure): string {
  return failure === undefined ? settings : `${settings}. **Failed:** ${firstLine(failure)}`;
}

const firstLine = (text: string): string => (text.split("\n")[0] ?? "").replaceAll("|", "\\|");
