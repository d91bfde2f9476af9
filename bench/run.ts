// Runs the benchmark: starts a Postgres, measures row by row, prints the table, writes JSON and the document.
// Reading order: flags.ts, row.ts, rows/drain.ts, rows/drain-run.ts, child.ts, contenders/.

import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { createBench } from "./bench.ts";
import { buildChildren } from "./build.ts";
import { parseFlags, usage } from "./flags.ts";
import { root } from "./internals.ts";
import { killAll } from "./process.ts";
import { writeDocument } from "./report/document.ts";
import { mergedWithLatest, readLatest, writeLatest } from "./report/latest.ts";
import type { Report, RowReport } from "./report/report.ts";
import { table } from "./report/table.ts";
import type { Row } from "./row.ts";
import { rows } from "./rows/index.ts";
import type { Server } from "./server.ts";
import { machineFacts, openServer, removeServers } from "./server.ts";

const servers: Server[] = [];
const interrupted = new AbortController();

let tidying: Promise<void> | null = null;
const tidyUp = (): Promise<void> => (tidying ??= removeEverything());

async function removeEverything(): Promise<void> {
  killAll();
  for (const server of servers) await server.close().catch((error: unknown) => void process.stderr.write(`A Postgres could not be removed: ${String(error)}\n`));
  await removeServers(); // with one that was just being made
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    if (interrupted.signal.aborted) return; // a second one changes nothing: what is being done is the tidying up
    interrupted.abort();
    process.stderr.write(`\n${signal}: ending the processes and removing the Postgres.\n`);
    void tidyUp().finally(() => process.exit(130));
  });
}

async function main(argv: readonly string[]): Promise<number> {
  const flags = parseFlags(argv);
  if (flags.list) {
    process.stdout.write(rows.map(({ id, title }) => `${id.padEnd(14)} ${title}\n`).join(""));
    return 0;
  }
  if (flags.documentOnly) {
    await writeDocument(await readLatest());
    return 0;
  }
  const wanted = chosen(flags.only);
  const server = await openServer("postgres");
  servers.push(server);
  const bench = createBench({ server, scripts: await buildChildren(), runs: flags.runs, scale: flags.scale, onServer: (other) => servers.push(other), isStopping: () => interrupted.signal.aborted });
  const out = resolve(flags.out ?? join(root, "bench/results", `${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.json`));
  await mkdir(dirname(out), { recursive: true });
  const report: Report = { startedAt: new Date().toISOString(), machine: { ...machineFacts(), postgres: server.version }, runs: flags.runs, scale: flags.scale, rows: [] };

  for (const [nth, row] of wanted.entries()) {
    bench.say(`[${nth + 1}/${wanted.length}] ${row.id}: ${row.title}`);
    report.rows.push(await measure(row, bench, flags));
    // After every row: an interrupted run has not been for nothing.
    await writeFile(out, `${JSON.stringify(report, null, 2)}\n`);
  }
  process.stdout.write(`\n${table(report)}\n\nFigures of every run: ${out}\n`);
  if (flags.publish) {
    const latest = await mergedWithLatest(report);
    await writeLatest(latest);
    await writeDocument(latest);
    process.stdout.write("bench/latest.json and docs/reference/performance.md are written.\n");
  }
  return report.rows.some(({ failure }) => failure !== null) ? 1 : 0;
}

function chosen(only: readonly string[] | null): readonly Row[] {
  if (only === null) return rows;
  const unknown = only.filter((id) => !rows.some((row) => row.id === id));
  if (unknown.length > 0) throw new Error(`Expected --only to name rows (${rows.map(({ id }) => id).join(", ")}), got ${unknown.join(", ")}.`);
  return rows.filter(({ id }) => only.includes(id));
}

/** A row that fails is in the report as failed, and the next one is measured. */
async function measure(row: Row, bench: ReturnType<typeof createBench>, flags: { runs: number; scale: number }): Promise<RowReport> {
  const facts = { id: row.id, title: row.title, measuredAt: new Date().toISOString(), runs: flags.runs, scale: flags.scale };
  try {
    return { ...facts, ...(await row.measure(bench)), failure: null };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    if (interrupted.signal.aborted) await new Promise(() => undefined); // interrupted: whoever did it ends the process
    bench.say(`  FAILED: ${failure}`);
    return { ...facts, verdicts: [], figures: [], notes: [], failure };
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!interrupted.signal.aborted) process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  process.exitCode = 2;
}
await tidyUp();
