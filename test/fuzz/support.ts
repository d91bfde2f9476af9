// What the fuzz tests share: the loop, which ends by the clock, and inputs that parsers stumble over. FUZZ_MS=60000 searches
// each property for longer and with another seed each time; a failure prints its seed and its shrunk input.

import { inspect } from "node:util";
import fc from "fast-check";
import { expect } from "vitest";
import { OutboxError } from "../../src/outbox/errors.ts";
import { propertySeed } from "../support/property-seed.ts";

const fuzzMs = Number(process.env.FUZZ_MS ?? 1_000);
/** For a test whose search takes `fuzzMs`: a first case may load libraries, and a failure is shrunk afterwards. */
export const fuzzTimeoutMs = fuzzMs + 60_000;
/** Of the processor, for one input of a few kilobytes: what takes longer would hold a server up. Counted so, others do not slow it. */
const mostCpuMs = 2_000;

/**
 * Holds `check` for as many inputs as there is time for, and at least for `least`, whatever time they take: on a slow machine
 * the test never passes without having looked. After each, JavaScript's own prototypes are as they were.
 */
export async function fuzz<Input>(inputs: fc.Arbitrary<Input>, least: number, check: (input: Input) => void | Promise<void>): Promise<void> {
  let cases = 0;
  const endsAt = performance.now() + fuzzMs;
  const property = fc.asyncProperty(inputs, async (input) => {
    if (cases >= least && performance.now() > endsAt) throw new fc.PreconditionFailure(true); // ends the search, and a shrinking
    cases += 1;
    const before = process.cpuUsage();
    await check(input);
    const { user } = process.cpuUsage(before);
    if (user / 1000 > mostCpuMs) throw new Error(`one input took ${Math.round(user / 1000)} ms of the processor`);
    const names = prototypeNames();
    if (names !== cleanNames) throw new Error(`the prototypes have been changed: ${names}`);
  });
  await fc.assert(property, { seed: propertySeed, numRuns: 10_000_000, markInterruptAsFailure: false });
  if (process.env.FUZZ_MS !== undefined) console.info(`${cases} cases (seed ${propertySeed}): ${expect.getState().currentTestName ?? ""}`);
}

const prototypeNames = () => [Object.prototype, Array.prototype, String.prototype, Function.prototype].map((prototype) => Reflect.ownKeys(prototype).map(String).join()).join(";");
const cleanNames = prototypeNames();

export type Outcome<Value> = { readonly value: Value; readonly refusal?: never } | { readonly refusal: Error; readonly value?: never };

/** What `work` gives back, or the refusal that it throws; any other error, such as a TypeError, fails the test. */
export async function outcomeOf<Value>(work: () => Value | Promise<Value>, isRefusal: (error: unknown) => boolean = isOutboxError): Promise<Outcome<Value>> {
  try {
    return { value: await work() };
  } catch (error) {
    if (!(error instanceof Error) || !isRefusal(error)) throw error;
    expectSentence(error.message);
    return { refusal: error };
  }
}

export const isOutboxError = (error: unknown): boolean => error instanceof OutboxError;
export const refusedAs =
  (...codes: readonly string[]) =>
  (error: unknown): boolean =>
    error instanceof OutboxError && codes.includes(error.code);

/** What people read: no stack, nothing of another program's. */
export function expectSentence(message: string): void {
  if (message === "" || /\n {4}at |\[object |(?:Type|Syntax|Range|Reference)Error\b/.test(message)) throw new Error(`no sentence for people: ${inspect(message)}`);
}

/** Names that mean something in JavaScript. */
export const nastyNames = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "then", "toJSON", "length", "0", ""];

/** Text of any kind, and what separates, quotes, escapes, numbers and ends things. */
export const oddText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.string({ maxLength: 12 }),
  fc.constantFrom(...nastyNames, " ", "null", "undefined", "NaN", "-0", "1e400", "9007199254740993", "0x10", "007", "true", "*", "%", "_", "'", '"', "\\", "\u0000", "\ud800", "\udc00x", "\u202e", "\ufeff", "ﬀ", "İ", "' or true --", "$1", "{}", "x".repeat(600)),
);

/** Pieces of these and of anything, put together: what nearly has the form that a parser wants. */
export const soupOf = (pieces: readonly string[], maxLength = 8): fc.Arbitrary<string> =>
  fc.array(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...pieces) }, { weight: 1, arbitrary: oddText }), { maxLength }).map((some) => some.join(""));

/** Any value of JavaScript's, as a program without types may hand one in. */
export const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  oddText,
  fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, withSparseArray: true, withMap: true, maxDepth: 2 }),
  fc.constantFrom<unknown>(undefined, null, true, false, 0, -0, -1, 0.5, 1e308, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, 5n, Symbol("s"), () => 1, [], {}, [undefined], [[]]),
);

/** Any value that JSON.parse can make. */
export const oddJson: fc.Arbitrary<unknown> = fc.oneof(
  oddText,
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(null, true, false, 0, -1, 0.5, 1e308, 2 ** 53, [], {}, [null], [[]], [{}], "", JSON.parse('{"__proto__":{"all":true}}')),
);

/** Values of `good`, as they are or with something odd in one place: in place of a part, beside it, or under another name. */
export function nearly(good: fc.Arbitrary<unknown>, odd: fc.Arbitrary<unknown> = oddJson): fc.Arbitrary<unknown> {
  const slip = fc.record({ at: fc.array(fc.nat(9), { maxLength: 4 }), name: fc.oneof(oddText, fc.constantFrom(...nastyNames)), odd, renames: fc.boolean() });
  return fc.tuple(good, fc.array(slip, { maxLength: 2 })).map(([value, slips]) => slips.reduce<unknown>((each, { at, name, odd: put, renames }) => changed(each, at, { name, put, renames }), value));
}

function changed(value: unknown, [step, ...more]: readonly number[], slip: { name: string; put: unknown; renames: boolean }): unknown {
  if (step === undefined || typeof value !== "object" || value === null || value instanceof Date) return slip.put;
  if (Array.isArray(value)) return step >= value.length ? [...(value as unknown[]), slip.put] : value.map((item: unknown, index) => (index === step ? changed(item, more, slip) : item));
  const entries = Object.entries(value);
  // Of entries: a name may be __proto__.
  if (step >= entries.length) return Object.fromEntries([...entries, [slip.name, slip.put]]);
  return Object.fromEntries(entries.map(([name, item], index) => (index !== step ? [name, item] : slip.renames ? [slip.name, item] : [name, changed(item, more, slip)])));
}
