// A plan into the bytes of a PDF. The same plan and date give the same bytes, so that a retry writes the same file.
// pdfkit and the fonts are loaded here and nowhere else, when the first document is made.

import { FinalError } from "../../outbox/errors.ts";
import { checkPrintable, loadFaces } from "./fonts.ts";
import { itemTable } from "./items.ts";
import { fill } from "./labels.ts";
import { drawLetterhead } from "./letterhead.ts";
import type { Plan } from "./plan.ts";
import { drawProse, drawSignature, drawSubject } from "./prose.ts";
import { Sheet } from "./sheet.ts";
import { drawTable } from "./table.ts";
import { drawTotals, totalsHeight } from "./totals.ts";
import { createTypesetter } from "./typesetter.ts";

export interface RenderOptions {
  /** The payload's data, whose texts are checked against the fonts before anything is drawn. */
  readonly data: unknown;
  readonly paper: "a4" | "letter";
  readonly locale: string;
  readonly fontFile: string | null;
  readonly createdAt: Date;
  readonly signal: AbortSignal;
  readonly maxPages: number;
  readonly maxBytes: number;
}

export interface Rendered {
  readonly bytes: Buffer;
  readonly pages: number;
}

export async function render(plan: Plan, options: RenderOptions): Promise<Rendered> {
  const faces = await loadFaces(options.fontFile);
  checkPrintable(options.data, "payload.data", faces);
  const { default: PDFDocument } = await import("pdfkit");
  const title = `${plan.title} ${plan.number}`;
  const doc = new PDFDocument({
    size: options.paper === "a4" ? "A4" : "LETTER",
    margin: 0, // sheet.ts keeps the margins; pdfkit must never begin a page by itself
    bufferPages: true,
    pdfVersion: "1.7",
    lang: options.locale,
    displayTitle: true,
    // The document's id in the file is made of these, too.
    info: { Title: title, Author: plan.from.name, Creator: "postcommit", CreationDate: options.createdAt, ModDate: options.createdAt },
  });
  const bytes = collect(doc, options.maxBytes);
  const sheet = new Sheet({ doc, type: createTypesetter(doc, faces), maxPages: options.maxPages, signal: options.signal });
  try {
    await draw(sheet, plan);
    sheet.footers(`${plan.from.name} · ${title}`, (page, pages) => fill(plan.labels.page, { page: String(page), pages: String(pages) }));
    doc.end();
  } catch (error) {
    doc.destroy();
    await Promise.allSettled([bytes]);
    throw error;
  }
  return { bytes: await bytes, pages: sheet.pages };
}

async function draw(sheet: Sheet, plan: Plan): Promise<void> {
  drawLetterhead(sheet, plan);
  if (plan.subject !== null) await drawSubject(sheet, plan.subject);
  await drawProse(sheet, plan.opening);
  await drawTable(sheet, await itemTable(sheet, plan), totalsHeight(sheet, plan));
  drawTotals(sheet, plan);
  sheet.y += 18;
  await drawProse(sheet, plan.closing);
  if (plan.signature) drawSignature(sheet, plan);
}

async function collect(doc: PDFKit.PDFDocument, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  // A Readable is typed to give anything; pdfkit pushes bytes only.
  for await (const chunk of doc as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes) throw new FinalError(`Expected a document of at most ${maxBytes} bytes, got more than ${size}. Split it, or use a smaller font file.`);
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks, size);
}
