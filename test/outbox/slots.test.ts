// Which slots are fired, for any times whatever: compared with walking through all of them.

import fc from "fast-check";
import { expect, it } from "vitest";
import type { Missed, NextAfter } from "../../src/outbox/slots.ts";
import { maxMissed, missedPolicies, slotsToFire, toleranceMs } from "../../src/outbox/slots.ts";
import { propertySeed } from "../support/property-seed.ts";

const timeLimit = { seed: propertySeed, interruptAfterTimeLimit: 5_000, numRuns: 2_000 };

/** The slots of a schedule that has these and no others. */
const at = (sorted: readonly number[]): NextAfter => (after) => {
  const next = sorted.find((slot) => slot > after.getTime());
  return next === undefined ? null : new Date(next);
};

function walkedThrough(sorted: readonly number[], missed: Missed, from: number, now: number, room: number) {
  const come = sorted.filter((slot) => slot >= from && slot <= now);
  const newest = come.slice(-1);
  const wanted = { none: newest.filter((slot) => now - slot <= toleranceMs), last: newest, all: come.slice(-maxMissed) }[missed];
  const next = wanted[room] ?? sorted.find((slot) => slot > now);
  return { slots: wanted.slice(0, room).map((slot) => new Date(slot)), next: next === undefined ? null : new Date(next) };
}

it("of any slots at all, those are fired that the policy names, and it goes on where it stopped", () => {
  const slots = fc.uniqueArray(fc.integer({ min: 0, max: 50_000 }), { maxLength: 60 }).map((seconds) => seconds.map((second) => second * 1000).sort((a, b) => a - b));
  const instant = fc.integer({ min: 0, max: 50_000_000 });
  fc.assert(
    fc.property(slots, fc.constantFrom(...missedPolicies), instant, instant, fc.integer({ min: 1, max: 70 }), (sorted, missed, a, b, room) => {
      const [from, now] = [Math.min(a, b), Math.max(a, b)];
      expect(slotsToFire({ nextAfter: at(sorted), missed }, new Date(from), new Date(now), room)).toEqual(walkedThrough(sorted, missed, from, now, room));
    }),
    timeLimit,
  );
});

it("of more than 1000 irregular slots the newest 1000 are fired", () => {
  const sorted = Array.from({ length: 1300 }, (_, nth) => nth * 61_000 + (nth % 7) * 1000 + (nth % 100 === 0 ? 1 : 0));
  const now = 1_250 * 61_000;
  const found = slotsToFire({ nextAfter: at(sorted), missed: "all" }, new Date(0), new Date(now), 100);
  expect(found).toEqual(walkedThrough(sorted, "all", 0, now, 100));
});

it("the newest slot of a long burst long ago is found without walking through the burst", () => {
  const [begin, end] = [0, 40 * 86_400_000]; // a slot each second, for forty days
  let asked = 0;
  const nextAfter: NextAfter = (after) => {
    asked += 1;
    const next = Math.max(begin, Math.floor(after.getTime() / 1000) * 1000 + 1000);
    return next <= end ? new Date(next) : null;
  };
  const now = new Date(end + 300 * 86_400_000);
  expect(slotsToFire({ nextAfter, missed: "last" }, new Date(begin), now, 100)).toEqual({ slots: [new Date(end)], next: null });
  expect(asked).toBeLessThan(200);
});
