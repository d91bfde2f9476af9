// Amounts on documents are exact to the cent and written the way the customer writes them.

import { expect, test } from "vitest";
import { amountOf, formatFor, totalsOf } from "../../../src/handlers/pdf/money.ts";

const plain = (text: string): string => text.replace(/\s/gu, " ");

test("half a cent is rounded away from zero, for charges and credits alike", () => {
  expect(amountOf({ quantity: 0.5, unitCents: 1 })).toBe(1n);
  expect(amountOf({ quantity: 0.5, unitCents: -1 })).toBe(-1n);
  expect(amountOf({ quantity: 1.005, unitCents: 100 })).toBe(101n);
  expect(amountOf({ quantity: 0.333, unitCents: 100 })).toBe(33n);
});

test("amounts beyond 2^53 cents are exact", () => {
  expect(amountOf({ quantity: 999_999.999, unitCents: 9_999_999_999 })).toBe(9_999_999_989_000_000n);
  expect(plain(formatFor("en-US", "USD").money(90_071_992_547_409_931n))).toBe("$900,719,925,474,099.31");
});

test("tax is rounded once for each rate, and the total is net plus taxes", () => {
  const items = [1, 2, 3].map(() => ({ quantity: 1, unitCents: 33 }));
  expect(totalsOf(items, 19)).toEqual({ net: 99n, taxes: [{ percent: 19, cents: 19n }], gross: 118n });
  expect(totalsOf([...items, { quantity: 1, unitCents: 1000, taxPercent: 7 }], 19)).toEqual({
    net: 1099n,
    taxes: [{ percent: 19, cents: 19n }, { percent: 7, cents: 70n }],
    gross: 1188n,
  });
  expect(totalsOf(items, undefined)).toEqual({ net: 99n, taxes: [], gross: 99n });
});

test("amounts count the currency's smallest unit: cents, whole yen, thousandths of a dinar", () => {
  expect(plain(formatFor("de-DE", "EUR").money(123_456n))).toBe("1.234,56 €");
  expect(plain(formatFor("en-US", "JPY").money(1_234n))).toBe("¥1,234");
  expect(plain(formatFor("en-US", "KWD").money(-5n))).toBe("-KWD 0.005");
});

test("a date is the same day in every time zone", () => {
  expect(formatFor("en-GB", "EUR").date("2025-01-01")).toBe("1 January 2025");
});
