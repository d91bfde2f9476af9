// Values of flags that JavaScript would have read as something else.

import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { instant } from "../../src/commands/flags.ts";
import { addSelectionFlags, filterOf } from "../../src/commands/selection.ts";
import { isExactNumber } from "../../src/outbox/exact-number.ts";

const filterOfLine = (...line: string[]) => filterOf(addSelectionFlags(new Command("jobs:list")).exitOverride().parse(line, { from: "user" }).opts());

describe("an instant", () => {
  it.each(["2026-02-30T08:00Z", "2026-04-31T08:00Z", "2025-02-29T08:00+01:00", "0000-01-01T00:00Z", "9999-12-31T23:59-01:00"])("%s is on no day of the calendar, or of Postgres, and is refused", (text) => {
    expect(() => instant(text)).toThrow("Expected an instant such as 2026-12-01T08:00Z");
  });

  it.each(["2028-02-29T08:00Z", "0001-01-01T00:00Z", "0096-02-29T00:00Z", "9999-12-31T23:59:59.999Z"])("%s is one", (text) => expect(instant(text).getTime()).toBe(Date.parse(text)));
});

describe("--payload", () => {
  it.each(["constructor", "__proto__", "toString", "hasOwnProperty"])("takes a path by the name of %s, which every object has", (path) => {
    expect(filterOfLine("--payload", `${path}=x`, "--payload", `${path}=1`)?.payload).toEqual(Object.fromEntries([[path, ["x", "1", 1]]]));
  });

  it("takes 007 for the text that it is: JSON has no such number", () => expect(filterOfLine("--payload", "agent=007")?.payload).toEqual({ agent: ["007"] }));

  it("never means another number than was written: 9007199254740993 would be …992, another customer's", () => {
    expect(filterOfLine("--payload", "customer.id=9007199254740993")?.payload).toEqual({ "customer.id": ["9007199254740993"] });
    expect(filterOfLine("--payload", "customer.id=9007199254740992")?.payload).toEqual({ "customer.id": ["9007199254740992", 9007199254740992] });
    expect(filterOfLine("--payload", `n=${"9".repeat(400)}`)?.payload).toEqual({ n: ["9".repeat(400)] });
  });
});

it.each([["1.50", true], ["-0", true], ["1e21", true], ["0.1", true], ["123456789012345678", false], ["0.12345678901234567890", false], ["1e400", false], ["1e-400", false], ["5e-324", true], ["9007199254740993", false]])("%s is a number that JavaScript keeps as it is: %s", (text, kept) => expect(isExactNumber(text)).toBe(kept));
