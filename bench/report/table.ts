// The table of bars, for the terminal.

import type { Report } from "./report.ts";
import { barInWords, markOf, valueInWords } from "./report.ts";

const titleWidth = 58;

export function table({ machine, rows, runs, scale, startedAt }: Report): string {
  const lines: string[][] = [["row", "ours", "against", "ratio", "bar", ""]];
  for (const row of rows) {
    if (row.failure !== null) lines.push([row.title, "failed", row.failure.split("\n")[0] ?? "", "–", "–", "FAILED"]);
    for (const verdict of row.verdicts) {
      const title = verdict.what === "" ? row.title : `${row.id}: ${verdict.what}`;
      lines.push([title, verdict.ours, verdict.against, valueInWords(verdict), barInWords(verdict.bar), markOf(verdict)]);
    }
  }
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.min(titleWidth, Math.max(...lines.map((line) => line[column]?.length ?? 0))));
  const text = lines.map((line) => line.map((cell, column) => cut(cell, widths[column] ?? 0)).join("  ").trimEnd());
  const facts = `${machine.cores} cores (${machine.processor}), Node ${machine.node}, PostgreSQL ${machine.postgres}, ${startedAt.slice(0, 16).replace("T", " ")} UTC, medians of ${runs}${scale === 1 ? "" : `; a TRIAL at scale ${scale}, not to be quoted`}`;
  return [facts, "", ...text].join("\n");
}

const cut = (cell: string, width: number): string => (cell.length > width ? `${cell.slice(0, width - 1)}…` : cell.padEnd(width));
