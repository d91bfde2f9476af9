// A table over as many pages as it needs: the head again on each, short rows kept whole, long ones broken between
// lines, and what follows the table (the totals) never alone on a page.

import type { Column, Table } from "./items.ts";
import { cellPadding } from "./items.ts";
import type { Sheet } from "./sheet.ts";
import { colors, lineHeight, styles } from "./typesetter.ts";

const rowPadding = 4.5;
const rowLine = lineHeight(styles.body);
const keptLines = 3; // at least so many lines of a broken row stand on either side of the break

/** `tailHeight` is the height of what must stand on one page with the end of the last row. */
export async function drawTable(sheet: Sheet, table: Table, tailHeight: number): Promise<void> {
  sheet.keep(headHeight(sheet, table.columns) + rowLine * keptLines + rowPadding * 2 + (table.rows.length === 1 ? tailHeight : 0));
  drawHead(sheet, table.columns);
  for (const [index, row] of table.rows.entries()) {
    const cells = table.columns.map((column, at) => sheet.type.lines(row[at] ?? "", styles.body, column.width - cellPadding * 2));
    await drawRow(sheet, table.columns, cells, index === table.rows.length - 1 ? tailHeight : 0);
    await sheet.breathe();
  }
}

async function drawRow(sheet: Sheet, columns: readonly Column[], cells: readonly (readonly string[])[], tail: number): Promise<void> {
  const count = Math.max(...cells.map((lines) => lines.length));
  const height = count * rowLine + rowPadding * 2;
  const isLong = height + tail > sheet.fullRoom / 3;
  if (height + tail > sheet.room && (!isLong || sheet.room < (keptLines + 1) * rowLine)) continueTable(sheet, columns);

  sheet.y += rowPadding;
  for (let index = 0; index < count; index += 1) {
    const left = count - index;
    // The last lines and the tail go together; before them a line needs only room for itself.
    const needed = left <= keptLines ? left * rowLine + rowPadding + tail : rowLine;
    if (sheet.room < needed) {
      continueTable(sheet, columns);
      sheet.y += rowPadding;
    }
    drawLine(sheet, columns, cells, index);
    sheet.y += rowLine;
    await sheet.breathe();
  }
  sheet.y += rowPadding;
  sheet.rule(sheet.y);
}

function drawLine(sheet: Sheet, columns: readonly Column[], cells: readonly (readonly string[])[], index: number): void {
  let x = sheet.left;
  for (const [at, column] of columns.entries()) {
    const line = cells[at]?.[index];
    const rightEdge = column.align === "right" ? x + column.width - cellPadding : undefined;
    if (line !== undefined && line !== "") sheet.type.draw(line, x + cellPadding, sheet.y, styles.body, rightEdge);
    x += column.width;
  }
}

function continueTable(sheet: Sheet, columns: readonly Column[]): void {
  sheet.newPage();
  drawHead(sheet, columns);
}

function headLines(sheet: Sheet, columns: readonly Column[]): string[][] {
  return columns.map((column) => sheet.type.lines(column.head, styles.tableHead, column.width - cellPadding * 2));
}

function headHeight(sheet: Sheet, columns: readonly Column[]): number {
  return Math.max(...headLines(sheet, columns).map((lines) => lines.length)) * lineHeight(styles.tableHead) + rowPadding * 2;
}

function drawHead(sheet: Sheet, columns: readonly Column[]): void {
  const height = headHeight(sheet, columns);
  sheet.band(height, colors.accent);
  let x = sheet.left;
  for (const [at, lines] of headLines(sheet, columns).entries()) {
    const column = columns[at];
    if (column === undefined) break;
    const rightEdge = column.align === "right" ? x + column.width - cellPadding : undefined;
    lines.forEach((line, index) => sheet.type.draw(line, x + cellPadding, sheet.y + rowPadding + index * lineHeight(styles.tableHead), styles.tableHead, rightEdge));
    x += column.width;
  }
  sheet.y += height;
}
