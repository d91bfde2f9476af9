// A table that fits the terminal: short columns keep their width, long ones share what is left, the rest is named.
// Cells come in as safe text; see service/visible.ts.

import { cut, displayWidth } from "../../service/visible.ts";
import type { Paint } from "./colors.ts";
import { plain } from "./colors.ts";

export interface TableColumn {
  readonly name: string;
  readonly cells: readonly string[];
  readonly alignRight: boolean;
}

const gap = "  ";
/** An id or a time is this wide or less. It is never cut, because people copy it. */
const rigidWidth = 36;
const flexibleMinimum = 16;

/** The table's lines without a newline at their end, and the names of the columns that there was no room for. */
export function tableLines(columns: readonly TableColumn[], width: number, paint: Paint = plain): { lines: string[]; hidden: string[] } {
  const { widths, shown } = fit(columns, width);
  const visibleColumns = columns.slice(0, shown);
  const line = (cellOf: (column: TableColumn) => string, painted: (column: TableColumn, text: string) => string): string =>
    visibleColumns.map((column, index) => pad(cut(cellOf(column), widths[index] ?? 0), widths[index] ?? 0, column.alignRight, (text) => painted(column, text))).join(gap).trimEnd();
  const height = columns[0]?.cells.length ?? 0;
  const lines = [line((column) => column.name, (_, text) => paint.head(text))];
  for (let row = 0; row < height; row += 1) lines.push(line((column) => column.cells[row] ?? "", (column, text) => paint.cell(column.name, column.cells[row] ?? "", text)));
  return { lines, hidden: columns.slice(shown).map((column) => column.name) };
}

function fit(columns: readonly TableColumn[], width: number): { widths: number[]; shown: number } {
  const natural = columns.map((column) => Math.max(displayWidth(column.name), ...column.cells.map((cell) => cellWidth(cell, width))));
  const widths = natural.map((size) => (size <= rigidWidth ? size : flexibleMinimum));
  let used = 0;
  let shown = 0;
  for (const size of widths) {
    const needed = used + size + (shown === 0 ? 0 : gap.length);
    // The first column is shown however narrow the terminal is.
    if (shown > 0 && needed > width) break;
    used = needed;
    shown += 1;
  }
  // What is left goes to the long columns, from left to right, in equal parts.
  const flexible = natural.slice(0, shown).flatMap((size, index) => (size > rigidWidth ? [index] : []));
  let left = Math.max(width - used, 0);
  for (const [nth, index] of flexible.entries()) {
    const share = Math.floor(left / (flexible.length - nth));
    const grown = Math.min(share, (natural[index] ?? 0) - flexibleMinimum);
    widths[index] = flexibleMinimum + grown;
    left -= grown;
  }
  return { widths: widths.slice(0, shown), shown };
}

/** The width of a cell; anything longer than the whole line counts as the line, so that 1 MB of text is not measured. */
function cellWidth(cell: string, lineWidth: number): number {
  return cell.length > lineWidth * 4 ? Math.max(lineWidth, rigidWidth + 1) : displayWidth(cell);
}

/** `painted` adds what takes no width. */
function pad(text: string, width: number, right: boolean, painted: (text: string) => string): string {
  const fill = " ".repeat(Math.max(width - displayWidth(text), 0));
  return right ? fill + painted(text) : painted(text) + fill;
}
