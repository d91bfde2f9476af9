// What a contract's payload must look like, as JSON Schema, for forms and the HTTP API.

import { toStandardJsonSchema } from "@valibot/to-json-schema";
import { type } from "arktype";
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Contract } from "../../src/index.ts";
import { defineJob, jsonSchemaOf } from "../../src/index.ts";
import * as jobs from "../../src/jobs.ts";

const draft = "https://json-schema.org/draft/2020-12/schema";

describe("of each library it is the input: a default may be left out, a transform is what it begins with", () => {
  it.each<[string, Contract]>([
    ["zod", defineJob({ type: "a", schema: z.object({ id: z.string(), locale: z.string().default("en"), dueAt: z.string().transform((text) => new Date(text)) }) })],
    ["arktype", defineJob({ type: "a", schema: type({ id: "string", locale: "string = 'en'", dueAt: type("string").pipe((text) => new Date(text)) }) })],
    ["valibot", defineJob({ type: "a", schema: withJsonSchema(v.object({ id: v.string(), locale: v.optional(v.string(), "en"), dueAt: v.pipe(v.string(), v.transform((text) => new Date(text))) })) })],
  ])("%s", (_, contract) => {
    const schema = jsonSchemaOf(contract);
    expect(schema).toMatchObject({ $schema: draft, type: "object", properties: { id: { type: "string" }, locale: { type: "string" }, dueAt: { type: "string" } } });
    expect([...(schema?.required as string[])].sort()).toEqual(["dueAt", "id"]);
  });
});

describe("what JSON Schema cannot say is left out, and never an error", () => {
  it.each<[string, Contract]>([
    ["zod", defineJob({ type: "a", schema: z.object({ id: z.string().refine((id) => id !== "x"), when: z.date(), other: z.custom<URL>() }) })],
    ["arktype", defineJob({ type: "a", schema: type({ id: type("string").narrow((id) => id !== "x"), when: "Date", other: "bigint" }) })],
    ["valibot", defineJob({ type: "a", schema: withJsonSchema(v.object({ id: v.pipe(v.string(), v.check((id) => id !== "x")), when: v.date(), other: v.bigint() })) })],
  ])("%s", (_, contract) => {
    expect(jsonSchemaOf(contract)).toMatchObject({ type: "object", properties: { id: { type: "string" }, when: {}, other: {} } });
  });

  it("a schema that says nothing of itself gives null, as does one that throws when it is asked", () => {
    expect(jsonSchemaOf(defineJob({ type: "a", schema: v.object({ id: v.string() }) }))).toBeNull();
    const silent = { "~standard": { version: 1 as const, vendor: "mine", validate: (value: unknown) => ({ value }), jsonSchema: { input: () => { throw new Error("no"); } } } };
    expect(jsonSchemaOf(defineJob({ type: "a", schema: silent }))).toBeNull();
  });

  it.each(["", 5, null, [], undefined])("one that says %j, which is no schema, gives null", (said) => {
    const odd = { "~standard": { version: 1 as const, vendor: "mine", validate: (value: unknown) => ({ value }), jsonSchema: { input: () => said } } };
    expect(jsonSchemaOf(defineJob({ type: "a", schema: odd }))).toBeNull();
  });

  it("a contract without a schema takes any JSON, and says so", () => {
    expect(jsonSchemaOf(defineJob({ type: "a" }))).toEqual({});
  });

  it("a schema that contains itself is told by references", () => {
    interface Tree {
      children: Tree[];
    }
    const tree: z.ZodType<Tree> = z.lazy(() => z.object({ children: z.array(tree) }));
    expect(JSON.stringify(jsonSchemaOf(defineJob({ type: "a", schema: tree })))).toContain('"$ref"');
  });
});

describe("every built-in contract has one", () => {
  /** For each type the fields that a payload must have, and one that it may have. */
  const known: Record<string, { required: string[]; optional: string }> = {
    "audit.log": { required: ["event"], optional: "subject" },
    "data.sync": { required: ["source", "target"], optional: "data" },
    "email.send": { required: ["to"], optional: "attachments" },
    "notification.deliver": { required: ["channel", "message", "type", "userId"], optional: "whatsapp" },
    "notification.send": { required: ["message", "type", "userId"], optional: "channels" },
    "payment.cancel": { required: ["paymentIntentId"], optional: "reason" },
    "payment.capture": { required: ["paymentIntentId"], optional: "amount" },
    "payment.refund": { required: ["paymentIntentId"], optional: "amount" },
    "pdf.generate": { required: ["data", "filename", "template"], optional: "data" },
    "webhook.send": { required: ["data", "event"], optional: "url" },
  };
  const contracts = Object.values(jobs).map((contract) => [contract.type, contract as Contract] as const);

  it("of those that there are", () => {
    expect(contracts.map(([name]) => name).sort()).toEqual(Object.keys(known).sort());
  });

  it.each(contracts)("%s: an object, or a choice of objects, with its fields and no others", (name, contract) => {
    const schema = jsonSchemaOf(contract);
    expect(schema?.$schema).toBe(draft);
    const objects = (schema?.oneOf ?? schema?.anyOf ?? [schema]) as Record<string, unknown>[];
    for (const object of objects) {
      expect(object).toMatchObject({ type: "object", additionalProperties: false });
      expect([...(object.required as string[])].sort()).toEqual(known[name]?.required);
      expect(object.properties).toHaveProperty(known[name]?.optional ?? "");
    }
  });

  it.each(contracts)("%s: a form or a caller can use it as it is: it is plain JSON, and refers to nothing outside", (_, contract) => {
    const schema = jsonSchemaOf(contract);
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
    const references = JSON.stringify(schema).match(/"\$ref":"[^"]*"/g) ?? [];
    for (const reference of references) expect(reference).toMatch(/^"\$ref":"#/);
  });

  // zod reads JSON Schema too: what it makes of ours judges these payloads as the contract does.
  const payloads: [Contract, unknown, boolean][] = [
    [jobs.notificationSend, { userId: "ada", type: "greeting", message: "Hello." }, true],
    [jobs.notificationSend, { userId: "ada", type: "greeting" }, false],
    [jobs.notificationSend, { userId: "ada", type: "greeting", message: "Hello.", urgent: true }, false],
    [jobs.auditLog, { event: "invoice.reminded", subject: "i1", data: { by: "post" } }, true],
    [jobs.auditLog, { event: "" }, false],
    [jobs.emailSend, { to: "ada@example.com", subject: "Hello", body: "Hello." }, true],
    [jobs.emailSend, { subject: "Hello", body: "Hello." }, false],
    [jobs.paymentCapture, { paymentIntentId: "pi_1", amount: 1250 }, true],
    [jobs.paymentCapture, { paymentIntentId: "pi_1", amount: 12.5 }, false],
    [jobs.dataSync, { source: "crm", target: "copies", data: [{ id: 1 }] }, true],
    [jobs.dataSync, { source: "crm" }, false],
    [jobs.webhookSend, { url: "https://example.com/hook", event: "invoice.paid", data: {} }, true],
    [jobs.webhookSend, { url: "https://example.com/hook", event: 7, data: {} }, false],
    [jobs.pdfGenerate, { template: "poem", data: {}, filename: "poem.pdf" }, false],
  ];
  it.each(payloads.map(([contract, payload, fits]) => [contract.type, fits ? "takes" : "refuses", JSON.stringify(payload), contract, payload, fits] as const))("that of %s %s %s", (_type, _does, _payload, contract, payload, fits) => {
    expect(z.fromJSONSchema(jsonSchemaOf(contract) ?? {}).safeParse(payload).success).toBe(fits);
    expect("issues" in (contract.schema?.["~standard"].validate(payload) ?? {})).toBe(!fits);
  });
});

/** valibot's schemas say it through a package of their own, which adds it beside what they have. */
function withJsonSchema<Schema extends Parameters<typeof toStandardJsonSchema>[0]>(schema: Schema) {
  return toStandardJsonSchema(schema);
}
