// Wrong use does not compile. Nothing here runs: `npm run typecheck` reads it, and a line that begins to compile is an
// error itself, because nothing is left for its @ts-expect-error to expect. From JavaScript: wrong-use.test.ts.

import { z } from "zod";
import type { EnqueueOptions, JobRequest, Outbox, SqlTransaction } from "../../src/index.ts";
import { createOutbox, defineJob, defineSchedule, handle } from "../../src/index.ts";
import { auditLog, dataSync, emailSend, notificationSend, paymentCapture, pdfGenerate, webhookSend } from "../../src/jobs.ts";

const invoiceRemind = defineJob({
  type: "invoice.remind",
  schema: z.object({ invoiceId: z.string(), locale: z.string().default("en"), dueAt: z.iso.datetime().transform((text) => new Date(text)).optional() }),
});
const mail = { to: "ada@example.com", subject: "Hello", body: "Hello." };

export async function payloads(outbox: Outbox, tx: SqlTransaction): Promise<void> {
  await outbox.enqueue(tx, invoiceRemind, { invoiceId: "1" }); // what has a default may be left out
  // @ts-expect-error a field is missing
  await outbox.enqueue(tx, invoiceRemind, {});
  // @ts-expect-error a field has the wrong type
  await outbox.enqueue(tx, invoiceRemind, { invoiceId: 1 });
  // @ts-expect-error a field is not of the contract
  await outbox.enqueue(tx, invoiceRemind, { invoiceId: "1", urgent: true });
  // @ts-expect-error what is enqueued is the input of a transform, not its output
  await outbox.enqueue(tx, invoiceRemind, { invoiceId: "1", dueAt: new Date() });
  // @ts-expect-error the payload is another contract's
  await outbox.enqueue(tx, invoiceRemind, mail);
  // @ts-expect-error the payload is missing
  await outbox.enqueue(tx, invoiceRemind);
  // @ts-expect-error the payload is null
  await outbox.enqueue(tx, invoiceRemind, null);
  // @ts-expect-error a type's name is not its contract
  await outbox.enqueue(tx, "invoice.remind", { invoiceId: "1" });
  // @ts-expect-error a job alone is checked as well
  await outbox.enqueueAlone(invoiceRemind, { invoice: "1" });
  // @ts-expect-error and so is each of many
  await outbox.enqueueMany(tx, [invoiceRemind.job({ invoiceId: "1" }), invoiceRemind.job({ invoiceId: 2 })]);
  // @ts-expect-error many jobs are made by their contracts, not by hand
  await outbox.enqueueMany(tx, [{ type: "invoice.remind", payload: { invoiceId: "1" } }]);
}

export async function builtInTypes(outbox: Outbox, tx: SqlTransaction): Promise<void> {
  await outbox.enqueue(tx, emailSend, mail);
  // @ts-expect-error a mail has a recipient
  await outbox.enqueue(tx, emailSend, { subject: "Hello", body: "Hello." });
  // @ts-expect-error a mail without a template has a body
  await outbox.enqueue(tx, emailSend, { to: "ada@example.com", subject: "Hello" });
  // @ts-expect-error nodemailer's fields are not a mail's
  await outbox.enqueue(tx, emailSend, { ...mail, envelope: { from: "eve@example.com" } });
  // @ts-expect-error there is no template of that name
  await outbox.enqueue(tx, pdfGenerate, { template: "poem", data: {}, filename: "poem.pdf" });
  // @ts-expect-error a notification is somebody's
  await outbox.enqueue(tx, notificationSend, { type: "greeting", message: "Hello." });
  // @ts-expect-error a sync has a target
  await outbox.enqueue(tx, dataSync, { source: "crm" });
  // @ts-expect-error a webhook has an event
  await outbox.enqueue(tx, webhookSend, { url: "https://example.com/", data: {} });
  // @ts-expect-error an audit entry has an event
  await outbox.enqueue(tx, auditLog, { actor: "ada" });
  // @ts-expect-error an amount is a number of the smallest unit
  await outbox.enqueue(tx, paymentCapture, { paymentIntentId: "pi_1", amount: "12.50" });
}

export async function options(outbox: Outbox, tx: SqlTransaction): Promise<void> {
  await outbox.enqueue(tx, emailSend, mail, { priority: "high", delay: "5m", dedupeKey: "k", dedupeFor: "until-done", orderingKey: "o", owner: "ada", maxAttempts: 5 });
  // @ts-expect-error the name of an option is wrong
  await outbox.enqueue(tx, emailSend, mail, { runat: new Date() });
  // @ts-expect-error there is no such priority
  await outbox.enqueue(tx, emailSend, mail, { priority: "urgent" });
  // @ts-expect-error a time is a Date
  await outbox.enqueue(tx, emailSend, mail, { runAt: "2030-01-01T00:00:00Z" });
  // @ts-expect-error a duration has a unit
  await outbox.enqueue(tx, emailSend, mail, { delay: "5 minutes" });
  // @ts-expect-error a key is a text
  await outbox.enqueue(tx, emailSend, mail, { dedupeKey: 7 });
  // @ts-expect-error options of a job for enqueueMany are checked as well
  emailSend.job(mail, { retries: 5 });
  // @ts-expect-error a name that is misspelt in a variable too
  const misspelt: EnqueueOptions = { maxAttempt: 5 };
  await outbox.enqueueAlone(emailSend, mail, misspelt);
}

export const contracts = [
  // @ts-expect-error a contract has a type
  () => defineJob({ schema: z.object({}) }),
  // @ts-expect-error a schema is one of a library that speaks Standard Schema
  () => defineJob({ type: "a", schema: { n: "number" } }),
  // @ts-expect-error a timeout has a unit
  () => defineJob({ type: "a", timeout: "30 seconds" }),
  // @ts-expect-error the name of a setting is wrong
  () => defineJob({ type: "a", retries: 3 }),
  // @ts-expect-error there is no such backoff
  () => defineJob({ type: "a", retry: { backoff: "fibonacci" } }),
  // @ts-expect-error a concurrency key is made of fields that the payload has
  () => defineJob({ type: "a", schema: z.object({ n: z.number() }), concurrency: { limit: 1, key: ({ m }) => String(m) } }),
];

export const handlers = [
  handle(invoiceRemind, ({ locale, dueAt }) => Promise.resolve([locale.length, dueAt?.getTime()])), // the schema's output
  // @ts-expect-error a handler reads a field that is not there
  handle(invoiceRemind, ({ amount }) => Promise.resolve(amount)),
  // @ts-expect-error what has a default is a text, never a number
  handle(invoiceRemind, ({ locale }) => Promise.resolve<number>(locale)),
  // @ts-expect-error what a transform gives out is no text any more
  handle(invoiceRemind, ({ dueAt }) => Promise.resolve<string | undefined>(dueAt)),
  // @ts-expect-error the context has no such method
  handle(invoiceRemind, (_, ctx) => Promise.resolve(ctx.commit)),
  // @ts-expect-error a handler is of a contract, not of a type's name
  handle("invoice.remind", () => Promise.resolve()),
];

export const schedules = [
  defineSchedule({ name: "nightly", cron: "0 7 * * *", contract: invoiceRemind, payload: { invoiceId: "1" } }),
  // @ts-expect-error a schedule's payload fits its contract
  defineSchedule({ name: "nightly", cron: "0 7 * * *", contract: invoiceRemind, payload: { invoice: "1" } }),
  // @ts-expect-error and so does what a function makes of the slot
  defineSchedule({ name: "nightly", cron: "0 7 * * *", contract: invoiceRemind, payload: (slotAt) => ({ invoiceId: slotAt }) }),
  // @ts-expect-error when a slot's job is due is the schedule's to say
  defineSchedule({ name: "nightly", cron: "0 7 * * *", contract: invoiceRemind, payload: { invoiceId: "1" }, options: { runAt: new Date() } }),
  // @ts-expect-error there is no such policy for missed slots
  defineSchedule({ name: "nightly", cron: "0 7 * * *", missed: "some", contract: invoiceRemind, payload: { invoiceId: "1" } }),
];

export const outboxes = [
  // @ts-expect-error an environment variable may be undefined
  () => createOutbox({ connection: process.env.DATABASE_URL }),
  // @ts-expect-error without a connection there is no outbox
  () => createOutbox({}),
  // @ts-expect-error a duration has a unit
  () => createOutbox({ connection: "postgresql://localhost/shop", retention: { done: "a week" } }),
];

export async function running(outbox: Outbox, jobs: JobRequest[]): Promise<void> {
  // @ts-expect-error a drain needs handlers
  await outbox.drain({});
  // @ts-expect-error a contract is not a handler
  await outbox.drain({ handlers: [invoiceRemind] });
  // @ts-expect-error jobs that are not in a transaction are stored one by one, by enqueueAlone
  await outbox.enqueueMany(jobs);
}
