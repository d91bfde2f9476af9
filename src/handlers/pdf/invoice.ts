// The invoice: what is owed, until when, and how to pay it.

import type { InvoiceData } from "./data.ts";
import { labelsWith } from "./labels.ts";
import { formatFor, totalsOf } from "./money.ts";
import type { Plan } from "./plan.ts";
import { facts, prose } from "./plan.ts";

export function invoice(data: InvoiceData): Plan {
  const labels = labelsWith(data.labels);
  const format = formatFor(data.locale, data.currency);
  return {
    title: labels.invoice,
    number: data.number,
    from: data.from,
    to: data.to,
    toLabel: labels.billTo,
    facts: facts([labels.number, data.number], [labels.date, format.date(data.date)], [labels.due, data.due && format.date(data.due)]),
    subject: null,
    opening: [],
    items: data.items,
    taxPercent: data.taxPercent,
    totals: totalsOf(data.items, data.taxPercent),
    totalLabel: labels.totalDue,
    closing: prose([labels.payment, data.payment], [labels.notes, data.notes], [labels.terms, data.terms]),
    signature: false,
    labels,
    format,
  };
}
