// Cron expressions and time zones as croner reads them: what docs/how-to/run-jobs-on-a-schedule.md says of the nights when the
// clocks change, what is refused, and that time never stands still.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { ScheduleDefinition } from "../../src/index.ts";
import { defineJob, defineSchedule, OutboxError } from "../../src/index.ts";
import { slotsToFire } from "../../src/outbox/slots.ts";
import { compileSchedules } from "../../src/service/schedules.ts";
import { propertySeed } from "../support/property-seed.ts";

const work = defineJob<{ n?: number }>({ type: "work" });
type Given = Partial<ScheduleDefinition<{ n?: number }, unknown>>;
const declare = (given: Given) => defineSchedule({ name: "tick", cron: "0 7 * * *", contract: work, payload: {}, ...given });

async function compile(cron: string, timeZone = "UTC") {
  const [schedule] = await compileSchedules([declare({ cron, timeZone })]);
  return schedule!;
}

/** The first slots after an instant, as ISO text without the zeros. */
async function slots(cron: string, timeZone: string, after: string, count: number): Promise<string[]> {
  const { nextAfter } = await compile(cron, timeZone);
  const found: string[] = [];
  for (let slot = nextAfter(new Date(after)); slot !== null && found.length < count; slot = nextAfter(slot)) found.push(slot.toISOString().replace(":00.000Z", "Z"));
  return found;
}

describe("in Europe/Berlin", () => {
  // 2026-03-29: 02:00 becomes 03:00 (01:00 UTC). 2026-10-25: 03:00 becomes 02:00 again (01:00 UTC).
  it.each([
    ["30 2 * * *", "a time of day that does not exist comes at the end of the gap, at 03:00", "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]],
    ["30 2 * * *", "a time of day that exists twice comes once, the first time", "2026-10-24T12:00Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]],
    ["30 1,2 * * *", "one of several that does not exist is skipped", "2026-03-28T12:00Z", ["2026-03-29T00:30Z", "2026-03-29T23:30Z"]],
    ["30 1,2 * * *", "one of several that exists twice comes twice", "2026-10-24T12:00Z", ["2026-10-24T23:30Z", "2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-26T00:30Z"]],
    ["*/30 * * * *", "every half hour stays every half hour in spring", "2026-03-29T00:15Z", ["2026-03-29T00:30Z", "2026-03-29T01:00Z", "2026-03-29T01:30Z"]],
    ["*/30 * * * *", "every half hour stays every half hour in autumn", "2026-10-25T00:15Z", ["2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z", "2026-10-25T02:00Z"]],
  ])("%s: %s", async (cron, _, after, expected) => {
    expect(await slots(cron, "Europe/Berlin", after, expected.length)).toEqual(expected);
  });
});

describe("in America/Santiago", () => {
  // 2026-09-06: 00:00 becomes 01:00 (04:00 UTC). 2026-04-04: 24:00 becomes 23:00 again (2026-04-05, 03:00 UTC).
  it.each([
    ["30 0 * * *", "a time of day that does not exist comes at the end of the gap, at 01:00", "2026-09-05T12:00Z", ["2026-09-06T04:00Z", "2026-09-07T03:30Z"]],
    ["0 0 * * *", "midnight that does not exist comes at 01:00, on the same day", "2026-09-05T12:00Z", ["2026-09-06T04:00Z", "2026-09-07T03:00Z"]],
    ["30 23 * * *", "a time of day that exists twice comes once, the first time", "2026-04-04T12:00Z", ["2026-04-05T02:30Z", "2026-04-06T03:30Z"]],
    ["30 23,0 * * *", "one of several that does not exist is skipped", "2026-09-05T12:00Z", ["2026-09-06T03:30Z", "2026-09-07T02:30Z"]],
    ["30 23,0 * * *", "one of several that exists twice comes twice", "2026-04-04T12:00Z", ["2026-04-05T02:30Z", "2026-04-05T03:30Z", "2026-04-05T04:30Z"]],
    ["30 2 * * *", "02:30 is an ordinary time in spring", "2026-09-05T12:00Z", ["2026-09-06T05:30Z", "2026-09-07T05:30Z"]],
    ["30 2 * * *", "02:30 is an ordinary time in autumn", "2026-04-04T12:00Z", ["2026-04-05T06:30Z", "2026-04-06T06:30Z"]],
  ])("%s: %s", async (cron, _, after, expected) => {
    expect(await slots(cron, "America/Santiago", after, expected.length)).toEqual(expected);
  });
});

describe("an expression", () => {
  it.each([
    ["*/10 * * * * *", "with six fields has seconds", ["2026-01-01T00:00:10.000Z", "2026-01-01T00:00:20.000Z"]],
    ["0 0 12 1 1 * 2027", "with seven fields has a year, and ends with it", ["2027-01-01T12:00Z"]],
    ["@daily", "may be a nickname", ["2026-01-02T00:00Z"]],
    ["0 0 L * *", "may name the last day of the month", ["2026-01-31T00:00Z"]],
    ["0 9 * * MON#1", "may name the first Monday", ["2026-01-05T09:00Z"]],
    ["0 0 13 * 5", "with a day of the month and a day of the week means either", ["2026-01-02T00:00Z", "2026-01-09T00:00Z", "2026-01-13T00:00Z"]],
  ])("%s %s", async (cron, _, expected) => {
    expect(await slots(cron, "UTC", "2026-01-01T00:00Z", expected.length)).toEqual(expected);
  });

  it("does not depend on the time zone of the process", async () => {
    expect(await slots("0 7 * * *", "UTC", "2026-01-01T00:00Z", 1)).toEqual(["2026-01-01T07:00Z"]);
    const [schedule] = await compileSchedules([declare({ cron: "0 7 * * *" })]);
    expect(schedule!.timeZone).toBe("UTC");
    expect(schedule!.nextAfter(new Date("2026-01-01T00:00Z"))).toEqual(new Date("2026-01-01T07:00Z"));
  });

  it.each([
    ["* * * *", "five, six, or seven space separated parts"],
    ["60 * * * *", "Invalid value for minute: 60"],
    ["*/0 * * * *", "illegal stepping"],
    ["at noon", "five, six, or seven"],
    ["@reboot", "not supported"],
    ["0 0 31 2 *", "no date ever fits it"],
    ["2030-01-23T00:00:00", "a single moment"],
  ])("%j is refused: %s", async (cron, reason) => {
    const refusal = await compile(cron).catch((error: unknown) => error as OutboxError);
    expect(refusal).toMatchObject({ code: "CONFIGURATION", message: expect.stringContaining(reason) });
    expect((refusal as OutboxError).message).toContain(`Expected cron of the schedule "tick" to be a cron expression such as "0 7 * * *", got ${JSON.stringify(cron)}`);
  });

  const field = (max: number) =>
    fc.oneof(
      fc.constantFrom("*", "?", "L", "*/0", "W", "#", ""),
      fc.integer({ min: 0, max: max + 1 }).map(String),
      fc.integer({ min: 1, max }).map((step) => `*/${step}`),
      fc.tuple(fc.nat(max), fc.nat(max)).map(([a, b]) => `${a}-${b}`),
      fc.array(fc.nat(max), { minLength: 1, maxLength: 3 }).map((values) => values.join(",")),
    );
  const expression = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(field(59), field(23), field(31), field(12), field(7)).map((fields) => fields.join(" ")) },
    { weight: 2, arbitrary: fc.tuple(field(59), field(59), field(23), field(31), field(12), field(7)).map((fields) => fields.join(" ")) },
    { weight: 1, arbitrary: fc.string() },
  );
  const zone = fc.constantFrom("UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Chatham", "America/Havana");
  const instant = fc.date({ min: new Date("1990-01-01"), max: new Date("2090-01-01"), noInvalidDate: true });

  it("is refused clearly, whatever it is, or each slot is strictly after the moment before it", async () => {
    await fc.assert(
      fc.asyncProperty(expression, zone, instant, async (cron, timeZone, from) => {
        const schedule = await compile(cron, timeZone).catch((error: unknown) => error as Error);
        if (schedule instanceof Error) {
          expect(schedule).toBeInstanceOf(OutboxError);
          expect(schedule.message).toMatch(/^Expected cron of the schedule "tick" to be /);
          return;
        }
        let after = from;
        for (let steps = 0; steps < 5; steps += 1) {
          const slot = schedule.nextAfter(after);
          if (slot === null) return;
          expect(slot.getTime()).toBeGreaterThan(after.getTime());
          after = slot;
        }
      }),
      { seed: propertySeed, interruptAfterTimeLimit: 8_000, numRuns: 5_000 },
    );
  });

  it("has the same slots when they are searched backwards, also around a change of the clocks", async () => {
    const hours = fc.constantFrom("*", "0", "1", "2", "3", "23", "1-3", "*/2", "2,3", "0,23");
    const seasonal = fc.tuple(fc.constantFrom("0", "30", "*/7", "5,55"), hours).map(([minute, hour]) => `${minute} ${hour} * * *`);
    const change = fc.constantFrom("2026-03-29T01:00Z", "2026-10-25T01:00Z", "2026-09-06T04:00Z", "2026-04-05T03:00Z").map((text) => Date.parse(text));
    await fc.assert(
      fc.asyncProperty(seasonal, zone, change, fc.integer({ min: -30_000, max: 30_000 }), async (cron, timeZone, changesAt, seconds) => {
        const { nextAfter } = await compile(cron, timeZone);
        const [from, now] = [new Date(changesAt - 36 * 3_600_000), new Date(changesAt + seconds * 1000)];
        const walked = slotsToFire({ nextAfter, missed: "all" }, from, now, 1000);
        const searched = slotsToFire({ nextAfter, missed: "last" }, from, now, 1);
        expect(searched.slots).toEqual(walked.slots.slice(-1));
        expect(searched.next).toEqual(walked.next);
      }),
      { seed: propertySeed, interruptAfterTimeLimit: 8_000, numRuns: 300 },
    );
  });
});

describe("a declaration", () => {
  it("has defaults: UTC, and of missed slots the last", () => {
    expect(declare({})).toMatchObject({ name: "tick", type: "work", timeZone: "UTC", missed: "last" });
  });

  it.each<[Record<string, unknown>, string]>([
    [{ name: "" }, "Expected a schedule's name to have 1 to 200 characters, none of them a control character, got \"\"."],
    [{ name: "x".repeat(201) }, "1 to 200 characters"],
    [{ name: "a\u0000b" }, "control character"],
    [{ cron: "  " }, 'Expected cron of the schedule "tick" to be a cron expression'],
    [{ cron: 5 }, "got 5."],
    [{ missed: "some" }, 'to be "none", "last" or "all", got "some".'],
    [{ timeZone: "Mars/Olympus" }, 'Expected timeZone of the schedule "tick" to be an IANA name such as "Europe/Berlin" or "UTC", got "Mars/Olympus".'],
    [{ timeZone: "berlin" }, 'Did you mean "Europe/Berlin"?'],
    [{ timeZone: "Europa/Berlin" }, 'Did you mean "Europe/Berlin"?'],
    [{ timeZone: "+02:00" }, 'got "+02:00".'],
    [{ timeZone: "" }, 'got "".'],
    [{ options: { runAt: new Date() } }, "without runAt"],
  ])("with %j is refused", (given, sentence) => {
    expect(() => declare(given as Given)).toThrow(expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(sentence) }));
  });

  it("whose payload does not fit its contract is refused at once, unless a function makes it", () => {
    const strict = defineJob({ type: "strict", schema: z.object({ day: z.string() }) });
    const wrong = JSON.parse('{"day":1}') as { day: string };
    expect(() => defineSchedule({ name: "x", cron: "@daily", contract: strict, payload: wrong })).toThrow("payload.day does not fit");
    expect(() => defineSchedule({ name: "x", cron: "@daily", contract: work, payload: { n: Number.NaN } })).toThrow("payload.n is NaN");
    const made = defineSchedule({ name: "x", cron: "@daily", contract: strict, payload: (slotAt) => ({ day: slotAt.toISOString().slice(0, 10) }) });
    expect(made.request(new Date("2026-02-03T00:00Z")).payload).toEqual({ day: "2026-02-03" });
  });

  it("whose payload has the wrong type does not compile", () => {
    // @ts-expect-error -- n is a number
    defineSchedule({ name: "x", cron: "@daily", contract: work, payload: { n: "1" } });
    // @ts-expect-error -- n is a number
    defineSchedule({ name: "x", cron: "@daily", contract: work, payload: () => ({ n: "1" }) });
    // @ts-expect-error -- a slot's job is due when the slot is fired
    expect(() => defineSchedule({ name: "x", cron: "@daily", contract: work, payload: {}, options: { runAt: new Date() } })).toThrow("runAt");
  });

  it("that shares its name with another is refused", async () => {
    await expect(compileSchedules([declare({}), declare({ cron: "@daily" })])).rejects.toMatchObject({ code: "CONFIGURATION", message: 'Expected every schedule to have a name of its own, got two named "tick".' });
  });
});
