// pdf.generate: a proposal, invoice or receipt as a PDF in the documents folder. The contract stands here; what a
// document looks like is in pdf/, beginning with plan.ts.

import { createHash } from "node:crypto";
import { z } from "zod";
import type { Handler } from "../outbox/define.ts";
import { defineJob, handle } from "../outbox/define.ts";
import { invoiceData, proposalData, receiptData } from "./pdf/data.ts";
import { filename } from "./pdf/filename.ts";
import { invoice } from "./pdf/invoice.ts";
import type { Plan } from "./pdf/plan.ts";
import { proposal } from "./pdf/proposal.ts";
import { receipt } from "./pdf/receipt.ts";
import { render } from "./pdf/render.ts";
import { writeDocument } from "./pdf/write-file.ts";

const maxPages = 200;
const maxBytes = 20 * 1024 * 1024;

const schema = z.discriminatedUnion(
  "template",
  [
    z.strictObject({ template: z.literal("proposal"), data: proposalData, filename }),
    z.strictObject({ template: z.literal("invoice"), data: invoiceData, filename }),
    z.strictObject({ template: z.literal("receipt"), data: receiptData, filename }),
  ],
  { error: ({ input }) => `expected a payload with the template "proposal", "invoice" or "receipt", got ${templateIn(input)}` },
);

type Payload = z.output<typeof schema>;

function templateIn(payload: unknown): string {
  if (typeof payload !== "object" || payload === null) return typeof payload;
  return "template" in payload ? `the template ${JSON.stringify(payload.template)}` : "one without template";
}

export const pdfGenerate = defineJob({ type: "pdf.generate", schema, timeout: "1m" });

export interface PdfSettings {
  /** Where documents go. Created when it is missing. */
  readonly documentsDir: string;
  /** A TrueType or OpenType font to use before DejaVu Sans, for scripts that it lacks. */
  readonly fontFile: string | null;
}

/** What is stored as the job's result. */
export interface PdfResult {
  readonly file: string;
  /** Absolute. */
  readonly path: string;
  readonly bytes: number;
  readonly pages: number;
  readonly sha256: string;
}

export function pdfGenerateHandler(settings: PdfSettings): Handler {
  return handle(pdfGenerate, async (payload, { job, attempt, signal }): Promise<PdfResult> => {
    const { data, filename: file } = payload;
    const { bytes, pages } = await render(planOf(payload), {
      data,
      paper: data.paper,
      locale: data.locale,
      fontFile: settings.fontFile,
      createdAt: job.createdAt,
      signal,
      maxPages,
      maxBytes,
    });
    const path = await writeDocument({ folder: settings.documentsDir, filename: file, bytes, jobId: job.id, attempt, signal });
    return { file, path, bytes: bytes.length, pages, sha256: createHash("sha256").update(bytes).digest("hex") };
  });
}

function planOf(payload: Payload): Plan {
  switch (payload.template) {
    case "proposal":
      return proposal(payload.data);
    case "invoice":
      return invoice(payload.data);
    case "receipt":
      return receipt(payload.data);
  }
}
