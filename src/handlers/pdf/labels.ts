// The words that a document prints beside its data. English unless `data.labels` brings its own, one by one, so that
// a German invoice says "Rechnung": numbers and dates follow `data.locale`, words cannot.

const english = {
  proposal: "Proposal",
  invoice: "Invoice",
  receipt: "Receipt",
  preparedFor: "Prepared for",
  billTo: "Bill to",
  receivedFrom: "Received from",
  number: "Number",
  date: "Date",
  validUntil: "Valid until",
  due: "Due",
  paidOn: "Paid on",
  paidWith: "Paid with",
  description: "Description",
  quantity: "Quantity",
  unitPrice: "Unit price",
  amount: "Amount",
  taxRate: "Tax",
  net: "Net",
  tax: "Tax {percent}",
  total: "Total",
  totalDue: "Total due",
  totalPaid: "Total paid",
  payment: "Payment",
  notes: "Notes",
  terms: "Terms",
  acceptance: "Acceptance",
  placeAndDate: "Place, date",
  signature: "Signature",
  taxId: "Tax ID",
  page: "Page {page} of {pages}",
};

export type Label = keyof typeof english;
export type Labels = Readonly<Record<Label, string>>;

// Object.keys gives string[] for any object; the keys of this one are the labels.
export const labelNames = Object.keys(english) as [Label, ...Label[]];

/** The words of one document: its own where it has them. */
export function labelsWith(own: Partial<Record<Label, string | undefined>> = {}): Labels {
  const labels = { ...english };
  for (const name of labelNames) labels[name] = own[name] ?? english[name];
  return labels;
}

/** "Page {page} of {pages}" with its values. Split and joined, because `replace` reads "$&" in a value as a command. */
export function fill(label: string, values: Record<string, string>): string {
  return Object.entries(values).reduce((text, [name, value]) => text.split(`{${name}}`).join(value), label);
}
