// The items of a plan as a table: which columns there are, what stands in their cells, how wide they have to be.
// Next: table.ts, which draws it over the pages.

import type { Item } from "./data.ts";
import { amountOf } from "./money.ts";
import type { Plan } from "./plan.ts";
import type { Sheet } from "./sheet.ts";
import { styles } from "./typesetter.ts";

export interface Column {
  readonly head: string;
  readonly width: number;
  readonly align: "left" | "right";
}

export interface Table {
  readonly columns: readonly Column[];
  /** A text for each column. */
  readonly rows: readonly (readonly string[])[];
}

export const cellPadding = 7;

export async function itemTable(sheet: Sheet, plan: Plan): Promise<Table> {
  const { labels, format } = plan;
  const numeric: { head: string; cell: (item: Item) => string }[] = [
    { head: labels.quantity, cell: (item) => format.quantity(item.quantity) + (item.unit === undefined ? "" : ` ${item.unit}`) },
    { head: labels.unitPrice, cell: (item) => format.money(BigInt(item.unitCents)) },
  ];
  // One rate for everything is told once, below. Several have to stand beside their items.
  if (plan.totals.taxes.length > 1) {
    numeric.push({ head: labels.taxRate, cell: (item) => rateOf(item, plan) });
  }
  numeric.push({ head: labels.amount, cell: (item) => format.money(amountOf(item)) });

  const widths = numeric.map(({ head }) => sheet.type.width(head, styles.tableHead));
  const rows: string[][] = [];
  for (const item of plan.items) {
    const cells = numeric.map(({ cell }) => cell(item));
    cells.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, sheet.type.width(cell, styles.body))));
    rows.push([item.description, ...cells]);
    await sheet.breathe();
  }
  const columns = numeric.map(({ head }, index): Column => ({ head, width: (widths[index] ?? 0) + cellPadding * 2 + 1, align: "right" }));
  // As wide as their widest cell, but the description keeps a third of the page: then all share the rest, and wrap.
  const numericWidth = (sheet.width * 2) / 3;
  const fitting = widthOf(columns) <= numericWidth ? columns : columns.map((column) => ({ ...column, width: numericWidth / columns.length }));
  return { columns: [{ head: labels.description, width: sheet.width - widthOf(fitting), align: "left" }, ...fitting], rows };
}

function widthOf(columns: readonly Column[]): number {
  return columns.reduce((sum, column) => sum + column.width, 0);
}

function rateOf(item: Item, plan: Plan): string {
  const rate = item.taxPercent ?? plan.taxPercent;
  return rate === undefined ? "–" : plan.format.percent(rate);
}
