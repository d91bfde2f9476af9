// What `data` of a pdf.generate job must look like, for each template. Every text is bounded, every amount is a whole
// number of the currency's smallest unit (cents, yen), every date is an ISO date without a time.

import { z } from "zod";
import { labelNames } from "./labels.ts";

/** One line: no control characters, so no line breaks either. */
const line = (maxLength: number) =>
  z
    .string()
    .min(1)
    .max(maxLength)
    .refine((text) => !/\p{Cc}/u.test(text), "expected one line without control characters");

/** Any number of lines. */
const text = (maxLength: number) =>
  z
    .string()
    .min(1)
    .max(maxLength)
    .refine((value) => !/\p{Cc}/u.test(value.replace(/[\n\r\t]/g, "")), "expected text without control characters other than line breaks and tabs");

const atMostThreeDecimals = (value: number): boolean => Number(value.toFixed(3)) === value;

const percent = z.number().min(0).max(100).refine(atMostThreeDecimals, "expected at most three decimals");

// Bounded so that, even in the widest letters, one party fits on one page.
const party = z.strictObject({
  name: line(120),
  /** Street, town, country: one line each. */
  address: z.array(line(80)).max(6).optional(),
  email: line(254).optional(),
  phone: line(60).optional(),
  taxId: line(60).optional(),
});

const item = z.strictObject({
  description: text(5_000),
  quantity: z.number().positive().max(1_000_000).refine(atMostThreeDecimals, "expected at most three decimals").default(1),
  /** What is counted: "h", "pcs". */
  unit: line(12).optional(),
  /** The price of one, net. Negative for a discount or credit. */
  unitCents: z.int().min(-10_000_000_000).max(10_000_000_000),
  /** Where it differs from the document's. */
  taxPercent: percent.optional(),
});

const section = z.strictObject({ heading: line(200), text: text(20_000) });

const common = {
  number: line(60),
  from: party,
  to: party,
  /** BCP 47, for numbers and dates: "de-DE". */
  locale: z.string().max(60).refine(isLocale, 'expected a language tag such as "en-GB" or "de-DE"').default("en-GB"),
  currency: z.string().refine(isCurrency, 'expected an ISO 4217 code in capitals such as "EUR"'),
  paper: z.enum(["a4", "letter"]).default("a4"),
  items: z.array(item).min(1).max(10_000).superRefine(boundedTaxRates),
  /** For every item without its own. Without any, the document shows a total and no tax. */
  taxPercent: percent.optional(),
  notes: text(20_000).optional(),
  terms: text(50_000).optional(),
  labels: z.partialRecord(z.enum(labelNames), line(40)).optional(),
};

export const proposalData = z.strictObject({
  ...common,
  subject: line(200),
  date: z.iso.date(),
  validUntil: z.iso.date().optional(),
  introduction: text(20_000).optional(),
  sections: z.array(section).max(50).optional(),
  /** Prints lines for the customer's signature. */
  signature: z.boolean().default(true),
});

export const invoiceData = z.strictObject({
  ...common,
  date: z.iso.date(),
  due: z.iso.date().optional(),
  /** How to pay: bank, IBAN, reference. */
  payment: text(2_000).optional(),
});

export const receiptData = z.strictObject({
  ...common,
  paidOn: z.iso.date(),
  /** "Visa ending in 4242" */
  paidWith: line(80).optional(),
});

export type Party = z.output<typeof party>;
export type Item = z.output<typeof item>;
export type Section = z.output<typeof section>;
export type ProposalData = z.output<typeof proposalData>;
export type InvoiceData = z.output<typeof invoiceData>;
export type ReceiptData = z.output<typeof receiptData>;

const maxTaxRates = 10; // each has its line below the table, beside the end of it

function boundedTaxRates(items: readonly { taxPercent?: number | undefined }[], check: z.RefinementCtx): void {
  const rates = new Set(items.map((one) => one.taxPercent)).size;
  if (rates > maxTaxRates) check.addIssue({ code: "custom", message: `expected at most ${maxTaxRates} different taxPercent, got ${rates}` });
}

function isLocale(tag: string): boolean {
  try {
    return Intl.NumberFormat.supportedLocalesOf(tag).length === 1;
  } catch (error) {
    if (error instanceof RangeError) return false; // how Intl says "not a language tag"
    throw error;
  }
}

function isCurrency(code: string): boolean {
  return Intl.supportedValuesOf("currency").includes(code);
}
