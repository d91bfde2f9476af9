// Reads a PDF back as its reader would see it: the text of each page, where every piece stands, the document's facts.
// By Mozilla's pdf.js (packed as unpdf), which shares no code with what wrote it.

import { readFile } from "node:fs/promises";
import { getDocumentProxy, getMeta } from "unpdf";

export interface Piece {
  readonly text: string;
  readonly left: number;
  readonly right: number;
  readonly baseline: number;
  readonly size: number;
}

export interface PageContent {
  readonly width: number;
  readonly height: number;
  /** With every run of spaces, no-break ones too, as one space. */
  readonly text: string;
  readonly pieces: readonly Piece[];
}

/** The part of pdf.js that is used. unpdf's own types are those of pdfjs-dist, which it does not bring along. */
interface PdfDocument {
  readonly numPages: number;
  getPage(number: number): Promise<{
    getViewport(options: { scale: number }): { width: number; height: number };
    getTextContent(): Promise<{ items: readonly (TextItem | { readonly type: string })[] }>;
  }>;
}

interface TextItem {
  readonly str: string;
  readonly hasEOL: boolean;
  readonly width: number;
  /** A matrix: size, skew, skew, size, x, y. It counts from the foot of the page. */
  readonly transform: readonly number[];
}

export async function readPdf(path: string): Promise<{ pages: PageContent[]; text: string; info: Record<string, unknown> }> {
  const proxy = await getDocumentProxy(new Uint8Array(await readFile(path)));
  const document = proxy as unknown as PdfDocument; // see PdfDocument
  const pages: PageContent[] = [];
  for (let number = 1; number <= document.numPages; number += 1) {
    const page = await document.getPage(number);
    const { width, height } = page.getViewport({ scale: 1 });
    const { items } = await page.getTextContent();
    const pieces: Piece[] = [];
    let text = "";
    for (const item of items) {
      if (!("str" in item)) continue;
      text += item.str + (item.hasEOL ? "\n" : "");
      const [, , , size = 0, left = 0, baseline = 0] = item.transform;
      if (item.str.trim() !== "") pieces.push({ text: item.str, left, right: left + item.width, baseline, size });
    }
    pages.push({ width, height, text: text.replace(/[^\S\n]+/gu, " "), pieces });
  }
  const { info } = await getMeta(proxy);
  return { pages, text: pages.map((page) => page.text).join("\n"), info };
}
