// The JSON that people type for `db outbox` and `jobs:enqueue`: it is what JSON.parse reads, or is refused with its place.

import fc from "fast-check";
import { expect, it } from "vitest";
import { parseJson } from "../../src/commands/db-outbox/parse-json.ts";
import { fuzz, fuzzTimeoutMs, nastyNames, oddText, outcomeOf, refusedAs, soupOf } from "./support.ts";

const value = fc.jsonValue({ maxDepth: 4, stringUnit: "binary" });
const space = fc.constantFrom("", " ", "\n", "\t\r\n ");
/** Written by us, so that a name may come twice. */
const written: fc.Arbitrary<string> = fc.letrec<{ any: string }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 5 },
    fc.oneof(fc.constantFrom("null", "true", "0", "-0", "1e5", "1E-2", "12.50"), oddText.map((text) => JSON.stringify(text)), fc.double().map(String), fc.bigInt().map(String)),
    fc.tuple(fc.array(tie("any"), { maxLength: 3 }), space).map(([items, gap]) => `[${gap}${items.join(`${gap},${gap}`)}${gap}]`),
    fc.tuple(fc.array(fc.tuple(fc.oneof(fc.constantFrom("a", "b", ...nastyNames), oddText), tie("any")), { maxLength: 3 }), space).map(([entries, gap]) => `{${gap}${entries.map(([name, item]) => `${JSON.stringify(name)}${gap}:${gap}${item}`).join(",")}${gap}}`),
  ),
})).any;
const slip = fc.record({ at: fc.nat(200), deletes: fc.nat(2), inserts: fc.oneof(fc.constantFrom("", ",", ":", "{", "}", "[", "]", '"', "\\", "\\u", "\\ud800", "'", "0", "+1", ".5", "NaN", "//", "\u0000", "\u2028", "\ufeff"), oddText) });
const broken = fc.tuple(fc.oneof(value.map((each) => JSON.stringify(each)), written), slip).map(([text, { at, deletes, inserts }]) => `${text.slice(0, at % (text.length + 1))}${inserts}${text.slice((at % (text.length + 1)) + deletes)}`);
const soup = soupOf(["{", "}", "[", "]", ":", ",", '"a"', '"', "1", "-", "0", ".", "e", "null", "tru", " ", "\\", "\\u00"], 14);

/** How often an object in `text`, which JSON.parse has read, has a name twice: it keeps one of them. */
const namesIn = (given: unknown): number => (typeof given !== "object" || given === null ? 0 : Array.isArray(given) ? given.reduce((sum: number, item) => sum + namesIn(item), 0) : Object.values(given).reduce((sum: number, item) => sum + namesIn(item), Object.keys(given).length));
const colonsOutsideTexts = (text: string): number => text.replaceAll(/"(?:[^"\\]|\\.)*"/gs, "").split(":").length - 1;

const depthOf = (given: unknown): number => (typeof given === "object" && given !== null ? 1 + Math.max(0, ...Object.values(given).map(depthOf)) : 0);
const textsOf = (given: unknown): string[] => (typeof given === "string" ? [given] : typeof given === "object" && given !== null ? Object.entries(given).flatMap(([name, item]) => [...(Array.isArray(given) ? [] : [name]), ...textsOf(item)]) : []);
const storable = (given: unknown) => depthOf(given) <= 32 && textsOf(given).every((text) => !text.includes("\u0000") && text.isWellFormed());

it("any text is read as JSON.parse reads it, or refused by a sentence that shows the place", { timeout: fuzzTimeoutMs }, async () => {
  await fuzz(fc.tuple(fc.oneof(written, broken, soup, oddText), fc.integer({ min: 1, max: 200 })), 100, async ([text, columns]) => {
    const { value: read, refusal } = await outcomeOf(() => parseJson(text, columns), refusedAs("USAGE"));
    if (refusal !== undefined) {
      expect(refusal.message).toMatch(/^The JSON is wrong at line \d+, column \d+: .+\.\n {2}.*\n {2} *\^/s);
      return;
    }
    expect(read).toEqual(JSON.parse(text));
    expect([storable(read), namesIn(read)]).toEqual([true, colonsOutsideTexts(text)]);
  });
});

it("what JSON.stringify writes is read back equal, unless Postgres could not hold it", { timeout: fuzzTimeoutMs }, async () => {
  await fuzz(fc.tuple(value, fc.constantFrom(0, 2)), 100, async ([given, indent]) => {
    const { value: read, refusal } = await outcomeOf(() => parseJson(JSON.stringify(given, null, indent), 80), refusedAs("USAGE"));
    expect(refusal === undefined).toBe(storable(given));
    if (refusal === undefined) expect(read).toEqual(JSON.parse(JSON.stringify(given)));
  });
});

it("however deep it is nested, and however long, the answer comes", { timeout: fuzzTimeoutMs }, async () => {
  const deep = fc.tuple(fc.constantFrom("[", '{"a":', '[{"":', " ", '"', "\\", "1", "[1,"), fc.integer({ min: 1, max: 200_000 })).map(([piece, times]) => piece.repeat(Math.min(times, 1_000_000 / piece.length)));
  await fuzz(deep, 20, async (text) => {
    await outcomeOf(() => parseJson(text, 80), refusedAs("USAGE"));
  });
});
