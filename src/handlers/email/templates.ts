// The letters that ship: which data each needs, and what it says. No markup here; letter.ts lays it out and escapes it.

import { z } from "zod";
import { headerText } from "./header-text.ts";
import type { Letter } from "./letter.ts";

/** A template: the schema of its data, and the letter written from data that fit it. */
interface Template<Data extends z.ZodType> {
  readonly data: Data;
  letter(data: unknown): { readonly letter: Letter } | { readonly issues: readonly z.core.$ZodIssue[] };
}

function template<Data extends z.ZodType>(data: Data, write: (data: z.output<Data>) => Letter): Template<Data> {
  return {
    data,
    letter(given) {
      const result = data.safeParse(given);
      return result.success ? { letter: write(result.data) } : { issues: result.error.issues };
    },
  };
}

const payment = {
  name: headerText(200), // whom the letter greets
  amount: z.int().nonnegative(), // in the currency's smallest unit: 12950 is 129.50 EUR
  currency: z
    .string()
    .toUpperCase()
    .refine((code) => Intl.supportedValuesOf("currency").includes(code), { error: 'expected a currency code of ISO 4217, such as "EUR"' }),
  reference: headerText(100), // the number that the recipient knows: of the order, the proposal, the payment
  link: z.url({ protocol: /^https?$/ }).max(2000).optional(), // where the recipient sees more
};

export const templates = {
  "payment.confirmed": template(z.strictObject(payment), (data) => ({
    subject: `Payment received: ${data.reference}`,
    name: data.name,
    paragraphs: [`We have received your payment of ${money(data)}. Thank you.`],
    facts: facts(data),
    link: data.link === undefined ? null : { text: "View the payment", url: data.link },
  })),
  "payment.released": template(z.strictObject({ ...payment, arrivesOn: z.iso.date().optional() }), (data) => ({
    subject: `Payment released: ${data.reference}`,
    name: data.name,
    paragraphs: [
      `The payment of ${money(data)} has been released to you.`,
      ...(data.arrivesOn === undefined ? [] : [`It should reach your account by ${day(data.arrivesOn)}.`]),
    ],
    facts: facts(data),
    link: data.link === undefined ? null : { text: "View the payment", url: data.link },
  })),
  "payment.refunded": template(z.strictObject({ ...payment, reason: z.string().max(2000).optional() }), (data) => ({
    subject: `Payment refunded: ${data.reference}`,
    name: data.name,
    paragraphs: [`We have refunded ${money(data)} to you. Depending on your bank it takes a few days to arrive.`],
    facts: [...facts(data), ...(data.reason === undefined ? [] : [{ label: "Reason", value: data.reason }])],
    link: data.link === undefined ? null : { text: "View the refund", url: data.link },
  })),
  "dispute.opened": template(z.strictObject({ ...payment, reason: z.string().min(1).max(2000), respondBy: z.iso.date().optional() }), (data) => ({
    subject: `Dispute opened: ${data.reference}`,
    name: data.name,
    paragraphs: [
      `A dispute has been opened about the payment of ${money(data)}.`,
      ...(data.respondBy === undefined ? [] : [`Please respond by ${day(data.respondBy)}.`]),
    ],
    facts: [...facts(data), { label: "Reason", value: data.reason }],
    link: data.link === undefined ? null : { text: "View the dispute", url: data.link },
  })),
} as const;

export type TemplateName = keyof typeof templates;

/** What a payload says to choose a template: its name, and data of its own type. */
export type TemplateInput = {
  [Name in TemplateName]: { readonly template: Name; readonly data: z.input<(typeof templates)[Name]["data"]> };
}[TemplateName];

export function isTemplateName(name: string): name is TemplateName {
  return Object.hasOwn(templates, name);
}

interface Money {
  readonly amount: number;
  readonly currency: string;
}

function money({ amount, currency }: Money): string {
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

function day(isoDate: string): string {
  return new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeZone: "UTC" }).format(new Date(isoDate));
}

function facts(data: Money & { readonly reference: string }): { label: string; value: string }[] {
  return [
    { label: "Reference", value: data.reference },
    { label: "Amount", value: money(data) },
  ];
}
