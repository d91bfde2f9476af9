import { describe, expect, it } from "vitest";
import { backoffMs } from "../../src/outbox/backoff.ts";
import { durationMs } from "../../src/outbox/duration.ts";

const error = new Error("x");

describe("the wait before the next attempt", () => {
  it("grows from attempt to attempt up to its cap, whatever the jitter draws", () => {
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      expect(backoffMs({}, attempt, error, () => 0.999)).toBeLessThan(backoffMs({}, attempt + 1, error, () => 0));
    }
    for (const attempt of [6, 64, 1000]) {
      expect(backoffMs({}, attempt, error, () => 0)).toBe(2_700_000);
      expect(backoffMs({}, attempt, error, () => 1)).toBe(4_500_000);
    }
  });

  it("is finite, never shorter than after the attempt before, and spread by a quarter each way, at attempt 1, 64, 1000 and all between", () => {
    for (const drawn of [0, 0.5, 0.999]) {
      const waits = Array.from({ length: 1000 }, (_, index) => backoffMs({}, index + 1, error, () => drawn));
      expect(waits.every(Number.isFinite)).toBe(true);
      expect(waits).toEqual([...waits].sort((a, b) => a - b));
      expect([waits[0]! / 10_000, waits[63]! / 3_600_000, waits[999]! / 3_600_000].map((share) => share.toFixed(2))).toEqual(Array.from({ length: 3 }, () => (0.75 + drawn / 2).toFixed(2)));
    }
  });

  it("differs between jobs that failed together", () => {
    expect(new Set(Array.from({ length: 50 }, () => backoffMs({}, 3, error))).size).toBeGreaterThan(25);
  });

  it("follows a fixed list, whose last entry goes on", () => {
    const retry = { delays: ["5s", "30s", 300_000] } as const;
    expect([1, 2, 3, 4, 99].map((attempt) => backoffMs(retry, attempt, error))).toEqual([5000, 30_000, 300_000, 300_000, 300_000]);
  });

  it("is what a function of attempt and error says, and finite whatever it says", () => {
    expect(backoffMs((attempt, cause) => attempt * 100 + String(cause).length, 3, error)).toBe(300 + String(error).length);
    for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, -5, 1e12]) {
      const ms = backoffMs(() => odd, 1, error);
      expect(ms).toBeGreaterThanOrEqual(0);
      expect(ms).toBeLessThanOrEqual(86_400_000);
    }
  });
});

describe("a duration", () => {
  it.each([["250ms", 250], ["1.5s", 1500], ["5m", 300_000], ["2h", 7_200_000], ["7d", 604_800_000], [0, 0], [42, 42]])("%s is %i ms", (text, ms) => {
    expect(durationMs(text, "it")).toBe(ms);
  });

  it.each(["", "5", "5 s", "-5s", "5S", "1e3s", "s", Number.NaN, -1, Number.POSITIVE_INFINITY])("%s is refused by name", (text) => {
    expect(() => durationMs(text, "the timeout")).toThrow(/^Expected the timeout to be a duration/);
  });
});
