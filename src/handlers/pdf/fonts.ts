// The faces that a document is set in: DejaVu Sans, which comes with the package, or the configured font before it.
// A character that no face has would be printed as an empty box, so it is found here before anything is drawn.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { FinalError } from "../../outbox/errors.ts";

export interface Face {
  /** What pdfkit knows it by. */
  readonly name: string;
  readonly data: Buffer;
  /** Which font of a collection (.ttc); undefined when the file is a single font. */
  readonly member: string | undefined;
  has(codePoint: number): boolean;
}

/** For each weight the faces to look a character up in, in this order. */
export interface Faces {
  readonly regular: readonly Face[];
  readonly bold: readonly Face[];
}

export async function loadFaces(fontFile: string | null): Promise<Faces> {
  const require = createRequire(import.meta.url);
  const sans = await openFace("sans", require.resolve("dejavu-fonts-ttf/ttf/DejaVuSans.ttf"));
  const sansBold = await openFace("sans-bold", require.resolve("dejavu-fonts-ttf/ttf/DejaVuSans-Bold.ttf"));
  if (fontFile === null) return { regular: [sans], bold: [sansBold, sans] };
  const own = await openConfigured(fontFile);
  return { regular: [own, sans], bold: [sansBold, own, sans] };
}

// Not a FinalError: once the setting is right, the next attempt works.
async function openConfigured(fontFile: string): Promise<Face> {
  try {
    return await openFace("configured", fontFile);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Expected PDF_FONT to name a TrueType or OpenType font file, got ${JSON.stringify(fontFile)}: ${reason}.`, { cause: error });
  }
}

async function openFace(name: string, path: string): Promise<Face> {
  const { create } = await import("fontkit");
  const data = await readFile(path);
  const opened = create(data);
  const font = "fonts" in opened ? opened.fonts[0] : opened;
  if (font === undefined) throw new Error("the collection holds no font");
  const member = "fonts" in opened ? (font.postscriptName ?? undefined) : undefined;
  const known = new Map<number, boolean>();
  const has = (codePoint: number): boolean => {
    let answer = known.get(codePoint);
    if (answer === undefined) known.set(codePoint, (answer = font.hasGlyphForCodePoint(codePoint)));
    return answer;
  };
  return { name, data, member, has };
}

/** What is printed of a text: composed characters, plain line breaks, no tabs and no soft hyphens (which would show). */
export function printable(text: string): string {
  return text.normalize("NFC").replace(/\r\n?/g, "\n").replaceAll("\t", "    ").replaceAll("\u00ad", "");
}

const rightToLeft = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

/** Throws FinalError for the first character in `value`, or in what it holds, that cannot be printed right. */
export function checkPrintable(value: unknown, path: string, faces: Faces): void {
  if (typeof value === "string") checkText(printable(value), path, faces);
  else if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) checkPrintable(inner, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, faces);
  }
}

function checkText(text: string, path: string, faces: Faces): void {
  for (const character of text) {
    const codePoint = character.codePointAt(0) ?? 0;
    if (character !== "\n" && !faces.regular.some((face) => face.has(codePoint))) throw missing(character, path);
  }
  const [letter] = rightToLeft.exec(text) ?? [];
  // The letters are in the font; the order of words and numbers on a line would be wrong, which is worse than refused.
  if (letter !== undefined) throw new FinalError(`Expected ${path} in a script that is written from left to right, got ${named(letter)}. Right-to-left text cannot be set.`);
}

export function missing(character: string, path: string): FinalError {
  return new FinalError(
    `Expected characters that the document's fonts have, got ${named(character)} in ${path}. Set PDF_FONT to a TrueType or OpenType font file that has it, for example one of the Noto fonts.`,
  );
}

function named(character: string): string {
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  return `${JSON.stringify(character)} (U+${code})`;
}
