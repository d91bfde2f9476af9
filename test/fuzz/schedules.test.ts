// Cron expressions and time zones: what is accepted has just the slots that a walk through the minutes finds, also when the
// clocks change; what is refused is refused clearly, and in time. Slots in general: test/service/schedules.test.ts.

import fc from "fast-check";
import { expect, it } from "vitest";
import { defineJob } from "../../src/index.ts";
import type { Schedule } from "../../src/outbox/schedule.ts";
import { defineSchedule } from "../../src/outbox/schedule.ts";
import { compileSchedules } from "../../src/service/schedules.ts";
import { fuzz, fuzzTimeoutMs, nearly, oddText, oddValue, outcomeOf, refusedAs, soupOf } from "./support.ts";

const timeout = fuzzTimeoutMs;
const contract = defineJob({ type: "work" });
const refused = refusedAs("CONFIGURATION", "INVALID_OPTION", "INVALID_PAYLOAD");

async function compiled(cron: string, timeZone: string): Promise<Schedule> {
  const [schedule] = await compileSchedules([defineSchedule({ name: "tick", cron, timeZone, contract, payload: {} })]);
  if (schedule === undefined) throw new Error("one schedule makes one");
  return schedule;
}

const minuteMs = 60_000;
const field = (from: number, to: number): fc.Arbitrary<string> => {
  const value = fc.integer({ min: from, max: to });
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant("*") },
    { weight: 3, arbitrary: value.map(String) },
    fc.integer({ min: 2, max: Math.max(2, Math.floor(to / 2)) }).map((step) => `*/${step}`),
    fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
    fc.uniqueArray(value, { minLength: 2, maxLength: 3 }).map((values) => values.sort((a, b) => a - b).join(",")),
  );
};
/** Whether a field, of those that are made above, names the value. */
const names = (given: string, value: number, from: number): boolean =>
  given.split(",").some((part) => {
    const [range = "", step = "1"] = part.split("/");
    const [low, high = low] = range === "*" ? [from, 99] : range.split("-").map(Number);
    return value >= (low ?? 0) && value <= (high ?? 0) && (value - (low ?? 0)) % Number(step) === 0;
  });

interface Wall {
  readonly minute: number;
  readonly hour: number;
  readonly day: number;
  readonly month: number;
  readonly weekday: number;
}
const formats = new Map<string, Intl.DateTimeFormat>();
function wallOf(ms: number, timeZone: string): Wall {
  const format = formats.get(timeZone) ?? new Intl.DateTimeFormat("en-US", { timeZone, hourCycle: "h23", minute: "numeric", hour: "numeric", day: "numeric", month: "numeric", weekday: "short" });
  formats.set(timeZone, format);
  const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
  const number = (name: string) => Number(parts[name]);
  return { minute: number("minute"), hour: number("hour"), day: number("day"), month: number("month"), weekday: ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].indexOf(parts.weekday ?? "") };
}

/** As crontab(5) has it: of the two kinds of days one is enough, when both are named. */
function matches(cron: string, { minute, hour, day, month, weekday }: Wall): boolean {
  const [minutes = "", hours = "", days = "", months = "", weekdays = ""] = cron.split(" ");
  const [isDay, isWeekday] = [names(days, day, 1), names(weekdays, weekday, 0)];
  const dayFits = days === "*" || weekdays === "*" ? isDay && isWeekday : isDay || isWeekday;
  return names(minutes, minute, 0) && names(hours, hour, 0) && names(months, month, 1) && dayFits;
}

const zones = ["UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu"];
const changes = ["2026-03-29T01:00Z", "2026-10-25T01:00Z", "2026-09-06T04:00Z", "2026-04-05T03:00Z", "2026-04-04T15:00Z", "2026-10-03T15:30Z", "2028-02-29T00:00Z", "2026-12-31T23:59Z"].map((text) => Date.parse(text));
const starless = fc.tuple(field(0, 59), field(0, 23), fc.oneof({ weight: 3, arbitrary: fc.constant("*") }, field(1, 31)), fc.oneof({ weight: 3, arbitrary: fc.constant("*") }, field(1, 12)), fc.oneof({ weight: 3, arbitrary: fc.constant("*") }, field(0, 6))).map((fields) => fields.join(" "));

it("each slot is later than the one before, is one by the clock on the wall, and between two of them the wall shows none", { timeout }, async () => {
  const around = fc.oneof(fc.constantFrom(...changes), fc.integer({ min: Date.parse("2024-01-01"), max: Date.parse("2032-01-01") }));
  await fuzz(fc.tuple(starless, fc.constantFrom(...zones), around, fc.integer({ min: -36 * 60, max: 36 * 60 })), 2, async ([cron, timeZone, at, minutes]) => {
    const { value: schedule } = await outcomeOf(() => compiled(cron, timeZone), refused);
    if (schedule === undefined) return;
    const from = at + minutes * minuteMs;
    const horizon = from + 2 * 86_400_000;
    let last = from;
    const slots: number[] = [];
    for (let slot = schedule.nextAfter(new Date(last)); slot !== null && slot.getTime() < horizon && slots.length < 300; slot = schedule.nextAfter(slot)) {
      expect(slot.getTime()).toBeGreaterThan(last);
      last = slot.getTime();
      slots.push(last);
    }
    // Where the clock jumps, what it jumps over comes at its new time, and what it shows twice comes once or twice.
    const shifts = (ms: number) => [-2, -1, 1, 2].some((hours) => wallOf(ms + hours * 3_600_000, timeZone).minute !== wallOf(ms, timeZone).minute || (wallOf(ms + hours * 3_600_000, timeZone).hour - wallOf(ms, timeZone).hour - hours) % 24 !== 0);
    for (const slot of slots) if (!shifts(slot)) expect([cron, timeZone, new Date(slot).toISOString(), matches(cron, wallOf(slot, timeZone))]).toEqual([cron, timeZone, new Date(slot).toISOString(), true]);
    const found = new Set(slots);
    const end = slots.length < 300 ? horizon : last;
    for (let ms = Math.floor(from / minuteMs) * minuteMs + minuteMs; ms < end; ms += minuteMs) {
      if (!found.has(ms) && matches(cron, wallOf(ms, timeZone))) expect([cron, timeZone, new Date(ms).toISOString(), shifts(ms)]).toEqual([cron, timeZone, new Date(ms).toISOString(), true]);
    }
  });
});

it("any text for an expression is refused clearly or has slots, and neither takes long", { timeout }, async () => {
  const pieces = ["*", "0", "1", "31", "30 2", "29 2", " ", "-", "/", ",", "L", "W", "#", "?", "MON", "FEB", "JAN-DEC", "@daily", "1970", "9999", "2099-2100", "*/0", "1/1", "60", "+"];
  const ended = fc.constantFrom("0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 29 2 *", "0 0 29 2 1#5", "59 59 23 31 12 ? 9999", "0 0 0 1 1 ? 1969", "0 0 0 29 2 ? 2100", "0 0 L 2 5L", "0 0 1W 1 *", "* * * * * * *");
  const expression = fc.oneof(ended, soupOf(pieces, 14), fc.array(fc.constantFrom(...pieces.filter((piece) => piece !== " ")), { minLength: 5, maxLength: 7 }).map((fields) => fields.join(" ")), nearly(starless, oddText) as fc.Arbitrary<string>);
  await fuzz(fc.tuple(expression, fc.constantFrom(...zones), fc.date({ min: new Date("1970-01-02"), max: new Date("2200-01-01"), noInvalidDate: true })), 20, async ([cron, timeZone, from]) => {
    const { value: schedule } = await outcomeOf(() => compiled(cron, timeZone), refused);
    if (schedule === undefined) return;
    const slot = schedule.nextAfter(from);
    if (slot !== null) expect(slot.getTime()).toBeGreaterThan(from.getTime());
  });
});

it("whatever else a declaration holds, it is refused or can be compiled; its zone is one that Intl knows by a name", { timeout }, async () => {
  const good = fc.record({ name: fc.constantFrom("tick", "ü".repeat(200)), cron: fc.constantFrom("* * * * *", "@daily"), timeZone: fc.constantFrom(...zones, "utc", "GMT+2", "+02:00", "Etc/GMT-2", "CET", "Europe/Atlantis"), missed: fc.constantFrom("none", "last", "all"), payload: fc.constantFrom({}, 1, null) });
  await fuzz(fc.oneof(nearly(good, oddValue), good), 20, async (given) => {
    if (typeof given !== "object" || given === null) return;
    const { value: declaration } = await outcomeOf(() => defineSchedule({ ...(given as { name: string; cron: string; payload: unknown }), contract }), refused);
    if (declaration === undefined) return;
    expect(() => new Intl.DateTimeFormat("en", { timeZone: declaration.timeZone })).not.toThrow();
    await outcomeOf(() => compileSchedules([declaration]), refused);
  });
});
