// Amounts: exact sums in the currency's smallest unit, and how they are written. All in BigInt, because a quantity
// times a price passes 2^53 long before a document looks odd.

export interface PricedItem {
  readonly quantity: number;
  readonly unitCents: number;
  readonly taxPercent?: number | undefined;
}

export interface TaxLine {
  readonly percent: number;
  readonly cents: bigint;
}

export interface Totals {
  readonly net: bigint;
  /** One for each rate, the highest first; none when the document knows no tax. */
  readonly taxes: readonly TaxLine[];
  readonly gross: bigint;
}

/** Quantity times price, rounded half away from zero, as invoices are. Quantities have at most three decimals. */
export function amountOf(item: PricedItem): bigint {
  return divideRounded(BigInt(Math.round(item.quantity * 1000)) * BigInt(item.unitCents), 1000n);
}

/** The sums below a table. Tax is rounded once for each rate, not for each item: the customer checks it that way. */
export function totalsOf(items: readonly PricedItem[], taxPercent: number | undefined): Totals {
  let net = 0n;
  const netByRate = new Map<number, bigint>();
  for (const item of items) {
    const amount = amountOf(item);
    net += amount;
    const rate = item.taxPercent ?? taxPercent;
    if (rate !== undefined) netByRate.set(rate, (netByRate.get(rate) ?? 0n) + amount);
  }
  const taxes = [...netByRate]
    .sort(([a], [b]) => b - a)
    .map(([percent, base]) => ({ percent, cents: divideRounded(base * BigInt(Math.round(percent * 1000)), 100_000n) }));
  return { net, taxes, gross: taxes.reduce((sum, tax) => sum + tax.cents, net) };
}

function divideRounded(value: bigint, divisor: bigint): bigint {
  const half = divisor / 2n;
  return value < 0n ? -((-value + half) / divisor) : (value + half) / divisor;
}

export interface Format {
  money(cents: bigint): string;
  quantity(value: number): string;
  percent(value: number): string;
  /** An ISO date, which has no time zone; formatted in UTC, so that it stays the same day everywhere. */
  date(isoDate: string): string;
}

export function formatFor(locale: string, currency: string): Format {
  const money = new Intl.NumberFormat(locale, { style: "currency", currency });
  const decimals = money.resolvedOptions().maximumFractionDigits ?? 2;
  const quantity = new Intl.NumberFormat(locale, { maximumFractionDigits: 3 });
  const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 3 });
  const date = new Intl.DateTimeFormat(locale, { dateStyle: "long", timeZone: "UTC" });
  return {
    money: (cents) => money.format(decimal(cents, decimals)),
    quantity: (value) => quantity.format(value),
    percent: (value) => percent.format(value / 100),
    date: (isoDate) => date.format(new Date(`${isoDate}T00:00:00Z`)),
  };
}

/** Cents as a decimal text, which Intl formats without rounding through a floating-point number. */
function decimal(cents: bigint, decimals: number): Intl.StringNumericLiteral {
  const digits = (cents < 0n ? -cents : cents).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals);
  // The template type cannot see that both parts are digits only.
  return `${cents < 0n ? "-" : ""}${whole}${decimals > 0 ? `.${fraction}` : ""}` as Intl.StringNumericLiteral;
}
