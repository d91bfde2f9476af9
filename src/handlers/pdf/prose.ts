// Running text: sections with headings that stay with their first lines, and the place for a signature.

import type { Plan, Prose } from "./plan.ts";
import type { Sheet } from "./sheet.ts";
import { colors, lineHeight, styles } from "./typesetter.ts";

export async function drawSubject(sheet: Sheet, subject: string): Promise<void> {
  await sheet.flow(subject, styles.subject);
  sheet.y += 8;
}

export async function drawProse(sheet: Sheet, parts: readonly Prose[]): Promise<void> {
  for (const { heading, text } of parts) {
    if (heading !== null) {
      sheet.keep(lineHeight(styles.heading) + 4 + 2 * lineHeight(styles.body));
      await sheet.flow(heading, styles.heading);
      sheet.y += 2;
    }
    await sheet.flow(text, styles.body);
    sheet.y += 12;
  }
}

export function drawSignature(sheet: Sheet, { labels }: Plan): void {
  const height = 100; // two lines for a label below its blank
  sheet.keep(height);
  const top = sheet.y;
  const half = (sheet.width - 28) / 2;
  for (const line of sheet.type.lines(labels.acceptance, styles.heading, sheet.width)) sheet.type.draw(line, sheet.left, top, styles.heading);
  const blanks = [[labels.placeAndDate, sheet.left], [labels.signature, sheet.left + half + 28]] as const;
  for (const [label, x] of blanks) {
    sheet.rule(top + 66, x, x + half, colors.muted);
    sheet.type.lines(label, styles.small, half).forEach((line, at) => sheet.type.draw(line, x, top + 70 + at * lineHeight(styles.small), styles.small));
  }
  sheet.y = top + height;
}
