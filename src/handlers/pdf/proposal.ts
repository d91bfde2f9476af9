// The proposal: an offer with an introduction, sections of prose, the price, terms, and a place for the signature.

import type { ProposalData } from "./data.ts";
import { labelsWith } from "./labels.ts";
import { formatFor, totalsOf } from "./money.ts";
import type { Plan } from "./plan.ts";
import { facts, prose } from "./plan.ts";

export function proposal(data: ProposalData): Plan {
  const labels = labelsWith(data.labels);
  const format = formatFor(data.locale, data.currency);
  return {
    title: labels.proposal,
    number: data.number,
    from: data.from,
    to: data.to,
    toLabel: labels.preparedFor,
    facts: facts(
      [labels.number, data.number],
      [labels.date, format.date(data.date)],
      [labels.validUntil, data.validUntil && format.date(data.validUntil)],
    ),
    subject: data.subject,
    opening: [...prose([null, data.introduction]), ...(data.sections ?? [])],
    items: data.items,
    taxPercent: data.taxPercent,
    totals: totalsOf(data.items, data.taxPercent),
    totalLabel: labels.total,
    closing: prose([labels.notes, data.notes], [labels.terms, data.terms]),
    signature: data.signature,
    labels,
    format,
  };
}
