// pdf.generate: a real PDF with the customer's text in it, or a clear sentence and no file.

import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { PdfResult } from "../../src/handlers/pdf-generate.ts";
import { pdfGenerateHandler } from "../../src/handlers/pdf-generate.ts";
import { invoiceData } from "../../src/handlers/pdf/data.ts";
import { invoice } from "../../src/handlers/pdf/invoice.ts";
import { render } from "../../src/handlers/pdf/render.ts";
import { FinalError } from "../../src/outbox/errors.ts";
import type { JobRun } from "../../src/testing/index.ts";
import { runJob, runTwice } from "../../src/testing/index.ts";
import { runHandler } from "../support/run-handler.ts";
import { anInvoice, aProposal, aReceipt, manyItems } from "./pdf/documents.ts";
import { readPdf } from "./pdf/read-pdf.ts";

let documentsDir: string;
beforeEach(async () => {
  documentsDir = await mkdtemp(join(tmpdir(), "pdf-generate-"));
});
afterEach(async () => {
  await rm(documentsDir, { recursive: true });
});

const createdAt = new Date("2025-05-04T10:11:12.345Z");

const attempt = (payload: unknown, fontFile: string | null = null): Promise<JobRun> => runJob(pdfGenerateHandler({ documentsDir, fontFile }), payload, { createdAt });

async function generate(payload: unknown, fontFile: string | null = null): Promise<PdfResult> {
  const { error, result } = await attempt(payload, fontFile);
  if (error !== null) throw error as Error; // this handler throws nothing else
  return result as PdfResult;
}

describe("what is in the document", () => {
  test("an invoice has sender, customer, number, dates, items, net, tax and total", async () => {
    const result = await generate(anInvoice());
    const { pages, text, info } = await readPdf(result.path);
    for (const part of ["Łukasz Żółć Consulting", "Bergmannstraße 12", "Tax ID: DE123456789", "Invoice", "2025-1042", "4 May 2025", "3 June 2025"]) expect(text).toContain(part);
    expect(text).toContain("Workshop 2 days €1,450.00 €2,900.00");
    expect(text).toContain("Implementation 37.5 h €125.00 €4,687.50");
    expect(text).toContain("Discount 1 -€250.00 -€250.00");
    expect(text).toMatch(/Net €7,337\.50\nTax 19% €1,394\.13\nTotal due €8,731\.63/);
    expect(text).toContain("IBAN DE89 3704 0044 0532 0130 00");
    expect(text).toContain("Page 1 of 1");
    expect(pages).toHaveLength(1);
    expect(info).toMatchObject({ Title: "Invoice 2025-1042", Author: "Łukasz Żółć Consulting", CreationDate: "D:20250504101112Z" });
  });

  test("a proposal has its subject, introduction, terms and a place to sign", async () => {
    const { text } = await readPdf((await generate(aProposal({ sections: [{ heading: "Scope", text: "One warehouse." }] }))).path);
    for (const part of ["Proposal", "Order synchronisation", "We propose an outbox.", "Scope", "One warehouse.", "Valid until 4 June 2025", "Terms", "Signature"]) expect(text).toContain(part);
    expect(text).toContain("Total €7,337.50");
    expect(text).not.toContain("Tax 19%");
  });

  test("a receipt says what was paid, when and with what", async () => {
    const { text } = await readPdf((await generate(aReceipt())).path);
    for (const part of ["Receipt", "Paid on May 4, 2025", "Visa ending in 4242", "Total paid $7,337.50"]) expect(text).toContain(part);
  });

  test("letters beyond Latin come out as they went in", async () => {
    const { text } = await readPdf((await generate(anInvoice({ notes: "Žluťoučký kůň — ŁÓDŹ — Київ, Ёлка — Ελληνικά — Tiếng Việt — İstanbul — ₹ ₽ €" }))).path);
    for (const part of ["Łukasz Żółć", "Ελλάδα Trading", "Київ office", "Σταδίου", "Αθήνα", "Žluťoučký kůň", "ŁÓDŹ", "Ёлка", "Ελληνικά", "Tiếng Việt", "İstanbul", "₹ ₽ €"]) expect(text).toContain(part);
  });

  test("a German invoice has German numbers, dates and, with labels, German words", async () => {
    const labels = { invoice: "Rechnung", totalDue: "Zahlbetrag", net: "Netto", tax: "USt. {percent}", page: "Seite {page} von {pages}" };
    const { text } = await readPdf((await generate(anInvoice({ locale: "de-DE", labels }))).path);
    expect(text).toMatch(/Netto 7\.337,50 €\nUSt\. 19 % 1\.394,13 €\nZahlbetrag 8\.731,63 €/);
    for (const part of ["Rechnung", "4. Mai 2025", "Seite 1 von 1"]) expect(text).toContain(part);
  });

  test("with several tax rates each item shows its own, and each rate has its sum", async () => {
    const items = [{ description: "Book", unitCents: 1_000, taxPercent: 7 }, { description: "Lamp", unitCents: 2_000 }];
    const { text } = await readPdf((await generate(anInvoice({ items }))).path);
    expect(text).toMatch(/Book 1 €10\.00 7% €10\.00/);
    expect(text).toMatch(/Lamp 1 €20\.00 19% €20\.00/);
    expect(text).toMatch(/Net €30\.00\nTax 19% €3\.80\nTax 7% €0\.70\nTotal due €34\.50/);
  });

  test("300 items are all there, on several pages, each with the table's head and its number", async () => {
    const result = await generate(anInvoice({ items: manyItems(300) }));
    const { pages, text } = await readPdf(result.path);
    expect(pages.length).toBeGreaterThan(5);
    expect(result.pages).toBe(pages.length);
    for (let number = 1; number <= 300; number += 1) expect(text.split(`Part no. ${number}.`)).toHaveLength(2);
    for (const [index, page] of pages.entries()) {
      expect(page.text).toContain("Description Quantity Unit price Amount");
      expect(page.text).toContain(`Page ${index + 1} of ${pages.length}`);
    }
  });
});

describe("the file", () => {
  test("the result tells its name, path, size, pages and SHA-256", async () => {
    const result = await generate(anInvoice());
    const bytes = await readFile(join(documentsDir, "invoice-1042.pdf"));
    expect(result).toEqual({
      file: "invoice-1042.pdf",
      path: join(documentsDir, "invoice-1042.pdf"),
      bytes: bytes.length,
      pages: 1,
      sha256: createHash("sha256").update(bytes).digest("hex"),
    });
  });

  test("the documents folder is created when it is missing", async () => {
    const handler = pdfGenerateHandler({ documentsDir: join(documentsDir, "a", "b"), fontFile: null });
    await runHandler(handler, anInvoice());
    expect(await readdir(join(documentsDir, "a", "b"))).toEqual(["invoice-1042.pdf"]);
  });

  test.each([["invoice", anInvoice()], ["proposal", aProposal()], ["receipt", aReceipt()]])("two attempts of one %s job leave one file with the same bytes", async (_, payload) => {
    const files = async () => Promise.all((await readdir(documentsDir)).map(async (name) => [name, createHash("sha256").update(await readFile(join(documentsDir, name))).digest("hex")]));
    const { first, second } = await runTwice(pdfGenerateHandler({ documentsDir, fontFile: null }), payload, { effects: files });
    expect(second.result).toEqual(first.result);
    expect(await readdir(documentsDir)).toEqual([payload.filename]);
  });
});

describe("what is refused", () => {
  const wrong: [what: string, payload: object, says: string][] = [
    ["a template that does not exist", { ...anInvoice(), template: "contract" }, 'payload.template does not fit: expected a payload with the template "proposal", "invoice" or "receipt", got the template "contract"'],
    ["no template", { filename: "a.pdf", data: {} }, "payload.template does not fit"],
    ["an unknown field", { ...anInvoice(), path: "/etc" }, '"path"'],
    ["an unknown field in data", anInvoice({ colour: "red" }), '"colour"'],
    ["a price that is text", anInvoice({ items: [1, 2, 3].map((n) => ({ description: "x", unitCents: n === 3 ? "12" : 12 })) }), "payload.data.items[2].unitCents"],
    ["half a cent", anInvoice({ items: [{ description: "x", unitCents: 0.5 }] }), "payload.data.items[0].unitCents"],
    ["a quantity of zero", anInvoice({ items: [{ description: "x", unitCents: 1, quantity: 0 }] }), "payload.data.items[0].quantity"],
    ["no items", anInvoice({ items: [] }), "payload.data.items"],
    ["no customer", anInvoice({ to: undefined }), "payload.data.to"],
    ["a day that does not exist", anInvoice({ date: "2025-02-30" }), "payload.data.date"],
    ["a currency that does not exist", anInvoice({ currency: "EURO" }), 'payload.data.currency does not fit: expected an ISO 4217 code in capitals such as "EUR"'],
    ["a locale that is none", anInvoice({ locale: "not a locale" }), "payload.data.locale"],
    ["a control character", anInvoice({ number: "1\u001b[2J" }), "payload.data.number"],
    ["an unknown label", anInvoice({ labels: { headline: "x" } }), "headline"],
    ["a field of another template", anInvoice({ paidOn: "2025-05-04" }), '"paidOn"'],
    ["a description that is too long", anInvoice({ items: [{ description: "x".repeat(5_001), unitCents: 1 }] }), "payload.data.items[0].description"],
  ];

  test.each(wrong)("%s is refused by its name, and nothing is written", async (_, payload, says) => {
    const { outcome, error } = await attempt(payload);
    expect(outcome).toBe("dead");
    expect(String(error)).toContain(says);
    expect(await readdir(documentsDir)).toEqual([]);
  });

  test("a character that no font has is refused with its code, its field and the setting that helps", async () => {
    const { outcome, error } = await attempt(anInvoice({ items: [{ description: "ok", unitCents: 1 }, { description: "漢字", unitCents: 1 }] }));
    expect(outcome).toBe("dead");
    expect(String(error)).toMatch(/"漢" \(U\+6F22\) in payload\.data\.items\[1\]\.description\. Set PDF_FONT/);
    expect(await readdir(documentsDir)).toEqual([]);
  });

  test("a date that the locale writes in letters no font has is refused, too", async () => {
    expect(String((await attempt(anInvoice({ locale: "ja-JP" }))).error)).toMatch(/U\+5E74.*PDF_FONT/);
  });

  test("text from right to left is refused rather than set in the wrong order", async () => {
    expect(String((await attempt(anInvoice({ notes: "שלום עולם" }))).error)).toMatch(/payload\.data\.notes.*left to right.*U\+05E9/);
  });

  test("more than 200 pages are refused for good, with the number, and nothing is written", async () => {
    const { outcome, error } = await attempt(anInvoice({ items: manyItems(9_000) }));
    expect(outcome).toBe("dead");
    expect(String(error)).toContain("at most 200 pages");
    expect(await readdir(documentsDir)).toEqual([]);
  });

  test("a document over the limit of bytes is refused for good, with the number", async () => {
    const data = invoiceData.parse(anInvoice().data);
    const options = { data, paper: data.paper, locale: data.locale, fontFile: null, createdAt, signal: new AbortController().signal, maxPages: 200, maxBytes: 10_000 };
    const refusal: unknown = await render(invoice(data), options).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(FinalError);
    expect(String(refusal)).toContain("at most 10000 bytes");
  });
});

describe("the configured font", () => {
  const fontFile = createRequire(import.meta.url).resolve("dejavu-fonts-ttf/ttf/DejaVuSerif.ttf");

  test("text is set in it", async () => {
    const withIt = await readFile((await generate(anInvoice(), fontFile)).path, "latin1");
    const without = await readFile((await generate(anInvoice())).path, "latin1");
    expect([withIt.includes("DejaVuSerif"), without.includes("DejaVuSerif")]).toEqual([true, false]);
  });

  test("a file that is no font is named, and the job can be tried again once the setting is right", async () => {
    for (const notAFont of [join(documentsDir, "missing.ttf"), import.meta.filename]) {
      const { outcome, error } = await attempt(anInvoice(), notAFont);
      expect(outcome).toBe("retried");
      expect(String(error)).toContain(`Expected PDF_FONT to name a TrueType or OpenType font file, got ${JSON.stringify(notAFont)}`);
    }
  });
});

describe("limits of the work", () => {
  test("a job that is stopped in the middle ends at once and leaves nothing", async () => {
    const stop = new AbortController();
    // Left alone it would be refused for its pages: the reason tells which came first.
    const work = runHandler(pdfGenerateHandler({ documentsDir, fontFile: null }), anInvoice({ items: manyItems(9_000) }), { signal: stop.signal }).catch((error: unknown) => error);
    await setImmediate();
    stop.abort(new Error("the worker is stopping"));
    expect(String(await work)).toContain("the worker is stopping");
    expect(await readdir(documentsDir)).toEqual([]);
  });

  test("while a long document is made, the rest of the process gets its turns", async () => {
    await generate(anInvoice()); // so that loading pdfkit is not part of it
    const progress = { finished: false };
    const startedAtMs = performance.now();
    const work = generate(anInvoice({ items: manyItems(3_000) })).finally(() => {
      progress.finished = true;
    });
    let longestWaitMs = 0;
    for (let turnAtMs = performance.now(); !progress.finished; turnAtMs = performance.now()) {
      await setImmediate();
      longestWaitMs = Math.max(longestWaitMs, performance.now() - turnAtMs);
    }
    await work;
    // Relative, so that a slow machine changes nothing: without turns nearly all of the time is one wait.
    expect(longestWaitMs).toBeLessThan((performance.now() - startedAtMs) / 3);
  });
});

describe("other programs agree", () => {
  const missing = (program: string): boolean => spawnSync(program, ["--version"]).error !== undefined;

  test("qpdf finds no fault in it", async ({ skip }) => {
    skip(missing("qpdf"), "qpdf is not installed");
    const { path } = await generate(anInvoice({ items: manyItems(100) }));
    expect(execFileSync("qpdf", ["--check", path], { encoding: "utf8" })).toContain("No syntax or stream encoding errors found");
  });

  test("pdftotext reads the same words", async ({ skip }) => {
    skip(missing("pdftotext"), "pdftotext (poppler-utils) is not installed");
    const { path } = await generate(anInvoice());
    const text = execFileSync("pdftotext", ["-layout", path, "-"], { encoding: "utf8" });
    for (const part of ["Łukasz Żółć", "Київ", "Ελλάδα", "€8,731.63", "Page 1 of 1"]) expect(text).toContain(part);
    expect((await stat(path)).size).toBeLessThan(100_000);
  });
});
