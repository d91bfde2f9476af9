// A contract's schema may be of any library that speaks Standard Schema: the same promises with zod, valibot and arktype.

import { type } from "arktype";
import * as v from "valibot";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Contract } from "../../src/index.ts";
import { defineJob, handle, PayloadError } from "../../src/index.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
});
afterAll(() => test.close());
beforeEach(() => test.empty());

/** What producers give: a default may be left out, and a time is a text. */
interface Input {
  invoiceId: string;
  locale?: string | undefined;
  dueAt: string;
  lines: { cents: number }[];
}
/** What the handler is given. */
interface Output {
  invoiceId: string;
  locale: string;
  dueAt: Date;
  lines: { cents: number }[];
}

// The types of the three are checked here as well: each must be a contract of just this input and output.
const contracts: [string, Contract<Input, Output>][] = [
  [
    "zod",
    defineJob({
      type: "invoice.zod",
      schema: z.object({
        invoiceId: z.string(),
        locale: z.string().default("en"),
        dueAt: z.iso.datetime().transform((text) => new Date(text)),
        lines: z.array(z.object({ cents: z.number() })),
      }),
    }),
  ],
  [
    "valibot",
    defineJob({
      type: "invoice.valibot",
      schema: v.object({
        invoiceId: v.string(),
        locale: v.optional(v.string(), "en"),
        dueAt: v.pipe(v.string(), v.isoTimestamp(), v.transform((text) => new Date(text))),
        lines: v.array(v.object({ cents: v.number() })),
      }),
    }),
  ],
  [
    "arktype",
    defineJob({
      type: "invoice.arktype",
      schema: type({ invoiceId: "string", locale: "string = 'en'", dueAt: "string.date.iso.parse", lines: type({ cents: "number" }).array() }),
    }),
  ],
];

const input: Input = { invoiceId: "i1", dueAt: "2030-01-02T03:04:05.000Z", lines: [{ cents: 1 }] };

describe.each(contracts)("a contract whose schema is made by %s", (_, contract) => {
  it("stores the input as it was given, and gives the handler the output, with defaults and transforms", async () => {
    const { id } = await test.outbox.enqueueAlone(contract, input);
    expect((await test.job(id)).payload).toEqual(input);
    let given: Output | undefined;
    await test.outbox.drain({ handlers: [handle(contract, (payload) => Promise.resolve(void (given = payload)))] });
    expect((await test.job(id)).last_error).toBeNull();
    expect(given).toEqual({ ...input, locale: "en", dueAt: new Date(input.dueAt) });
  });

  it.each<[string, object, string]>([
    ["a field is missing", { ...input, invoiceId: undefined }, "payload.invoiceId"],
    ["a field has the wrong type", { ...input, locale: 7 }, "payload.locale"],
    ["a field inside a list has", { ...input, lines: [{ cents: 1 }, { cents: "2" }] }, "payload.lines[1].cents"],
    ["a text is not of the form", { ...input, dueAt: "soon" }, "payload.dueAt"],
  ])("refuses a payload with its path and the rule when %s", async (_case, payload, path) => {
    const error: unknown = await test.outbox.enqueueAlone(contract, payload as Input).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(PayloadError);
    expect(error).toMatchObject({ path });
    expect(String(error)).toMatch(/does not fit: .{8,}/);
    expect(await test.jobs()).toEqual([]);
  });

  it("a stored payload that no longer fits is a dead letter at once, with the path", async () => {
    const id = await test.aJob({ type: contract.type, payload: { ...input, invoiceId: 7 } });
    await test.outbox.drain({ handlers: [handle(contract, () => Promise.resolve())] });
    expect(await test.job(id)).toMatchObject({ status: "error", attempts: 1, last_error: expect.stringContaining("payload.invoiceId") });
  });
});

describe("an asynchronous schema is refused, because enqueue checks payloads inside the transaction", () => {
  it.each<[string, Contract<{ n: number }, { n: number }>]>([
    ["zod", defineJob({ type: "async.zod", schema: z.object({ n: z.number().refine((n) => Promise.resolve(n > 0)) }) })],
    ["valibot", defineJob({ type: "async.valibot", schema: v.objectAsync({ n: v.pipeAsync(v.number(), v.checkAsync((n) => Promise.resolve(n > 0))) }) })],
  ])("%s", async (_, contract) => {
    for (const n of [1, -1]) {
      const refused = test.outbox.enqueueAlone(contract, { n });
      await expect(refused).rejects.toThrow(PayloadError);
      await expect(refused).rejects.toThrow("the schema is asynchronous");
    }
    expect(await test.jobs()).toEqual([]);
  });
});
