// The top of the first page: the sender and the title, then the customer beside the document's facts.

import type { Party } from "./data.ts";
import type { Plan } from "./plan.ts";
import type { Sheet } from "./sheet.ts";
import type { Style } from "./typesetter.ts";
import { colors, lineHeight, styles } from "./typesetter.ts";

const gap = 28;
const afterHeading = 3;

export function drawLetterhead(sheet: Sheet, plan: Plan): void {
  const half = (sheet.width - gap) / 2;
  const rightColumn = sheet.left + half + gap;
  const { taxId } = plan.labels;

  const top = sheet.y;
  const senderEnd = column(sheet, sheet.left, top, half, [[plan.from.name, styles.sender], ...details(plan.from, taxId, styles.small)]);
  let y = top - 8; // the larger letters stand on the line of the sender's name
  for (const line of sheet.type.lines(plan.title, styles.title, half)) {
    sheet.type.draw(line, rightColumn, y, styles.title, sheet.right);
    y += lineHeight(styles.title);
  }
  sheet.y = Math.max(senderEnd, y) + 12;
  sheet.rule(sheet.y, sheet.left, sheet.right, colors.accent, 1.4);

  const customer: [string, Style][] = [[plan.toLabel, styles.label], [plan.to.name, styles.strong], ...details(plan.to, taxId, styles.body)];
  sheet.y += 20;
  sheet.keep(heightOf(sheet, customer, half));
  const second = sheet.y;
  const customerEnd = column(sheet, sheet.left, second, half, customer);
  const factsEnd = drawFacts(sheet, plan.facts, rightColumn, second);
  sheet.y = Math.max(customerEnd, factsEnd) + 22;
}

function details(party: Party, taxIdLabel: string, style: Style): [string, Style][] {
  const taxId = party.taxId === undefined ? undefined : `${taxIdLabel}: ${party.taxId}`;
  return [...(party.address ?? []), party.email, party.phone, taxId].flatMap((text): [string, Style][] => (text === undefined ? [] : [[text, style]]));
}

function heightOf(sheet: Sheet, texts: readonly (readonly [string, Style])[], width: number): number {
  return texts.reduce((height, [text, style]) => height + sheet.type.lines(text, style, width).length * lineHeight(style), afterHeading);
}

function column(sheet: Sheet, x: number, top: number, width: number, texts: readonly (readonly [string, Style])[]): number {
  let y = top;
  for (const [text, style] of texts) {
    for (const line of sheet.type.lines(text, style, width)) {
      sheet.type.draw(line, x, y, style);
      y += lineHeight(style);
    }
    if (style === styles.sender || style === styles.label) y += afterHeading;
  }
  return y;
}

/** Labels on the left, values against the right edge. A long value wraps below itself, never into its label. */
function drawFacts(sheet: Sheet, facts: Plan["facts"], x: number, top: number): number {
  const columnWidth = sheet.right - x;
  let y = top;
  for (const [label, value] of facts) {
    const labelLines = sheet.type.lines(label, styles.small, columnWidth * 0.42);
    const valueLines = sheet.type.lines(value, styles.body, columnWidth * 0.55);
    labelLines.forEach((line, index) => sheet.type.draw(line, x, y + index * lineHeight(styles.body) + 0.8, styles.small));
    valueLines.forEach((line, index) => sheet.type.draw(line, x, y + index * lineHeight(styles.body), styles.body, sheet.right));
    y += Math.max(labelLines.length, valueLines.length) * lineHeight(styles.body) + 3;
  }
  return y;
}
