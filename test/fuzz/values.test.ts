// Single values: durations, instants, numbers and lists of flags, Retry-After, and the trace context of a stored job.

import * as api from "@opentelemetry/api";
import { InvalidArgumentError } from "commander";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectTime } from "../../src/commands/db-outbox/values.ts";
import { instant, list, port, wholeNumber } from "../../src/commands/flags.ts";
import { durationMs } from "../../src/outbox/duration.ts";
import { RetryAfter } from "../../src/outbox/errors.ts";
import { shownDuration } from "../../src/outbox/retention.ts";
import { spanContextOf, traceOf } from "../../src/service/telemetry/w3c.ts";
import { fuzz, fuzzTimeoutMs, oddText, oddValue, outcomeOf, refusedAs, soupOf } from "./support.ts";

const timeout = fuzzTimeoutMs;
const badArgument = (error: unknown) => error instanceof InvalidArgumentError;

describe("a duration", () => {
  const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

  it("is a finite number of milliseconds, or refused; and its text is worth what its digits say", { timeout }, async () => {
    const near = soupOf(["1", "30", "0", ".", "5", "ms", "s", "m", "h", "d", " ", "-", "+", "e3", "9".repeat(30), "9".repeat(400), "٣"], 5);
    await fuzz(fc.oneof(near, oddValue), 200, async (given) => {
      const { value, refusal } = await outcomeOf(() => durationMs(given as string, "it"), refusedAs("INVALID_OPTION"));
      if (refusal !== undefined) return;
      expect(Number.isSafeInteger(value) && value >= 0).toBe(true);
      if (typeof given !== "string") {
        expect(value).toBe(Math.round(given as number));
        return;
      }
      const [, digits = "", unit = ""] = /^([\d.]+)(\D+)$/.exec(given.trim()) ?? [];
      expect(value).toBe(Math.round(Number(digits) * (unitMs[unit] ?? Number.NaN)));
    });
  });

  it("is read back from the text that it is shown as", { timeout }, async () => {
    await fuzz(fc.nat({ max: 36_500 * 86_400_000 }), 200, (ms) => expect(durationMs(shownDuration(ms), "it")).toBe(ms));
  });
});

/** By the calendar alone, without Date's own reading: days that there are, hours that there are. */
function instantBy(text: string): number | null {
  const [whole, year, month, day, hour, minute, second = "0", , sign, offsetHour = "0", offsetMinute = "0"] =
    /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d(?:\.(\d+))?))?(?:Z|([+-])(\d\d):(\d\d))$/.exec(text) ?? [];
  if (whole === undefined) return null;
  const [y, mo, d, h, mi, s, oh, om] = [year, month, day, hour, minute, second, offsetHour, offsetMinute].map(Number) as [number, number, number, number, number, number, number, number];
  const leap = (y % 4 === 0 && y % 100 !== 0) || y % 400 === 0;
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][mo - 1] ?? 0;
  const midnight = h === 24 && mi === 0 && s === 0;
  if (d < 1 || d > days || (h > 23 && !midnight) || mi > 59 || s >= 60 || oh > 23 || om > 59) return null;
  const at = new Date(0);
  at.setUTCFullYear(y, mo - 1, d);
  return at.getTime() + (h * 60 + mi) * 60_000 + Math.floor(s * 1000) - (sign === "-" ? -1 : 1) * (oh * 60 + om) * 60_000;
}

describe("an instant", () => {
  const two = (most: number) => fc.oneof({ weight: 8, arbitrary: fc.nat(most) }, { weight: 1, arbitrary: fc.nat(99) }).map((n) => String(n).padStart(2, "0"));
  const text = fc
    .tuple(fc.oneof(fc.integer({ min: 1, max: 9999 }), fc.constantFrom(0, 1, 1900, 2000, 2023, 2024, 9999)), two(13), two(32), two(24), two(60), fc.option(fc.tuple(two(60), fc.constantFrom("", ".5", ".123456789", "."))), fc.constantFrom("Z", "z", "", "+01:00", "-23:59", "+24:00", "+14:60", "+00:00", "+0100"))
    .map(([year, month, day, hour, minute, second, zone]) => `${String(year).padStart(4, "0")}-${month}-${day}T${hour}:${minute}${second === null ? "" : `:${second.join("")}`}${zone}`);

  it("of a flag is the one that the calendar says, or refused: no day rolls over into the next month", { timeout }, async () => {
    await fuzz(fc.oneof({ weight: 9, arbitrary: text }, oddText), 200, async (given) => {
      const { value } = await outcomeOf(() => instant(given), badArgument);
      expect([given, value?.getTime() ?? null]).toEqual([given, inPostgres(instantBy(given))]);
    });
  });

  it("of db outbox is the one that the calendar says, or refused, and one that Postgres can hold", { timeout }, async () => {
    await fuzz(fc.oneof({ weight: 9, arbitrary: text }, oddText), 200, async (given) => {
      const { value } = await outcomeOf(() => expectTime(given, "where.createdAt"), refusedAs("USAGE"));
      const wanted = inPostgres(instantBy(given));
      expect([given, value ?? null]).toEqual([given, wanted === null ? null : new Date(wanted).toISOString()]);
    });
  });

  /** There is no year 0 in Postgres, and in ISO text none after 9999 without a sign. */
  const inPostgres = (ms: number | null): number | null => (ms !== null && ms >= Date.parse("0001-01-01T00:00:00Z") && ms <= Date.parse("9999-12-31T23:59:59.999Z") ? ms : null);
});

describe("a flag", () => {
  it("that takes a number takes it by its digits alone", { timeout }, async () => {
    const near = soupOf(["1", "0", "65535", "65536", " ", "-", "+", ".", "e", "x", "n", "٣", "9".repeat(17)], 4);
    await fuzz(fc.oneof(near, oddText), 200, async (given) => {
      const [{ value: whole }, { value: open }] = [await outcomeOf(() => wholeNumber(given), badArgument), await outcomeOf(() => port(given), badArgument)];
      const digits = /^[0-9]+$/.test(given) ? BigInt(given) : -1n;
      expect([given, whole]).toEqual([given, digits >= 1n && digits <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(digits) : undefined]);
      expect([given, open]).toEqual([given, digits >= 0n && digits <= 65_535n ? Number(digits) : undefined]);
    });
  });

  it("that takes a list has no empty part in it", { timeout }, async () => {
    await fuzz(soupOf(["a", "b", ",", " ", ",,"], 6), 200, async (given) => {
      const { value } = await outcomeOf(() => list(given, ["before"]), badArgument);
      const parts = given.split(",").map((part) => part.trim());
      expect(value).toEqual(parts.includes("") ? undefined : ["before", ...parts]);
    });
  });
});

it("whatever a receiver says in Retry-After, the wait is between nothing and a day, or the job's own", { timeout }, async () => {
  const near = soupOf(["1", "120", "-", ".", "e9", " ", "Wed, 21 Oct 2026 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Infinity", "0x10", "GMT"], 3);
  await fuzz(fc.oneof(near, oddText), 200, (given) => {
    const { delayMs } = new RetryAfter(given);
    expect(delayMs === null || (delayMs >= 0 && delayMs <= 86_400_000)).toBe(true);
    if (/^[0-9]{1,5}$/.test(given)) expect(delayMs).toBe(Math.min(Number(given) * 1000, 86_400_000));
  });
});

it("a stored traceparent is followed if it is one by W3C's grammar, and else not; what is stored is read back", { timeout }, async () => {
  const hex = (length: number) => fc.oneof({ weight: 6, arbitrary: fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`)) }, { weight: 1, arbitrary: fc.constantFrom("0".repeat(length), "F".repeat(length), "g".repeat(length), "") });
  const near = fc.tuple(fc.constantFrom("00", "00", "00", "01", "cc", "ff", "0", "0g"), hex(32), hex(16), fc.constantFrom("00", "01", "ff", "1", "zz"), fc.constantFrom("", "", "", "-", "-00", "x", "\n")).map(([version, trace, span, flags, more]) => `${version}-${trace}-${span}-${flags}${more}`);
  const state = fc.option(fc.oneof(oddText, fc.constantFrom("a=1", "a=1,b=2", "=,=", ",".repeat(512), "a=1,".repeat(200))));
  await fuzz(fc.tuple(fc.oneof(near, oddText), state), 200, ([traceparent, tracestate]) => {
    const context = spanContextOf(api, { traceparent, tracestate });
    const [, version, traceId = "", spanId = "", flags = "", more = ""] = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/s.exec(traceparent) ?? [];
    const isOne = version !== undefined && version !== "ff" && /[^0]/.test(traceId) && /[^0]/.test(spanId) && (version !== "00" || more === "");
    expect([traceparent, context !== null]).toEqual([traceparent, isOne]);
    if (context === null) return;
    expect(context).toMatchObject({ traceId, spanId, traceFlags: Number.parseInt(flags, 16) });
    expect(spanContextOf(api, traceOf(context))).toMatchObject({ traceId, spanId, traceFlags: context.traceFlags });
  });
});
