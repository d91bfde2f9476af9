// What durations and instants may be: no time that Postgres cannot add to a date, and none that a timer of Node cannot keep.

import { expect, it } from "vitest";
import { defineJob } from "../../src/index.ts";
import { durationMs } from "../../src/outbox/duration.ts";
import type { EnqueueOptions } from "../../src/outbox/enqueue.ts";
import { checkJob } from "../../src/outbox/enqueue.ts";
import { OutboxError } from "../../src/outbox/errors.ts";
import { runLimits } from "../../src/outbox/drain.ts";

const work = defineJob({ type: "work" });
const refusal = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    return error instanceof OutboxError ? `${error.code}: ${error.message}` : error;
  }
};

it("a duration is a thousand years at most: Postgres has no date for what lies further away", () => {
  expect(durationMs("365000d", "it")).toBe(365_000 * 86_400_000);
  expect(refusal(() => durationMs("99999999999d", "olderThan"))).toBe('INVALID_OPTION: Expected olderThan to be a duration of at most 365000 days, got "99999999999d".');
});

it("a duration of a kind that is none is refused by a sentence, a BigInt too", () => {
  expect(refusal(() => durationMs(5n as unknown as number, "it"))).toBe('INVALID_OPTION: Expected it to be a duration such as "250ms", "30s", "5m", "2h" or "7d", got 5n.');
});

it("the time limit of a type, a grace and a drain's time are 24 days at most: a timer that is set to more goes off at once", () => {
  expect(refusal(() => defineJob({ type: "work", timeout: "30d" }))).toBe('INVALID_OPTION: Expected the timeout of "work" to be a duration of at most 24 days, got "30d".');
  expect(defineJob({ type: "work", timeout: "24d" }).timeoutMs).toBe(24 * 86_400_000);
  expect(refusal(() => runLimits({ handlers: [], grace: "25d" }))).toContain("Expected grace to be a duration of at most 24 days");
});

it.each([[-62_167_219_200_000], [8.64e15], [-8.64e15], [Number.NaN]])("runAt at %d ms, which Postgres has no date for, is refused before a byte is sent", (ms) => {
  const options: EnqueueOptions = { runAt: new Date(ms) };
  expect(refusal(() => checkJob(work.job({}, options)))).toContain('INVALID_OPTION: Expected runAt of "work" to be a valid Date of the years 1 to 9999, got ');
});

it.each<[unknown]>([[""], [5], [null], [{ delays: "5m" }]])("retry: %j is refused when the type is defined", (retry) => {
  expect(refusal(() => defineJob({ type: "work", retry: retry as "x" & object }))).toContain('INVALID_OPTION: Expected retry of "work" to be { maxAttempts }');
});

it("a wait in retry.delays that is none is refused when the type is defined, and not when its first job fails", () => {
  expect(refusal(() => defineJob({ type: "work", retry: { delays: ["5m", "5x" as "5m"] } }))).toContain('INVALID_OPTION: Expected a retry delay of "work" to be a duration');
});
