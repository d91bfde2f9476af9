// What a page looks like, measured: nothing over the edge, nothing over anything else, no sums alone on a page.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pdfGenerateHandler } from "../../../src/handlers/pdf-generate.ts";
import { runHandler } from "../../support/run-handler.ts";
import { anInvoice, aProposal, manyItems } from "./documents.ts";
import type { PageContent } from "./read-pdf.ts";
import { readPdf } from "./read-pdf.ts";

let documentsDir: string;
beforeAll(async () => {
  documentsDir = await mkdtemp(join(tmpdir(), "pdf-layout-"));
});
afterAll(async () => {
  await rm(documentsDir, { recursive: true });
});

async function pagesOf(payload: { filename: string }): Promise<PageContent[]> {
  await runHandler(pdfGenerateHandler({ documentsDir, fontFile: null }), payload);
  return (await readPdf(join(documentsDir, payload.filename))).pages;
}

function expectTidy(pages: readonly PageContent[]): void {
  for (const [index, page] of pages.entries()) {
    for (const piece of page.pieces) {
      const where = `${JSON.stringify(piece.text.slice(0, 40))} on page ${index + 1}`;
      expect(piece.left, where).toBeGreaterThan(50);
      expect(piece.right, where).toBeLessThan(page.width - 50);
      expect(piece.baseline, where).toBeGreaterThan(30);
      expect(piece.baseline + piece.size, where).toBeLessThan(page.height - 30);
    }
    for (const [at, one] of page.pieces.entries()) {
      const over = page.pieces.slice(at + 1).find((other) => overlap(one, other));
      expect(over === undefined ? null : [one.text, over.text], `page ${index + 1}`).toBeNull();
    }
  }
}

type Piece = PageContent["pieces"][number];

function overlap(one: Piece, other: Piece): boolean {
  const beside = Math.min(one.right, other.right) - Math.max(one.left, other.left) <= 0.5;
  const top = (piece: Piece): number => piece.baseline + piece.size * 0.7;
  const above = Math.min(top(one), top(other)) - Math.max(one.baseline, other.baseline) <= 0;
  return !beside && !above;
}

test("a description of 5,000 characters, in words or without a space, is set whole and overlaps nothing", async () => {
  const words = Array.from({ length: 700 }, (_, index) => `w${index}`).join(" ");
  const unbroken = "x".repeat(5_000);
  const items = [{ description: unbroken, unitCents: 100 }, { description: words, unitCents: 100 }, { description: "The last one", unitCents: 100 }];
  const pages = await pagesOf(anInvoice({ items }, "long-words.pdf"));
  expectTidy(pages);
  const text = pages.map((page) => page.text).join("\n");
  expect(text.match(/x/g)!.length).toBeGreaterThanOrEqual(5_000);
  for (const word of words.split(" ")) expect(text).toMatch(new RegExp(`\\b${word}\\b`));
  expect(text).toContain("The last one");
});

test("the widest letters in every field of the letterhead stay on the page", async () => {
  const wide = (length: number): string => "W".repeat(length);
  const party = { name: wide(120), address: Array.from({ length: 6 }, () => wide(80)), email: wide(254), phone: wide(60), taxId: wide(60) };
  const labels = { invoice: wide(40), billTo: wide(40), totalDue: wide(40), quantity: wide(40), tax: wide(40), due: wide(40) };
  const items = Array.from({ length: 10 }, (_, index) => ({ description: "x", quantity: 999_999.999, unit: wide(12), unitCents: 9_999_999_999, taxPercent: index + 1 }));
  expectTidy(await pagesOf(anInvoice({ number: wide(60), from: party, to: party, paper: "letter", labels, items }, "wide.pdf")));
});

test("however many items there are, the totals stand below at least one of them", async () => {
  for (let count = 12; count <= 34; count += 1) {
    const pages = await pagesOf(anInvoice({ items: manyItems(count) }, "totals.pdf"));
    const last = pages.find((page) => page.text.includes("Total due"))!;
    expect(last.text, `${count} items`).toContain(`Part no. ${count}.`);
    expect(last.text, `${count} items`).toMatch(/Description Quantity/);
    expectTidy(pages);
  }
});

test("prose of many pages flows on, a heading stays with its text, and the signature is kept whole", async () => {
  const sections = Array.from({ length: 30 }, (_, index) => ({ heading: `Heading ${index + 1}.`, text: `Begin ${index + 1}. ${"All work and no play. ".repeat(index * 3)}` }));
  const pages = await pagesOf(aProposal({ sections }, "prose.pdf"));
  expectTidy(pages);
  expect(pages.length).toBeGreaterThan(2);
  for (let number = 1; number <= 30; number += 1) {
    expect(pages.find((page) => page.text.includes(`Heading ${number}.`))!.text).toContain(`Begin ${number}.`);
  }
  expect(pages.at(-1)!.text).toMatch(/Acceptance[\s\S]*Place, date[\s\S]*Signature/);
});
