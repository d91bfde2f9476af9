// Payloads of pdf.generate for the tests: complete ones, with the part that a test is about replaced.

const from = { name: "Łukasz Żółć Consulting", address: ["Bergmannstraße 12", "10961 Berlin"], email: "office@zolc.example", taxId: "DE123456789" };
const to = { name: "Ελλάδα Trading", address: ["Attn: Київ office", "Σταδίου 24", "105 64 Αθήνα"] };

const items = [
  { description: "Workshop", quantity: 2, unit: "days", unitCents: 145_000 },
  { description: "Implementation", quantity: 37.5, unit: "h", unitCents: 12_500 },
  { description: "Discount", unitCents: -25_000 },
];

interface Document {
  readonly template: string;
  readonly filename: string;
  readonly data: Record<string, unknown>;
}

export function anInvoice(data: Record<string, unknown> = {}, filename = "invoice-1042.pdf"): Document {
  const invoice = { number: "2025-1042", from, to, currency: "EUR", date: "2025-05-04", due: "2025-06-03", items, taxPercent: 19, payment: "IBAN DE89 3704 0044 0532 0130 00" };
  return { template: "invoice", filename, data: { ...invoice, ...data } };
}

export function aProposal(data: Record<string, unknown> = {}, filename = "proposal-88.pdf"): Document {
  const proposal = { number: "P-88", subject: "Order synchronisation", from, to, currency: "EUR", date: "2025-05-04", validUntil: "2025-06-04", introduction: "We propose an outbox.", items, terms: "Travel is charged at cost." };
  return { template: "proposal", filename, data: { ...proposal, ...data } };
}

export function aReceipt(data: Record<string, unknown> = {}, filename = "receipt-7.pdf"): Document {
  return { template: "receipt", filename, data: { number: "R-7", from, to, currency: "USD", locale: "en-US", paidOn: "2025-05-04", paidWith: "Visa ending in 4242", items, ...data } };
}

export function manyItems(count: number): { description: string; quantity: number; unitCents: number }[] {
  return Array.from({ length: count }, (_, index) => ({ description: `Part no. ${index + 1}.`, quantity: 1 + (index % 4), unitCents: 995 + index }));
}
