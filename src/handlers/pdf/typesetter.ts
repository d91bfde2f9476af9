// Texts in their styles on a pdfkit document: how wide they are, how they break, and drawing one line of them.
// Each character is set in the first face that has it. Next: sheet.ts, which knows the page.

import type { Face, Faces } from "./fonts.ts";
import { missing, printable } from "./fonts.ts";
import { wrap } from "./wrap.ts";

export interface Style {
  readonly size: number;
  readonly bold?: boolean;
  readonly color: string;
}

export const colors = { ink: "#1f2933", muted: "#5f6c7b", accent: "#1d4e79", rule: "#cbd2d9", paper: "#ffffff" } as const;

export const styles = {
  title: { size: 21, bold: true, color: colors.accent },
  sender: { size: 12.5, bold: true, color: colors.ink },
  heading: { size: 10.5, bold: true, color: colors.accent },
  subject: { size: 13, bold: true, color: colors.ink },
  label: { size: 7.5, bold: true, color: colors.muted },
  body: { size: 9, color: colors.ink },
  strong: { size: 9, bold: true, color: colors.ink },
  total: { size: 11, bold: true, color: colors.accent },
  small: { size: 8, color: colors.muted },
  tableHead: { size: 8, bold: true, color: colors.paper },
} as const satisfies Record<string, Style>;

export const lineHeight = (style: Style): number => style.size * 1.45;

export interface Typesetter {
  width(text: string, style: Style): number;
  lines(text: string, style: Style, maxWidth: number): string[];
  /** One line, its top at `y`. With `rightEdge` it ends there instead of beginning at `x`. */
  draw(line: string, x: number, y: number, style: Style, rightEdge?: number): void;
}

interface Run {
  readonly face: Face;
  readonly text: string;
}

export function createTypesetter(doc: PDFKit.PDFDocument, faces: Faces): Typesetter {
  for (const face of new Set([...faces.regular, ...faces.bold])) {
    // The types know a font's member only as a required name; at run time both forms are one function.
    if (face.member === undefined) doc.registerFont(face.name, face.data);
    else doc.registerFont(face.name, face.data, face.member);
  }
  const facesFor = (style: Style): readonly Face[] => (style.bold === true ? faces.bold : faces.regular);
  const widthOf = (run: Run, style: Style): number => doc.font(run.face.name, style.size).widthOfString(run.text);
  const width = (text: string, style: Style): number =>
    runsOf(text, facesFor(style)).reduce((sum, run) => sum + widthOf(run, style), 0);
  return {
    width,
    lines: (text, style, maxWidth) => wrap(printable(text), maxWidth, (part) => width(part, style)),
    draw(line, x, y, style, rightEdge) {
      let left = rightEdge === undefined ? x : rightEdge - width(line, style);
      const baseline = y + style.size * 1.07; // the same for every face, so that mixed lines stand on one line
      for (const run of runsOf(line, facesFor(style))) {
        const advance = widthOf(run, style); // also selects the font
        doc.fillColor(style.color).text(run.text, left, baseline, { lineBreak: false, baseline: "alphabetic" });
        left += advance;
      }
    },
  };
}

/** The text in pieces of one face each; usually there is one piece. */
function runsOf(text: string, faces: readonly Face[]): Run[] {
  const runs: { face: Face; text: string }[] = [];
  for (const character of text) {
    const last = runs.at(-1);
    const face = faceFor(character, faces, last?.face);
    if (last?.face === face) last.text += character;
    else runs.push({ face, text: character });
  }
  return runs;
}

const joinsBefore = /^[\p{Mark}\p{Cf}\ufe0f]$/u;

function faceFor(character: string, faces: readonly Face[], before: Face | undefined): Face {
  const codePoint = character.codePointAt(0) ?? 0;
  // An accent or joiner belongs to the letter before it, in that letter's face.
  if (before !== undefined && joinsBefore.test(character) && before.has(codePoint)) return before;
  const face = faces.find((one) => one.has(codePoint));
  if (face === undefined) throw missing(character, "a date, an amount or a label that the document adds");
  return face;
}
