// Names of documents: none can leave the documents folder, or surprise another system.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pdfGenerateHandler } from "../../../src/handlers/pdf-generate.ts";
import { writeDocument } from "../../../src/handlers/pdf/write-file.ts";
import { runHandler } from "../../support/run-handler.ts";
import { anInvoice } from "./documents.ts";

let outside: string;
beforeAll(async () => {
  outside = await mkdtemp(join(tmpdir(), "pdf-names-"));
});
afterAll(async () => {
  await rm(outside, { recursive: true });
});

const refused: [name: string, why: RegExp][] = [
  ["", /expected a file name such as/],
  ["../invoice.pdf", /without slashes/],
  ["../../etc/cron.d/invoice.pdf", /without slashes/],
  ["/etc/invoice.pdf", /without slashes/],
  ["a/b.pdf", /without slashes/],
  ["a/../../b.pdf", /without slashes/],
  ["..\\invoice.pdf", /without slashes/],
  ["C:\\temp\\invoice.pdf", /without slashes/],
  ["\\\\server\\share\\invoice.pdf", /without slashes/],
  ["C:invoice.pdf", /Windows forbids/],
  ["invoice.pdf:stream.pdf", /Windows forbids/],
  ["what?.pdf", /Windows forbids/],
  [".", /dot/],
  ["..", /dot/],
  [".pdf", /dot/],
  [".hidden.pdf", /dot/],
  ["invoice\u0000.pdf", /control or invisible/],
  ["invoice\n.pdf", /control or invisible/],
  ["invoice\u001b[2J.pdf", /control or invisible/],
  ["invoice\u202efdp.exe.pdf", /control or invisible/],
  ["invoice\u2028.pdf", /control or invisible/],
  [" invoice.pdf", /spaces around/],
  ["invoice.pdf ", /spaces around/],
  ["invoice", /ends in ".pdf"; add it/],
  ["invoice.pdf.exe", /ends in ".pdf"/],
  ["CON.pdf", /Windows/],
  ["aux .pdf", /Windows/],
  ["com1.invoice.pdf", /Windows/],
  [`${"x".repeat(117)}.pdf`, /at most 120 characters, which this one exceeds with 121/],
  [`${"漢".repeat(100)}.pdf`, /at most 255 bytes/],
  ["%2e%2e%2finvoice", /ends in ".pdf"/],
  ["..%2f..%2finvoice.pdf", /dot/],
  ["..%c0%afinvoice.pdf", /dot/],
  ["..%5cinvoice.pdf", /dot/],
  ["....//invoice.pdf", /without slashes/],
  ["a/.pdf", /without slashes/],
  ["invoice.pdf/", /without slashes/],
  ["//server/share/invoice.pdf", /without slashes/],
  ["\\\\?\\C:\\invoice.pdf", /without slashes/],
  ["file:///invoice.pdf", /without slashes/],
  ["\u0000/invoice.pdf", /without slashes/],
  ["\u0000.pdf", /control or invisible/],
  ["invoice.pdf\u0000", /control or invisible/],
  ["invoice.pdf\u0000.png", /control or invisible/],
  ["invoice\u007f.pdf", /control or invisible/],
  ["invoice\u0085.pdf", /control or invisible/],
  ["invoice\u200b.pdf", /control or invisible/],
  ["invoice\u2066.pdf", /control or invisible/],
  ["\ufeffinvoice.pdf", /control or invisible/],
  ["invoice\u{e0041}.pdf", /control or invisible/],
  ["\u00a0invoice.pdf", /spaces around/],
  ["invoice.pdf.", /ends in ".pdf"/],
  ["invoice.pdf::$DATA", /Windows forbids/],
  ["<invoice>.pdf", /Windows forbids/],
  ["nul.pdf", /Windows/],
  ["PRN .pdf", /Windows/],
  ["com¹.pdf", /Windows/],
  ["LPT9.pdf", /Windows/],
  ["CONIN$.pdf", /Windows/],
  ["conout$.x.pdf", /Windows/],
  [`${"x".repeat(5_000)}.pdf`, /at most 120 characters/],
];

test.each(refused)("the name %j is refused by the contract, naming the field, and nothing is written", async (name, why) => {
  const handler = pdfGenerateHandler({ documentsDir: join(outside, "documents"), fontFile: null });
  const refusal = await runHandler(handler, anInvoice({}, name)).then(() => "accepted", String);
  expect(refusal).toContain("payload.filename");
  expect(refusal).toMatch(why);
  // A terminal can show the sentence: nothing in it steers one.
  expect(refusal).not.toMatch(/[\u0000-\u001f\u202e]/);
  expect(await readdir(outside)).toEqual([]);
});

test.each(["invoice 2025-1042.pdf", "Rechnung Łódź.PDF", "请求.pdf", "a..b.pdf", "console.pdf", "%2e%2e%2f.pdf", "~root.pdf", "$HOME.pdf", "-rf.pdf", "a%2f..%2fb.pdf", "．．／invoice.pdf", "a⁄b∕c.pdf", "com10.pdf", "ＣＯＮ.pdf", "null.pdf"])("the name %j is an ordinary name", async (name) => {
  const documentsDir = await mkdtemp(join(tmpdir(), "pdf-names-"));
  const result = await runHandler(pdfGenerateHandler({ documentsDir, fontFile: null }), anInvoice({}, name));
  expect(result).toMatchObject({ file: name, path: join(documentsDir, name) });
  expect(await readdir(documentsDir)).toEqual([name]);
  await rm(documentsDir, { recursive: true });
});

test("a name that got past the contract is still not written outside the folder", async () => {
  const file = { folder: join(outside, "documents"), bytes: Buffer.from("x"), jobId: "job", attempt: 1, signal: new AbortController().signal };
  await expect(writeDocument({ ...file, filename: "../invoice.pdf" })).rejects.toThrow("Expected a file name inside the documents folder");
  expect(await readdir(outside)).toEqual([]);
});
