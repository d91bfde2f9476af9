// What does not compile (wrong-use.ts) is refused at run time too, for those who write JavaScript: nothing is stored, and
// the error says what was expected, what was got, and where.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Contract } from "../../src/index.ts";
import { createOutbox, defineJob, OutboxError, PayloadError } from "../../src/index.ts";
import { auditLog, dataSync, emailSend, notificationSend, paymentCapture, pdfGenerate, webhookSend } from "../../src/jobs.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, work } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
});
afterAll(async () => {
  expect(await test.jobs()).toEqual([]); // of all that is refused here, nothing was stored
  await test.close();
});

const invoiceRemind = defineJob({ type: "invoice.remind", schema: z.strictObject({ invoiceId: z.string(), lines: z.array(z.object({ cents: z.number() })).default([]) }) });
const mail = { to: "ada@example.com", subject: "Hello", body: "Hello." };

describe("a payload that does not fit is refused with its path and the rule", () => {
  it.each<[string, Contract, unknown, string]>([
    ["a missing field", invoiceRemind, {}, "payload.invoiceId does not fit: Invalid input: expected string"],
    ["a wrong type", invoiceRemind, { invoiceId: 1 }, "payload.invoiceId does not fit: Invalid input: expected string, received number"],
    ["an extra field", invoiceRemind, { invoiceId: "1", urgent: true }, 'payload does not fit: Unrecognized key: "urgent"'],
    ["a field inside a list", invoiceRemind, { invoiceId: "1", lines: [{ cents: 1 }, { cents: "2" }] }, "payload.lines[1].cents does not fit"],
    ["two at once", invoiceRemind, { invoiceId: 1, lines: 2 }, "(and 1 more)"],
    ["no payload", invoiceRemind, undefined, "payload does not fit"],
    ["null", invoiceRemind, null, "payload does not fit"],
    ["another contract's", invoiceRemind, mail, "payload.invoiceId does not fit"],
    ["a mail without recipient", emailSend, { subject: "a", body: "b" }, "payload.to"],
    ["a mail with nodemailer's own fields", emailSend, { ...mail, envelope: {} }, "envelope"],
    ["a PDF of no known template", pdfGenerate, { template: "poem", data: {}, filename: "a.pdf" }, "poem"],
    ["a notification to nobody", notificationSend, { type: "a", message: "b" }, "payload.userId"],
    ["a sync without target", dataSync, { source: "crm" }, "payload.target"],
    ["a webhook without event", webhookSend, { url: "https://example.com/", data: {} }, "payload.event"],
    ["an audit entry without event", auditLog, { actor: "ada" }, "payload.event"],
    ["an amount in euros", paymentCapture, { paymentIntentId: "pi_1", amount: "12.50" }, "payload.amount"],
  ])("%s", async (_, contract, payload, sentence) => {
    const refused = test.outbox.enqueueAlone(contract, payload);
    await expect(refused).rejects.toThrow(PayloadError);
    await expect(refused).rejects.toThrow(sentence);
  });
});

describe("the value of an option that cannot be is refused by the option's name", () => {
  it.each<[string, object, string]>([
    ["priority", { priority: "urgent" }, 'Expected priority of "work" to be "high", "normal", "low" or a whole number'],
    ["priority named like a method", { priority: "toString" }, "Expected priority"],
    ["runAt", { runAt: "2030-01-01T00:00:00Z" }, 'Expected runAt of "work" to be a valid Date'],
    ["an invalid Date", { runAt: new Date("soon") }, "Expected runAt"],
    ["delay", { delay: "5 minutes" }, 'the delay of "work"'],
    ["runAt and delay", { runAt: new Date(), delay: "5m" }, "either runAt or delay"],
    ["dedupeKey", { dedupeKey: 7 }, 'Expected dedupeKey of "work" to be a text'],
    ["dedupeFor", { dedupeKey: "k", dedupeFor: "always" }, "dedupeFor"],
    ["orderingKey", { orderingKey: "" }, "Expected orderingKey"],
    ["owner", { owner: { id: 1 } }, "Expected owner"],
    ["maxAttempts", { maxAttempts: 0 }, "Expected maxAttempts"],
  ])("%s", async (_, options, sentence) => {
    const refused = test.outbox.enqueueAlone(work, {}, options);
    await expect(refused).rejects.toThrow(OutboxError);
    await expect(refused).rejects.toThrow(sentence);
  });
});

describe("a contract that cannot be is refused when it is declared", () => {
  it.each<[string, object, string]>([
    ["no type", {}, "Expected a job's type to be a name"],
    ["a timeout without unit", { type: "a", timeout: "30 seconds" }, 'the timeout of "a"'],
    ["a concurrency of none", { type: "a", concurrency: 0 }, 'concurrency of "a"'],
    ["no attempts", { type: "a", retry: { maxAttempts: 0 } }, 'maxAttempts of "a"'],
    ["an unknown onDead", { type: "a", onDead: "stop" }, 'onDead of "a"'],
  ])("%s", (_, definition, sentence) => {
    expect(() => defineJob(definition as { type: string })).toThrow(OutboxError);
    expect(() => defineJob(definition as { type: string })).toThrow(sentence);
  });
});

it("an outbox without a connection, as when an environment variable is missing, is refused when it is made", () => {
  expect(() => createOutbox({ connection: process.env.NO_SUCH_DATABASE_URL as string })).toThrow("Is DATABASE_URL set?");
});
