// The sums below the table, against the right edge. Their height is known before they are drawn, because the table
// keeps room for them beside its last row.

import { fill } from "./labels.ts";
import type { Plan } from "./plan.ts";
import type { Sheet } from "./sheet.ts";
import type { Style } from "./typesetter.ts";
import { colors, lineHeight, styles } from "./typesetter.ts";

const space = { above: 10, line: 4, beforeTotal: 6 };
const edge = 7; // the table's padding, so that the sums stand below the amounts
const gap = 12;

interface Sum {
  readonly label: string;
  readonly value: string;
  readonly style: Style;
}

/** At most half a page: sums that are longer (ten rates with long labels) break across pages like everything else. */
export function totalsHeight(sheet: Sheet, plan: Plan): number {
  const sums = sumsOf(plan);
  const labelWidth = labelWidthOf(sheet, sums);
  const height = sums.reduce((sofar, sum) => sofar + heightOf(sheet, sum, labelWidth), space.above + space.beforeTotal * 2);
  return Math.min(height, sheet.fullRoom / 2);
}

export function drawTotals(sheet: Sheet, plan: Plan): void {
  const sums = sumsOf(plan);
  const labelWidth = labelWidthOf(sheet, sums);
  const left = sheet.right - edge - valueWidthOf(sheet, sums) - gap - labelWidth;
  sheet.y += space.above;
  for (const [index, sum] of sums.entries()) {
    sheet.keep(heightOf(sheet, sum, labelWidth) + (index === sums.length - 1 ? space.beforeTotal * 2 : 0));
    if (index === sums.length - 1) {
      sheet.y += space.beforeTotal;
      sheet.rule(sheet.y, left, sheet.right, colors.accent, 1);
      sheet.y += space.beforeTotal;
    }
    sheet.type.lines(sum.label, sum.style, labelWidth).forEach((line, at) => sheet.type.draw(line, left, sheet.y + at * lineHeight(sum.style), sum.style));
    sheet.type.draw(sum.value, sheet.left, sheet.y, sum.style, sheet.right - edge);
    sheet.y += heightOf(sheet, sum, labelWidth);
  }
}

function sumsOf({ labels, format, totals, totalLabel }: Plan): Sum[] {
  const taxes = totals.taxes.map((tax): Sum => {
    return { label: fill(labels.tax, { percent: format.percent(tax.percent) }), value: format.money(tax.cents), style: styles.body };
  });
  const net: Sum[] = taxes.length === 0 ? [] : [{ label: labels.net, value: format.money(totals.net), style: styles.body }];
  return [...net, ...taxes, { label: totalLabel, value: format.money(totals.gross), style: styles.total }];
}

function valueWidthOf(sheet: Sheet, sums: readonly Sum[]): number {
  return Math.max(...sums.map((sum) => sheet.type.width(sum.value, sum.style)));
}

/** Half the page for both columns, unless the amounts are so long that the labels need more. */
function labelWidthOf(sheet: Sheet, sums: readonly Sum[]): number {
  return Math.max(sheet.width / 2 - edge - gap - valueWidthOf(sheet, sums), 110);
}

function heightOf(sheet: Sheet, sum: Sum, labelWidth: number): number {
  return sheet.type.lines(sum.label, sum.style, labelWidth).length * lineHeight(sum.style) + space.line;
}
