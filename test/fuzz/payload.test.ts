// Payloads: what is accepted comes back from Postgres as it was given, what is not is refused with its place, and then
// nothing is stored.

import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { defineJob } from "../../src/index.ts";
import { PayloadError } from "../../src/outbox/errors.ts";
import { jsonSchemaOf } from "../../src/outbox/json-schema.ts";
import { toJson } from "../../src/outbox/payload.ts";
import { checkPayload } from "../../src/outbox/schema.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { fuzz, fuzzTimeoutMs, nastyNames, oddText, oddValue, outcomeOf, refusedAs } from "./support.ts";

const timeout = fuzzTimeoutMs;
let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
});
afterAll(() => test.close());

const job = defineJob({ type: "work" });
const refused = refusedAs("INVALID_PAYLOAD", "PAYLOAD_TOO_LARGE");
const number = fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger(), fc.constantFrom(-0, 5e-324, 2 ** 53 + 2, 1e21, 1.7976931348623157e308, 0.1 + 0.2, 1e-7));
const name = fc.oneof(fc.constantFrom(...nastyNames, "a", "payload"), oddText);
const plain: fc.Arbitrary<unknown> = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof({ maxDepth: 4 }, fc.oneof(number, oddText, fc.boolean(), fc.constant(null)), fc.array(tie("any"), { maxLength: 4 }), fc.array(fc.tuple(name, tie("any")), { maxLength: 4 }).map((entries) => Object.fromEntries(entries))),
})).any;

/** What jsonb is to hold: there is no -0 in it, and a property that is undefined is none. */
const stored = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

it("what is accepted is read from the table as it was given, and what is refused leaves nothing there", { timeout }, async () => {
  await fuzz(fc.array(fc.oneof({ weight: 4, arbitrary: plain }, { weight: 1, arbitrary: oddValue }), { minLength: 1, maxLength: 20 }), 3, async (payloads) => {
    const outcomes = await Promise.all(payloads.map((payload) => outcomeOf(() => toJson("work", payload), refused)));
    const { value: ids, refusal } = await outcomeOf(() => test.outbox.enqueueManyAlone(payloads.map((payload) => job.job(payload))), refused);
    // All or none: one that is refused keeps the others out.
    expect(refusal === undefined).toBe(outcomes.every((outcome) => outcome.refusal === undefined));
    const { rows } = await test.pool.query<{ id: string; payload: unknown }>("delete from outbox returning id, payload");
    const found = new Map(rows.map(({ id, payload }) => [id, payload]));
    expect((ids ?? []).map(({ id }) => found.get(id))).toEqual(ids === undefined ? [] : payloads.map(stored));
    expect(rows).toHaveLength(ids?.length ?? 0);
  });
});

it("the refusal names the place of what cannot be stored", { timeout }, async () => {
  const bad = fc.constantFrom<unknown>(Number.NaN, Number.NEGATIVE_INFINITY, 5n, Symbol("s"), () => 1, new Date(0), new Map(), new Uint8Array(2), "\u0000", "\ud800", "x\udc00", /x/, Object.create({ a: 1 }), { toJSON: () => 1 });
  await fuzz(fc.tuple(fc.array(fc.oneof(fc.nat(3), fc.constantFrom("a", "__proto__", "a b", '"', "ß", "0", ""))), bad), 50, async ([steps, put]) => {
    const payload = steps.reduceRight<unknown>((inner, step) => (typeof step === "number" ? [...Array.from({ length: step }, () => 0), inner] : Object.fromEntries([["before", 0], [step, inner]])), put);
    const { refusal } = await outcomeOf(() => toJson("work", payload), refused);
    const path = steps.map((step) => (typeof step === "number" ? `[${step}]` : /^[A-Za-z_]\w*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`)).join("");
    expect(refusal).toBeInstanceOf(PayloadError);
    expect(refusal).toMatchObject({ path: `payload${path}` });
  });
});

it("a contract's own schema may say no or throw, by whatever it likes; the refusal is one sentence with a path", { timeout }, async () => {
  const issue = fc.record({ message: oddText, path: fc.option(fc.array(fc.oneof(fc.nat(5), oddText, fc.constant(Symbol("s")), fc.record({ key: fc.oneof(oddText, fc.nat(5)) }))), { nil: undefined }) }, { requiredKeys: ["message"] });
  const answer = fc.oneof(fc.record({ issues: fc.array(issue as fc.Arbitrary<{ message: string }>) }), fc.record({ value: oddValue }));
  await fuzz(fc.tuple(fc.constantFrom("answers", "throws", "waits", "fails later"), answer, oddValue), 50, async ([does, said, thrown]) => {
    const validate = () => {
      if (does === "throws") throw thrown; // as an app's schema may
      if (does === "waits") return Promise.resolve(said);
      if (does === "fails later") return Promise.reject(new Error("later"));
      return said;
    };
    const contract = defineJob({ type: "work", schema: { "~standard": { version: 1, vendor: "fuzz", validate } } });
    const { value, refusal } = await outcomeOf(() => checkPayload(contract, {}), (error) => error instanceof PayloadError);
    if (does === "answers" && "value" in said) expect(value).toBe(said.value);
    else expect(refusal).toBeDefined();
  });
});

it("what JSON Schema can be made of a contract is plain JSON, whatever the library gives, and never throws", { timeout }, async () => {
  await fuzz(fc.tuple(oddValue, fc.boolean()), 50, ([given, throws]) => {
    const input = () => {
      if (throws) throw new Error("gave up");
      return given as Record<string, unknown>; // what a library should give
    };
    const validate = (value: unknown) => ({ value });
    const contract = defineJob({ type: "work", schema: { "~standard": { version: 1, vendor: "fuzz", validate, jsonSchema: { input } } as never } });
    const said = jsonSchemaOf(contract);
    expect(said === null || (typeof said === "object" && !Array.isArray(said))).toBe(true);
    expect(said).toEqual(said === null ? null : stored(said));
  });
});

it("a payload that zod has let through is the one that the handler is given, after its way through the table", { timeout }, async () => {
  const schema = z.strictObject({ n: z.int(), text: z.string().max(20), tags: z.array(z.string()).default([]), at: z.record(z.string(), z.number()).optional() });
  const contract = defineJob({ type: "strict", schema });
  const good = fc.record({ n: fc.maxSafeInteger(), text: oddText, tags: fc.array(oddText, { maxLength: 2 }), at: fc.dictionary(name, number, { maxKeys: 2 }) }, { requiredKeys: ["n", "text"] });
  await fuzz(good, 5, async (given) => {
    const { value: enqueued } = await outcomeOf(() => test.outbox.enqueueAlone(contract, given), refused);
    if (enqueued === undefined) return;
    const { payload } = await test.job(enqueued.id);
    expect(checkPayload(contract, payload)).toEqual(checkPayload(contract, stored(given) as typeof given));
  });
});
