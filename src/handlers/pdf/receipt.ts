// The receipt: what was paid, when and with what.

import type { ReceiptData } from "./data.ts";
import { labelsWith } from "./labels.ts";
import { formatFor, totalsOf } from "./money.ts";
import type { Plan } from "./plan.ts";
import { facts, prose } from "./plan.ts";

export function receipt(data: ReceiptData): Plan {
  const labels = labelsWith(data.labels);
  const format = formatFor(data.locale, data.currency);
  return {
    title: labels.receipt,
    number: data.number,
    from: data.from,
    to: data.to,
    toLabel: labels.receivedFrom,
    facts: facts([labels.number, data.number], [labels.paidOn, format.date(data.paidOn)], [labels.paidWith, data.paidWith]),
    subject: null,
    opening: [],
    items: data.items,
    taxPercent: data.taxPercent,
    totals: totalsOf(data.items, data.taxPercent),
    totalLabel: labels.totalPaid,
    closing: prose([labels.notes, data.notes], [labels.terms, data.terms]),
    signature: false,
    labels,
    format,
  };
}
